//! What clients may rely on from one answer to the next, and observers within one answer.

use super::{ReadKind, ReadRecord, SetHistory};
use crate::bits::Bits;
use crate::findings::{Case, Cases};
use crate::intern::FastMap;
use crate::stats::seconds;
use crate::timeline::Timeline;
use changeover_model::check::Check;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The adds to a key, as far as prefixes care. An element added more than once is left out: which of its adds an
/// answer shows cannot be told. So are the observers' own.
#[derive(Default)]
struct Added {
    /// When each element's add was sent.
    sent: FastMap<u32, u64>,
    /// The acknowledged ones with their elements, ascending.
    acknowledged: Vec<(u64, u32)>,
}

impl Added {
    /// The add among these elements that was sent last.
    fn last_sent(&self, elements: Vec<u32>) -> Option<(u64, u32)> {
        let sent = |element| Some((*self.sent.get(&element)?, element));
        elements.into_iter().filter_map(sent).max()
    }
}

impl SetHistory {
    /// Returns the reads, by number, with the elements that they are told to lack.
    pub(super) fn check_sessions(
        &self,
        timeline: &Timeline,
        cases: &mut Cases,
    ) -> BTreeSet<(u32, u32)> {
        let told = self.check_monotonic(timeline, cases);
        self.check_prefixes(timeline, cases);
        told
    }

    /// What a client saw of a key, it sees in every read of that key that it sends later.
    fn check_monotonic(&self, timeline: &Timeline, cases: &mut Cases) -> BTreeSet<(u32, u32)> {
        let mut told = BTreeSet::new();
        let mut order: Vec<u32> = (0..self.reads.len() as u32).collect();
        order.sort_unstable_by_key(|&r| {
            let read = &self.reads[r as usize];
            (read.session, read.key, read.invoke, r)
        });
        let mut found: Vec<(&ReadRecord, u32, &ReadRecord)> = Vec::new();
        for group in order.chunk_by(|&a, &b| {
            let (a, b) = (&self.reads[a as usize], &self.reads[b as usize]);
            (a.session, a.key) == (b.session, b.key)
        }) {
            let sent: Vec<&ReadRecord> = group.iter().map(|&r| &self.reads[r as usize]).collect();
            // One client has one operation in flight, so both orders agree; foreign histories may not keep to it.
            let mut ended = sent.clone();
            ended.sort_by_key(|r| r.returned);
            let mut ended = ended.into_iter().peekable();
            let mut seen = Bits::default();
            for (place, read) in sent.iter().enumerate() {
                while let Some(earlier) = ended.next_if(|e| e.returned < read.invoke) {
                    seen.union(&earlier.shown);
                }
                for element in seen.without(&read.shown) {
                    // Told once; it counts again if it comes back and goes again.
                    seen.remove(element);
                    let witness = sent
                        .iter()
                        .rev()
                        .find(|r| r.returned < read.invoke && r.shown.contains(element));
                    if let Some(witness) = witness {
                        told.insert((group[place], element));
                        found.push((read, element, witness));
                    }
                }
            }
        }
        found.sort_by_key(|(read, element, _)| (read.invoke, read.session, read.key, *element));
        for (read, element, witness) in found {
            cases.add_shown(
                Check::NonMonotonicRead,
                timeline.step_at(read.invoke),
                "element seen by a client and missing from its later read",
                || Case {
                    words: self.element_words(read.key, element),
                    evidence: json!({
                        "value": self.element_json(read.key, element),
                        "seen": self.read_json(witness),
                        "missing": self.read_json(read),
                    }),
                },
                || Some(self.small(&[witness, read], &[element])),
            );
        }
        told
    }

