//! What this machine has for a rehearsal besides its plan: an engine with images, programs, a licence key.

use crate::args::MachineOptions;
use crate::error::CliError;
use crate::output;
use crate::planning::Planned;
use crate::store::{DOCKER, Store};
use changeover_model::Secret;
use changeover_model::plan::Plan;
use changeover_model::target::{ContainerTemplate, Instances, Target, has};
use changeover_rehearse::launcher::Equipment;
use changeover_rehearse::user_checks::UserCheck;
use changeover_runtime::docker::Engine;
use changeover_runtime::docker::scratch::{Image, Layer, source_of};
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The image that is made of the changeover binary.
pub(crate) const OWN_IMAGE: &str = "changeover/reference:of-this-binary";

/// Where it has the binary.
const OWN_PROGRAM: &str = "/bin/changeover";

/// What was found.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The engine that containers are started on; `None` for processes.
    pub(crate) engine: Option<Engine>,
    /// What instances are given.
    pub(crate) equipment: Equipment,
}

/// Refuses what this build can plan and not run, and what contradicts itself.
///
/// # Errors
///
/// What is missing, in a sentence.
pub(crate) fn startable(planned: &Planned, options: &MachineOptions) -> Result<(), CliError> {
    let Planned { plan, known } = planned;
    let target = &known.target;
    let in_containers = plan.runtime == DOCKER;
    let lacks = match (in_containers, &target.instances, &target.container) {
        (true, _, None) => format!(
            "does not know how to start target {} in a container",
            plan.target
        ),
        (false, Instances::Unknown, _) => {
            format!("does not know how to start target {}", plan.target)
        }
        _ => {
            only_where_it_counts(in_containers, options)?;
            wants(plan, target)?;
            return match in_containers {
                true => Ok(()),
                false => binaries(plan, target, options.binaries.as_deref()),
            };
        }
    };
    Err(CliError::cannot_run_here(format!(
        "this version of Changeover {lacks}: it can plan this upgrade, not rehearse it; see changeover plan"
    )))
}

/// An option that would do nothing is a mistake.
fn only_where_it_counts(in_containers: bool, options: &MachineOptions) -> Result<(), CliError> {
    let of_containers = [
        ("--current-image", options.current_image.is_some()),
        ("--current-build", options.current_build.is_some()),
        ("--licence-key", options.licence_key.is_some()),
    ];
    let stray = match in_containers {
        true if options.binaries.is_some() => Some(("--binaries", "processes", "process")),
        true => None,
        false => {
            let mut given = of_containers.iter().filter(|(_, given)| *given);
            given.next().map(|(name, _)| (*name, "containers", DOCKER))
        }
    };
    match stray {
        None => Ok(()),
        Some((option, kind, runtime)) => Err(CliError::bad_input(format!(
            "{option} is for instances that run as {kind}; leave it out, or add --runtime {runtime}"
        ))),
    }
}

/// Refuses a kind of metadata store that the target cannot be told.
fn wants(plan: &Plan, target: &Target) -> Result<(), CliError> {
    let texts = texts(plan, target);
    match plan.metadata_store.as_str() {
        kind if kind != "postgres" && texts.iter().any(|text| has(text, "metadata_server")) => {
            Err(CliError::bad_input(format!(
                "target {} keeps its metadata in PostgreSQL, and the plan says {kind}; leave out --metadata-store, or say postgres",
                plan.target
            )))
        }
        _ => Ok(()),
    }
}

/// What instances are started with, before anything is filled in.
fn texts(plan: &Plan, target: &Target) -> Vec<String> {
    match (plan.runtime.as_str(), &target.container, &target.instances) {
        (DOCKER, Some(container), _) => {
            let recipes = plan.path.iter().map(|version| container.at(version));
            recipes
                .flat_map(|recipe| recipe.texts().cloned().collect::<Vec<_>>())
                .collect()
        }
        (_, _, Instances::Started(instance)) => {
            let command = instance.command.iter();
            command.chain(instance.env.values()).cloned().collect()
        }
        _ => Vec::new(),
    }
}

