//! `changeover runs`: the runs there were, compared and pruned.

use crate::args::{Format, RunsAction, RunsArgs, RunsDiffArgs, RunsFilter, RunsPruneArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::past::{Past, PastRun};
use crate::run::{Stored, runs_within};
use changeover_model::Verdict;
use changeover_model::format::Kind;
use changeover_model::history::Class;
use changeover_model::text::harmless;
use changeover_model::verdict::RunReport;
use changeover_model::version::PathVersion;
use changeover_report::compare::compare;
use serde_json::{Value, json};
use std::fs;

/// Runs the command.
///
/// # Errors
///
/// When there are no runs, or something cannot be read or removed.
pub(crate) fn run(args: &RunsArgs) -> Result<Exit, CliError> {
    match &args.action {
        None => list(args),
        Some(RunsAction::Diff(diff)) => difference(diff),
        Some(RunsAction::Prune(prune)) => remove(prune),
    }
}

fn list(args: &RunsArgs) -> Result<Exit, CliError> {
    let past = Past::open(&args.dir.dir)?;
    let runs = past.runs()?;
    let mut shown: Vec<&PastRun> = runs
        .iter()
        .filter(|run| wanted(run, &args.filter))
        .collect();
    if let Some(last) = args.last {
        shown.drain(..shown.len().saturating_sub(last));
    }
    output::print(&match args.format.format {
        Format::Json => output::json(&json!({
            "format": Kind::Runs.mark(),
            "runs": shown.iter().map(|run| document(run)).collect::<Vec<_>>(),
        })),
        Format::Human => table(&shown),
    })?;
    Ok(Exit::Passed)
}

fn wanted(run: &PastRun, filter: &RunsFilter) -> bool {
    let verdict = &run.verdict;
    let outcome = filter
        .outcome
        .is_none_or(|o| o.outcome() == verdict.outcome);
    let target = filter.target.as_ref().is_none_or(|t| *t == verdict.target);
    let version = filter.version.as_ref().is_none_or(|wanted| {
        let path = verdict.path.iter().map(PathVersion::to_string);
        path.into_iter().any(|version| version == *wanted)
    });
    let check = filter.check.as_ref().is_none_or(|check| {
        let findings = verdict.findings.iter();
        findings.into_iter().any(|f| f.check.name() == check)
    });
    // Both are RFC 3339 in UTC, so that their texts are in the order of time.
    let since = filter.since.as_ref().is_none_or(|since| {
        run.begun
            .as_ref()
            .is_some_and(|begun| *begun >= since.to_string())
    });
    outcome && target && version && check && since
}

/// The longest gap of a class; of a series the longest of all runs.
fn longest(verdict: &Verdict, class: Class) -> Option<f64> {
    let of_run = |run: &RunReport| run.longest_gap(class).map(|gap| gap.ms);
    match &verdict.repeat {
        Some(repeat) => repeat.runs.iter().filter_map(of_run).max_by(f64::total_cmp),
        None => {
            let gaps = verdict.gaps_of(class).filter_map(|(_, gap)| gap.longest_ms);
            gaps.max_by(f64::total_cmp)
        }
    }
}

fn path(verdict: &Verdict) -> String {
    let (Some(first), Some(last)) = (verdict.path.first(), verdict.path.last()) else {
        return String::new();
    };
    match verdict.path.len() {
        1 => first.to_string(),
        n => format!("{first} → {last} ({})", n - 1),
    }
}

/// The checks that found errors, of a series in any of its runs, each once.
fn failed_checks(verdict: &Verdict) -> Vec<&'static str> {
    let of_series = verdict.repeat.iter().flat_map(|repeat| &repeat.runs);
    let more = of_series.flat_map(|run| run.checks.clone());
    let mut names: Vec<&str> = Vec::new();
    for check in verdict.failed_checks().into_iter().chain(more) {
        if !names.contains(&check.name()) {
            names.push(check.name());
        }
    }
    names
}

fn document(run: &PastRun) -> Value {
    let verdict = &run.verdict;
    json!({
        "run": run.name,
        "begun": run.begun,
        "target": verdict.target,
        "runtime": verdict.runtime,
        "path": verdict.path,
        "seed": verdict.seed,
        "outcome": verdict.outcome,
        "checks": failed_checks(verdict),
        "write_gap_ms": longest(verdict, Class::Write),
        "read_gap_ms": longest(verdict, Class::Read),
        "connect_gap_ms": longest(verdict, Class::Connect),
        "operations": verdict.operations,
        "runs": verdict.repeat.as_ref().map_or(1, |it| it.runs.len()),
        "kept": run.kept,
    })
}

