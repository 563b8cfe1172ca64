//! A target in a file: what `--target FILE.toml` names.

use crate::error::CliError;
use changeover_model::Target;
use changeover_model::target::{Instances, Promote, Versions, fill, has, line_of_key};
use changeover_model::text::harmless_cut;
use changeover_model::version::PathVersion;
use changeover_plan::Knowledge;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// How long a command that prints versions may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The file that `--target` names, if it names one: it ends in `.toml`, or has a slash.
pub(crate) fn path(target: &str) -> Option<&Path> {
    (target.ends_with(".toml") || target.contains('/')).then(|| Path::new(target))
}

/// A file, and where in it somebody is to look.
struct Place<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    /// A sentence about a key, with its line.
    fn at(&self, table: &str, key: &str, problem: &str) -> String {
        let line = line_of_key(self.text, table, key);
        let file = self.file.display();
        format!("target {file}, line {line}, {table}.{key}: {problem}")
    }
}

/// What the file says of its target.
///
/// # Errors
///
/// When it cannot be read, is no target that could work, or its versions cannot be had.
pub(crate) fn read(file: &Path) -> Result<Knowledge, CliError> {
    let text = text_of(file)?;
    let place = Place { file, text: &text };
    let mut target = Target::parse(&text)
        .map_err(|error| CliError::bad_input(format!("target {}, {error}", file.display())))?;
    let name = &target.target.name;
    if Knowledge::targets().any(|built_in| built_in == name) {
        let problem = format!("{name} is a built-in target; give this one another name");
        return Err(CliError::bad_input(place.at("target", "name", &problem)));
    }
    target.dir = directory(file).map_err(|error| unreadable(file, &error))?;
    let versions = match &target.versions {
        None => Vec::new(),
        Some(Versions::List(list)) => list.clone(),
        Some(Versions::Command(command)) => {
            let command = filled(command, &target);
            let printed = printed(&command).and_then(|text| listed(&text));
            printed.map_err(|CliError { message, code }| CliError {
                message: place.at("versions", "command", &message),
                code,
            })?
        }
    };
    Ok(Knowledge::described(target, versions))
}

fn text_of(file: &Path) -> Result<String, CliError> {
    fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &std::io::Error) -> CliError {
    CliError::bad_input(format!(
        "cannot read the target {}: {error}; give --target a file as docs/targets.md describes it, or a built-in target's name",
        file.display()
    ))
}

/// The directory a file lies in, absolute.
fn directory(file: &Path) -> std::io::Result<String> {
    let file = fs::canonicalize(file)?;
    let directory = file.parent().unwrap_or(Path::new("/"));
    Ok(directory.to_string_lossy().into_owned())
}

fn filled(command: &[String], target: &Target) -> Vec<String> {
    let values = [("target_dir", target.dir.as_str())];
    command.iter().map(|word| fill(word, &values)).collect()
}

/// What a program prints. The error is about its key.
fn printed(command: &[String]) -> Result<String, CliError> {
    let (failed, cannot) = (
        |problem: String| CliError::bad_input(problem),
        |problem: String| CliError::cannot_run_here(problem),
    );
    let Some((program, arguments)) = command.split_first() else {
        return Err(failed(
            "names no program; give program and arguments".into(),
        ));
    };
    if !exists(program) {
        return Err(cannot(missing(program)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot(format!("cannot wait for it: {error}; free some memory")))?;
    let output = runtime.block_on(async {
        let child = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot(format!("{program:?} cannot be started: {error}")))?;
        let group = child.id().and_then(|pid| i32::try_from(pid).ok());
        match tokio::time::timeout(PATIENCE, child.wait_with_output()).await {
            Ok(output) => output.map_err(|error| failed(format!("cannot be read: {error}"))),
            Err(_) => {
                if let Some(group) = group {
                    // Its helpers go with it; that it is gone already is fine.
                    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                }
                let seconds = PATIENCE.as_secs();
                Err(failed(format!(
                    "{program:?} had not ended after {seconds} s and was ended; let it print the versions and leave"
                )))
            }
        }
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said
            .trim()
            .lines()
            .last()
            .unwrap_or("nothing on standard error");
        return Err(failed(format!(
            "{program:?} ended with {}: {}; let it print the versions and exit with 0",
            output.status,
            harmless_cut(last, 200)
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One version a line; empty lines do not count.
fn listed(printed: &str) -> Result<Vec<PathVersion>, CliError> {
    let lines = printed.lines().map(str::trim).zip(1..);
    let versions: Vec<PathVersion> = lines
        .filter(|(line, _)| !line.is_empty())
        .map(|(line, number)| {
            line.parse().map_err(|_| {
                CliError::bad_input(format!(
                    "line {number} of what it printed, {:?}, is not a version; let it print one a line, such as v1.2.0",
                    harmless_cut(line, 80)
                ))
            })
        })
        .collect::<Result<_, _>>()?;
    match versions.is_empty() {
        true => Err(CliError::bad_input(
            "it printed no version; let it print one a line, such as v1.2.0",
        )),
        false => Ok(versions),
    }
}

/// Refuses a target whose programs are not there. Those of a version are looked for where versions are known, and those
/// of a container are in its image.
///
/// # Errors
///
/// The first program that is missing.
pub(crate) fn programs_exist(
    file: Option<&Path>,
    target: &Target,
    own: &str,
    in_containers: bool,
) -> Result<(), CliError> {
    let of_a_version = |program: &&String| has(program, "binaries");
    let instance = match &target.instances {
        Instances::Started(instance) if !in_containers => {
            instance.command.first().filter(|it| !of_a_version(it))
        }
        _ => None,
    };
    let promote = match &target.promote {
        Promote::Command(command) => command.first(),
        Promote::LeaderApi | Promote::Http { .. } => None,
    };
    let values = [("target_dir", target.dir.as_str()), ("program", own)];
    for (table, program) in [("instance", instance), ("promote", promote)] {
        let Some(program) = program.map(|program| fill(program, &values)) else {
            continue;
        };
        if exists(&program) {
            continue;
        }
        let problem = missing(&program);
        return Err(CliError::cannot_run_here(match file {
            Some(file) => {
                let text = text_of(file)?;
                Place { file, text: &text }.at(table, "command", &problem)
            }
            None => format!("target {}: {problem}", target.target.name),
        }));
    }
    Ok(())
}

fn missing(program: &str) -> String {
    format!("there is no program {program:?}; install it, or correct the command")
}

/// Whether a program can be started: a path is looked at, a name is looked for as the system does.
fn exists(program: &str) -> bool {
    let executable = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    if program.contains('/') {
        return executable(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder: PathBuf| executable(&folder.join(program)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_a_name_by_its_looks() {
        assert!(path("reference").is_none());
        for file in ["target.toml", "./target", "examples/x/target.toml"] {
            assert!(path(file).is_some(), "{file}");
        }
    }

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        assert!(exists("sh") && exists("/bin/sh"));
        assert!(!exists("no-such-program-anywhere") && !exists("/bin") && !exists("/etc/passwd"));
    }
}
