//! `changeover rehearse`: the main job.

mod one;
mod series;

use crate::args::{Format, RehearseArgs};
use crate::commands::shell_word;
use crate::error::CliError;
use crate::exit::Exit;
use crate::machine::{self, Machine};
use crate::planning::{self, Planned};
use crate::run::{RunDir, write_whole};
use crate::signals::Signals;
use crate::store::{DOCKER, Store};
use crate::watch::View;
use crate::{output, target_file};
use changeover_model::Plan;
use changeover_model::target::Target;
use changeover_model::text::harmless_json;
use changeover_model::verdict::Verdict;
use changeover_rehearse::front_door::{FrontDoor, raise_file_limit};
use changeover_rehearse::launcher::{Equipment, endpoints_of};
use changeover_rehearse::rehearsal::Ending;
use changeover_rehearse::user_checks::UserCheck;
use changeover_report::{Look, human};
use changeover_runtime::docker::Engine;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// What every run of a plan is made with.
struct Session<'a> {
    args: &'a RehearseArgs,
    target: Target,
    store: Store,
    program: String,
    user_checks: Vec<UserCheck>,
    engine: Option<Engine>,
    endpoints: Vec<SocketAddr>,
    equipment: Equipment,
    view: View,
    signals: Signals,
}

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
    let store = Store::of(&planned.plan, &planned.known.target, given, image)?;
    series::possible(&planned, &store)?;
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
    // What holds is enough for most plans; `doctor` tells when it is not.
    let _ = raise_file_limit();
    let session = Session {
        args,
        target: known.target,
        store,
        program,
        user_checks,
        engine,
        endpoints,
        equipment,
        view: match args.format.format {
            Format::Json => View::Nothing,
            Format::Human if args.quiet => View::Nothing,
            Format::Human if args.verbose => View::EveryLine,
            Format::Human => View::of_stdout(),
        },
        signals: Signals::listen()?,
    };
    let (verdict, ending) = match plan.is_series() {
        true => session.run_all(plan, &dir, front_door).await?,
        false => session.run_one(plan, &dir, front_door).await?,
    };
    print(&verdict, args.format.format, dir.path())?;
    match ending {
        Ending::Interrupted => Ok(Exit::Interrupted),
        Ending::CannotRun(reason) => Err(CliError::cannot_run_here(reason)),
        Ending::Completed | Ending::Failed(_) => Ok(verdict.outcome.into()),
    }
}

impl Session<'_> {
    /// Writes a plan into the directory of its run, and says what runs it again.
    fn save(&self, plan: &Plan, dir: &RunDir) -> Result<String, CliError> {
        let file = dir.file("plan.json");
        write_whole(&file, &plan.to_json())?;
        let target = self.args.plan.knowledge.target.file();
        Ok(reproduce(&file, target, self.store.option()))
    }
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
