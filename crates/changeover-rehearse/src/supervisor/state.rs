//! What a supervisor publishes of its instance's process.

use changeover_model::event::ProcessEnd;
use changeover_model::status::DeploymentStatus;
use std::fmt;
use tokio::sync::watch;

/// How far a process has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// It has not answered.
    #[default]
    Nothing,
    /// It answered `Initializing`.
    Initializing,
    /// It answered `ReadyToPromote`.
    ReadyToPromote,
    /// It answered `Promoting`.
    Promoting,
    /// It answered `IsLeader`.
    IsLeader,
    /// A query was answered.
    Serving,
}

impl From<DeploymentStatus> for Progress {
    fn from(status: DeploymentStatus) -> Self {
        match status {
            DeploymentStatus::Initializing => Progress::Initializing,
            DeploymentStatus::ReadyToPromote => Progress::ReadyToPromote,
            DeploymentStatus::Promoting => Progress::Promoting,
            DeploymentStatus::IsLeader => Progress::IsLeader,
        }
    }
}

/// Why an instance has no process any more and gets none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// It said that it was fenced.
    Fenced(ProcessEnd),
    /// It crashed again and again: the ends, oldest first.
    CrashLoop(Vec<ProcessEnd>),
    /// Its process could not be started again: why.
    NotRestarted(String),
    /// We stopped it.
    Stopped(ProcessEnd),
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gone::Fenced(end) => write!(f, "ended as fenced ({end})"),
            Gone::CrashLoop(ends) => {
                f.write_str("is in a crash loop (")?;
                for (n, end) in ends.iter().enumerate() {
                    write!(f, "{}{end}", if n == 0 { "" } else { ", " })?;
                }
                f.write_str("); its log tells why")
            }
            Gone::NotRestarted(why) => write!(f, "could not be started again: {why}"),
            Gone::Stopped(end) => write!(f, "was stopped ({end})"),
        }
    }
}

/// What an instance's process does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// It runs.
    Running {
        /// The process.
        pid: u32,
    },
    /// It ended and is about to be started again.
    Restarting,
    /// It ended for good.
    Gone(Gone),
}

/// What a supervisor publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// How many processes there were: tells one from the next.
    pub starts: u64,
    /// How many of them crashed, or were ended by a fault.
    pub crashes: u64,
    /// How the last process ended, and whether a fault did it; `None` before the first end.
    pub last_end: Option<(ProcessEnd, bool)>,
    /// What the process does now.
    pub now: Now,
}

/// Waits until the instance is gone. Cancel-safe.
pub async fn until_gone(mut state: watch::Receiver<State>) -> Gone {
    loop {
        if let Now::Gone(gone) = &state.borrow_and_update().now {
            return gone.clone();
        }
        if state.changed().await.is_err() {
            // The task ended without a word: it was aborted, and the instance dropped.
            return Gone::Stopped(ProcessEnd::Signal(nix::sys::signal::Signal::SIGKILL as i32));
        }
    }
}
