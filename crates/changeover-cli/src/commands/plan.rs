//! `changeover plan`.

use crate::args::{PlanArgs, PlanFormat};
use crate::error::CliError;
use crate::exit::Exit;
use crate::machine::OWN_IMAGE;
use crate::output;
use crate::planning::{self, Planned};
use crate::store::DOCKER;
use changeover_model::Plan;
use changeover_plan::compose::{Compose, ComposeImages, compose};
use changeover_plan::{Knowledge, tree};
use changeover_runtime::docker::postgres::IMAGE;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Runs the command.
///
/// # Errors
///
/// When the request gives no plan, or the plan cannot be written.
pub(crate) fn run(args: &PlanArgs) -> Result<Exit, CliError> {
    let Planned { plan, known } = planning::plan_of(&args.plan)?;
    if args.format == PlanFormat::Compose {
        let composed = composed(&plan, &known)?;
        if let Some(directory) = &args.save {
            save_all(directory, &composed)?;
        }
        output::print(&composed.yaml)?;
        return Ok(Exit::Passed);
    }
    if let Some(file) = &args.save {
        save(file, &plan.to_json())?;
    }
    output::print(&match args.format {
        PlanFormat::Human => tree::render(&plan, &known.target.instances),
        PlanFormat::Json | PlanFormat::Compose => plan.to_json(),
        PlanFormat::Args => output::json(&plan.services),
    })?;
    Ok(Exit::Passed)
}

/// The plan as compose knows it.
fn composed(plan: &Plan, known: &Knowledge) -> Result<Compose, CliError> {
    if plan.runtime != DOCKER {
        return Err(CliError::bad_input(format!(
            "--format compose is for containers, and the plan says {}; add --runtime docker",
            plan.runtime
        )));
    }
    let unnamed = match known
        .target
        .container
        .as_ref()
        .and_then(|it| it.image.as_deref())
    {
        // It is there after a rehearsal.
        Some("{program}") => OWN_IMAGE,
        Some(image) => image,
        None => "${CURRENT_IMAGE:?set CURRENT_IMAGE to the image of the current version}",
    };
    let images = ComposeImages {
        unnamed,
        metadata_store: IMAGE,
    };
    compose(plan, &known.target, images).ok_or_else(|| {
        CliError::bad_input(format!(
            "target {} does not say how it is started in a container; add [container] to its file",
            plan.target
        ))
    })
}

/// Writes them to a new directory.
fn save_all(directory: &Path, composed: &Compose) -> Result<(), CliError> {
    let shown = directory.display();
    let unwritable = |error: io::Error| {
        CliError::bad_input(format!(
            "cannot write to {shown}: {error}; give --save a new directory in one that can be written"
        ))
    };
    fs::create_dir(directory).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CliError::bad_input(format!(
            "{shown} is there already: give --save another name, or remove it"
        )),
        _ => unwritable(error),
    })?;
    let files = composed
        .files
        .iter()
        .map(|(name, text)| (name.as_str(), text));
    for (name, text) in files.chain([
        ("compose.yaml", &composed.yaml),
        ("upgrade.sh", &composed.script),
    ]) {
        let file = directory.join(name);
        file.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .map_err(unwritable)?;
        fs::write(&file, text).map_err(unwritable)?;
    }
    fs::set_permissions(
        directory.join("upgrade.sh"),
        fs::Permissions::from_mode(0o755),
    )
    .map_err(unwritable)
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
