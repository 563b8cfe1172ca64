//! What writes did: lost, repeated, out of nowhere.

use super::{AddRecord, ElementState, ReadKind, ReadRecord, SetHistory};
use crate::bits::Bits;
use crate::findings::{Case, Cases};
use crate::ops::NONE;
use crate::stats::seconds;
use crate::timeline::Timeline;
use changeover_model::check::Check;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Acknowledged writes that no full read ever compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uncompared {
    /// How many writes.
    pub(crate) writes: u64,
    /// To how many keys.
    pub(crate) keys: u64,
}

impl SetHistory {
    /// Returns the elements, by key, that are told as lost.
    pub(super) fn check_effects(
        &self,
        timeline: &Timeline,
        cases: &mut Cases,
    ) -> BTreeSet<(u32, u32)> {
        let lost = self.check_lost(timeline, cases);
        self.check_repeats(timeline, cases);
        self.check_origins(timeline, cases);
        for odd in &self.odd {
            let step = timeline.step_at(odd.invoke);
            let key = self.key_name(odd.key);
            cases.add(
                Check::InvariantBroken,
                step,
                "read answered with something that is no list of elements",
                || Case {
                    words: format!("key {key} at {} s", seconds(odd.invoke)),
                    evidence: json!({
                        "op": "read",
                        "process": odd.process,
                        "client": self.sessions.value(odd.session).client,
                        "key": key,
                        "sent_s": seconds(odd.invoke),
                        "returned_s": seconds(odd.returned),
                    }),
                },
            );
        }
        lost
    }

    /// The full reads of each key, ascending by when they were sent.
    fn full_reads(&self) -> Vec<Vec<&ReadRecord>> {
        let mut reads: Vec<Vec<&ReadRecord>> = vec![Vec::new(); self.states.len()];
        for read in self.reads.iter().filter(|r| r.kind == ReadKind::Full) {
            reads[read.key as usize].push(read);
        }
        for of_key in &mut reads {
            of_key.sort_by_key(|r| r.invoke);
        }
        reads
    }

    /// An acknowledged add must be in every full read sent after its answer. A client's read that lacks it is stale,
    /// which shows in the freshness lag.
    fn check_lost(&self, timeline: &Timeline, cases: &mut Cases) -> BTreeSet<(u32, u32)> {
        let full_reads = self.full_reads();
        let mut told: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut lost: Vec<(&ReadRecord, &AddRecord)> = Vec::new();
        for add in self.adds.iter().filter(|add| !add.observer) {
            let Some(acknowledged) = add.acknowledged else {
                continue;
            };
            let later = &full_reads[add.key as usize];
            let from = later.partition_point(|r| r.invoke <= acknowledged);
            if let Some(read) = later[from..]
                .iter()
                .find(|r| !r.shown.contains(add.element))
            {
                told.insert((add.key, add.element));
                lost.push((read, add));
            }
        }
        lost.sort_by_key(|(read, add)| (read.invoke, add.acknowledged));
        for (read, add) in lost {
            let step = timeline.step_at(read.invoke);
            cases.add_shown(
                Check::LostWrite,
                step,
                "acknowledged write missing from a later full read",
                || Case {
                    words: self.element_words(add.key, add.element),
                    evidence: json!({
                        "write": self.add_json(add),
                        "missing_from": self.read_json(read),
                    }),
                },
                || Some(self.small(&[read], &[add.element])),
            );
        }
        told.extend(self.check_vanished(&full_reads, &told, timeline, cases));
        told
    }

