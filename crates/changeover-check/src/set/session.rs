//! What clients may rely on from one answer to the next, and observers within one answer.

use super::{ReadKind, ReadRecord, SetHistory};
use crate::bits::Bits;
use crate::findings::{Case, Cases};
use crate::timeline::Timeline;
use changeover_model::check::Check;
use serde_json::json;
use std::collections::BTreeMap;

/// An add, as far as prefixes care.
struct Added {
    writer: u32,
    invoke: u64,
    acknowledged: Option<u64>,
    element: u32,
}

impl SetHistory {
    pub(super) fn check_sessions(&self, timeline: &Timeline, cases: &mut Cases) {
        self.check_monotonic(timeline, cases);
        self.check_prefixes(timeline, cases);
    }

    /// What a client saw of a key, it sees in every read of that key that it sends later.
    fn check_monotonic(&self, timeline: &Timeline, cases: &mut Cases) {
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
            for read in &sent {
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
                        found.push((read, element, witness));
                    }
                }
            }
        }
        found.sort_by_key(|(read, element, _)| (read.invoke, read.session, read.key, *element));
        for (read, element, witness) in found {
            cases.add(
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
            );
        }
    }

    /// An observer may lag, but what it shows is a state that once was: with a writer's add it shows every
    /// acknowledged add that the same writer had finished before it sent this one.
    fn check_prefixes(&self, timeline: &Timeline, cases: &mut Cases) {
        let mut added = self.added_by_key();
        let mut found = Vec::new();
        for read in &self.reads {
            if read.kind != ReadKind::Observer {
                continue;
            }
            let of_key = added.entry(read.key).or_default();
            for of_writer in of_key.chunk_by(|a, b| a.writer == b.writer) {
                let shown = of_writer.iter().filter(|a| read.shown.contains(a.element));
                let Some(latest) = shown.max_by_key(|a| a.invoke) else {
                    continue;
                };
                let missing = of_writer.iter().find(|a| {
                    !read.shown.contains(a.element)
                        && a.acknowledged.is_some_and(|at| at < latest.invoke)
                });
                if let Some(missing) = missing {
                    found.push((read, missing.element, latest.element));
                }
            }
        }
        found.sort_by_key(|(read, missing, _)| (read.invoke, read.session, read.key, *missing));
        for (read, missing, shown) in found {
            let evidence = |number: u32| {
                let state = &self.states[read.key as usize].elements[number as usize];
                self.adds_of(state).next().map(|add| self.add_json(add))
            };
            cases.add(
                Check::InvariantBroken,
                timeline.step_at(read.invoke),
                "answer to a direct observer that is no prefix of a writer's writes",
                || Case {
                    words: format!(
                        "lacks {} but shows {}",
                        self.element_words(read.key, missing),
                        self.element_json(read.key, shown)
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

    /// The adds to the keys that observers read, by writer. An element added more than once is left out: which of
    /// its adds an answer shows cannot be told.
    fn added_by_key(&self) -> BTreeMap<u32, Vec<Added>> {
        let mut added: BTreeMap<u32, Vec<Added>> = self
            .reads
            .iter()
            .filter(|r| r.kind == ReadKind::Observer)
            .map(|r| (r.key, Vec::new()))
            .collect();
        for add in &self.adds {
            let Some(of_key) = added.get_mut(&add.key) else {
                continue;
            };
            let state = &self.states[add.key as usize].elements[add.element as usize];
            if self.adds_of(state).nth(1).is_none() {
                of_key.push(Added {
                    writer: add.session,
                    invoke: add.invoke,
                    acknowledged: add.acknowledged,
                    element: add.element,
                });
            }
        }
        for of_key in added.values_mut() {
            of_key.sort_by_key(|a| (a.writer, a.invoke));
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
    fn what_an_observer_sees_is_a_prefix_of_each_writer() {
        let first = add(1, "k", 5, (10, 20));
        let second = add(1, "k", 6, (21, 30));
        let hole = read(2, "k", &[6], (40, 50));
        let found = judge(&[first.clone(), second.clone(), observed(hole.clone(), 1)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].check, Check::InvariantBroken);
        assert!(found[0].message.contains("lacks 5 of key k but shows 6"));
        for fine in [
            // Lagging is allowed.
            [
                first.clone(),
                second.clone(),
                observed(read(2, "k", &[5], (40, 50)), 1),
            ],
            [
                first.clone(),
                second.clone(),
                observed(read(2, "k", &[], (40, 50)), 1),
            ],
            // Through the front door this is staleness, not judged here.
            [first.clone(), second.clone(), hole.clone()],
            // Other writers are in no order with each other.
            [
                add(3, "k", 5, (10, 20)),
                second.clone(),
                observed(hole.clone(), 1),
            ],
            // Not acknowledged, so perhaps never there.
            [
                ended(first.clone(), Outcome::Unknown),
                second.clone(),
                observed(hole.clone(), 1),
            ],
            // Not finished before the other was sent.
            [
                add(1, "k", 5, (10, 21)),
                second.clone(),
                observed(hole.clone(), 1),
            ],
        ] {
            assert_eq!(checks(&fine), []);
        }
        // Added again: which of the two adds is shown cannot be told.
        let again = add(1, "k", 5, (31, 40));
        let shown = observed(read(2, "k", &[5], (41, 50)), 1);
        assert_eq!(checks(&[first, second, again, shown]), []);
    }
}