    /// An observer may lag, but what it shows is a state that once was: with an add it shows every add of that key,
    /// by whomever, that had been acknowledged before this one was sent. It is enough to look at the add that was
    /// sent last. The adds before the first one missing are all shown, so this takes as long as the answer is.
    fn check_prefixes(&self, timeline: &Timeline, cases: &mut Cases) {
        let added = self.added_by_key();
        let mut found = Vec::new();
        for read in &self.reads {
            if read.kind != ReadKind::Observer {
                continue;
            }
            let Some(of_key) = added.get(&read.key) else {
                continue;
            };
            let shown = read.shown.without(&Bits::default());
            let Some((sent, latest)) = of_key.last_sent(shown) else {
                continue;
            };
            let missing = of_key
                .acknowledged
                .iter()
                .take_while(|(at, _)| *at < sent)
                .find(|(_, element)| !read.shown.contains(*element));
            if let Some(&(acknowledged, missing)) = missing {
                found.push((read, (missing, acknowledged), (latest, sent)));
            }
        }
        found
            .sort_by_key(|(read, (missing, _), _)| (read.invoke, read.session, read.key, *missing));
        for (read, (missing, acknowledged), (shown, sent)) in found {
            let evidence = |number: u32| {
                let state = &self.states[read.key as usize].elements[number as usize];
                self.adds_of(state).next().map(|add| self.add_json(add))
            };
            cases.add(
                Check::InvariantBroken,
                timeline.step_at(read.invoke),
                "answer to a direct observer that is no prefix of the writes",
                || Case {
                    words: format!(
                        "lacks {}, acknowledged at {} s, but shows {}, sent at {} s",
                        self.element_words(read.key, missing),
                        seconds(acknowledged),
                        self.element_json(read.key, shown),
                        seconds(sent)
                    ),
                    evidence: json!({
                        "read": self.read_json(read),
                        "missing": evidence(missing),
                        "shown": evidence(shown),
                    }),
                },
            );
        }
    }

    /// The adds to the keys that observers read.
    fn added_by_key(&self) -> BTreeMap<u32, Added> {
        let mut added: BTreeMap<u32, Added> = self
            .reads
            .iter()
            .filter(|r| r.kind == ReadKind::Observer)
            .map(|r| (r.key, Added::default()))
            .collect();
        for add in self.adds.iter().filter(|add| !add.observer) {
            let Some(of_key) = added.get_mut(&add.key) else {
                continue;
            };
            let state = &self.states[add.key as usize].elements[add.element as usize];
            if self.adds_of(state).nth(1).is_none() {
                of_key.sent.insert(add.element, add.invoke);
                of_key
                    .acknowledged
                    .extend(add.acknowledged.map(|at| (at, add.element)));
            }
        }
        for of_key in added.values_mut() {
            of_key.acknowledged.sort_unstable();
        }
        added
    }
}

#[cfg(test)]
mod tests {
    use crate::set::SetHistory;
    use crate::testing::{add, ended, observed, read};
    use crate::timeline::Timeline;
    use changeover_model::check::Check;
    use changeover_model::history::{Operation, Outcome};
    use changeover_model::verdict::Finding;

    /// A microsecond, which is as fine as findings tell time.
    const US: u64 = 1_000;

    fn judge(operations: &[Operation]) -> Vec<Finding> {
        let mut history = SetHistory::default();
        for operation in operations {
            history.operation(operation);
        }
        history.judge(&Timeline::default())
    }

    fn checks(operations: &[Operation]) -> Vec<Check> {
        judge(operations).iter().map(|f| f.check).collect()
    }

