//! Errors that a person sees.

use crate::exit::Exit;
use changeover_plan::{LearnError, ParameterError, PlanRequestError, UnknownTarget};
use std::fmt;

/// An error: one sentence (what was wrong, where, what to do) and the code to exit with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliError {
    /// The sentence, without `error: ` before it.
    pub(crate) message: String,
    /// The exit code.
    pub(crate) code: Exit,
}

impl CliError {
    /// Bad arguments, configuration, plan or history, or an output that cannot be written.
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        CliError {
            message: message.into(),
            code: Exit::BadInput,
        }
    }

    /// Something this machine does not have.
    pub(crate) fn cannot_run_here(message: impl Into<String>) -> Self {
        CliError {
            message: message.into(),
            code: Exit::CannotRunHere,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<PlanRequestError> for CliError {
    fn from(error: PlanRequestError) -> Self {
        CliError {
            message: error.to_string(),
            code: match error {
                // The request is sound; the rules say no to it.
                PlanRequestError::IllegalHop { .. } => Exit::Failed,
                _ => Exit::BadInput,
            },
        }
    }
}

impl From<ParameterError> for CliError {
    fn from(error: ParameterError) -> Self {
        PlanRequestError::from(error).into()
    }
}

impl From<UnknownTarget> for CliError {
    fn from(error: UnknownTarget) -> Self {
        CliError::bad_input(error.to_string())
    }
}

impl From<LearnError> for CliError {
    fn from(error: LearnError) -> Self {
        CliError::bad_input(error.to_string())
    }
}
