//! Whole rehearsals over the recorded upgrades of a real Materialize: does the report show the recorded write gap?

use crate::driver::bench::{Log, Memory, plan};
use crate::driver::replay::hops;
use crate::driver::scripted::{ScriptedRuntime, World};
use changeover_check::Judge;
use changeover_model::history::Class;
use changeover_model::plan::Plan;
use changeover_model::target::Target;
use changeover_rehearse::clock::Clock;
use changeover_rehearse::front_door::FrontDoor;
use changeover_rehearse::metadata_store::MetadataStore;
use changeover_rehearse::record::Recorder;
use changeover_rehearse::rehearsal::{Ending, Setup, rehearse};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// How much faster than recorded: the longest catch-up then takes five seconds, the shortest gap 90 ms.
const COMPRESSION: f64 = 40.0;

/// The scripted server, as a target.
const TARGET: &str = r#"
    [target]
    name = "scripted"
    runtime = "scripted"
    metadata_store = "scripted"
    [instance]
    command = ["scripted", "{sql_addr}", "{http_addr}"]
    restart_exit_codes = [166]
    fenced_exit_codes = [0]
    [client]
    url = "postgres://tester@{sql_addr}/test"
    create = []
    write = "ADD {id} {value}"
    read = "READ {id}"
    version = "VERSION"
    [defaults]
    rate = 50
    clients = 2
    probe_interval_ms = 10
    [timeouts_ms]
    boot = 60000
    catch-up = 60000
    promote = 60000
    bootstrap = 60000
    retire = 60000
    operation = 2000
    [budgets]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rehearses_each_recorded_upgrade_and_reports_the_recorded_write_gap() {
    for hop in hops() {
        let world = World::new();
        hop.play(&world, 1, COMPRESSION);
        let mut plan = plan(&[]);
        plan.path.truncate(2);
        plan.services.truncate(2);
        plan.steps.truncate(1);
        plan.validate().unwrap();

        let log = run(&world, &plan).await;

        let mut judge = Judge::new(&plan, "replay", String::new());
        let log = log.lock().unwrap();
        log.events.iter().for_each(|event| judge.event(event));
        log.operations
            .iter()
            .for_each(|operation| judge.operation(operation));
        let verdict = judge.finish();
        assert_eq!(verdict.findings, [], "{}", hop.hop);
        let recorded = hop.write_gap(COMPRESSION).as_secs_f64() * 1e3;
        for gap in &verdict.steps[0].gaps {
            if gap.class != Class::Write {
                continue;
            }
            let reported = gap.longest_ms.unwrap();
            assert!(
                (reported - recorded).abs() <= 2.0 * gap.resolution_ms + 5.0,
                "{}, {:?}: reported {reported} ms ± {} ms, recorded {recorded} ms",
                hop.hop,
                gap.connection,
                gap.resolution_ms
            );
        }
    }
}

async fn run(world: &Arc<World>, plan: &Plan) -> Arc<Mutex<Log>> {
    let log = Arc::new(Mutex::new(Log::default()));
    let recorder = Recorder::new(Clock::start(), Box::new(Memory(Arc::clone(&log))));
    let place = tempfile::tempdir().unwrap();
    let ending = rehearse(Setup {
        plan: plan.clone(),
        target: Target::parse(TARGET).unwrap(),
        runtime: Arc::new(ScriptedRuntime(Arc::clone(world))),
        front_door: FrontDoor::bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap(),
        recorder,
        cancel: CancellationToken::new(),
        live: Arc::default(),
        run: "replay".to_owned(),
        run_dir: place.path().to_owned(),
        program: "scripted".to_owned(),
        fixtures: None,
        equipment: Default::default(),
        user_checks: Vec::new(),
        metadata_store: MetadataStore::at("none"),
    })
    .await;
    assert_eq!(ending, Ending::Completed);
    log
}