    #[test]
    fn a_client_that_saw_an_element_sees_it_again() {
        let write = add(1, "k", 5, (10, 20));
        let saw = read(2, "k", &[5], (30, 40));
        let found = judge(&[write.clone(), saw.clone(), read(2, "k", &[], (41, 50))]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].check, Check::NonMonotonicRead);
        let case = &found[0].evidence["cases"][0];
        assert_eq!(case["seen"]["returned_s"], 0.0);
        assert_eq!(case["missing"]["client"], 2);
        for fine in [
            // Another client.
            read(3, "k", &[], (41, 50)),
            // Another key.
            read(2, "q", &[], (41, 50)),
            // Sent before the first answer was there.
            read(2, "k", &[], (40, 50)),
            // Failed.
            ended(read(2, "k", &[], (41, 50)), Outcome::Fail),
        ] {
            assert_eq!(checks(&[write.clone(), saw.clone(), fine]), []);
        }
    }

    #[test]
    fn sessions_follow_the_client_not_the_process() {
        let write = add(1, "k", 5, (10, 20));
        let saw = read(2, "k", &[5], (30, 40));
        let later = Operation {
            process: 77,
            ..read(2, "k", &[], (41, 50))
        };
        assert_eq!(checks(&[write, saw, later]), [Check::NonMonotonicRead]);
    }

    #[test]
    fn a_late_answer_counts_from_when_it_was_there() {
        // Recorded in the order of ending; the read that saw the element ended only after the other was sent.
        let operations = [
            add(1, "k", 5, (10, 20)),
            read(2, "k", &[], (45, 50)),
            read(2, "k", &[5], (30, 60)),
            read(2, "k", &[], (61, 70)),
        ];
        assert_eq!(checks(&operations[..3]), []);
        assert_eq!(checks(&operations), [Check::NonMonotonicRead]);
    }

    #[test]
    fn observers_are_judged_for_monotonicity_too() {
        let operations = [
            add(1, "k", 5, (10, 20)),
            observed(read(2, "k", &[5], (30, 40)), 1),
            observed(read(2, "k", &[], (41, 50)), 1),
        ];
        assert_eq!(checks(&operations), [Check::NonMonotonicRead]);
        // Another generation may lag behind.
        let mut operations = operations.to_vec();
        operations[2] = observed(read(2, "k", &[], (41, 50)), 2);
        assert_eq!(checks(&operations), []);
    }

    #[test]
    fn what_an_observer_sees_is_a_prefix_of_the_writes() {
        let first = add(1, "k", 5, (10 * US, 20 * US));
        let second = add(1, "k", 6, (21 * US, 30 * US));
        let hole = read(2, "k", &[6], (40 * US, 50 * US));
        let found = judge(&[first.clone(), second.clone(), observed(hole.clone(), 1)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].check, Check::InvariantBroken);
        assert!(
            found[0].message.ends_with(
                "lacks 5 of key k, acknowledged at 0.00002 s, but shows 6, sent at 0.000021 s"
            ),
            "{}",
            found[0].message
        );
        for fine in [
            // Lagging is allowed.
            [
                first.clone(),
                second.clone(),
                observed(read(2, "k", &[5], (40 * US, 50 * US)), 1),
            ],
            [
                first.clone(),
                second.clone(),
                observed(read(2, "k", &[], (40 * US, 50 * US)), 1),
            ],
            // Through the front door this is staleness, not judged here.
            [first.clone(), second.clone(), hole.clone()],
            // Not acknowledged, so perhaps never there.
            [
                ended(first.clone(), Outcome::Unknown),
                second.clone(),
                observed(hole.clone(), 1),
            ],
            // Not finished before the other was sent.
            [
                add(1, "k", 5, (10 * US, 21 * US)),
                second.clone(),
                observed(hole.clone(), 1),
            ],
        ] {
            assert_eq!(checks(&fine), []);
        }
        // Other writers' adds are in the same order of time.
        let of_another = add(3, "k", 5, (10 * US, 20 * US));
        assert_eq!(
            checks(&[
                of_another.clone(),
                second.clone(),
                observed(hole.clone(), 1)
            ]),
            [Check::InvariantBroken]
        );
        // As long as one ended before the other began.
        let at_once = add(3, "k", 5, (10 * US, 21 * US));
        assert_eq!(
            checks(&[at_once, second.clone(), observed(hole.clone(), 1)]),
            []
        );
        // One answer is told once, with what was acknowledged first; a direct observer's add is not missed.
        let own = observed(add(9, "k", 4, (US, 2 * US)), 1);
        let third = add(4, "k", 7, (5 * US, 15 * US));
        let found = judge(&[
            own,
            of_another,
            third,
            second.clone(),
            observed(hole.clone(), 1),
        ]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].message.starts_with("1×") && found[0].message.contains("lacks 7 of key k"),
            "{}",
            found[0].message
        );
        // Added again: which of the two adds is shown cannot be told.
        let again = add(1, "k", 5, (31 * US, 40 * US));
        let shown = observed(read(2, "k", &[5], (41 * US, 50 * US)), 1);
        assert_eq!(checks(&[first, second, again, shown]), []);
    }
}
