//! What happened to a register, in words.

use super::{Kind, RegisterHistory};
use crate::evidence::{self, Guarantees};
use crate::findings::{Case, Cases};
use crate::intern::FastMap;
use crate::ops::{NEVER, NONE};
use crate::scalar::NULL;
use crate::subhistory::SubHistory;
use crate::timeline::Timeline;
use changeover_model::check::Check;
use changeover_model::history::{Header, Model};
use std::collections::BTreeSet;

/// The reads that matter for telling conflicts.
struct Seen {
    /// Of the values in conflict.
    reads: FastMap<u32, Vec<u32>>,
    /// When the last read of each key was sent.
    last: Vec<i64>,
}

impl RegisterHistory {
    /// Every value that was read was written, by a write that did not fail, and not after the answer.
    pub(super) fn check_origins(&self, timeline: &Timeline, complete: bool, cases: &mut Cases) {
        let swapped = self.swapped_in();
        let mut found: Vec<(u32, Check, &'static str, Option<u32>)> = Vec::new();
        for (op, kind) in self.kinds.iter().enumerate() {
            let seen = match kind {
                Kind::Read => self.values[op],
                Kind::Swapped => match self.expected.get(&(op as u32)) {
                    Some(expected) => *expected,
                    None => continue,
                },
                _ => continue,
            };
            let state = &self.states[seen as usize];
            let op = op as u32;
            if state.place.scalar == NULL {
                continue;
            }
            let early = |write: u32| self.ops.end(op) < self.ops.invoke(write);
            // Where a value has more than one write, whether one of them was early enough is searched.
            if state.write != NONE && !self.searched.contains_key(&state.place.key) {
                if early(state.write) {
                    found.push((
                        op,
                        Check::InvariantBroken,
                        "value read before its write was sent",
                        Some(state.write),
                    ));
                }
                continue;
            }
            if state.write != NONE || swapped.contains(&seen) {
                continue;
            }
            if let Some(&failed) = self.failed.get(&seen) {
                found.push((
                    op,
                    Check::ZombieWrite,
                    "value read whose write had failed",
                    Some(failed),
                ));
            } else if complete {
                found.push((
                    op,
                    Check::InvariantBroken,
                    "value read that nobody wrote",
                    None,
                ));
            }
        }
        found.sort_by_key(|(op, ..)| (self.ops.invoke(*op), *op));
        for (op, check, headline, write) in found {
            let ops: Vec<u32> = write.into_iter().chain([op]).collect();
            let words = || match (check, write) {
                (_, None) => self.read_words(op),
                (Check::ZombieWrite, Some(write)) => format!(
                    "{}, although the write by {} had failed at {}",
                    self.read_words(op),
                    self.ops.name(write),
                    self.ops.ended(write)
                ),
                (_, Some(write)) => format!(
                    "{}, although {} sent the write of it only at {}",
                    self.read_words(op),
                    self.ops.name(write),
                    self.ops.sent(write)
                ),
            };
            self.tell(check, headline, op, &ops, words, timeline, cases);
        }
    }

    /// The values that a compare and swap wrote, or may have written.
    pub(super) fn swapped_in(&self) -> BTreeSet<u32> {
        let swaps = self
            .expected
            .keys()
            .filter(|op| matches!(self.kinds[**op as usize], Kind::Swapped | Kind::MaySwap));
        swaps.map(|op| self.values[*op as usize]).collect()
    }

    /// Pairs of values of which each had been there before the other was gone for good.
    pub(super) fn tell_conflicts(
        &self,
        conflicts: &[(u32, u32)],
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        if conflicts.is_empty() {
            return;
        }
        let mut seen = Seen {
            reads: FastMap::default(),
            last: vec![i64::MIN; self.keys.len()],
        };
        for &(one, other) in conflicts {
            for value in [one, other] {
                seen.reads.insert(value, Vec::new());
            }
        }
        for (op, kind) in self.kinds.iter().enumerate() {
            if *kind == Kind::Read {
                let (op, value) = (op as u32, self.values[op]);
                if let Some(reads) = seen.reads.get_mut(&value) {
                    reads.push(op);
                }
                let last = &mut seen.last[self.states[value as usize].place.key as usize];
                *last = self.ops.invoke(op).max(*last);
            }
        }
        for &(one, other) in conflicts {
            self.tell_conflict(one, other, &seen, timeline, cases);
        }
    }

    fn tell_conflict(
        &self,
        one: u32,
        other: u32,
        seen: &Seen,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let late = |value: u32| self.states[value as usize].last_sent;
        let is_read = |op: u32| self.kinds[op as usize] == Kind::Read;
        // The value that came back, if that can be told: its write had ended before the other's was sent.
        let came_back = |old: u32, new: u32| {
            let (gone, write) = (
                self.states[old as usize].write,
                self.states[new as usize].write,
            );
            is_read(late(old))
                && write != NONE
                && match gone {
                    NONE => self.states[old as usize].place.scalar == NULL,
                    gone => self.ops.precedes(gone, write),
                }
        };
        let (old, new) = match (is_read(late(one)), is_read(late(other))) {
            _ if came_back(one, other) => (one, other),
            _ if came_back(other, one) => (other, one),
            (true, false) => (one, other),
            (false, true) => (other, one),
            _ if self.last_sent(one) >= self.last_sent(other) => (one, other),
            _ => (other, one),
        };
        let read = late(old);
        let by_same =
            seen.reads.get(&new).into_iter().flatten().find(|other| {
                self.ops.precedes(**other, read) && self.ops.same_session(**other, read)
            });
        let witness = match by_same {
            Some(witness) => *witness,
            None => self.states[new as usize].first_end,
        };
        let mut ops: Vec<u32> = Vec::new();
        for value in [old, new] {
            let state = &self.states[value as usize];
            ops.extend([state.write, state.first_end, state.last_sent]);
        }
        ops.extend(by_same);
        ops.retain(|op| *op != NONE);
        let keep = [read, witness];
        let ops = self.needed(ops, &keep, old, new);
        let (write, gone) = (
            self.states[new as usize].write,
            self.states[old as usize].write,
        );
        let acknowledged = write != NONE && self.ops.precedes(write, read);
        let own = acknowledged && self.ops.same_session(write, read);
        let replaced = gone == NONE || write == NONE || self.ops.precedes(gone, write);
        let never_seen = write != NONE
            && self.states[new as usize].last_sent == write
            && self.states[new as usize].first_end == write;
        let key = self.states[old as usize].place.key;
        let is_last = self.ops.invoke(read) == seen.last[key as usize];
        let (check, headline) = match () {
            () if by_same.is_some() => (
                Check::NonMonotonicRead,
                "value read again by a client that had read a newer one",
            ),
            () if acknowledged && replaced && never_seen && is_last => (
                Check::LostWrite,
                "acknowledged write that no later read showed",
            ),
            () if own && replaced => (
                Check::StaleRead,
                "read by a client that does not show its own acknowledged write",
            ),
            () if acknowledged && replaced => (
                Check::StaleRead,
                "read that does not show a write acknowledged before it was sent",
            ),
            () => (
                Check::NonLinearizable,
                "value read again after another had taken its place",
            ),
        };
        let guarantees = Guarantees {
            monotonic_reads: by_same.is_some(),
            read_your_writes: own && replaced,
            monotonic_writes: gone != NONE
                && write != NONE
                && self.ops.same_session(gone, write)
                && self.ops.precedes(gone, write),
            writes_follow_reads: write != NONE
                && seen.reads.get(&old).into_iter().flatten().any(|read| {
                    self.ops.precedes(*read, write) && self.ops.same_session(*read, write)
                }),
        };
        let words = || {
            let shown = self.words_of(new);
            let how = match is_read(witness) && (by_same.is_some() || !acknowledged) {
                true => "read",
                false => "acknowledged",
            };
            let by = if how == "read" { witness } else { write };
            format!(
                "{}, although {shown} had been {how} at {} by {}{}{}",
                self.read_words(read),
                self.ops.ended(by),
                self.ops.name(by),
                self.ops.generation(by, "from"),
                guarantees.broken()
            )
        };
        self.tell(check, headline, read, &ops, words, timeline, cases);
    }

    /// Leaves out the reads that two values contradict each other without.
    fn needed(&self, ops: Vec<u32>, keep: &[u32], old: u32, new: u32) -> Vec<u32> {
        let conflict = |ops: &[u32]| {
            let of = |value: u32| {
                ops.iter()
                    .filter(move |op| self.values[**op as usize] == value)
            };
            let first = |value: u32| match self.states[value as usize].place.scalar {
                NULL => i64::MIN,
                _ => of(value).map(|op| self.ops.end(*op)).min().unwrap_or(NEVER),
            };
            let last = |value: u32| {
                let sent = of(value).map(|op| self.ops.invoke(*op));
                sent.max().unwrap_or(i64::MIN)
            };
            first(old) < last(new) && first(new) < last(old)
        };
        let mut ops = ops;
        ops.sort_unstable();
        ops.dedup();
        let reads: Vec<u32> = ops
            .iter()
            .copied()
            .filter(|op| self.kinds[*op as usize] == Kind::Read && !keep.contains(op))
            .collect();
        for read in reads {
            let rest: Vec<u32> = ops.iter().copied().filter(|op| *op != read).collect();
            if conflict(&rest) {
                ops = rest;
            }
        }
        ops
    }

    /// Adds a case: the operation that it is about, and those that show it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn tell(
        &self,
        check: Check,
        headline: &'static str,
        about: u32,
        ops: &[u32],
        words: impl FnOnce() -> String,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let at = u64::try_from(self.ops.invoke(about)).unwrap_or(0);
        let shown: BTreeSet<u32> = ops.iter().copied().collect();
        cases.add_shown(
            check,
            timeline.step_at(at),
            headline,
            || Case {
                words: words(),
                evidence: evidence::of(
                    Model::Register,
                    timeline.phase_at(at),
                    shown
                        .iter()
                        .take(evidence::OPERATIONS)
                        .map(|op| self.ops.evidence(*op, &self.operation(*op))),
                ),
            },
            || Some(self.sub_history(ops)),
        );
    }

