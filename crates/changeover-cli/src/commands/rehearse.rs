//! `changeover rehearse`: the main job.

use crate::args::{Format, RehearseArgs};
use crate::commands::{report, shell_word};
use crate::error::CliError;
use crate::exit::Exit;
use crate::machine::{self, Machine};
use crate::planning::{self, Planned};
use crate::rolling::Rolling;
use crate::run::{FileSink, RunDir, StoredRun, Tail, write_whole};
use crate::store::{DOCKER, Store};
use crate::watch::{View, Watch};
use crate::{output, signals, target_file};
use changeover_model::Plan;
use changeover_model::event::EventKind;
use changeover_model::history::{Header, MIXED};
use changeover_model::text::harmless_json;
use changeover_model::verdict::Verdict;
use changeover_model::workload::{WorkloadKind, bank};
use changeover_rehearse::clock::Clock;
use changeover_rehearse::front_door::{FrontDoor, raise_file_limit};
use changeover_rehearse::launcher::{endpoints_of, runtime_of};
use changeover_rehearse::record::{About, Recorder};
use changeover_rehearse::rehearsal::{Ending, Setup, rehearse};
use changeover_rehearse::user_checks::UserCheck;
use changeover_report::{Look, human};
use changeover_runtime::Runtime;
use changeover_runtime::docker::DockerRuntime;
use changeover_runtime::process::ProcessRuntime;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Runs the command.
///
/// # Errors
///
/// When there is nothing to upgrade, or the run could not begin or be recorded.
pub(crate) fn run(args: &RehearseArgs) -> Result<Exit, CliError> {
    let planned = planning::plan_of(&args.plan)?;
    for finding in &planned.plan.findings {
        output::warning(&finding.message);
    }
    if planned.plan.steps.is_empty() {
        return Err(CliError::bad_input(format!(
            "nothing to upgrade: the path is {} alone; name at least two versions",
            planned.plan.path[0]
        )));
    }
    machine::startable(&planned, &args.machine)?;
    let program = std::env::current_exe()
        .map_err(|e| CliError::cannot_run_here(format!("cannot find the program itself: {e}")))?;
    let program = program.to_string_lossy().into_owned();
    let file = args.plan.knowledge.target.file();
    target_file::programs_exist(
        file,
        &planned.known.target,
        &program,
        planned.plan.runtime == DOCKER,
    )?;
    let user_checks = machine::user_checks(&planned.plan, args.machine.checks.as_deref())?;
    let image = args.machine.metadata_store_image.as_deref();
    let given = args.plan.service.metadata_store.as_ref();
    let store = Store::of(&planned.plan, given, image)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| {
            CliError::cannot_run_here(format!("cannot start threads: {e}; free some memory"))
        })?;
    runtime.block_on(rehearse_here(args, planned, store, program, user_checks))
}

