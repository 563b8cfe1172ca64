//! Writing to standard output and standard error.

use crate::error::CliError;
use changeover_model::text::{harmless, harmless_json};
use std::io::{self, Write};

/// Writes `text` to standard output as it is.
///
/// # Errors
///
/// When it cannot be written. A reader that has gone is no error: it has seen what it wanted, as in `… | head`; nor is
/// a terminal that was closed.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if !is_gone(&error) => Err(CliError::bad_input(format!(
            "cannot write to standard output: {error}; send it somewhere else"
        ))),
        _ => Ok(()),
    }
}

/// Whether nobody is there any more: the pipe's reader, or the terminal.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(nix::errno::Errno::EIO as i32)
}

/// Writes a warning to standard error.
pub(crate) fn warning(message: &str) {
    line("warning", message);
}

/// Writes something worth knowing to standard error.
pub(crate) fn note(message: &str) {
    line("note", message);
}

/// Writes an error to standard error.
pub(crate) fn error(message: &str) {
    line("error", message);
}

fn line(kind: &str, message: &str) {
    // A message may quote a file or a target; its own line breaks stay, as the caret under a version needs them.
    let lines: Vec<String> = message.split('\n').map(harmless).collect();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr(), "{kind}: {}", lines.join("\n"));
}

/// A document as JSON: pretty-printed, and a newline.
pub(crate) fn json(document: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document)
        .expect("our documents hold nothing that JSON cannot");
    text.push('\n');
    harmless_json(&text)
}
