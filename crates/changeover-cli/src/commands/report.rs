//! `changeover report`: a stored run, in any form.

use crate::args::{ReportArgs, ReportFormat};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::run::{Stored, Tail};
use changeover_model::Verdict;
use changeover_model::text::harmless_json;
use changeover_report::{Look, Record, human, junit, markdown, page};
use std::fs;
use std::path::Path;

/// Runs the command.
///
/// # Errors
///
/// When the run cannot be read, or the report not be written.
pub(crate) fn run(args: &ReportArgs) -> Result<Exit, CliError> {
    let stored = Stored::find(&args.run)?;
    let (verdict, tail) = stored.verdict()?;
    let text = match args.format {
        ReportFormat::Human => human::render(&verdict, look(args)),
        ReportFormat::Json => harmless_json(&verdict.to_json()),
        ReportFormat::Markdown => markdown::render(&verdict),
        ReportFormat::Junit => junit(&stored, &stored.record(verdict, tail)?)?,
        ReportFormat::Html => page::render(&stored.record(verdict, tail)?),
    };
    match &args.out {
        Some(file) => write(file, &text)?,
        None => output::print(&text)?,
    }
    Ok(Exit::Passed)
}

/// A file gets plain text, whatever standard output is.
fn look(args: &ReportArgs) -> Look {
    match args.out {
        Some(_) => Look::PLAIN,
        None => Look::of_stdout(),
    }
}

/// Puts `report.html` and `junit.xml` beside a verdict that was just given.
///
/// # Errors
///
/// When they cannot be written.
pub(crate) fn beside(stored: &Stored, verdict: &Verdict) -> Result<(), CliError> {
    let record = stored.record(verdict.clone(), Tail::Whole)?;
    write(&stored.file("junit.xml"), &junit(stored, &record)?)?;
    write(&stored.file("report.html"), &page::render(&record))
}

fn junit(stored: &Stored, record: &Record) -> Result<String, CliError> {
    let examined = stored.examined()?;
    Ok(junit::render(
        record.verdict(),
        &examined,
        record.clock_zero(),
    ))
}

fn write(file: &Path, text: &str) -> Result<(), CliError> {
    fs::write(file, text).map_err(|e| {
        CliError::bad_input(format!(
            "cannot write {}: {e}; choose a file in a directory that can be written",
            file.display()
        ))
    })
}