fn of_runs(runs: usize) -> String {
    match runs {
        1 => "1 run and its control".to_owned(),
        n => format!("{n} runs"),
    }
}

fn table(runs: &[&PastRun]) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let ms = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.1}"));
    let heading = [
        "run",
        "target",
        "path (steps)",
        "outcome",
        "write gap",
        "read gap",
        "what",
    ];
    let mut rows: Vec<[String; 7]> = vec![heading.map(str::to_owned)];
    rows.extend(runs.iter().map(|run| {
        let verdict = &run.verdict;
        let checks = failed_checks(verdict).into_iter().map(str::to_owned);
        let series = verdict.repeat.as_ref().map(|it| of_runs(it.runs.len()));
        let pruned = (!run.kept).then(|| "pruned".to_owned());
        let what: Vec<String> = checks.chain(series).chain(pruned).collect();
        [
            harmless(&run.name),
            harmless(&verdict.target),
            path(verdict),
            verdict.outcome.to_string(),
            ms(longest(verdict, Class::Write)),
            ms(longest(verdict, Class::Read)),
            what.join(", "),
        ]
    }));
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            // Figures line up at their points.
            4 | 5 => format!("{cell:>0$}", width(column)),
            _ => format!("{cell:<0$}", width(column)),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The verdict of a run that was named: a directory, or one that is known, also if it was pruned.
fn named(past: Option<&[PastRun]>, wanted: &str) -> Result<Verdict, CliError> {
    let known = past.and_then(|runs| match wanted {
        "latest" => runs.last(),
        name => runs.iter().find(|run| run.name == name),
    });
    match known {
        Some(run) => Ok(run.verdict.clone()),
        None => Ok(Stored::find(wanted)?.verdict()?.0),
    }
}

fn difference(args: &RunsDiffArgs) -> Result<Exit, CliError> {
    // Directories of elsewhere can be compared where there are no other runs.
    let runs = match args.dir.dir.is_dir() {
        true => Some(Past::open(&args.dir.dir)?.runs()?),
        false => None,
    };
    let (a, b) = (
        named(runs.as_deref(), &args.a)?,
        named(runs.as_deref(), &args.b)?,
    );
    let alike = |run: &&PastRun| {
        let other = &run.verdict;
        ![&a.run, &b.run].contains(&&other.run)
            && (&other.target, &other.runtime, &other.path) == (&a.target, &a.runtime, &a.path)
    };
    let others: Vec<Verdict> = runs
        .iter()
        .flatten()
        .filter(alike)
        .map(|run| run.verdict.clone())
        .collect();
    let comparison = compare(&a, &b, &others);
    output::print(&match args.format.format {
        Format::Json => output::json(&comparison),
        Format::Human => comparison.render(&a, &b, args.all),
    })?;
    Ok(Exit::Passed)
}

/// Removes the directories of runs; what is known of them stays.
fn remove(args: &RunsPruneArgs) -> Result<Exit, CliError> {
    if args.keep.is_none() && args.before.is_none() {
        return Err(CliError::bad_input(
            "runs prune removes nothing unless told what: give --keep N, or --before DATE",
        ));
    }
    let past = Past::open(&args.dir.dir)?;
    let runs = past.runs()?;
    let mut kept: Vec<&PastRun> = runs.iter().filter(|run| run.kept).collect();
    let newest = args.keep.map_or(0, |keep| keep.min(kept.len()));
    kept.truncate(kept.len() - newest);
    kept.retain(|run| match (&args.before, &run.begun) {
        (None, _) => true,
        (Some(before), Some(begun)) => *begun < before.to_string(),
        (Some(_), None) => false,
    });
    let mut text = String::new();
    let mut exit = Exit::Passed;
    for run in &kept {
        let place = past.place(&run.name);
        // Instances of a run that was killed are found by what is in its directory.
        let mut places = runs_within(&place);
        places.push(place.clone());
        if places.iter().any(|run| run.join("work").exists()) {
            exit = Exit::Failed;
            text.push_str(&format!(
                "left alone {}: it still runs, or was killed; changeover cleanup removes what is left of it first\n",
                place.display()
            ));
            continue;
        }
        if !args.dry_run {
            fs::remove_dir_all(&place).map_err(|e| {
                CliError::bad_input(format!("cannot remove {}: {e}", place.display()))
            })?;
        }
        let word = if args.dry_run {
            "would remove"
        } else {
            "removed"
        };
        text.push_str(&format!("{word} {}\n", place.display()));
    }
    if kept.is_empty() {
        text.push_str("nothing to remove\n");
    }
    output::print(&text)?;
    Ok(exit)
}