/// Sees to it that every version's programs are there, where the target wants any.
fn binaries(plan: &Plan, target: &Target, given: Option<&Path>) -> Result<(), CliError> {
    let Instances::Started(instance) = &target.instances else {
        return Ok(());
    };
    let program = &instance.command[0];
    match (has(program, "binaries"), given) {
        (false, None) => Ok(()),
        (false, Some(_)) => Err(CliError::bad_input(format!(
            "target {} has no use for --binaries; leave it out",
            plan.target
        ))),
        (true, None) => Err(CliError::cannot_run_here(format!(
            "target {} has no programs here: say where they are with --binaries DIR, or run it in containers with --runtime docker",
            plan.target
        ))),
        (true, Some(directory)) => {
            let missing = plan.path.iter().find_map(|version| {
                let values = [
                    ("binaries", directory.to_string_lossy().into_owned()),
                    ("version", version.to_string()),
                ];
                let values = values
                    .each_ref()
                    .map(|(name, value)| (*name, value.as_str()));
                let path = PathBuf::from(changeover_model::target::fill(program, &values));
                (!path.is_file()).then_some((version, path))
            });
            match missing {
                None => Ok(()),
                Some((version, path)) => Err(CliError::cannot_run_here(format!(
                    "version {version} has no program {}: put it there, or correct --binaries",
                    path.display()
                ))),
            }
        }
    }
}

/// What the plan's scenario does: the checks of a directory, or the built-in one.
///
/// # Errors
///
/// When the directory's cannot be read, or the plan has no scenario for them.
pub(crate) fn user_checks(plan: &Plan, given: Option<&Path>) -> Result<Vec<UserCheck>, CliError> {
    match (&plan.scenario, given) {
        (None, None) => Ok(Vec::new()),
        (None, Some(_)) => Err(CliError::bad_input(
            "--checks is for a scenario; name one with --scenario, see changeover scenarios",
        )),
        (Some(_), None) => Ok(vec![UserCheck::built_in()]),
        (Some(_), Some(directory)) => UserCheck::read_all(directory).map_err(CliError::bad_input),
    }
}

/// Finds what the plan needs, and makes or pulls images that are missing.
///
/// # Errors
///
/// What could not be had, in a sentence.
pub(crate) async fn prepare(
    planned: &Planned,
    options: &MachineOptions,
    store: &Store,
    program: &str,
) -> Result<Machine, CliError> {
    let Planned { plan, known } = planned;
    let absolute = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let mut equipment = Equipment {
        containers: plan.runtime == DOCKER,
        image: None,
        binaries: options.binaries.as_ref().map(absolute),
        blob_store: options.blob_store.clone(),
        licence: None,
    };
    let (true, Some(template)) = (equipment.containers, &known.target.container) else {
        return Ok(Machine {
            engine: None,
            equipment,
        });
    };
    equipment.licence = licence(plan, template, options)?;
    let engine = Engine::connect()
        .await
        .map_err(|e| CliError::cannot_run_here(e.message))?;
    if plan.services.iter().any(|service| service.image.is_none()) {
        equipment.image = Some(unnamed_image(&engine, plan, template, options, program).await?);
    }
    let named = plan
        .services
        .iter()
        .filter_map(|service| service.image.clone());
    let mut images: Vec<String> = named.chain(equipment.image.clone()).collect();
    if let Store::PostgresContainer(image) = store {
        images.push(image.clone());
    }
    images.sort();
    images.dedup();
    // A pull's many states are for somebody who watches; elsewhere its beginning is enough.
    let watched = std::io::stderr().is_terminal();
    let mut progress = |line: &str| {
        if watched || line.starts_with("pulling") {
            output::note(line);
        }
    };
    engine
        .provide(&images, &mut progress)
        .await
        .map_err(|e| CliError::cannot_run_here(e.message))?;
    Ok(Machine {
        engine: Some(engine),
        equipment,
    })
}

