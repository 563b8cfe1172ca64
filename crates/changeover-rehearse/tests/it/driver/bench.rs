//! A small rehearsal: driver, front door and direct observers over scripted servers, and what it recorded.

use super::scripted::{ScriptedRuntime, World, honest};
use crate::pg_stub as pg;
use changeover_check::Judge;
use changeover_model::check::Check;
use changeover_model::event::{Event, EventKind, Phase, ProcessEnd, StatusSeen};
use changeover_model::history::Operation;
use changeover_model::plan::{Plan, StepPlan, WorkloadPlan};
use changeover_model::status::DeploymentStatus;
use changeover_model::verdict::Finding;
use changeover_model::{PathVersion, ServiceArgs};
use changeover_rehearse::clock::Clock;
use changeover_rehearse::control::Control;
use changeover_rehearse::driver::{Driver, Launch, Running, StepFailed, Surroundings, Timeouts};
use changeover_rehearse::front_door::FrontDoor;
use changeover_rehearse::observers::Observer;
use changeover_rehearse::record::{Recorder, Sink};
use changeover_rehearse::supervisor::ExitRules;
use changeover_rehearse::tally::Keys;
use changeover_runtime::InstanceSpec;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_postgres::{NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

/// A deadline that no test waits for.
const NEVER_MS: u64 = 60_000;

/// The checks that the driver's events and the observers' operations decide. There is no load here, so others only
/// say that nothing was measured.
const PROTOCOL: [Check; 8] = [
    Check::TwoLeaders,
    Check::ReadOnlyWrite,
    Check::WrongVersion,
    Check::OldLeaderLingered,
    Check::CrashLoop,
    Check::PromotionLost,
    Check::NeverReady,
    Check::IllegalTransition,
];

/// Everything recorded.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    pub(crate) operations: Vec<Operation>,
}

pub(crate) struct Memory(pub(crate) Arc<Mutex<Log>>);

impl Sink for Memory {
    fn event(&mut self, event: &Event) {
        self.0.lock().unwrap().events.push(event.clone());
    }

    fn operation(&mut self, operation: &Operation) {
        self.0.lock().unwrap().operations.push(operation.clone());
    }
}

/// The other half of the rehearsal.
pub(crate) struct Fixture {
    pub(crate) door: FrontDoor,
    recorder: Recorder,
    observers: Mutex<HashMap<u64, Observer>>,
}

impl Fixture {
    fn observe(&self, instance: &InstanceSpec) {
        let target = pg::target(instance.sql_addr, Duration::from_millis(100));
        let observer = Observer::start(
            &self.recorder,
            &Arc::new(Keys::default()),
            &target,
            &instance.slot,
            instance.generation,
            Duration::from_millis(1),
        );
        let mut observers = self.observers.lock().unwrap();
        observers.insert(instance.generation, observer);
    }
}

