//! Cycles in words, and the small histories that show them.
//!
//! An append history is still right when an element is taken out of it, its append and its place in every list, or a
//! read. So the elements and reads that make a cycle's edges are enough.

use super::anomaly::Anomaly;
use super::cycles::Link;
use super::graph::kind;
use super::{AppendHistory, Micro};
use crate::evidence;
use crate::findings::{Case, Cases};
use crate::ops::{NONE, What};
use crate::subhistory::SubHistory;
use crate::timeline::Timeline;
use changeover_model::check::Check;
use changeover_model::history::{Header, Model, Op, Operation, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a small history must keep.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Elements, by key.
    pub(super) elements: BTreeSet<(u32, u32)>,
    /// Reads, by transaction and step.
    pub(super) reads: BTreeSet<(u32, u32)>,
}

impl AppendHistory {
    pub(super) fn tell_cycle(
        &self,
        anomaly: Anomaly,
        cycle: &[Link],
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let mut needed = Needed::default();
        let mut parts = Vec::new();
        for (index, link) in cycle.iter().enumerate() {
            let next = (index + 1) % cycle.len();
            let (names, txns) = ((index + 1, next + 1), (link.txn, cycle[next].txn));
            parts.push(self.link_words(link.kind, names, txns, &mut needed));
        }
        for (index, link) in cycle.iter().enumerate() {
            let txn = link.txn;
            if self.outcomes[txn as usize] == Outcome::Unknown {
                self.need_sight_of(&mut needed, txn);
            }
            parts.push(format!("T{} is {}", index + 1, self.txn_words(txn)));
        }
        // The one that was sent last is the one that should have known better.
        let about = cycle.iter().map(|link| link.txn);
        let Some(about) = about.max_by_key(|txn| self.ops.invoke(*txn)) else {
            return;
        };
        let words = || parts.join(", ");
        self.tell_anomaly(anomaly, about, &needed, words, timeline, cases);
    }

    /// An edge in words; notes what shows it.
    fn link_words(
        &self,
        edge: u8,
        (one, other): (usize, usize),
        (from, to): (u32, u32),
        needed: &mut Needed,
    ) -> String {
        let element = |key: u32, element: u32| self.scalars.words(self.scalar(key, element));
        match edge {
            kind::WW => {
                let Some((key, before, after)) = self.appended_after(from, to) else {
                    return String::new();
                };
                needed.elements.extend([(key, before), (key, after)]);
                needed.reads.extend(self.longest_read(key));
                format!(
                    "T{one} appended {} to {} before T{other} appended {}",
                    element(key, before),
                    self.key_name(key),
                    element(key, after)
                )
            }
            kind::WR => {
                let Some((key, shown, step)) = self.read_from(from, to) else {
                    return String::new();
                };
                needed.elements.insert((key, shown));
                needed.reads.insert((to, step));
                format!(
                    "T{other} read {} in {}, which T{one} had appended",
                    element(key, shown),
                    self.key_name(key)
                )
            }
            kind::RW => {
                let Some((key, missed, step)) = self.missed(from, to) else {
                    return String::new();
                };
                needed.elements.insert((key, missed));
                needed.reads.insert((from, step));
                format!(
                    "T{one} read {} without {}, which T{other} appended",
                    self.key_name(key),
                    element(key, missed)
                )
            }
            _ => format!(
                "T{one} had ended at {}, before T{other} was sent at {}",
                self.ops.ended(from),
                self.ops.sent(to)
            ),
        }
    }

    /// A key where one transaction appended right after another: the key, and the elements.
    fn appended_after(&self, from: u32, to: u32) -> Option<(u32, u32, u32)> {
        self.steps_of(to).iter().find_map(|step| {
            let Micro::Append { key, element } = *step else {
                return None;
            };
            let order = &self.orders[key as usize];
            let place = match order.place(element) {
                NONE => order.order().len(),
                place => place as usize,
            };
            let before = order.order()[..place].iter().rev();
            let before = before.copied().find(|e| order.writer(*e) != NONE)?;
            (order.writer(before) == from).then_some((key, before, element))
        })
    }

