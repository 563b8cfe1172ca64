//! The points of a step at which a fault can happen, or the upgrade be called off.

use crate::nearest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A point of a step, in the order in which a step goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Nothing of the new instance is there yet.
    BeforeBoot,
    /// The new instance's process runs, and has not said where it stands.
    Booting,
    /// The new instance reads what the old one wrote, and follows.
    CatchingUp,
    /// The new instance has said that it is ready to promote.
    Ready,
    /// The promotion has been sent, and nothing has come of it.
    PromoteSent,
    /// The new instance has put its generation into the metadata store: the old one can acknowledge nothing any more.
    FenceWritten,
    /// The old instance has learned that it is fenced, and is about to leave.
    OldFenced,
    /// The new instance's process has ended to be started again as the leader.
    NewRestarting,
    /// The new instance has said that it leads.
    Leader,
    /// A query was answered on the new instance, and clients are sent there.
    Serving,
    /// The new instance serves, and the old one is to leave.
    Retiring,
}

/// Whose process reaches a point, or is stopped there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// Nobody's: it is before a call of our own.
    Driver,
    /// The new instance's.
    New,
    /// The old instance's.
    Old,
}

impl Point {
    /// All points, in order.
    pub const ALL: [Point; 11] = [
        Point::BeforeBoot,
        Point::Booting,
        Point::CatchingUp,
        Point::Ready,
        Point::PromoteSent,
        Point::FenceWritten,
        Point::OldFenced,
        Point::NewRestarting,
        Point::Leader,
        Point::Serving,
        Point::Retiring,
    ];

    /// The stable word.
    pub fn name(self) -> &'static str {
        match self {
            Point::BeforeBoot => "before-boot",
            Point::Booting => "booting",
            Point::CatchingUp => "catching-up",
            Point::Ready => "ready",
            Point::PromoteSent => "promote-sent",
            Point::FenceWritten => "fence-written",
            Point::OldFenced => "old-fenced",
            Point::NewRestarting => "new-restarting",
            Point::Leader => "leader",
            Point::Serving => "serving",
            Point::Retiring => "retiring",
        }
    }

    /// Whose process is there.
    pub fn party(self) -> Party {
        match self {
            Point::BeforeBoot => Party::Driver,
            Point::OldFenced | Point::Retiring => Party::Old,
            _ => Party::New,
        }
    }

    /// Whether the upgrade can be called off here by the protocol's promise: until a promotion was taken, the leader
    /// need not notice. At [`Point::PromoteSent`] it can still be done if the new instance has not acted on it.
    pub fn before_the_fence(self) -> bool {
        self < Point::FenceWritten
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Point::ALL.into_iter().find(|point| point.name() == word);
        found.ok_or_else(|| {
            let names = Point::ALL.iter().map(|point| point.name());
            format!(
                "unknown point {word:?}: {}",
                nearest::suggestion(word, names)
            )
        })
    }
}
