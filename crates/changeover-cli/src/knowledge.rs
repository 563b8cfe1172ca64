//! What is known of a target: built in, and learned from a file.

use crate::args::{ReleasesOption, TargetOption};
use crate::error::CliError;
use crate::output;
use changeover_plan::Knowledge;

/// What is known of the target, with the newer knowledge of `--releases`. Warnings go to standard error.
///
/// # Errors
///
/// When there is no such target, or the file gives no newer knowledge.
pub(crate) fn of(target: &TargetOption, newer: &ReleasesOption) -> Result<Knowledge, CliError> {
    let mut known = Knowledge::of(&target.target)?;
    if let Some(file) = &newer.releases {
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            CliError::bad_input(format!(
                "cannot read {shown}: {error}; give --releases a helm index.yaml, a list of image tags, or what git tag prints"
            ))
        })?;
        if let Some(warning) = known.learn(&text, &shown.to_string())? {
            output::warning(&warning);
        }
    }
    Ok(known)
}