/// Connects, asks one thing, and hangs up.
async fn query(addr: SocketAddr, sql: &str) -> Result<String, String> {
    let url = format!("postgres://tester@{addr}/test?sslmode=disable");
    let words = |error: tokio_postgres::Error| error.to_string();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.map_err(words)?;
    let ask = async move { client.simple_query(sql).await };
    let (messages, _) = tokio::join!(ask, connection);
    let row = messages.map_err(words)?.into_iter().find_map(|m| match m {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.ok_or_else(|| "no row".to_owned())
}

impl Surroundings for Fixture {
    async fn serves(&self, instance: &InstanceSpec) -> Result<(), String> {
        query(instance.sql_addr, "SELECT 1").await.map(drop)
    }

    async fn version(&self) -> Result<Option<String>, String> {
        query(self.door.addr(), "VERSION").await.map(Some)
    }

    fn switch(&self, instance: &InstanceSpec) {
        self.door.switch(Some(instance.sql_addr));
    }

    fn answers(&self, new: &InstanceSpec) {
        self.observe(new);
    }

    fn promoting(&self, new: &InstanceSpec) {
        let observers = self.observers.lock().unwrap();
        observers[&new.generation].halt();
    }

    fn leads(&self, _: &InstanceSpec, old: &InstanceSpec) {
        self.observe(old);
    }

    fn gone(&self, instance: &InstanceSpec) {
        self.observers.lock().unwrap().remove(&instance.generation);
    }
}

pub(crate) struct Bench {
    pub(crate) world: Arc<World>,
    pub(crate) plan: Plan,
    pub(crate) driver: Driver<Fixture>,
    pub(crate) log: Arc<Mutex<Log>>,
}

impl Bench {
    /// Two honest generations, no deadline near.
    pub(crate) async fn new() -> Self {
        Bench::with(&[]).await
    }

    /// The same with these deadlines, in milliseconds.
    pub(crate) async fn with(timeouts: &[(&str, u64)]) -> Self {
        let world = World::new();
        for generation in 0..3 {
            world.script(generation, honest);
        }
        let plan = plan(timeouts);
        let log = Arc::new(Mutex::new(Log::default()));
        let recorder = Recorder::new(Clock::start(), Box::new(Memory(Arc::clone(&log))));
        let driver = Driver {
            runtime: Arc::new(ScriptedRuntime(Arc::clone(&world))),
            surroundings: Fixture {
                door: FrontDoor::bind("127.0.0.1:0".parse().unwrap())
                    .await
                    .unwrap(),
                recorder: recorder.clone(),
                observers: Mutex::default(),
            },
            recorder,
            rules: ExitRules {
                restart: vec![166],
                fenced: vec![0],
            },
            timeouts: Timeouts::of(&plan),
            cancel: CancellationToken::new(),
            excuse: Default::default(),
        };
        Bench {
            world,
            plan,
            driver,
            log,
        }
    }

    async fn launch(&self, generation: u64) -> Launch {
        let (sql_addr, http_addr) = self.driver.runtime.reserve_addresses().await.unwrap();
        Launch {
            spec: InstanceSpec {
                slot: slot(generation),
                generation,
                command: vec!["scripted".to_owned()],
                env: BTreeMap::new(),
                sql_addr,
                http_addr,
                log: "unused".into(),
                container: None,
            },
            expected_version: format!("v0.{}.0", generation + 1),
            control: Control::leader_api(http_addr),
        }
    }

    pub(crate) async fn start_first(&self) -> Result<Running, StepFailed> {
        let launch = self.launch(0).await;
        self.driver.start_first(&self.plan.path[0], launch).await
    }

    /// Step 1, 2…
    pub(crate) async fn step(&self, number: u32, old: &mut Running) -> Result<Running, StepFailed> {
        let step = &self.plan.steps[number as usize - 1];
        let launch = self.launch(step.deploy_generation).await;
        self.driver.upgrade(step, old, launch).await
    }

    /// The first service and step 1.
    pub(crate) async fn upgrade(&self) -> (Running, Result<Running, StepFailed>) {
        let mut old = self.start_first().await.unwrap();
        let result = self.step(1, &mut old).await;
        (old, result)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.log.lock().unwrap().events.clone()
    }

    /// The kinds of one generation's events.
    pub(crate) fn of(&self, generation: u64) -> Vec<EventKind> {
        self.events()
            .into_iter()
            .filter(|event| event.generation == Some(generation))
            .map(|event| event.kind)
            .collect()
    }

    pub(crate) fn count(&self, generation: u64, such: impl Fn(&EventKind) -> bool) -> usize {
        self.of(generation).iter().filter(|kind| such(kind)).count()
    }

    /// The distinct things the status endpoint of a generation said, in order.
    pub(crate) fn said(&self, generation: u64) -> Vec<StatusSeen> {
        self.of(generation)
            .into_iter()
            .filter_map(|kind| match kind {
                EventKind::StatusSeen { seen, .. } => Some(seen),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn statuses(&self, generation: u64) -> Vec<DeploymentStatus> {
        self.said(generation)
            .into_iter()
            .filter_map(|seen| match seen {
                StatusSeen::Status(status) => Some(status),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn ends(&self, generation: u64) -> Vec<(ProcessEnd, bool)> {
        self.of(generation)
            .into_iter()
            .filter_map(|kind| match kind {
                EventKind::ProcessEnded { end, by_us, .. } => Some((end, by_us)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn phases(&self, step: u32) -> Vec<Phase> {
        self.events()
            .into_iter()
            .filter(|event| event.step == Some(step))
            .filter_map(|event| match event.kind {
                EventKind::PhaseStarted { phase } => Some(phase),
                _ => None,
            })
            .collect()
    }

    /// What was missing when a deadline passed.
    pub(crate) fn missing(&self) -> Vec<(Phase, String)> {
        self.events()
            .into_iter()
            .filter_map(|event| match event.kind {
                EventKind::DeadlinePassed { phase, missing, .. } => Some((phase, missing)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        let log = self.log.lock().unwrap();
        let mut judge = Judge::new(&self.plan, "a-run", "changeover rehearse".to_owned());
        for event in &log.events {
            judge.event(event);
        }
        for operation in &log.operations {
            judge.operation(operation);
        }
        let mut findings = judge.finish().findings;
        findings.retain(|finding| PROTOCOL.contains(&finding.check));
        findings
    }

    /// The names of what was found.
    pub(crate) fn found(&self) -> BTreeSet<&'static str> {
        self.findings().iter().map(|f| f.check.name()).collect()
    }

    /// Step 1 was called off, and the old one noticed nothing.
    pub(crate) fn assert_called_off(&self, failed: &StepFailed, old: &Running) {
        assert!(failed.called_off && !failed.interrupted && failed.new.is_none());
        assert_eq!(self.world.running(), [(slot(0), 0)], "the new one is gone");
        assert_eq!(self.world.figures(0).starts, 1);
        assert_eq!(self.ends(0), []);
        assert!(old.supervisor().state().starts == 1);
        assert_eq!(
            self.count(1, |kind| matches!(kind, EventKind::PromoteIntent { .. })),
            0
        );
        assert_eq!(
            self.of(1).last(),
            Some(&EventKind::StepEnded { completed: false })
        );
    }
}

pub(crate) fn names<const N: usize>(names: [&'static str; N]) -> BTreeSet<&'static str> {
    BTreeSet::from(names)
}

pub(crate) fn slot(generation: u64) -> String {
    format!("mz_{}", generation % 2 + 1)
}

pub(crate) fn plan(timeouts: &[(&str, u64)]) -> Plan {
    let version = |n: u64| -> PathVersion { format!("v0.{}.0", n + 1).parse().unwrap() };
    let service = |generation: u64| ServiceArgs {
        name: slot(generation),
        image: None,
        deploy_generation: generation,
        system_parameter_defaults: BTreeMap::new(),
        external_metadata_store: true,
        restart: "on-failure".to_owned(),
    };
    let mut timeouts_ms: BTreeMap<String, u64> =
        ["boot", "catch-up", "promote", "bootstrap", "retire"]
            .map(|name| (name.to_owned(), NEVER_MS))
            .into();
    timeouts_ms.insert("operation".to_owned(), 2000);
    for (name, ms) in timeouts {
        timeouts_ms.insert((*name).to_owned(), *ms);
    }
    let plan = Plan {
        format: "changeover.plan/1".to_owned(),
        target: "scripted".to_owned(),
        runtime: "scripted".to_owned(),
        strategy: "linear".to_owned(),
        seed: "1".to_owned(),
        rng: "chacha".to_owned(),
        path: (0..3).map(version).collect(),
        services: (0..3).map(service).collect(),
        steps: (1..3)
            .map(|n| StepPlan {
                number: u32::try_from(n).unwrap(),
                from: version(n - 1),
                to: version(n),
                service: slot(n),
                previous_service: slot(n - 1),
                deploy_generation: n,
                called_off_at: None,
            })
            .collect(),
        workload: WorkloadPlan {
            models: vec!["set".to_owned()],
            details: Default::default(),
            rate: 1,
            clients: 1,
            probe_interval_ms: 10,
            seed: "1".to_owned(),
        },
        timeouts_ms,
        budgets: BTreeMap::new(),
        metadata_store: "none".to_owned(),
        instance_args: Vec::new(),
        upgraded_args: Vec::new(),
        rules: Vec::new(),
        faults: Vec::new(),
        abort_at: None,
        repeat: 1,
        control: false,
        scenario: None,
        findings: Vec::new(),
    };
    plan.validate().unwrap();
    plan
}
