//! Ends what a run left behind after its harness was killed, and never touches what is not ours.

use super::ledger::{self, Line, Owner};
use super::mark::{self, Mark};
use super::proc_fs::{self, Seen};
use crate::postgres;
use changeover_model::text::harmless_cut;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many ancestors of a process are looked at.
const GENERATIONS: usize = 16;

/// How long what was ended may take to be followed by what it had started.
const SETTLE: Duration = Duration::from_secs(2);

/// What became of something that a run had left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was ours and is gone: what it was.
    Removed(String),
    /// It was left alone, or could not be removed: what it is, why, and what to do.
    Refused(String),
}

/// Removes what the run of that directory left: its processes and its `work` directory. A process is ended only if
/// it carries the run's mark in its environment, and is recorded by number *and* start time, or belongs to the group
/// of one that was recorded, or descends from one. Where the harness died between announcing a start and recording it, a process that
/// carries that instance's mark and leads a group, as ours do, counts as recorded. A run whose harness still lives is
/// left alone, and so is a directory without a record. While anything is left alone, so is `work`: it may be in use.
pub fn cleanup(run_dir: &Path) -> Vec<Outcome> {
    let (owner, lines) = match ledger::read(run_dir) {
        Ok(read) => read,
        // Without a record nothing proves that anything here is ours, a directory called `work` least of all.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            return vec![Outcome::Refused(format!(
                "{} cannot be read: {error}; look for processes with {} in their environment yourself",
                run_dir.join(ledger::FILE).display(),
                mark::RUN
            ))];
        }
    };
    let same_boot = owner.boot == proc_fs::boot_id();
    if same_boot && proc_fs::process(owner.harness).is_some_and(|p| p.start == owner.harness_start)
    {
        return vec![Outcome::Refused(format!(
            "run {} is still going as process {}; end it first",
            owner.run, owner.harness
        ))];
    }
    // Numbers and start times of another boot prove nothing, and its processes are gone.
    let mut outcomes = if same_boot {
        end_processes(&owner, &lines)
    } else {
        Vec::new()
    };
    let left_alone = outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Refused(_)));
    outcomes.extend(remove_work(run_dir, left_alone));
    outcomes
}

