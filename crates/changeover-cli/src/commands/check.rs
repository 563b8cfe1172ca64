//! `changeover check`.

use crate::args::{CheckArgs, Format};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use changeover_check::timeline::Timeline;
use changeover_check::{Checker, Found, Lines, Options, Report, history_name, name_histories};
use changeover_model::checked::{Checked, CheckedModel};
use changeover_model::event::Event;
use changeover_model::history::Header;
use changeover_model::verdict::VerdictOutcome;
use changeover_report::{Look, checked};
use std::fmt::Display;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// How much of a file is read at once.
const BUFFER: usize = 1 << 18;

/// Runs the command.
///
/// # Errors
///
/// When a history cannot be read or is none, or something cannot be written.
pub(crate) fn run(args: &CheckArgs) -> Result<Exit, CliError> {
    if let Some(out) = &args.out {
        fresh(out)?;
    }
    let options = Options {
        model: args.model,
        consistency: args.consistency.unwrap_or_default(),
    };
    let mut judged = Checked::new();
    let mut findings: Vec<Found> = Vec::new();
    let several = args.files.len() > 1;
    for file in &args.files {
        let history = history_of(file);
        let report = judge(&history, options)?;
        let name = history.display().to_string();
        merge(&mut judged, &report, several.then(|| name.clone()));
        findings.extend(report.findings.into_iter().map(|mut found| {
            if let Some(fields) = found.finding.evidence.as_object_mut() {
                fields.insert("file".to_owned(), name.clone().into());
            }
            if several {
                found.finding.message = format!("{name}: {}", found.finding.message);
            }
            found
        }));
    }
    changeover_check::sort_found(&mut findings);
    write_histories(&mut findings, args.out.as_deref())?;
    judged.findings = findings.into_iter().map(|found| found.finding).collect();
    output::print(&match args.format.format {
        Format::Json => output::json(&judged),
        Format::Human => checked::render(&judged, Look::of_stdout()),
    })?;
    Ok(judged.outcome.into())
}

/// A run's directory stands for its history.
fn history_of(file: &Path) -> PathBuf {
    match file.is_dir() {
        true => file.join("history.jsonl"),
        false => file.to_owned(),
    }
}

fn merge(judged: &mut Checked, report: &Report, file: Option<String>) {
    judged.outcome = match (judged.outcome, report.outcome) {
        (VerdictOutcome::Fail, _) | (_, VerdictOutcome::Fail) => VerdictOutcome::Fail,
        (VerdictOutcome::Pass, outcome) => outcome,
        (outcome, _) => outcome,
    };
    let models = report.models.iter().map(|model| CheckedModel {
        file: file.clone(),
        model: model.model.name().to_owned(),
        outcome: model.outcome,
        reason: model.reason.clone(),
    });
    judged.models.extend(models);
    let (all, of_file) = (&mut judged.operations, &report.operations);
    all.total += of_file.total;
    all.ok += of_file.ok;
    all.fail += of_file.fail;
    all.unknown += of_file.unknown;
    *all.acknowledged_writes.get_or_insert(0) += of_file.acknowledged_writes.unwrap_or(0);
}

/// Judges one history. Beside a run's history lie its events, which say what went on when.
fn judge(history: &Path, options: Options) -> Result<Report, CliError> {
    let mut lines = open(history)?;
    let Some((number, first)) = lines
        .next_numbered()
        .map_err(|(number, e)| at(history, number, &e))?
    else {
        return Err(at(history, 1, &"the file is empty: it is no history"));
    };
    let header = Header::parse(first).map_err(|e| at(history, number, &e))?;
    let mut checker = Checker::new(&header, options).map_err(|e| at(history, number, &e))?;
    while let Some((number, line)) = lines
        .next_numbered()
        .map_err(|(number, e)| at(history, number, &e))?
    {
        checker
            .line(number, line)
            .map_err(|e| at(history, number, &e))?;
    }
    Ok(checker.finish(&timeline_beside(history)?))
}

fn timeline_beside(history: &Path) -> Result<Timeline, CliError> {
    let events = history.with_file_name("events.jsonl");
    if history
        .file_name()
        .is_none_or(|name| name != "history.jsonl")
        || !events.is_file()
    {
        return Ok(Timeline::default());
    }
    let mut lines = open(&events)?;
    let mut found = Vec::new();
    while let Some((number, line)) = lines
        .next_numbered()
        .map_err(|(number, e)| at(&events, number, &e))?
    {
        // The first line is the header.
        if number > 1 {
            found.push(Event::parse(line).map_err(|e| at(&events, number, &e))?);
        }
    }
    Ok(Timeline::new(&found))
}

fn open(path: &Path) -> Result<Lines<BufReader<File>>, CliError> {
    let file = File::open(path).map_err(|e| {
        CliError::bad_input(format!(
            "cannot read {}: {e}; give a history.jsonl or the directory of a run",
            path.display()
        ))
    })?;
    Ok(Lines::new(BufReader::with_capacity(BUFFER, file)))
}

fn at(path: &Path, line: u64, problem: &dyn Display) -> CliError {
    CliError::bad_input(format!("{}, line {line}: {problem}", path.display()))
}

/// Writes the small histories, if there are any, and says in the findings where they are.
fn write_histories(findings: &mut [Found], out: Option<&Path>) -> Result<(), CliError> {
    if findings.iter().all(|found| found.history.is_none()) {
        return Ok(());
    }
    let directory = match out {
        Some(out) => out.to_owned(),
        None => Path::new(".changeover/checks").join(format!(
            "{}-{:06x}",
            jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
            // A fresh random state is seeded by the operating system.
            RandomState::new().hash_one(std::process::id()) & 0xff_ffff
        )),
    };
    let unwritable = |error: std::io::Error| {
        CliError::bad_input(format!(
            "cannot write {}: {error}; choose another directory with --out",
            directory.display()
        ))
    };
    fs::create_dir_all(&directory).map_err(unwritable)?;
    name_histories(findings, &format!("{}/", directory.display()));
    let histories = findings.iter().filter_map(|found| found.history.as_ref());
    for (index, history) in histories.enumerate() {
        fs::write(directory.join(history_name(index + 1)), history.to_lines())
            .map_err(unwritable)?;
    }
    Ok(())
}

/// Refuses a directory that has something in it.
fn fresh(out: &Path) -> Result<(), CliError> {
    let full = match fs::read_dir(out) {
        Ok(entries) => entries.count() > 0,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => {
            return Err(CliError::bad_input(format!(
                "cannot write {}: {error}; choose another directory with --out",
                out.display()
            )));
        }
    };
    match full {
        true => Err(CliError::bad_input(format!(
            "{} is not empty; give a new directory with --out",
            out.display()
        ))),
        false => Ok(()),
    }
}
