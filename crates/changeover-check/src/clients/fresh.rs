//! Reads that are answered and have stopped to show what is written.
//!
//! A lane reads what it writes at the same time. A stall is a stretch of its answered reads, at least ten, none of
//! which shows all that had been acknowledged when it was sent, nor anything that was acknowledged after the oldest
//! write that the first of them lacks; and which lasts, from that write's acknowledgement, longer than a second. A
//! database whose reads show every acknowledged write cannot have one, however slow the machine: what counts is what
//! had been acknowledged before the read was sent.

use super::{Answered, Stream};
use crate::findings::{Case, Cases};
use crate::stats::{SECOND, ms, seconds};
use crate::timeline::{Timeline, Window};
use changeover_model::check::Check;
use changeover_model::history::Connection;
use changeover_model::workload::ELEMENTS_PER_KEY;
use serde_json::json;

/// Reads that a stall has at least.
const READS: usize = 10;

/// How long it lasts at least.
const BOUND: u64 = SECOND;

/// A stall: from the acknowledgement of the oldest write that was not shown to the last read that did not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stall {
    span: Window,
    reads: usize,
}

/// The stalls of a lane's reads, which ascend by the time they were sent.
pub(super) fn stalls(stream: &Stream) -> Vec<Stall> {
    let mut out = Vec::new();
    let mut current: Option<Stall> = None;
    let mut close = |stall: Option<Stall>| {
        out.extend(stall.filter(|s| s.reads >= READS && s.span.length() > BOUND));
    };
    for read in &stream.reads {
        let Some(missing) = stream.oldest_missing(read) else {
            // That it lacks nothing of a key to which nothing has been written yet proves nothing.
            if read.shown != 0 {
                close(current.take());
            }
            continue;
        };
        // Something that was acknowledged later is shown: it has moved on, only not to the end.
        if current.is_some_and(|stall| stream.newest_shown(read) > Some(stall.span.start)) {
            close(current.take());
        }
        let stall = current.get_or_insert(Stall {
            span: Window {
                start: missing,
                end: missing,
            },
            reads: 0,
        });
        stall.span.end = read.invoke;
        stall.reads += 1;
    }
    close(current);
    out
}

impl Stream {
    /// The elements of a read's key, each with its place, by when they were acknowledged.
    pub(super) fn acknowledged_of(&self, read: &Answered) -> impl Iterator<Item = (u64, u64)> {
        let first =
            usize::try_from(read.key.saturating_mul(ELEMENTS_PER_KEY)).unwrap_or(usize::MAX);
        let elements = self.acknowledged.get(first..).unwrap_or_default();
        let places = (0..ELEMENTS_PER_KEY).zip(elements);
        places.filter_map(|(place, at)| at.map(|at| (place, at)))
    }

    /// When the oldest write was acknowledged that the answer lacks, of those that were before it was sent.
    fn oldest_missing(&self, read: &Answered) -> Option<u64> {
        let missing = self
            .acknowledged_of(read)
            .filter(|(place, at)| *at < read.invoke && read.shown & (1 << place) == 0);
        missing.map(|(_, at)| at).min()
    }

    /// When the newest write was acknowledged that the answer shows.
    fn newest_shown(&self, read: &Answered) -> Option<u64> {
        let shown = self
            .acknowledged_of(read)
            .filter(|(place, _)| read.shown & (1 << place) != 0);
        shown.map(|(_, at)| at).max()
    }
}

pub(super) fn tell(
    connection: Connection,
    stalls: &[Stall],
    timeline: &Timeline,
    cases: &mut Cases,
) {
    for stall in stalls {
        let span = stall.span;
        cases.add(
            Check::FreshnessStall,
            timeline.step_at(span.start),
            "stretch of answered reads that showed nothing new",
            || Case {
                words: format!(
                    "{} reads of lane read/{} for {} ms from {} s on",
                    stall.reads,
                    connection.name(),
                    ms(span.length()),
                    seconds(span.start)
                ),
                evidence: json!({
                    "connection": connection,
                    "reads": stall.reads,
                    "from_s": seconds(span.start),
                    "to_s": seconds(span.end),
                }),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MS;

    #[test]
    fn a_key_that_nobody_has_written_to_yet_proves_nothing() {
        let mut reads: Vec<Answered> = (150..300).map(|n| read(n, 150)).collect();
        let early = Answered {
            invoke: 1999 * MS,
            ..read(200, 150)
        };
        reads.insert(50, early);
        assert_eq!(in_stream(reads), [(1500, 2995, 150)]);
    }

    fn read(n: u64, shows: u64) -> Answered {
        let key = n / ELEMENTS_PER_KEY;
        let visible = shows.saturating_sub(key * ELEMENTS_PER_KEY);
        Answered {
            invoke: (10 * n + 5) * MS,
            key,
            shown: (1_u128 << visible.min(ELEMENTS_PER_KEY)) - 1,
        }
    }

    fn in_stream(reads: Vec<Answered>) -> Vec<(u64, u64, usize)> {
        let stream = Stream {
            acknowledged: (0..500).map(|n| Some(10 * n * MS)).collect(),
            reads,
        };
        stalls(&stream)
            .into_iter()
            .map(|stall| (stall.span.start / MS, stall.span.end / MS, stall.reads))
            .collect()
    }

    /// Element n is acknowledged at 10 × n ms. A read 5 ms after each shows what `shows` says: the number of elements.
    fn found(
        reads: impl Iterator<Item = u64>,
        shows: impl Fn(u64) -> u64,
    ) -> Vec<(u64, u64, usize)> {
        in_stream(reads.map(|n| read(n, shows(n))).collect())
    }

    #[test]
    fn reads_that_show_nothing_new_for_a_second_are_a_stall() {
        // Everything up to element 149 is shown, and nothing more until read 150 + n.
        let until = |last: u64| {
            found(
                0..500,
                move |n| if (150..last).contains(&n) { 150 } else { n + 1 },
            )
        };
        assert_eq!(until(251), [(1500, 2505, 101)]);
        assert_eq!(until(250), []);
        // To the end.
        assert_eq!(until(500), [(1500, 4995, 350)]);
    }

    #[test]
    fn whoever_lags_behind_but_moves_on_has_not_stalled() {
        assert_eq!(found(0..500, |n| n + 1), []);
        assert_eq!(found(0..500, |n| n.saturating_sub(30)), []);
        // In leaps of less than a second.
        assert_eq!(found(0..500, |n| n / 90 * 90), []);
        assert!(!found(0..500, |n| n / 200 * 200).is_empty());
    }

    #[test]
    fn a_stall_takes_enough_reads() {
        let sparse = |count| found((200..).step_by(20).take(count), |_| 150);
        assert_eq!(sparse(9), []);
        assert_eq!(sparse(10), [(2000, 3805, 10)]);
    }
}