    /// What a client was shown took effect, also if the add is `unknown`: it must be in every full read sent after
    /// that answer. `told` are the elements that are lost anyway; those whose origin is a problem are another matter.
    fn check_vanished(
        &self,
        full_reads: &[Vec<&ReadRecord>],
        told: &BTreeSet<(u32, u32)>,
        timeline: &Timeline,
        cases: &mut Cases,
    ) -> Vec<(u32, u32)> {
        let mut vanished: Vec<(&ReadRecord, u32, &ReadRecord)> = Vec::new();
        for (key, seen) in self.client_reads().into_iter().enumerate() {
            let mut due = Bits::default();
            let mut missed = Bits::default();
            let mut answers = seen.iter().peekable();
            for full_read in &full_reads[key] {
                while let Some(answer) = answers.next_if(|a| a.returned < full_read.invoke) {
                    due.union(&answer.shown);
                }
                for element in due.without(&full_read.shown) {
                    if !missed.insert(element) || told.contains(&(key as u32, element)) {
                        continue;
                    }
                    let witness = seen.iter().find(|r| r.shown.contains(element));
                    let state = &self.states[key].elements[element as usize];
                    if let Some(witness) = witness
                        && self.origin_problem(state, witness, timeline).is_none()
                    {
                        vanished.push((full_read, element, witness));
                    }
                }
            }
        }
        vanished.sort_by_key(|(read, element, _)| (read.invoke, read.key, *element));
        for (read, element, witness) in &vanished {
            let state = &self.states[read.key as usize].elements[*element as usize];
            cases.add_shown(
                Check::LostWrite,
                timeline.step_at(read.invoke),
                "element that a client was shown, missing from a later full read",
                || Case {
                    words: format!(
                        "{} was seen at {} s, then vanished",
                        self.element_words(read.key, *element),
                        seconds(witness.returned)
                    ),
                    evidence: json!({
                        "value": self.element_json(read.key, *element),
                        "seen": self.read_json(witness),
                        "missing_from": self.read_json(read),
                        "writes": self.adds_json(state),
                    }),
                },
                || Some(self.small(&[*witness, *read], &[*element])),
            );
        }
        let told = vanished
            .iter()
            .map(|(read, element, _)| (read.key, *element));
        told.collect()
    }

    /// The clients' reads of each key, ascending by when they were answered.
    fn client_reads(&self) -> Vec<Vec<&ReadRecord>> {
        let mut reads: Vec<Vec<&ReadRecord>> = vec![Vec::new(); self.states.len()];
        for read in self.reads.iter().filter(|r| r.kind == ReadKind::Client) {
            reads[read.key as usize].push(read);
        }
        for of_key in &mut reads {
            of_key.sort_by_key(|r| (r.returned, r.invoke, r.process));
        }
        reads
    }

    /// Acknowledged adds of clients that no full read sent after their answer covers; `None` if there are none.
    pub(crate) fn uncompared(&self) -> Option<Uncompared> {
        let last: Vec<Option<u64>> = self
            .full_reads()
            .iter()
            .map(|of_key| of_key.last().map(|r| r.invoke))
            .collect();
        let mut keys = vec![false; self.states.len()];
        let mut writes = 0;
        for add in self.adds.iter().filter(|add| !add.observer) {
            let covered = last[add.key as usize];
            if let Some(at) = add.acknowledged
                && covered.is_none_or(|covered| covered <= at)
            {
                writes += 1;
                keys[add.key as usize] = true;
            }
        }
        (writes > 0).then(|| Uncompared {
            writes,
            keys: keys.iter().filter(|k| **k).count() as u64,
        })
    }

    /// No answer shows an element more often than it was added, also if the add is `unknown`.
    fn check_repeats(&self, timeline: &Timeline, cases: &mut Cases) {
        let mut repeats: Vec<_> = self.repeats.iter().collect();
        repeats.sort_by_key(|(place, repeat)| (self.reads[repeat.read as usize].invoke, **place));
        for (&(key, element), repeat) in repeats {
            let state = &self.states[key as usize].elements[element as usize];
            let adds = self.adds_of(state).filter(|add| !add.failed).count();
            if repeat.times as usize <= adds.max(1) {
                continue;
            }
            let read = &self.reads[repeat.read as usize];
            let step = timeline.step_at(read.invoke);
            cases.add_shown(
                Check::DuplicatedEffect,
                step,
                "element shown more often than it was added",
                || Case {
                    words: format!(
                        "{} {} times",
                        self.element_words(key, element),
                        repeat.times
                    ),
                    evidence: json!({
                        "times": repeat.times,
                        "read": self.read_json(read),
                        "writes": self.adds_json(state),
                    }),
                },
                || Some(self.small_repeated(read, element, repeat.times)),
            );
        }
    }