    /// A list that ended with what another transaction appended: the key, the element, and the reader's step.
    fn read_from(&self, writer: u32, reader: u32) -> Option<(u32, u32, u32)> {
        self.numbered_steps(reader).find_map(|(number, step)| {
            let Micro::Read { key, length, own } = step else {
                return None;
            };
            let order = &self.orders[key as usize];
            let last = order.at((length - own).checked_sub(1)?);
            (order.writer(last) == writer).then_some((key, last, number))
        })
    }

    /// A list that lacks what another transaction appended: the key, the element, and the reader's step.
    fn missed(&self, reader: u32, writer: u32) -> Option<(u32, u32, u32)> {
        self.numbered_steps(reader).find_map(|(number, step)| {
            let Micro::Read { key, length, own } = step else {
                return None;
            };
            let order = &self.orders[key as usize];
            let mut appended = self.steps_of(writer).iter().filter_map(|step| match *step {
                Micro::Append { key: of, element } if of == key => Some(element),
                _ => None,
            });
            let missed = appended.find(|element| {
                let place = order.place(*element);
                place == NONE || place >= length - own
            })?;
            Some((key, missed, number))
        })
    }

    fn numbered_steps(&self, txn: u32) -> impl Iterator<Item = (u32, Micro)> + '_ {
        let start = self.starts[txn as usize];
        let steps = self.steps_of(txn).iter().enumerate();
        steps.map(move |(index, step)| (start + index as u32, *step))
    }

    /// The longest list of a key: the transaction and its step.
    pub(super) fn longest_read(&self, key: u32) -> Option<(u32, u32)> {
        let order = &self.orders[key as usize];
        let txn = order.longest_reader()?;
        let all = order.order().len() as u32;
        self.numbered_steps(txn).find_map(|(number, step)| {
            let longest =
                matches!(step, Micro::Read { key: of, length, .. } if of == key && length == all);
            longest.then_some((txn, number))
        })
    }

    /// What shows that an unknown transaction took effect.
    fn need_sight_of(&self, needed: &mut Needed, txn: u32) {
        for step in self.steps_of(txn) {
            if let Micro::Append { key, element } = *step
                && self.orders[key as usize].place(element) != NONE
            {
                needed.elements.insert((key, element));
                needed.reads.extend(self.longest_read(key));
                return;
            }
        }
    }

    /// All reads of a key by a transaction.
    pub(super) fn need_reads(&self, needed: &mut Needed, txn: u32, key: u32) {
        let reads = self.numbered_steps(txn).filter(|(_, step)| {
            matches!(step, Micro::Read { key: of, .. } | Micro::Odd { key: of, .. } if *of == key)
        });
        needed.reads.extend(reads.map(|(number, _)| (txn, number)));
    }

    /// Everything about a key that a transaction did or saw.
    pub(super) fn need_all_of(&self, needed: &mut Needed, txn: u32, key: u32) {
        self.need_reads(needed, txn, key);
        for step in self.steps_of(txn) {
            match *step {
                Micro::Append { key: of, element } if of == key => {
                    needed.elements.insert((key, element));
                }
                Micro::Read {
                    key: of, length, ..
                } if of == key => {
                    let shown = &self.orders[key as usize].order()[..length as usize];
                    needed.elements.extend(shown.iter().map(|e| (key, *e)));
                }
                _ => {}
            }
        }
    }

    pub(super) fn tell_anomaly(
        &self,
        anomaly: Anomaly,
        about: u32,
        needed: &Needed,
        words: impl FnOnce() -> String,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        if anomaly.is_allowed_by(self.consistency) {
            return;
        }
        let check = match anomaly {
            Anomaly::RealTime => Check::StaleRead,
            _ => Check::SerializationAnomaly,
        };
        let words = || format!("{}; not {}", words(), anomaly.breaks());
        self.tell(
            (check, anomaly.headline()),
            about,
            needed,
            words,
            timeline,
            cases,
        );
    }

    pub(super) fn tell(
        &self,
        (check, headline): (Check, &'static str),
        about: u32,
        needed: &Needed,
        words: impl FnOnce() -> String,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let at = u64::try_from(self.ops.invoke(about)).unwrap_or(0);
        cases.add_shown(
            check,
            timeline.step_at(at),
            headline,
            || Case {
                words: words(),
                evidence: evidence::of(
                    Model::Append,
                    timeline.phase_at(at),
                    self.involved(about, needed)
                        .into_iter()
                        .take(evidence::OPERATIONS)
                        .map(|txn| self.ops.evidence(txn, &self.operation(txn, None))),
                ),
            },
            || {
                Some(SubHistory {
                    header: Header::new(Model::Append.name()),
                    operations: self
                        .involved(about, needed)
                        .into_iter()
                        .map(|txn| self.operation(txn, Some(needed)))
                        .collect(),
                })
            },
        );
    }

    /// The transactions that what is needed belongs to, as they were sent.
    fn involved(&self, about: u32, needed: &Needed) -> Vec<u32> {
        let mut txns: BTreeSet<u32> = needed.reads.iter().map(|(txn, _)| *txn).collect();
        txns.insert(about);
        for &(key, element) in &needed.elements {
            let order = &self.orders[key as usize];
            let by = [order.writer(element), order.failed(element)];
            txns.extend(by.iter().filter(|txn| **txn != NONE));
        }
        let mut txns: Vec<u32> = txns.into_iter().collect();
        txns.sort_by_key(|txn| (self.ops.invoke(*txn), *txn));
        txns
    }

    /// The transaction as it was in the history, or what is needed of it.
    fn operation(&self, txn: u32, needed: Option<&Needed>) -> Operation {
        let is_needed = |key: u32, element: u32| {
            needed.is_none_or(|needed| needed.elements.contains(&(key, element)))
        };
        let json = |key: u32, element: u32| self.scalars.json(self.scalar(key, element));
        let mut value: Vec<Value> = Vec::new();
        let mut result: Vec<Value> = Vec::new();
        for (number, step) in self.numbered_steps(txn) {
            let (key, list) = match step {
                Micro::Append { key, element } => {
                    if is_needed(key, element) {
                        let step = json!(["append", self.key_name(key), json(key, element)]);
                        value.push(step.clone());
                        result.push(step);
                    }
                    continue;
                }
                Micro::Read { key, length, .. } => {
                    (key, &self.orders[key as usize].order()[..length as usize])
                }
                Micro::Odd { key, odd } => (key, self.odd[odd as usize].as_slice()),
            };
            if needed.is_some_and(|needed| !needed.reads.contains(&(txn, number))) {
                continue;
            }
            let shown = list.iter().filter(|element| is_needed(key, **element));
            let shown: Vec<Value> = shown.map(|element| json(key, *element)).collect();
            value.push(json!(["read", self.key_name(key), null]));
            result.push(json!(["read", self.key_name(key), shown]));
        }
        for &(_, key) in self.no_lists.iter().filter(|(of, _)| *of == txn) {
            value.push(json!(["read", self.key_name(key), null]));
            result.push(json!(["read", self.key_name(key), "no list"]));
        }
        let outcome = self.outcomes[txn as usize];
        let what = What {
            op: Op::Txn,
            key: None,
            value: value.into(),
            result: match outcome {
                Outcome::Ok => result.into(),
                Outcome::Fail | Outcome::Unknown => Value::Null,
            },
            outcome,
        };
        self.ops.operation(txn, what)
    }

    /// `the transaction of client 3 sent at 14.203 s`.
    pub(super) fn txn_words(&self, txn: u32) -> String {
        format!(
            "the transaction of {} sent at {}{}",
            self.ops.name(txn),
            self.ops.sent(txn),
            self.ops.generation(txn, "to")
        )
    }

    pub(super) fn key_name(&self, key: u32) -> &str {
        self.keys.value(key)
    }
}
