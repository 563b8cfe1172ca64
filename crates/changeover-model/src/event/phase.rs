//! The phases of a step.

use crate::plan::Timeout;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The phases of a step. They abut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Spawn → first status answer.
    Boot,
    /// → `ReadyToPromote` seen.
    CatchUp,
    /// → `IsLeader` seen, the POST included.
    Promote,
    /// → a query answers.
    Bootstrap,
    /// → the old process is gone.
    Retire,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Phase; 5] = [
        Phase::Boot,
        Phase::CatchUp,
        Phase::Promote,
        Phase::Bootstrap,
        Phase::Retire,
    ];

    /// The stable word.
    pub fn name(self) -> &'static str {
        self.timeout().name()
    }

    /// The deadline of this phase.
    pub fn timeout(self) -> Timeout {
        match self {
            Phase::Boot => Timeout::Boot,
            Phase::CatchUp => Timeout::CatchUp,
            Phase::Promote => Timeout::Promote,
            Phase::Bootstrap => Timeout::Bootstrap,
            Phase::Retire => Timeout::Retire,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
