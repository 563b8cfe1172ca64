//! What to say when the arguments make no sense.

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use clap::error::{Error, ErrorKind};

/// Answers what the argument parser could not turn into a command: prints help or the version if that was asked
/// for.
///
/// # Errors
///
/// Everything else, as one sentence.
pub(crate) fn answer(error: &Error) -> Result<Exit, CliError> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // clap decides about colours by itself.
            let shown = error.print();
            match shown {
                Err(e) if !output::is_gone(&e) => {
                    output::error(&e.to_string());
                    Ok(Exit::BadInput)
                }
                _ => Ok(Exit::Passed),
            }
        }
        _ => Err(CliError::bad_input(sentence(&error.render().to_string()))),
    }
}

/// The parser's message, usage and advertising aside, as one sentence with its tip at the end.
fn sentence(rendered: &str) -> String {
    let mut problem: Vec<&str> = Vec::new();
    let mut tip = None;
    for line in rendered.lines() {
        let line = line.trim();
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if let Some(text) = line.strip_prefix("tip: ") {
            // Several tips say the same thing in other words; the first is the nearest.
            tip.get_or_insert(text);
        } else if !line.is_empty() {
            problem.push(line);
        }
    }
    let problem = problem.join(" ");
    let problem = problem.strip_prefix("error: ").unwrap_or(&problem);
    match tip {
        Some(tip) => format!("{problem}; {tip}"),
        None => format!("{problem}; see changeover help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_one_sentence() {
        assert_eq!(
            sentence(
                "error: unexpected argument '--ratte' found\n\n  tip: a similar argument exists: '--rate'\n\n\
                 Usage: changeover plan --rate <N>\n\nFor more information, try '--help'.\n"
            ),
            "unexpected argument '--ratte' found; a similar argument exists: '--rate'"
        );
        assert_eq!(
            sentence(
                "error: the following required arguments were not provided:\n  <SHELL>\n\nUsage: changeover\n"
            ),
            "the following required arguments were not provided: <SHELL>; see changeover help"
        );
    }
}