    /// Every element that is shown was added, by an add that did not fail, and not before it was sent.
    fn check_origins(&self, timeline: &Timeline, cases: &mut Cases) {
        let mut found = Vec::new();
        for (key, state) in self.states.iter().enumerate() {
            for (number, element) in state.elements.iter().enumerate() {
                if element.first_shown == NONE {
                    continue;
                }
                let read = &self.reads[element.first_shown as usize];
                if let Some((check, headline)) = self.origin_problem(element, read, timeline) {
                    found.push((read, key as u32, number as u32, check, headline));
                }
            }
        }
        found.sort_by_key(|(read, key, number, ..)| (read.invoke, *key, *number));
        for (read, key, number, check, headline) in found {
            let state = &self.states[key as usize].elements[number as usize];
            cases.add_shown(
                check,
                timeline.step_at(read.invoke),
                headline,
                || Case {
                    words: self.element_words(key, number),
                    evidence: json!({
                        "value": self.element_json(key, number),
                        "read": self.read_json(read),
                        "writes": self.adds_json(state),
                    }),
                },
                || Some(self.small(&[read], &[number])),
            );
        }
    }

    fn origin_problem(
        &self,
        element: &ElementState,
        read: &ReadRecord,
        timeline: &Timeline,
    ) -> Option<(Check, &'static str)> {
        // An add explains the answer if it may have taken effect before the answer was there.
        let sent = |add: &&AddRecord| add.invoke <= read.returned;
        if self.adds_of(element).filter(sent).any(|add| !add.failed) {
            return None;
        }
        if self.adds_of(element).any(|add| sent(&add)) {
            return Some((Check::ZombieWrite, "element shown whose write had failed"));
        }
        if self.adds_of(element).next().is_some() {
            return Some((
                Check::InvariantBroken,
                "element shown before its write was sent",
            ));
        }
        timeline.history_is_complete().then_some((
            Check::InvariantBroken,
            "element shown that nobody ever wrote",
        ))
    }

    pub(super) fn adds_json(&self, state: &ElementState) -> Vec<Value> {
        self.adds_of(state)
            .take(crate::findings::LISTED)
            .map(|add| self.add_json(add))
            .collect()
    }

