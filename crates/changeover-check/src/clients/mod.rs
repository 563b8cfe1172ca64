//! The lanes' clients one by one, and their answers: what the lanes as a whole do not show.

mod first;
mod fresh;
mod hang;

use crate::faults::Faults;
use crate::findings::Cases;
use crate::gap::Sent;
use crate::lanes::LANES;
use crate::timeline::Timeline;
use changeover_model::event::Event;
use changeover_model::history::{Class, Connection, Op, Operation, Outcome, Source};
use changeover_model::plan::{Plan, Timeout};
use changeover_model::verdict::Finding;
use changeover_model::workload::ELEMENTS_PER_KEY;
use std::collections::BTreeMap;

/// The elements of a key, as the bits of one number.
type Shown = u128;
const _: () = assert!(ELEMENTS_PER_KEY <= Shown::BITS as u64);

/// An operation of a held client.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    intended: u64,
    /// When it was sent.
    invoke: u64,
    /// When it succeeded; `None` if it did not.
    completed: Option<u64>,
    /// When it ended, however.
    ended: u64,
}

/// An answered read of a lane.
#[derive(Debug, Clone, Copy)]
struct Answered {
    invoke: u64,
    /// The key's number.
    key: u64,
    shown: Shown,
}

/// A lane's writes, and the reads of what it wrote.
#[derive(Debug, Default)]
struct Stream {
    /// When each element was acknowledged, by its number.
    acknowledged: Vec<Option<u64>>,
    reads: Vec<Answered>,
}

/// What the lanes' operations tell of single clients and of freshness.
#[derive(Debug, Default)]
pub(crate) struct ClientHistory {
    /// By class and client.
    held: BTreeMap<(Class, u64), Vec<Attempt>>,
    /// By the lane's kind of connection.
    streams: BTreeMap<Connection, Stream>,
}

impl ClientHistory {
    /// Takes an operation, if it is a lane's.
    pub(crate) fn operation(&mut self, operation: &Operation) {
        let (Some(Source::Lane), Some(class), Some(connection)) =
            (operation.source, operation.class, operation.connection)
        else {
            return;
        };
        let ok = operation.outcome == Outcome::Ok;
        let answered = operation.returned.or(operation.ended).filter(|_| ok);
        if let (Connection::Held, Some(client)) = (connection, operation.client) {
            let attempts = self.held.entry((class, client)).or_default();
            attempts.push(Attempt {
                intended: operation.intended.unwrap_or(operation.invoke),
                invoke: operation.invoke,
                completed: answered,
                ended: operation.ended.or(answered).unwrap_or(operation.invoke),
            });
        }
        let Some(at) = answered else {
            return;
        };
        let stream = self.streams.entry(connection).or_default();
        match operation.op {
            Op::Add => stream.add(operation, at),
            Op::Read => stream.reads.extend(answer(operation)),
            _ => {}
        }
    }

    /// The findings. `lanes` has one entry for each of [`LANES`], ascending by intended send.
    pub(crate) fn judge(
        mut self,
        plan: &Plan,
        events: &[Event],
        timeline: &Timeline,
        lanes: &[Vec<Sent>; LANES.len()],
        faults: &Faults,
    ) -> Vec<Finding> {
        let mut cases = Cases::default();
        let timeout = crate::stats::from_ms(plan.timeout_ms(Timeout::Operation));
        for ((class, client), attempts) in &mut self.held {
            attempts.sort_by_key(|attempt| attempt.intended);
            let fresh = LANES
                .iter()
                .position(|lane| lane.class == *class && lane.connection == Connection::New)
                .map_or(&[][..], |lane| &lanes[lane]);
            let mut found = hang::hangs(attempts, fresh, timeout);
            // Whoever is connected to what is broken on purpose waits for it.
            found.retain(|hang| !faults.disturb_clients(*hang));
            hang::tell((*class, *client), &found, timeline, &mut cases);
        }
        for (connection, stream) in &mut self.streams {
            stream.reads.sort_by_key(|read| read.invoke);
            let found = fresh::stalls(stream);
            fresh::tell(*connection, &found, timeline, &mut cases);
            for promotion in first::promotions(events) {
                if let Some(read) = first::empty(stream, &promotion) {
                    first::tell(*connection, &promotion, &read, &mut cases);
                }
            }
        }
        cases.into_findings()
    }
}

impl Stream {
    fn add(&mut self, operation: &Operation, at: u64) {
        // An element of another harness may be any number; ours count from 0.
        let Some(element) = operation
            .value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
        else {
            return;
        };
        if element > self.acknowledged.len() + MOST_AHEAD {
            return;
        }
        if self.acknowledged.len() <= element {
            self.acknowledged.resize(element + 1, None);
        }
        self.acknowledged[element] = Some(at);
    }
}

/// So far may an element's number be ahead of the others': operations are recorded as they end.
const MOST_AHEAD: usize = 1 << 20;

/// The answer of a read of `lane.KIND.NUMBER`, which holds the elements from NUMBER × 100 on.
fn answer(operation: &Operation) -> Option<Answered> {
    let key: u64 = operation.key.as_ref()?.rsplit('.').next()?.parse().ok()?;
    let first = key.checked_mul(ELEMENTS_PER_KEY)?;
    let mut shown = 0;
    for element in operation.result.as_array()? {
        let place = element.as_u64()?.checked_sub(first)?;
        if place < ELEMENTS_PER_KEY {
            shown |= 1 << place;
        }
    }
    Some(Answered {
        invoke: operation.invoke,
        key,
        shown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MS, add, in_lane, read};

    #[test]
    fn answers_are_read_as_the_lanes_write_them() {
        let lane = |operation| in_lane(operation, Class::Read, Connection::Held);
        let shown = |key: &str, answer_: &[i64]| answer(&lane(read(1, key, answer_, (0, MS))));
        let found = shown("lane.held.2", &[200, 203]).unwrap();
        assert_eq!((found.key, found.shown), (2, 0b1001));
        // What no lane of ours writes is nothing to judge by.
        assert!(shown("lane.held.x", &[1]).is_none());
        assert!(shown("lane.held.2", &[7]).is_none());
        assert!(shown("lane.held.99999999999999999999", &[1]).is_none());
    }

    #[test]
    fn numbers_far_off_take_no_room() {
        let mut history = ClientHistory::default();
        let far = add(1, "lane.held.0", i64::MAX, (0, MS));
        history.operation(&in_lane(far, Class::Write, Connection::Held));
        assert!(history.streams[&Connection::Held].acknowledged.is_empty());
    }
}
