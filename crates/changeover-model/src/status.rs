//! The deployment status, as the leader API reports it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where an instance stands in the hand-over, as it says itself.
///
/// The words are Materialize's (`GET /api/leader/status`). Catching up has no word of its own: it is reported as
/// `Initializing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeploymentStatus {
    /// Booting or catching up.
    Initializing,
    /// Waiting for the promotion.
    ReadyToPromote,
    /// Told to promote, not yet leading.
    Promoting,
    /// Leads; whether it already serves SQL is another question.
    IsLeader,
}

impl DeploymentStatus {
    /// All statuses.
    pub const ALL: [DeploymentStatus; 4] = [
        DeploymentStatus::Initializing,
        DeploymentStatus::ReadyToPromote,
        DeploymentStatus::Promoting,
        DeploymentStatus::IsLeader,
    ];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            DeploymentStatus::Initializing => "Initializing",
            DeploymentStatus::ReadyToPromote => "ReadyToPromote",
            DeploymentStatus::Promoting => "Promoting",
            DeploymentStatus::IsLeader => "IsLeader",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl fmt::Display for DeploymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