    pub(super) fn element_words(&self, key: u32, element: u32) -> String {
        format!(
            "{} of key {}",
            self.element_json(key, element),
            self.key_name(key)
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::set::SetHistory;
    use crate::testing::{add, ended, events, full_read, observed, read};
    use crate::timeline::Timeline;
    use changeover_model::check::Check;
    use changeover_model::event::EventKind;
    use changeover_model::history::{Operation, Outcome};
    use changeover_model::verdict::Finding;

    fn history(operations: &[Operation]) -> SetHistory {
        let mut history = SetHistory::default();
        for operation in operations {
            history.operation(operation);
        }
        history
    }

    fn judge(operations: &[Operation]) -> Vec<Finding> {
        history(operations).judge(&Timeline::default())
    }

    fn checks(operations: &[Operation]) -> Vec<Check> {
        judge(operations).iter().map(|f| f.check).collect()
    }

    #[test]
    fn an_acknowledged_write_must_be_in_every_later_full_read() {
        let write = add(1, "k", 5, (10, 20));
        let lost = judge(&[write.clone(), full_read("k", &[], (21, 30))]);
        assert_eq!(lost[0].check, Check::LostWrite);
        assert!(
            lost[0].message.contains("5 of key k"),
            "{}",
            lost[0].message
        );
        let case = &lost[0].evidence["cases"][0];
        assert_eq!(case["write"]["value"], 5);
        assert_eq!(case["write"]["client"], 1);
        assert_eq!(case["missing_from"]["process"], 9000);
        // Shown again by the next full read: it was gone all the same.
        assert_eq!(
            checks(&[
                write.clone(),
                full_read("k", &[], (21, 30)),
                full_read("k", &[5], (31, 40))
            ]),
            [Check::LostWrite]
        );
        for fine in [
            full_read("k", &[5], (21, 30)),
            // Sent before the answer was there: either is right.
            full_read("k", &[], (20, 30)),
            // Not a full read: stale, which is another matter.
            read(2, "k", &[], (21, 30)),
        ] {
            assert_eq!(checks(&[write.clone(), fine]), []);
        }
    }

    #[test]
    fn a_write_that_is_not_acknowledged_may_be_missing() {
        for outcome in [Outcome::Fail, Outcome::Unknown] {
            let write = ended(add(1, "k", 5, (10, 20)), outcome);
            assert_eq!(checks(&[write, full_read("k", &[], (21, 30))]), []);
        }
    }

    #[test]
    fn what_a_client_was_shown_must_be_in_every_later_full_read() {
        let unknown = ended(add(1, "k", 5, (10, 20)), Outcome::Unknown);
        let seen = read(2, "k", &[5], (30, 40));
        let gone = full_read("k", &[], (41, 50));
        let found = judge(&[unknown.clone(), seen.clone(), gone.clone()]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].check, Check::LostWrite);
        assert!(
            found[0]
                .message
                .ends_with("5 of key k was seen at 0 s, then vanished"),
            "{}",
            found[0].message
        );
        let case = &found[0].evidence["cases"][0];
        assert_eq!(case["seen"]["client"], 2);
        assert_eq!(case["missing_from"]["process"], 9000);
        assert_eq!(case["writes"][0]["outcome"], "unknown");
        // Told once, however often it is missing, and also if it came back.
        let again = full_read("k", &[], (51, 60));
        let back = full_read("k", &[5], (61, 70));
        let operations = [unknown.clone(), seen.clone(), gone.clone(), again, back];
        let found = judge(&operations);
        assert_eq!(found[0].message.split("×").next(), Some("1"));
        // An add that was acknowledged only later: no full read has to show it before, but this answer did.
        let slow = add(1, "k", 5, (10, 90));
        assert_eq!(
            checks(&[slow, seen.clone(), gone.clone()]),
            [Check::LostWrite]
        );
        // A lost acknowledged write is not told twice.
        let acknowledged = add(1, "k", 5, (10, 20));
        let found = judge(&[acknowledged, seen.clone(), gone.clone()]);
        assert_eq!(found.len(), 1);
        for fine in [
            // Answered only when the full read had been sent.
            [read(2, "k", &[5], (30, 41)), gone.clone()],
            [seen.clone(), full_read("k", &[5], (41, 50))],
            // An observer sees what is not there for clients yet.
            [observed(seen.clone(), 1), gone.clone()],
        ] {
            assert_eq!(
                checks(&[std::slice::from_ref(&unknown), &fine].concat()),
                []
            );
        }
        // What should never have been there may go again.
        let failed = ended(add(1, "k", 5, (10, 20)), Outcome::Fail);
        assert_eq!(
            checks(&[failed, seen.clone(), gone.clone()]),
            [Check::ZombieWrite]
        );
        assert_eq!(checks(&[seen, gone]), [Check::InvariantBroken]);
    }

    #[test]
    fn observers_writes_are_not_expected_in_full_reads() {
        let write = observed(add(1, "k", 5, (10, 20)), 1);
        let history = history(&[write, full_read("k", &[], (21, 30))]);
        assert!(history.judge(&Timeline::default()).is_empty());
        assert_eq!(history.uncompared(), None);
    }

    #[test]
    fn an_element_twice_is_a_duplicated_effect_even_of_an_unknown_write() {
        for outcome in [Outcome::Ok, Outcome::Unknown] {
            let write = ended(add(1, "k", 5, (10, 20)), outcome);
            let other = add(1, "k", 6, (21, 25));
            let twice = read(2, "k", &[5, 6, 5], (30, 40));
            let found = judge(&[write.clone(), other.clone(), twice]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].check, Check::DuplicatedEffect);
            assert!(found[0].message.contains("5 of key k 2 times"));
            assert_eq!(checks(&[write, other, read(2, "k", &[5, 6], (30, 40))]), []);
        }
    }

