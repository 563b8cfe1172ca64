//! What one read gives away without any graph.

use super::anomaly::Anomaly;
use super::stories::Needed;
use super::{AppendHistory, Micro};
use crate::findings::Cases;
use crate::ops::NONE;
use crate::timeline::Timeline;
use changeover_model::check::Check;
use std::collections::BTreeMap;

impl AppendHistory {
    pub(super) fn check_single(&self, timeline: &Timeline, complete: bool, cases: &mut Cases) {
        self.check_origins(timeline, complete, cases);
        self.check_parts(timeline, cases);
        for (index, list) in self.odd.iter().enumerate() {
            self.tell_odd(index as u32, list, timeline, cases);
        }
        for &(txn, key, element) in &self.repeated {
            let words = || {
                format!(
                    "{} read {} twice in key {}",
                    self.txn_words(txn),
                    self.scalars.words(self.scalar(key, element)),
                    self.key_name(key)
                )
            };
            let mut needed = Needed::default();
            needed.elements.insert((key, element));
            self.need_reads(&mut needed, txn, key);
            let headline = "element that a list shows twice";
            self.tell(
                (Check::DuplicatedEffect, headline),
                txn,
                &needed,
                words,
                timeline,
                cases,
            );
        }
        for &(txn, key) in &self.no_lists {
            let words = || format!("{} read key {}", self.txn_words(txn), self.key_name(key));
            let headline = "read that was answered with no list";
            self.tell(
                (Check::InvariantBroken, headline),
                txn,
                &Needed::default(),
                words,
                timeline,
                cases,
            );
        }
        for (anomaly, found) in [
            (Anomaly::Internal, &self.own_missing),
            (Anomaly::Unrepeatable, &self.unrepeatable),
        ] {
            for &(txn, key) in found {
                let words = || format!("{} in key {}", self.txn_words(txn), self.key_name(key));
                let mut needed = Needed::default();
                self.need_all_of(&mut needed, txn, key);
                self.tell_anomaly(anomaly, txn, &needed, words, timeline, cases);
            }
        }
    }

    /// Every element that was read was appended, by a transaction that did not fail.
    fn check_origins(&self, timeline: &Timeline, complete: bool, cases: &mut Cases) {
        // The earliest read of each key that needs one.
        let mut wanted: BTreeMap<(u32, u32), Option<u32>> = BTreeMap::new();
        for (key, order) in self.orders.iter().enumerate() {
            for element in order.seen().filter(|e| order.writer(*e) == NONE) {
                wanted.insert((key as u32, order.place(element)), None);
            }
        }
        if wanted.is_empty() {
            return;
        }
        for txn in 0..self.ops.len() as u32 {
            for step in self.steps_of(txn) {
                if let Micro::Read { key, length, .. } = *step {
                    for (_, reader) in wanted.range_mut((key, 0)..(key, length)) {
                        reader.get_or_insert(txn);
                    }
                }
            }
        }
        for ((key, place), reader) in wanted {
            let Some(txn) = reader else { continue };
            let order = &self.orders[key as usize];
            let element = order.at(place);
            let failed = order.failed(element);
            let mut needed = Needed::default();
            needed.elements.insert((key, element));
            self.need_reads(&mut needed, txn, key);
            let what = || {
                format!(
                    "{} read {} in key {}",
                    self.txn_words(txn),
                    self.scalars.words(self.scalar(key, element)),
                    self.key_name(key)
                )
            };
            if failed != NONE {
                let words = || {
                    format!(
                        "{}, which {} had not appended",
                        what(),
                        self.txn_words(failed)
                    )
                };
                self.tell_anomaly(Anomaly::G1a, txn, &needed, words, timeline, cases);
            } else if complete {
                let headline = "element read that nobody appended";
                self.tell(
                    (Check::InvariantBroken, headline),
                    txn,
                    &needed,
                    what,
                    timeline,
                    cases,
                );
            }
        }
    }

    /// No list ends amid what another transaction appended to it.
    fn check_parts(&self, timeline: &Timeline, cases: &mut Cases) {
        for txn in 0..self.ops.len() as u32 {
            for step in self.steps_of(txn) {
                let Micro::Read { key, length, own } = *step else {
                    continue;
                };
                let order = &self.orders[key as usize];
                if length == own || order.is_ambiguous() {
                    continue;
                }
                let last = order.at(length - own - 1);
                let writer = order.writer(last);
                if writer == NONE || writer == txn {
                    continue;
                }
                let first = self.starts[writer as usize];
                let rest = &self.steps_of(writer)[(order.step(last) - first) as usize + 1..];
                let later = rest.iter().find_map(|step| match *step {
                    Micro::Append { key: of, element } if of == key => Some(element),
                    _ => None,
                });
                let Some(later) = later else { continue };
                let mut needed = Needed::default();
                needed.elements.extend([(key, last), (key, later)]);
                self.need_reads(&mut needed, txn, key);
                let words = || {
                    format!(
                        "{} read {} in key {}, without {} that {} appended with it",
                        self.txn_words(txn),
                        self.scalars.words(self.scalar(key, last)),
                        self.key_name(key),
                        self.scalars.words(self.scalar(key, later)),
                        self.txn_words(writer)
                    )
                };
                self.tell_anomaly(Anomaly::G1b, txn, &needed, words, timeline, cases);
            }
        }
    }

    fn tell_odd(&self, odd: u32, list: &[u32], timeline: &Timeline, cases: &mut Cases) {
        let reader = (0..self.ops.len() as u32).find_map(|txn| {
            self.steps_of(txn).iter().find_map(|step| match *step {
                Micro::Odd { key, odd: of } if of == odd => Some((txn, key)),
                _ => None,
            })
        });
        let Some((txn, key)) = reader else { return };
        let order = self.orders[key as usize].order();
        let mut both = list.iter().zip(order);
        let Some((mine, theirs)) = both.find(|(mine, theirs)| mine != theirs) else {
            // It only shows something twice, which is told.
            return;
        };
        let mut needed = Needed::default();
        needed.elements.extend([(key, *mine), (key, *theirs)]);
        self.need_reads(&mut needed, txn, key);
        if let Some(other) = self.longest_read(key) {
            needed.reads.insert(other);
        }
        let words = || {
            format!(
                "{} read {} in key {}, where others read {}",
                self.txn_words(txn),
                self.scalars.words(self.scalar(key, *mine)),
                self.key_name(key),
                self.scalars.words(self.scalar(key, *theirs))
            )
        };
        self.tell_anomaly(
            Anomaly::IncompatibleOrder,
            txn,
            &needed,
            words,
            timeline,
            cases,
        );
    }
}
