//! What a read of a counter may show at all.

use super::{Counter, Kind};
use crate::findings::Cases;
use crate::ops::NEVER;
use crate::timeline::Timeline;
use changeover_model::check::Check;

/// The least and the most that a read may show.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    least: i128,
    most: i128,
}

impl Counter<'_> {
    /// The bounds of every read, in the order of `reads`.
    fn bounds(&self) -> Vec<Bounds> {
        let ops = &self.history.ops;
        let amount = |add: u32| i128::from(self.history.number(add));
        // What had surely been added by a moment, and what had perhaps been.
        let sums = |mut times: Vec<(i64, i128)>| {
            times.sort_unstable();
            let mut sum = 0;
            for (_, part) in &mut times {
                sum += *part;
                *part = sum;
            }
            times
        };
        let up_to = |sums: &[(i64, i128)], places: usize| match places {
            0 => 0,
            n => sums[n - 1].1,
        };
        let by = |time: &dyn Fn(u32) -> i64, part: &dyn Fn(i128) -> i128| {
            let adds = self.adds.iter().map(|add| (time(*add), part(amount(*add))));
            sums(adds.filter(|(at, _)| *at != NEVER).collect())
        };
        let (sent, ended) = (|add| ops.invoke(add), |add| ops.end(add));
        let positive = |n: i128| n.max(0);
        let negative = |n: i128| n.min(0);
        let (sent_up, sent_down) = (by(&sent, &positive), by(&sent, &negative));
        let (ended_up, ended_down) = (by(&ended, &positive), by(&ended, &negative));
        self.reads
            .iter()
            .map(|&read| {
                let perhaps = |sums: &[(i64, i128)]| {
                    up_to(sums, sums.partition_point(|(at, _)| *at <= ops.end(read)))
                };
                let surely = |sums: &[(i64, i128)]| {
                    up_to(sums, sums.partition_point(|(at, _)| *at < ops.invoke(read)))
                };
                Bounds {
                    least: surely(&ended_up) + perhaps(&sent_down),
                    most: perhaps(&sent_up) + surely(&ended_down),
                }
            })
            .collect()
    }

    pub(super) fn check_bounds(
        &self,
        all: &[u32],
        complete: bool,
        timeline: &Timeline,
        cases: &mut Cases,
    ) -> bool {
        let history = self.history;
        let ops = &history.ops;
        let failed = |read: u32| {
            let failed = all.iter().copied().find(|op| {
                history.kinds[*op as usize] == Kind::Failed && ops.invoke(*op) <= ops.end(read)
            });
            failed.filter(|op| history.number(*op) > 0)
        };
        let growing = self.adds.iter().all(|add| history.number(*add) > 0);
        let mut sound = true;
        for (&read, bounds) in self.reads.iter().zip(self.bounds()) {
            let shown = i128::from(history.number(read));
            // Looked for only where it shows something: all reads times all adds would be too many.
            let before = || self.sent_before(read);
            if shown > bounds.most && complete {
                sound = false;
                let (check, headline) = match failed(read) {
                    Some(_) => (
                        Check::ZombieWrite,
                        "counter above everything that was added, with an add that had failed",
                    ),
                    None => (
                        Check::DuplicatedEffect,
                        "counter above everything that was added",
                    ),
                };
                let shows: Vec<u32> = before()
                    .into_iter()
                    .chain(failed(read))
                    .chain([read])
                    .collect();
                let words = || {
                    format!(
                        "{}, although no more than {} had been added until then",
                        history.read_words(read),
                        bounds.most
                    )
                };
                history.tell(check, headline, read, &shows, words, timeline, cases);
            } else if shown < bounds.least {
                sound = false;
                let mut shows = match growing {
                    true => self.enough_before(read),
                    false => before(),
                };
                shows.push(read);
                let check = match self.is_last(read) {
                    true => Check::LostWrite,
                    false => Check::StaleRead,
                };
                let words = || {
                    format!(
                        "{}, although {} had been acknowledged before it was sent",
                        history.read_words(read),
                        bounds.least
                    )
                };
                history.tell(
                    check,
                    "counter below what was acknowledged before it was read",
                    read,
                    &shows,
                    words,
                    timeline,
                    cases,
                );
            }
        }
        sound
    }

    /// Whether no read was sent later.
    fn is_last(&self, read: u32) -> bool {
        let ops = &self.history.ops;
        let later = |other: &u32| ops.invoke(*other) > ops.invoke(read);
        !self.reads.iter().any(later)
    }

    /// The adds that may be in an answer.
    fn sent_before(&self, read: u32) -> Vec<u32> {
        let ops = &self.history.ops;
        let adds = self.adds.iter().copied();
        adds.filter(|add| ops.invoke(*add) <= ops.end(read))
            .collect()
    }

    /// As many acknowledged adds as are more than a read shows.
    fn enough_before(&self, read: u32) -> Vec<u32> {
        let ops = &self.history.ops;
        let mut sum = 0;
        let mut enough = Vec::new();
        for add in self.adds.iter().copied() {
            if ops.precedes(add, read) {
                sum += i128::from(self.history.number(add));
                enough.push(add);
                if sum > i128::from(self.history.number(read)) {
                    break;
                }
            }
        }
        enough
    }

    /// Where nothing is taken away, a later read shows no less than an earlier one.
    pub(super) fn check_growth(&self, timeline: &Timeline, cases: &mut Cases) -> bool {
        let history = self.history;
        let ops = &history.ops;
        if self.adds.iter().any(|add| history.number(*add) < 0) {
            return true;
        }
        let mut sent = self.reads.clone();
        sent.sort_by_key(|read| (ops.invoke(*read), *read));
        let mut ended = self.reads.clone();
        ended.sort_by_key(|read| (ops.end(*read), *read));
        let mut ended = ended.into_iter().peekable();
        let mut most: Option<u32> = None;
        let mut sound = true;
        for read in sent {
            while let Some(earlier) = ended.next_if(|e| ops.precedes(*e, read)) {
                if most.is_none_or(|most| history.number(most) < history.number(earlier)) {
                    most = Some(earlier);
                }
            }
            let Some(earlier) = most.filter(|most| history.number(*most) > history.number(read))
            else {
                continue;
            };
            sound = false;
            let (check, headline) = match ops.same_session(earlier, read) {
                true => (
                    Check::NonMonotonicRead,
                    "counter that a client read lower than before",
                ),
                false => (
                    Check::NonLinearizable,
                    "counter read lower than somebody had read it before",
                ),
            };
            let words = || {
                format!(
                    "{}, although {} had read {} by {}",
                    history.read_words(read),
                    ops.name(earlier),
                    history.number(earlier),
                    ops.ended(earlier)
                )
            };
            // Without the adds that the larger number needs, it would be too large.
            let mut shows = self.sent_before(earlier);
            shows.extend([earlier, read]);
            history.tell(check, headline, read, &shows, words, timeline, cases);
        }
        sound
    }
}
