//! Why an upgrader refuses or fails.

use crate::client::UrlError;
use changeover_model::service::ServiceError;
use changeover_runtime::RuntimeError;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Why an upgrader refuses or fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The services are no path.
    #[error("{0}")]
    Services(String),
    /// A service cannot follow the one before it.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The target's URL is none that clients can use.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The directory cannot be used.
    #[error(
        "the upgrader's directory {} cannot be used: {problem}; give a new or empty one that can be written",
        path.display()
    )]
    Directory {
        /// Which.
        path: PathBuf,
        /// What is the matter with it.
        problem: String,
    },
    /// The front door cannot listen.
    #[error("the front door cannot listen on {addr}: {problem}; give another address")]
    FrontDoor {
        /// Where.
        addr: SocketAddr,
        /// What the system says.
        problem: String,
    },
    /// The runtime cannot be used.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The first service was started before.
    #[error("initialize was called before; make another upgrader to begin again")]
    InitializedBefore,
    /// A step was run before its turn.
    #[error("step {step} was run out of order; step {next} comes next")]
    OutOfOrder {
        /// The step.
        step: usize,
        /// Whose turn it is.
        next: usize,
    },
    /// Something before it failed.
    #[error("{what} cannot be run, because {failed}; clean up and begin again")]
    FailedBefore {
        /// What was to be run.
        what: String,
        /// What failed before it. Why was its own error.
        failed: String,
    },
    /// A service was not started, or did not take over.
    #[error("{service} {failed}: {reason}; see the log {} before cleaning up", log.display())]
    Failed {
        /// Which.
        service: String,
        /// What it failed to do.
        failed: &'static str,
        /// Why, in a sentence.
        reason: String,
        /// Its log. It is gone after a clean-up, unless the upgrader was given a directory.
        log: PathBuf,
        /// No promotion can have been taken: the previous service still leads.
        called_off: bool,
    },
    /// There is nothing left to go on with.
    #[error("the upgrader was cleaned up or dropped; keep it until the last step, or make another")]
    CleanedUp,
    /// Something could not be removed.
    #[error("the clean-up could not remove {0}; remove it yourself")]
    Leftover(String),
}
