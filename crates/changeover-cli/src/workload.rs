//! `--workload`: names, some with a file.

use crate::error::CliError;
use changeover_model::workload::{FileError, Objects, Script, WorkloadKind};
use changeover_plan::WorkloadRequest;
use std::fs;

/// What the options say, with the text of their files.
///
/// # Errors
///
/// When a file is missing, cannot be read or does not parse, or stands where none belongs.
pub(crate) fn asked_for(options: &[String]) -> Result<WorkloadRequest, CliError> {
    if options.is_empty() {
        return Ok(WorkloadRequest::default());
    }
    let mut request = WorkloadRequest::default();
    let mut names = Vec::new();
    for entry in options.iter().flat_map(|option| option.split(',')) {
        let (name, file) = match entry.trim().split_once('=') {
            Some((name, file)) => (name.trim(), Some(file.trim())),
            None => (entry.trim(), None),
        };
        names.push(name.to_owned());
        let takes_file = [WorkloadKind::Objects, WorkloadKind::Script]
            .into_iter()
            .find(|kind| kind.name() == name);
        let text = match (takes_file, file) {
            (None, None) => continue,
            (Some(kind), None | Some("")) => {
                return Err(CliError::bad_input(format!(
                    "workload {kind} needs a file: write {kind}=FILE"
                )));
            }
            (None, Some(file)) if WorkloadKind::named(name).is_some() => {
                return Err(CliError::bad_input(format!(
                    "workload {name} takes no file: leave out ={file}"
                )));
            }
            // Its name is what is wrong with it, which the planner says.
            (None, Some(_)) => continue,
            (Some(kind), Some(file)) => {
                let text = fs::read_to_string(file).map_err(|error| {
                    CliError::bad_input(format!(
                        "cannot read {file}: {error}; workload {kind} needs a file of SQL statements"
                    ))
                })?;
                checked(kind, &text).map_err(|error| {
                    CliError::bad_input(format!("workload {kind}, {file}, {error}"))
                })?;
                text
            }
        };
        match takes_file {
            Some(WorkloadKind::Objects) => request.objects = Some(text),
            _ => request.script = Some(text),
        }
    }
    request.names = Some(names);
    Ok(request)
}

fn checked(kind: WorkloadKind, text: &str) -> Result<(), FileError> {
    match kind {
        WorkloadKind::Objects => Objects::parse(text).map(|_| ()),
        _ => Script::parse(text).map(|_| ()),
    }
}
