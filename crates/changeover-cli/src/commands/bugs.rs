//! `changeover reference bugs`.

use crate::args::{Format, FormatOption};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;

/// Runs the command.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn run(format: FormatOption) -> Result<Exit, CliError> {
    output::print(&match format.format {
        Format::Human => changeover_reference::bugs_text(),
        Format::Json => changeover_reference::bugs_json(),
    })?;
    Ok(Exit::Passed)
}