async fn rehearse_here(
    args: &RehearseArgs,
    planned: Planned,
    store: Store,
    program: String,
    user_checks: Vec<UserCheck>,
) -> Result<Exit, CliError> {
    // What can be refused is refused before anything is made.
    let Machine { engine, equipment } =
        machine::prepare(&planned, &args.machine, &store, &program).await?;
    let Planned { plan, known } = planned;
    let endpoints = endpoints_of(&known.target)
        .await
        .map_err(|e| CliError::cannot_run_here(e.message))?;
    let front_door = front_door(args.listen).await?;
    let dir = RunDir::create(args.out.as_deref())?;
    let plan_file = dir.file("plan.json");
    fs::write(&plan_file, plan.to_json())
        .map_err(|e| CliError::bad_input(format!("cannot write {}: {e}", plan_file.display())))?;
    let target = args.plan.knowledge.target.file();
    let reproduce = reproduce(&plan_file, target, store.option());
    let metadata_store = store.for_run(dir.name(), dir.path())?;
    // What holds is enough for most plans; `doctor` tells when it is not.
    let _ = raise_file_limit();
    let process_runtime = ProcessRuntime::new(dir.name(), dir.path())
        .map_err(|e| CliError::cannot_run_here(e.message))?;
    let processes: Arc<dyn Runtime> = Arc::new(process_runtime);
    let instances = match engine {
        None => runtime_of(endpoints, processes),
        Some(engine) => {
            let runtime = DockerRuntime::new(engine, dir.name(), dir.path(), processes)
                .map_err(|e| CliError::cannot_run_here(e.message))?;
            Arc::new(runtime)
        }
    };

    let cancel = CancellationToken::new();
    let live = Arc::new(OnceLock::new());
    let clock = Clock::start();
    let clock_zero = jiff::Timestamp::now().to_string();
    let view = match args.format.format {
        Format::Json => View::Nothing,
        Format::Human if args.quiet => View::Nothing,
        Format::Human if args.verbose => View::EveryLine,
        Format::Human => View::of_stdout(),
    };
    let watch = Watch::start(view, clock, Arc::clone(&live));
    let header = header_of(&plan);
    let (sink, trouble) =
        FileSink::create(&dir, &header, &clock_zero, watch.events(), cancel.clone())?;
    let (sink, rolling) = Rolling::start(Box::new(sink), &header, watch.findings());
    let recorder = Recorder::new(clock, Box::new(sink));
    let interrupted = signals::cancel_on_signal(cancel.clone(), {
        let recorder = recorder.clone();
        move |signal| {
            let signal = signal.to_owned();
            recorder.event(&About::default(), EventKind::Interrupted { signal });
        }
    })?;

    let ending = rehearse(Setup {
        plan: plan.clone(),
        target: known.target,
        runtime: instances,
        front_door,
        recorder,
        cancel,
        live,
        run: dir.name().to_owned(),
        run_dir: dir.path().to_owned(),
        program,
        metadata_store,
        fixtures: Some(".changeover/fixtures".into()),
        equipment,
        user_checks,
    })
    .await;
    // Nothing of the run is left: from now on a signal may simply end us.
    interrupted.exit_from_now_on();
    rolling.finish();
    watch.finish();
    if let Some(problem) = trouble.get() {
        return Err(CliError::bad_input(problem));
    }

    let stored = StoredRun::at(dir.path());
    let verdict = stored.judge(&plan, dir.name(), reproduce, Tail::Whole)?;
    write_whole(&dir.file("verdict.json"), &verdict.to_json())?;
    report::beside(&stored, &verdict)?;
    print(&verdict, args.format.format, dir.path())?;
    Ok(match ending {
        Ending::Interrupted => Exit::Interrupted,
        Ending::CannotRun(reason) => return Err(CliError::cannot_run_here(reason)),
        Ending::Completed | Ending::Failed(_) => verdict.outcome.into(),
    })
}

/// The head of the history of a plan.
fn header_of(plan: &Plan) -> Header {
    let workload = &plan.workload;
    let mut header = Header::new(match workload.is_mixed() {
        true => MIXED,
        false => WorkloadKind::Set.name(),
    });
    if workload.has(WorkloadKind::Bank) {
        header.accounts = Some(bank::accounts());
    }
    header
}

fn print(verdict: &Verdict, format: Format, run_dir: &Path) -> Result<(), CliError> {
    match format {
        Format::Json => output::print(&harmless_json(&verdict.to_json())),
        Format::Human => output::print(&format!(
            "{}Run directory: {1}\nReport: {1}/report.html\n",
            human::render(verdict, Look::of_stdout()),
            run_dir.display()
        )),
    }
}

/// Binds the front door, so that a taken port is found before anything starts.
async fn front_door(listen: Option<SocketAddr>) -> Result<FrontDoor, CliError> {
    let addr = listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    FrontDoor::bind(addr).await.map_err(|e| {
        CliError::cannot_run_here(format!(
            "the front door cannot listen on {addr}: {e}; give another address with --listen"
        ))
    })
}

/// The command that runs the same plan again.
fn reproduce(plan: &Path, target: Option<&Path>, store: Option<String>) -> String {
    let mut command = format!(
        "changeover rehearse --plan {}",
        shell_word(&plan.to_string_lossy())
    );
    if let Some(file) = target {
        // It was just read from there; should it be gone by now, its name is the best there is.
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        command.push_str(&format!(
            " --target {}",
            shell_word(&file.to_string_lossy())
        ));
    }
    if let Some(store) = store {
        command.push_str(&format!(" --metadata-store {}", shell_word(&store)));
    }
    command
}
