//! The lanes' operations, as compact as gaps and latencies need them.

use crate::gap::Sent;
use changeover_model::history::{ErrorKind, Operation, Outcome, Source};

pub use changeover_model::history::{LANES, LaneId};

/// The operations of all lanes, by their place in [`LANES`].
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    sent: [Vec<Sent>; LANES.len()],
}

impl Lanes {
    /// Takes an operation, if it is a lane's.
    pub(crate) fn operation(&mut self, operation: &Operation) {
        if operation.source != Some(Source::Lane) {
            return;
        }
        let lane = LANES.iter().position(|lane| {
            operation.class == Some(lane.class) && operation.connection == Some(lane.connection)
        });
        let Some(lane) = lane else {
            return;
        };
        let error = operation.error.as_ref().map(|e| e.kind);
        self.sent[lane].push(Sent {
            intended: operation.intended.unwrap_or(operation.invoke),
            completed: match operation.outcome {
                Outcome::Ok => operation.returned.or(operation.ended),
                Outcome::Fail | Outcome::Unknown => None,
            },
            lateness: operation.lateness.unwrap_or(0),
            not_sent: error == Some(ErrorKind::NotSent),
        });
    }

    /// The operations of each lane, ascending by intended send.
    pub(crate) fn into_sorted(mut self) -> [Vec<Sent>; LANES.len()] {
        for sent in &mut self.sent {
            sent.sort_by_key(|s| s.intended);
        }
        self.sent
    }
}
