//! What is known of a target: built in, and from a file with newer releases.

use crate::args::{KnowledgeOptions, LegalityOptions};
use crate::error::CliError;
use crate::{output, target_file};
use changeover_model::version::Version;
use changeover_plan::{Knowledge, PlanRequestError, parse_version};
use std::fs;
use std::path::Path;

/// What these options say is known. Warnings go to standard error.
///
/// # Errors
///
/// When there is no such target, or the file cannot be read.
pub(crate) fn of(options: &KnowledgeOptions) -> Result<Knowledge, CliError> {
    for_target(options.target.name(), options.releases.as_deref())
}

/// What is known of this target, with what a file adds to it. Warnings go to standard error.
///
/// # Errors
///
/// When there is no such target, or a file cannot be read.
pub(crate) fn for_target(target: &str, releases: Option<&Path>) -> Result<Knowledge, CliError> {
    let mut known = match target_file::path(target) {
        Some(file) => target_file::read(file)?,
        None => Knowledge::of(target)?,
    };
    if let Some(file) = releases {
        let shown = file.display();
        let text = fs::read_to_string(file).map_err(|error| {
            CliError::bad_input(format!(
                "cannot read {shown}: {error}; give --releases a helm index.yaml, a list of image tags, or what git tag prints"
            ))
        })?;
        for warning in known.learn(&text, &shown.to_string())? {
            output::warning(&warning);
        }
    }
    Ok(known)
}

/// The names in `--rules`.
pub(crate) fn rules(options: &LegalityOptions) -> Option<Vec<String>> {
    let list = options.rules.as_deref()?;
    let names = list.split(',').map(|name| name.trim().to_owned());
    Some(match list.trim().is_empty() {
        true => Vec::new(),
        false => names.collect(),
    })
}

/// The version in `--current-version`.
///
/// # Errors
///
/// When it is none, or `current` itself.
pub(crate) fn current_version(
    options: &LegalityOptions,
    known: &Knowledge,
) -> Result<Option<Version>, CliError> {
    let Some(text) = &options.current_version else {
        return Ok(None);
    };
    match parse_version(text, &known.catalog)?.known() {
        Some(version) => Ok(Some(version.clone())),
        None => Err(PlanRequestError::CurrentIsCurrent.into()),
    }
}
