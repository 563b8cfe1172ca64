//! How processes end, and why they are ended and started again.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessEnd {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl fmt::Display for ProcessEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessEnd::Code(code) => write!(f, "exit {code}"),
            ProcessEnd::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What the target's exit codes make of the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndMeaning {
    /// It asks to be started again in place.
    Restart,
    /// It says "I was fenced, do not restart me".
    Fenced,
    /// Any other code, and every signal.
    Crash,
}

/// Why an instance is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The run is over.
    RunOver,
    /// The old leader did not leave by itself.
    Lingered,
    /// The step failed.
    StepFailed,
    /// The upgrade is called off.
    CalledOff,
    /// Another generation was promoted over it: it will never lead.
    Skipped,
    /// A reason of a newer writer.
    #[serde(other)]
    Unknown,
}

impl StopReason {
    /// The stable word.
    pub fn name(self) -> &'static str {
        match self {
            StopReason::RunOver => "run-over",
            StopReason::Lingered => "lingered",
            StopReason::StepFailed => "step-failed",
            StopReason::CalledOff => "called-off",
            StopReason::Skipped => "skipped",
            StopReason::Unknown => "unknown",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a process is started again in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartReason {
    /// It asked for it by its exit code.
    Asked,
    /// It crashed.
    Crashed,
    /// A planned fault ended it.
    Fault,
    /// To see whether it can, after an upgrade was called off.
    Comeback,
}