    fn sub_history(&self, ops: &[u32]) -> SubHistory {
        let mut sorted: Vec<u32> = ops.to_vec();
        sorted.sort_by_key(|op| (self.ops.invoke(*op), *op));
        sorted.dedup();
        SubHistory {
            header: Header::new(Model::Register.name()),
            operations: sorted.into_iter().map(|op| self.operation(op)).collect(),
        }
    }

    /// `client 3 read k7 = 12 at 14.203 s from generation 2`.
    pub(super) fn read_words(&self, op: u32) -> String {
        let (verb, value) = match self.expected.get(&op) {
            Some(expected) => ("found", *expected),
            None => ("read", self.values[op as usize]),
        };
        let state = &self.states[value as usize];
        format!(
            "{} {verb} {} = {} at {}{}",
            self.ops.name(op),
            self.key_name(state.place.key),
            self.scalars.words(state.place.scalar),
            self.ops.sent(op),
            self.ops.generation(op, "from")
        )
    }

    fn words_of(&self, value: u32) -> String {
        let scalar = self.states[value as usize].place.scalar;
        self.scalars.words(scalar).into_owned()
    }

    /// Whether the operation may never have taken effect.
    pub(super) fn is_open(&self, op: u32) -> bool {
        self.ops.end(op) == NEVER
    }
}
