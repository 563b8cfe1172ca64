//! `changeover cleanup`: removes what a killed rehearsal left behind, and nothing else.

use crate::args::CleanupArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::run::{RUNS, runs_within};
use crate::store::Place;
use changeover_model::text::harmless;
use changeover_runtime::docker;
use changeover_runtime::process::{self, Outcome};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Runs the command: exit 1 when something is still there, with the reason and what to do about it.
///
/// # Errors
///
/// When a directory is no run's.
pub(crate) fn run(args: &CleanupArgs) -> Result<Exit, CliError> {
    let runs = if args.runs.is_empty() {
        all_runs()?
    } else {
        args.runs.iter().flat_map(|run| one_by_one(run)).collect()
    };
    // All of them first: a mistake in the last one should not be found after the others are gone.
    if let Some(stranger) = runs.iter().find(|run| !is_run(run)) {
        return Err(CliError::bad_input(format!(
            "{} is not the directory of a run: it has no processes.jsonl; give the directory that --out named",
            stranger.display()
        )));
    }
    let mut exit = Exit::Passed;
    let mut text = String::new();
    for run in &runs {
        for outcome in clean(run) {
            let (word, what) = match outcome {
                Outcome::Removed(what) => ("removed", what),
                Outcome::Refused(what) => {
                    exit = Exit::Failed;
                    ("left alone", what)
                }
            };
            text.push_str(&format!("{}: {word}: {}\n", run.display(), harmless(&what)));
        }
    }
    if text.is_empty() {
        text = match runs.len() {
            1 => "nothing to remove in 1 run\n".to_owned(),
            n => format!("nothing to remove in {n} runs\n"),
        };
    }
    output::print(&text)?;
    Ok(exit)
}

/// Ends and removes what one run left, here and on the server of its metadata store.
fn clean(run: &Path) -> Vec<Outcome> {
    let mut outcomes = process::cleanup(run);
    let in_the_way = |one: &Outcome| matches!(one, Outcome::Refused(_));
    // A run whose harness still lives keeps its containers too.
    if !outcomes.iter().any(in_the_way) {
        outcomes.extend(docker::cleanup(run));
    }
    let all_removed = outcomes
        .iter()
        .all(|one| matches!(one, Outcome::Removed(_)));
    // While anything of the run is there, its store may be in use.
    if all_removed && let Some(place) = Place::left_by(run) {
        outcomes.push(match place.remove() {
            Ok(what) => Outcome::Removed(what),
            Err(what) => Outcome::Refused(what),
        });
    }
    outcomes
}

/// The runs under `.changeover/runs`, oldest first; none if there is no such directory.
fn all_runs() -> Result<Vec<PathBuf>, CliError> {
    let unreadable = |error: io::Error| {
        CliError::bad_input(format!(
            "cannot read {RUNS}: {error}; name the runs' directories"
        ))
    };
    let entries = match fs::read_dir(RUNS) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut runs = Vec::new();
    for entry in entries {
        let runs_there = one_by_one(&entry.map_err(unreadable)?.path());
        runs.extend(runs_there.into_iter().filter(|run| is_run(run)));
    }
    runs.sort();
    Ok(runs)
}

/// The runs of a series, or the run, or what is none.
fn one_by_one(directory: &Path) -> Vec<PathBuf> {
    let within: Vec<PathBuf> = runs_within(directory)
        .into_iter()
        .filter(|run| is_run(run))
        .collect();
    match within.is_empty() {
        true => vec![directory.to_owned()],
        false => within,
    }
}

/// Whether a directory is a run's: one that has a record of processes. Cleaning removes its `work` directory, and
/// other people have directories of that name too.
fn is_run(directory: &Path) -> bool {
    directory.join("processes.jsonl").is_file()
}
