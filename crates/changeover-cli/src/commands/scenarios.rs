//! `changeover scenarios`: what a rehearsal can do besides upgrading.

use crate::args::{Format, ScenariosArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use changeover_plan::scenario::PRESETS;
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    format: &'static str,
    scenarios: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    summary: &'static str,
}

/// Runs the command.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn run(args: &ScenariosArgs) -> Result<Exit, CliError> {
    let rows = PRESETS.iter().map(|preset| Row {
        name: preset.name,
        summary: preset.summary,
    });
    output::print(&match args.format.format {
        Format::Human => rows
            .map(|row| format!("{:<25} {}\n", row.name, row.summary))
            .collect(),
        Format::Json => output::json(&Document {
            format: "changeover.scenarios/1",
            scenarios: rows.collect(),
        }),
    })?;
    Ok(Exit::Passed)
}
