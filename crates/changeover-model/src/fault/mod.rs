//! Faults: something broken on purpose, at a named point of a step.
//!
//! A fault is an action on a subject at a point, and one line of text in a plan:
//! `[STEP:]SUBJECT:ACTION[:ARGUMENT…]@POINT[+DELAY]`, such as `new:kill@ready`, `2:old:pause:2s@promote-sent+50ms` or
//! `link(new,metadata-store):cut:2s@catching-up`. [`rules`](check_faults) says which of them can happen.

mod action;
mod point;
mod read;
mod rules;
#[cfg(test)]
mod tests;

pub use action::{Action, Link, Subject};
pub use point::{Party, Point};
pub use read::FaultError;
pub use rules::{FaultConflict, Surroundings, check_faults};

use serde::{Deserialize, Serialize};
use std::fmt;

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fault {
    /// The step it happens in; `None` for each step.
    pub step: Option<u32>,
    /// What is broken.
    pub subject: Subject,
    /// How.
    pub action: Action,
    /// Where in the step.
    pub point: Point,
    /// How long after the point was reached.
    pub delay: Delay,
}

/// What is waited for after a point was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delay {
    /// Nothing: the fault comes at the point.
    #[default]
    None,
    /// So many milliseconds.
    Ms(u64),
    /// So many more acknowledged writes of the workload.
    Writes(u64),
}

/// What must come of a step with a fault. In any case nothing is lost or doubled, and never are there two leaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// The upgrade succeeds, and clients notice no more than without the fault.
    Succeeds,
    /// The upgrade is called off, and neither the leader nor its clients notice.
    CalledOff,
    /// Clients may have an outage while the fault lasts; then all recovers, and the upgrade succeeds.
    Recovers,
}

impl Expectation {
    /// In words, as the end of "expected: …".
    pub fn words(self) -> &'static str {
        match self {
            Expectation::Succeeds => "the upgrade succeeds, and nobody notices the fault",
            Expectation::CalledOff => "the upgrade is called off, and the leader never notices",
            Expectation::Recovers => "an outage at most while the fault lasts, then recovery",
        }
    }
}

impl Fault {
    /// What must come of it.
    pub fn expectation(&self) -> Expectation {
        let served_by_new = self.point >= Point::PromoteSent;
        match self.subject {
            // Whoever leads has the clients; the store serves whoever leads.
            Subject::Old | Subject::MetadataStore => Expectation::Recovers,
            Subject::Link(Link::OldStore | Link::ClientsDoor) => Expectation::Recovers,
            Subject::New | Subject::Link(Link::NewStore) => match served_by_new {
                true => Expectation::Recovers,
                false => Expectation::Succeeds,
            },
            // Two hand-overs in one are two gaps, and one may prolong the other.
            Subject::Upgrade => match self.action {
                Action::Rival { .. } | Action::Next | Action::Race => Expectation::Recovers,
                _ => Expectation::Succeeds,
            },
        }
    }

    /// Whether it happens in this step.
    pub fn is_in(&self, step: u32) -> bool {
        self.step.is_none_or(|own| own == step)
    }

    /// The same fault in this step alone.
    #[must_use]
    pub fn in_step(&self, step: u32) -> Self {
        Fault {
            step: Some(step),
            ..self.clone()
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = self.step {
            write!(f, "{step}:")?;
        }
        let Fault {
            subject,
            action,
            point,
            delay,
            ..
        } = self;
        write!(f, "{subject}:{action}@{point}")?;
        match delay {
            Delay::None => Ok(()),
            Delay::Ms(ms) => write!(f, "+{}", read::duration(*ms)),
            Delay::Writes(writes) => write!(f, "+{writes}writes"),
        }
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

impl TryFrom<String> for Fault {
    type Error = FaultError;

    fn try_from(text: String) -> Result<Self, FaultError> {
        text.parse()
    }
}
