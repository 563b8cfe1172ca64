//! `changeover plan`.

use crate::args::{PlanArgs, PlanFormat};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::planning::{self, Planned};
use changeover_plan::tree;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Runs the command.
///
/// # Errors
///
/// When the request gives no plan, or the plan cannot be written.
pub(crate) fn run(args: &PlanArgs) -> Result<Exit, CliError> {
    let Planned { plan, known } = planning::plan_of(&args.plan)?;
    if let Some(file) = &args.save {
        save(file, &plan.to_json())?;
    }
    output::print(&match args.format {
        PlanFormat::Human => tree::render(&plan, &known.target.instances),
        PlanFormat::Json => plan.to_json(),
        PlanFormat::Args => output::json(&plan.services),
    })?;
    Ok(Exit::Passed)
}

/// Writes a new file; what is there already may be somebody's evidence.
fn save(file: &Path, text: &str) -> Result<(), CliError> {
    let shown = file.display();
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            CliError::bad_input(match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    format!("{shown} is there already: give --save another name, or remove it")
                }
                _ => format!(
                    "cannot write the plan to {shown}: {error}; give --save a file in a directory that can be written"
                ),
            })
        })
}