    #[test]
    fn an_element_added_twice_may_show_twice_but_failures_do_not_count() {
        let operations = |second: Outcome| {
            [
                add(1, "k", 5, (10, 20)),
                ended(add(1, "k", 5, (21, 25)), second),
                read(2, "k", &[5, 5], (30, 40)),
            ]
        };
        assert_eq!(checks(&operations(Outcome::Unknown)), []);
        assert_eq!(
            checks(&operations(Outcome::Fail)),
            [Check::DuplicatedEffect]
        );
    }

    #[test]
    fn the_effect_of_a_failed_write_is_a_zombie() {
        let failed = ended(add(1, "k", 5, (10, 20)), Outcome::Fail);
        let shown = read(2, "k", &[5], (30, 40));
        assert_eq!(
            checks(&[failed.clone(), shown.clone()]),
            [Check::ZombieWrite]
        );
        let unknown = ended(add(1, "k", 5, (10, 20)), Outcome::Unknown);
        assert_eq!(checks(&[unknown, shown.clone()]), []);
        // A second attempt that may have worked explains it.
        let again = ended(add(1, "k", 5, (21, 29)), Outcome::Unknown);
        assert_eq!(checks(&[failed, shown, again]), []);
    }

    #[test]
    fn an_element_out_of_nowhere_breaks_the_invariant() {
        let shown = read(2, "k", &[5], (30, 40));
        assert_eq!(
            checks(std::slice::from_ref(&shown)),
            [Check::InvariantBroken]
        );
        let sent_later = add(1, "k", 5, (41, 50));
        assert_eq!(
            checks(&[shown.clone(), sent_later]),
            [Check::InvariantBroken]
        );
        // Recorded later because it ended later, but under way when the answer came.
        let under_way = add(1, "k", 5, (40, 50));
        assert_eq!(checks(&[shown.clone(), under_way]), []);
        // The first answer counts, whatever the order of the records.
        let later = read(3, "k", &[5], (90, 100));
        let sent_between = add(1, "k", 5, (50, 60));
        assert_eq!(
            checks(&[later, shown, sent_between]),
            [Check::InvariantBroken]
        );
    }

    #[test]
    fn without_the_end_of_the_load_unknown_elements_prove_nothing() {
        let history = history(&[read(2, "k", &[5], (30, 40))]);
        let mut e = events();
        e.at(1).push(EventKind::LoadIntent);
        assert!(history.judge(&Timeline::new(&e.list)).is_empty());
        e.at(50).push(EventKind::LoadEndDone);
        assert_eq!(history.judge(&Timeline::new(&e.list)).len(), 1);
    }

    #[test]
    fn an_answer_of_another_shape_breaks_the_invariant() {
        let mut odd = read(2, "k", &[], (30, 40));
        odd.result = serde_json::json!("elephant");
        assert_eq!(checks(std::slice::from_ref(&odd)), [Check::InvariantBroken]);
        odd.result = serde_json::Value::Null;
        assert_eq!(checks(&[odd]), []);
    }

    #[test]
    fn what_was_never_compared_is_counted() {
        let operations = [
            add(1, "a", 1, (10, 20)),
            add(1, "b", 2, (21, 30)),
            add(1, "b", 3, (41, 50)),
            ended(add(1, "c", 4, (41, 50)), Outcome::Unknown),
            full_read("b", &[2], (31, 40)),
        ];
        let uncompared = history(&operations).uncompared().unwrap();
        assert_eq!((uncompared.writes, uncompared.keys), (2, 2));
    }

    #[test]
    fn other_models_are_left_alone() {
        let mut other = read(2, "k", &[5, 5], (30, 40));
        other.model = Some("append".to_owned());
        assert_eq!(checks(&[other]), []);
    }
}
