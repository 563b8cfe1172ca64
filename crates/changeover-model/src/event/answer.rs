//! What came back from an instance that was asked for something.

use crate::status::DeploymentStatus;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What came of sending a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromoteResult {
    /// 200 `{"result":"Success"}`.
    Acknowledged,
    /// It certainly did not take place: the protocol's 400, or nobody listened. The answer, as text.
    Refused(String),
    /// An answer that is none of the protocol, as text: it says nothing about what was done before it was written.
    Unclear(String),
    /// The connection died, or no answer came: only the status can tell.
    Lost,
}

impl PromoteResult {
    /// Whether the instance may have taken the promotion.
    pub fn may_be_taken(&self) -> bool {
        !matches!(self, PromoteResult::Refused(_))
    }
}

/// What a poll of the status endpoint saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusSeen {
    /// A status of the protocol, by its name.
    Status(DeploymentStatus),
    /// Refused, reset or empty: restarting, not failing.
    Unreachable,
    /// No answer within a request's deadline.
    Silent,
    /// An answer that is none of the protocol, as text.
    Nonsense(String),
    /// A status document of the target's own with a word that its description does not know: what is to be corrected.
    Unmapped(String),
}

impl fmt::Display for StatusSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusSeen::Status(status) => status.fmt(f),
            StatusSeen::Unreachable => f.write_str("unreachable"),
            StatusSeen::Silent => f.write_str("silent"),
            StatusSeen::Nonsense(text) => write!(f, "{text:?}"),
            StatusSeen::Unmapped(text) => f.write_str(text),
        }
    }
}

/// What a session was answered when it asked for its own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionAnswer {
    /// This.
    Told(String),
    /// An error, by its SQLSTATE: the client knows that something is amiss.
    Refused(String),
    /// The connection had ended: the client knows that the session is over.
    Ended,
}

/// What is examined around a hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Examination {
    /// A promotion before the instance was ready.
    EarlyPromotion,
    /// A promotion of the leader.
    SecondPromotion,
    /// A write to an instance that was not promoted.
    ReadOnlyWrite,
    /// A read of an instance that was not promoted.
    ReadOnlyRead,
    /// The first query to a new leader's catalog.
    CatalogQuery,
    /// One of a newer writer.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Examination::EarlyPromotion => "a promotion before it is ready",
            Examination::SecondPromotion => "a promotion of the leader",
            Examination::ReadOnlyWrite => "a write before the promotion",
            Examination::ReadOnlyRead => "a read before the promotion",
            Examination::CatalogQuery => "the first query to the catalog",
            Examination::Unknown => "an examination",
        })
    }
}