fn end_processes(owner: &Owner, lines: &[Line]) -> Vec<Outcome> {
    let mark = Mark {
        run: owner.run.clone(),
        run_dir: owner.run_dir.clone(),
        instance: None,
        since: owner.harness_start,
    };
    let mut recorded: Vec<(u32, u64)> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Started { pid, start, .. } => Some((*pid, *start)),
            Line::Starting { .. } => None,
        })
        .collect();
    let mut removed = Vec::new();
    let give_up = Instant::now() + SETTLE;
    loop {
        let round = end_once(&mark, owner, lines, &mut recorded);
        let ended = !round.removed.is_empty();
        removed.extend(round.removed);
        let more = ended && round.stuck.is_empty();
        let dying = !removed.is_empty() && !round.left_alone.is_empty();
        // What was ended may have started something just before, which is found now; and what it had started may see
        // that it is gone, and go by itself.
        if !(more || dying) || Instant::now() > give_up {
            let refused = round.left_alone.into_iter().chain(round.stuck);
            return refused.chain(removed).collect();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What came of one look at what is there.
struct Round {
    removed: Vec<Outcome>,
    /// It is not ours, or nothing proves it.
    left_alone: Vec<Outcome>,
    /// It is ours, and is still there.
    stuck: Vec<Outcome>,
}

/// Ends what is there now. What is proven by it later on is added to `recorded`.
fn end_once(mark: &Mark, owner: &Owner, lines: &[Line], recorded: &mut Vec<(u32, u64)>) -> Round {
    let carriers = mark.carriers();
    for instance in unfinished_starts(lines) {
        let mark = Mark {
            instance: Some(instance.to_owned()),
            ..mark.clone()
        };
        recorded.extend(
            carriers
                .iter()
                .filter(|process| process.pid == process.group && mark.is_on(process.pid))
                .map(|process| (process.pid, process.start)),
        );
    }
    let recorded = &*recorded;
    let is_recorded = |process: &Seen| recorded.contains(&(process.pid, process.start));
    let in_recorded_group = |process: &Seen| {
        recorded
            .iter()
            .any(|&(pid, start)| pid == process.group && start <= process.start)
    };
    // A server's helpers may have groups of their own, as PostgreSQL's have.
    let descends_from_recorded = |process: &Seen| {
        std::iter::successors(proc_fs::parent(process.pid), |one| proc_fs::parent(one.pid))
            .take(GENERATIONS)
            .any(|ancestor| is_recorded(&ancestor))
    };
    let (ours, unproven): (Vec<Seen>, Vec<Seen>) = carriers.into_iter().partition(|process| {
        is_recorded(process) || in_recorded_group(process) || descends_from_recorded(process)
    });

    let mut left_alone: Vec<Outcome> = unproven
        .iter()
        .map(|process| {
            Outcome::Refused(format!(
                "process {} ({}) carries the mark of run {} but was not recorded; end it yourself if it is not needed",
                process.pid,
                shown_command(process),
                owner.run
            ))
        })
        .collect();
    let foreign = recorded
        .iter()
        .filter_map(|&(pid, start)| Some((proc_fs::process(pid)?, start)))
        .filter(|(process, _)| !ours.contains(process));
    for (process, start) in foreign {
        let why = if process.start == start {
            "does not carry the run's mark"
        } else {
            "was started at another time than the recorded one"
        };
        left_alone.push(Outcome::Refused(format!(
            "process {} ({}) {why}: it is not ours and was left alone",
            process.pid,
            shown_command(&process)
        )));
    }
    let told: Vec<(Seen, String)> = ours
        .into_iter()
        .map(|process| {
            let command = shown_command(&process);
            (process, command)
        })
        .collect();
    let still_there = || {
        told.iter()
            .filter(|(process, _)| proc_fs::process(process.pid).as_ref() == Some(process))
            .map(|(process, _)| process.clone())
            .collect::<Vec<Seen>>()
    };
    let servers = lines.iter().filter_map(|line| match line {
        Line::Started { instance, pid, .. } if instance.starts_with(postgres::INSTANCE) => {
            Some(*pid)
        }
        _ => None,
    });
    let servers: Vec<u32> = servers.collect();
    mark::quit(|| {
        let mut left = still_there();
        left.retain(|process| servers.contains(&process.pid));
        left
    });
    mark::end(still_there);
    let left = still_there();
    let mut round = Round {
        removed: Vec::new(),
        left_alone,
        stuck: Vec::new(),
    };
    for (process, command) in &told {
        let what = format!("process {} ({command})", process.pid);
        if left.contains(process) {
            round.stuck.push(Outcome::Refused(format!(
                "{what} could not be ended; end it with the rights of its user"
            )));
        } else {
            round.removed.push(Outcome::Removed(what));
        }
    }
    round
}

/// The instances whose last start was announced and never recorded: each may have a process.
fn unfinished_starts(lines: &[Line]) -> BTreeSet<&str> {
    let mut unfinished = BTreeSet::new();
    for line in lines {
        match line {
            Line::Starting { instance, .. } => unfinished.insert(instance.as_str()),
            Line::Started { instance, .. } => unfinished.remove(instance.as_str()),
        };
    }
    unfinished
}

fn shown_command(process: &Seen) -> String {
    harmless_cut(&proc_fs::command_line(process.pid), 200)
}

fn remove_work(run_dir: &Path, left_alone: bool) -> Vec<Outcome> {
    let work = run_dir.join("work");
    match fs::symlink_metadata(&work) {
        Ok(metadata) if metadata.is_dir() => {}
        // Nothing there; or something that a run does not make.
        _ => return Vec::new(),
    }
    if left_alone {
        return vec![Outcome::Refused(format!(
            "directory {} may be in use by what was left alone; see to that and clean up again, or remove it yourself",
            work.display()
        ))];
    }
    let elsewhere = postgres::remove_elsewhere(&work.join("postgres"));
    let elsewhere =
        elsewhere.map(|place| Outcome::Removed(format!("directory {}", place.display())));
    let work = match fs::remove_dir_all(&work) {
        Ok(()) => Outcome::Removed(format!("directory {}", work.display())),
        Err(error) => Outcome::Refused(format!(
            "directory {} could not be removed: {error}; remove it yourself",
            work.display()
        )),
    };
    elsewhere.into_iter().chain([work]).collect()
}