/// The image of services that name none.
async fn unnamed_image(
    engine: &Engine,
    plan: &Plan,
    template: &ContainerTemplate,
    options: &MachineOptions,
    program: &str,
) -> Result<String, CliError> {
    if let Some(image) = &options.current_image {
        return Ok(image.clone());
    }
    if let Some(command) = &options.current_build {
        return build(command);
    }
    match template.image.as_deref() {
        Some("{program}") => own_image(engine, Path::new(program)).await,
        Some(image) => Ok(image.to_owned()),
        None => Err(CliError::cannot_run_here(format!(
            "the current version of {} has no image: name it with --current-image, or a program that builds it with --current-build",
            plan.target
        ))),
    }
}

/// Runs what builds an image; its last line names it.
fn build(command: &str) -> Result<String, CliError> {
    let mut words = command.split_whitespace();
    let refuse = |problem: String| {
        Err(CliError::cannot_run_here(format!(
            "--current-build {command:?} {problem}; correct it, or name the image with --current-image"
        )))
    };
    let Some(program) = words.next() else {
        return refuse("names no program".to_owned());
    };
    let ran = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = match ran {
        Ok(output) => output,
        Err(error) => return refuse(format!("cannot be started: {error}")),
    };
    if !output.status.success() {
        return refuse(format!("failed ({})", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    match text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
    {
        Some(image) if !image.contains(char::is_whitespace) => Ok(image.to_owned()),
        Some(line) => refuse(format!("ends with {line:?}, which is no image")),
        None => refuse("printed no image".to_owned()),
    }
}

/// The image of the changeover binary, made again when that is another one.
async fn own_image(engine: &Engine, program: &Path) -> Result<String, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::cannot_run_here(format!(
            "no image can be made of {}: {error}; name one with --current-image",
            program.display()
        ))
    };
    let source = source_of(program).map_err(unreadable)?;
    if !engine.is_made_from(OWN_IMAGE, &source).await {
        let mut layer = Layer::new();
        layer.program(program, OWN_PROGRAM).map_err(unreadable)?;
        let image = Image {
            name: OWN_IMAGE.to_owned(),
            entrypoint: vec![OWN_PROGRAM.to_owned()],
            ..Image::default()
        };
        engine
            .load(layer, &source, &[image])
            .await
            .map_err(|e| CliError::cannot_run_here(e.message))?;
    }
    Ok(OWN_IMAGE.to_owned())
}

/// The licence key, from the file that was named or from the environment.
fn licence(
    plan: &Plan,
    template: &ContainerTemplate,
    options: &MachineOptions,
) -> Result<Option<Secret>, CliError> {
    let Some(licence) = &template.licence else {
        return match &options.licence_key {
            None => Ok(None),
            Some(_) => Err(CliError::bad_input(format!(
                "target {} takes no licence key; leave out --licence-key",
                plan.target
            ))),
        };
    };
    let read = |file: &Path| -> Result<String, CliError> {
        let text = fs::read_to_string(file).map_err(|error| {
            CliError::bad_input(format!(
                "the licence key {} cannot be read: {error}; correct --licence-key or {}",
                file.display(),
                licence.variable
            ))
        })?;
        Ok(text.trim().to_owned())
    };
    let key = match &options.licence_key {
        Some(file) => Some(read(file)?),
        None => match std::env::var(&licence.variable)
            .ok()
            .filter(|it| !it.is_empty())
        {
            Some(told) if Path::new(&told).is_file() => Some(read(Path::new(&told))?),
            told => told,
        },
    };
    let wants = plan.path.iter().find(|version| licence.is_needed(version));
    match (key, wants) {
        (None, Some(version)) => Err(CliError::cannot_run_here(format!(
            "version {version} of {} does not start without a licence key; give its file with --licence-key, or set {}",
            plan.target, licence.variable
        ))),
        (key, _) => Ok(key.map(Secret::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_names_its_image_in_its_last_line() {
        assert_eq!(build("echo mz:current").unwrap(), "mz:current");
        for (command, problem) in [
            ("", "names no program"),
            ("/no/such/program", "cannot be started"),
            ("false", "failed"),
            ("true", "printed no image"),
            ("echo two words", "which is no image"),
        ] {
            let error = build(command).unwrap_err();
            assert!(
                error.message.contains(problem),
                "{command}: {}",
                error.message
            );
        }
    }
}
