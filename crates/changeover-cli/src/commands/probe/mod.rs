//! `changeover probe`: measures an endpoint whose upgrade somebody else drives.

mod args;
mod password;
mod planning;
mod preflight;
mod reproduce;

pub(crate) use args::ProbeArgs;

use crate::args::Format;
use crate::commands::report;
use crate::error::CliError;
use crate::exit::Exit;
use crate::run::{FileSink, RunDir, Stored, StoredRun, Tail, write_whole};
use crate::watch::{View, Watch};
use crate::{output, signals};
use changeover_model::history::Header;
use changeover_model::verdict::Verdict;
use changeover_model::workload::WorkloadKind;
use changeover_rehearse::clock::Clock;
use changeover_rehearse::front_door::raise_file_limit;
use changeover_rehearse::probe::board::{Board, Watched};
use changeover_rehearse::probe::{MarkerFile, Setup, Table, cost, probe};
use changeover_rehearse::record::{About, Recorder};
use changeover_report::{Look, human};
use planning::Planned;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs the command.
///
/// # Errors
///
/// When the arguments make no sense, or the endpoint is not there or does not let us in.
pub(crate) fn run(args: &ProbeArgs) -> Result<Exit, CliError> {
    let planned = planning::plan_of(args)?;
    let wait = planning::wait(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| {
            CliError::cannot_run_here(format!("cannot start threads: {e}; free some memory"))
        })?;
    let ended = runtime.block_on(probe_here(args, planned, wait));
    // A name that is still being looked up must not keep us.
    runtime.shutdown_background();
    ended
}

async fn probe_here(args: &ProbeArgs, planned: Planned, wait: Duration) -> Result<Exit, CliError> {
    let make = preflight::check(&planned, wait).await?;
    let dir = RunDir::create(args.out.as_deref())?;
    dir.make_logs()?;
    let file = dir.file("probe.json");
    fs::write(&file, planned.probe.to_json())
        .map_err(|e| CliError::bad_input(format!("cannot write {}: {e}", file.display())))?;
    // What holds is enough for most probes.
    let _ = raise_file_limit();

    let table = planned.table.map(|name| Table {
        name,
        make,
        keep: args.writes.keep_table,
        prefix: format!("{}.", dir.name()),
    });
    let (cancel, abort) = (CancellationToken::new(), CancellationToken::new());
    let live = Arc::new(OnceLock::new());
    let clock = Clock::start();
    let clock_zero = jiff::Timestamp::now().to_string();
    let interval = planned.probe.probe_interval_ms * 1_000_000;
    let board = Arc::new(Board::new(planned.probe.lanes(), interval));
    let view = match args.format.format {
        Format::Json => {
            output::note(&format!(
                "probe {}: {}",
                planned.probe.what(),
                cost(&planned.probe, table.as_ref())
            ));
            View::Nothing
        }
        Format::Human => View::of_stdout(),
    };
    let watch = Watch::of_probe(view, clock, Arc::clone(&live), Arc::clone(&board));
    let header = Header::new(WorkloadKind::Set.name());
    let (sink, trouble) =
        FileSink::create(&dir, &header, &clock_zero, watch.events(), cancel.clone())?;
    let sink = Watched::new(Box::new(sink), Arc::clone(&board));
    let recorder = Recorder::new(clock, Box::new(sink));
    let event = {
        let recorder = recorder.clone();
        move |kind| {
            recorder.event(&About::default(), kind);
        }
    };
    let signals = signals::end_on_signal(cancel.clone(), abort.clone(), event)?;

    let ending = probe(Setup {
        probe: planned.probe.clone(),
        run: dir.name().to_owned(),
        sql: planned.sql,
        expected: planned.expected,
        http: planned.http,
        table,
        leader_apis: planned.leader_apis,
        markers: args.beside.marker_file.clone().map(MarkerFile::new),
        recorder,
        board,
        live,
        cancel,
        abort: abort.clone(),
    })
    .await;
    // Nothing of the run is left: from now on a signal may simply end us.
    signals.exit_from_now_on();
    watch.finish();
    if let Some(problem) = trouble.get() {
        return Err(CliError::bad_input(problem));
    }
    ending.map_err(CliError::cannot_run_here)?;
    let stored = StoredRun::at(dir.path());
    let verdict = stored.judge_probe(&planned.probe, dir.name(), Tail::Whole)?;
    write_whole(&dir.file("verdict.json"), &verdict.to_json())?;
    report::beside(&Stored::Run(stored), &verdict)?;
    print(&verdict, args.format.format, dir.path())?;
    Ok(match abort.is_cancelled() {
        true => Exit::Interrupted,
        false => verdict.outcome.into(),
    })
}

fn print(verdict: &Verdict, format: Format, run_dir: &Path) -> Result<(), CliError> {
    match format {
        Format::Json => output::print(&verdict.to_json()),
        Format::Human => output::print(&format!(
            "{}Run directory: {}\n",
            human::render(verdict, Look::of_stdout()),
            run_dir.display()
        )),
    }
}
