//! The set model by mutation: a correct random history passes, and each way of spoiling it is found by name.

use crate::testing::{add, ended, full_read, observed, plan, read};
use changeover_check::Judge;
use changeover_model::check::Check;
use changeover_model::history::{Op, Operation, Outcome, Source};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The names of the findings about a history.
fn checks(history: &[Operation]) -> BTreeSet<Check> {
    let mut judge = Judge::new(&plan(1), "run", String::new());
    for operation in history {
        judge.operation(operation);
    }
    judge.finish().findings.iter().map(|f| f.check).collect()
}

/// An operation before it is known what it answers.
#[derive(Debug, Clone)]
struct Draft {
    client: u64,
    key: u64,
    pause: u64,
    /// When it takes effect after it was sent, and when it returns after that.
    effect: u64,
    rest: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Read,
    Add,
    Unknown { took_effect: bool },
    Failed,
}

fn draft() -> impl Strategy<Value = Draft> {
    let kind = prop_oneof![
        5 => Just(Kind::Read),
        5 => Just(Kind::Add),
        1 => any::<bool>().prop_map(|took_effect| Kind::Unknown { took_effect }),
        1 => Just(Kind::Failed),
    ];
    (0_u64..3, 0_u64..2, 0_u64..20, 1_u64..20, 1_u64..20, kind).prop_map(
        |(client, key, pause, effect, rest, kind)| Draft {
            client,
            key,
            pause,
            effect,
            rest,
            kind,
        },
    )
}

/// What a correct server would have answered: every operation takes effect at one moment between its two ends.
fn history(drafts: &[Draft]) -> Vec<Operation> {
    let mut clocks: BTreeMap<u64, u64> = BTreeMap::new();
    let mut timed: Vec<(u64, u64, u64, &Draft, i64)> = Vec::new();
    for (number, draft) in drafts.iter().enumerate() {
        let clock = clocks.entry(draft.client).or_default();
        let invoke = *clock + 1 + draft.pause;
        let effect = invoke + draft.effect;
        *clock = effect + draft.rest;
        timed.push((effect, invoke, *clock, draft, number as i64));
    }
    timed.sort_by_key(|t| (t.0, t.4));
    let mut sets: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut history = Vec::new();
    for (_, invoke, returned, draft, value) in timed {
        let key = format!("k{}", draft.key);
        let set = sets.entry(key.clone()).or_default();
        let times = (invoke, returned);
        let written = add(draft.client, &key, value, times);
        history.push(match draft.kind {
            Kind::Read => read(draft.client, &key, set, times),
            Kind::Add => {
                set.push(value);
                written
            }
            Kind::Unknown { took_effect } => {
                if took_effect {
                    set.push(value);
                }
                ended(written, Outcome::Unknown)
            }
            Kind::Failed => ended(written, Outcome::Fail),
        });
    }
    let over = clocks.values().max().unwrap_or(&0) + 1;
    for (key, set) in &sets {
        history.push(full_read(key, set, (over, over + 5)));
    }
    // In the order of ending, as a history is written.
    history.sort_by_key(|o| o.ended);
    history
}

/// The places of elements that a mutation may touch: (operation, place in its answer).
fn shown(history: &[Operation], fits: impl Fn(&Operation, i64) -> bool) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    for (index, operation) in history.iter().enumerate() {
        for (place, element) in answer(operation).into_iter().enumerate() {
            if fits(operation, element) {
                places.push((index, place));
            }
        }
    }
    places
}

fn answer(operation: &Operation) -> Vec<i64> {
    let list = operation.result.as_array().cloned().unwrap_or_default();
    list.iter().filter_map(Value::as_i64).collect()
}

fn edit(operation: &mut Operation, edit: impl FnOnce(&mut Vec<i64>)) {
    let mut list = answer(operation);
    edit(&mut list);
    operation.result = json!(list);
}

fn outcome_of(history: &[Operation], value: i64) -> Outcome {
    let write = history.iter().find(|o| o.op == Op::Add && o.value == value);
    write.unwrap().outcome
}

fn pick<T: Copy>(places: &[T], index: &Index) -> Option<T> {
    (!places.is_empty()).then(|| *index.get(places))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_correct_history_passes_and_a_spoiled_one_is_found(
        drafts in prop::collection::vec(draft(), 0..60),
        index in any::<Index>(),
    ) {
        let good = history(&drafts);
        prop_assert_eq!(checks(&good), BTreeSet::new());

        // An acknowledged element is dropped from a full read.
        let places = shown(&good, |o, e| {
            o.source == Some(Source::FullRead) && outcome_of(&good, e) == Outcome::Ok
        });
        if let Some((at, place)) = pick(&places, &index) {
            let mut bad = good.clone();
            edit(&mut bad[at], |list| { list.remove(place); });
            prop_assert_eq!(checks(&bad), BTreeSet::from([Check::LostWrite]));
        }
        // Or one that was never acknowledged, but that a client was shown.
        let places = shown(&good, |o, e| {
            o.source == Some(Source::FullRead)
                && outcome_of(&good, e) == Outcome::Unknown
                && good.iter().any(|before| {
                    before.source == Some(Source::Workload)
                        && before.key == o.key
                        && answer(before).contains(&e)
                })
        });
        if let Some((at, place)) = pick(&places, &index) {
            let mut bad = good.clone();
            edit(&mut bad[at], |list| { list.remove(place); });
            prop_assert_eq!(checks(&bad), BTreeSet::from([Check::LostWrite]));
        }
        // A direct observer that answers like that is right too.
        let mut watched = good.clone();
        for operation in watched.iter_mut().filter(|o| o.op == Op::Read && o.client == Some(0)) {
            *operation = observed(operation.clone(), 1);
        }
        prop_assert_eq!(checks(&watched), BTreeSet::new());
        // But not one that lacks a write, and shows another that was sent when that had been acknowledged.
        let writes = |value: i64| good.iter().find(|o| o.op == Op::Add && o.value == value).unwrap();
        let places = shown(&watched, |o, e| {
            o.source == Some(Source::Observer)
                && outcome_of(&good, e) == Outcome::Ok
                && answer(o).iter().any(|&later| writes(later).invoke > writes(e).returned.unwrap())
        });
        if let Some((at, place)) = pick(&places, &index) {
            let mut bad = watched.clone();
            edit(&mut bad[at], |list| { list.remove(place); });
            prop_assert!(checks(&bad).contains(&Check::InvariantBroken));
        }
        // Any element is shown twice.
        let places = shown(&good, |_, _| true);
        if let Some((at, place)) = pick(&places, &index) {
            let mut bad = good.clone();
            edit(&mut bad[at], |list| list.push(list[place]));
            prop_assert_eq!(checks(&bad), BTreeSet::from([Check::DuplicatedEffect]));
            // Or altered to one that nobody wrote.
            let mut bad = good.clone();
            edit(&mut bad[at], |list| list[place] += 1_000_000);
            prop_assert!(checks(&bad).contains(&Check::InvariantBroken));
        }
        // A failed write shows.
        let failed: Vec<i64> = good
            .iter()
            .filter(|o| o.outcome == Outcome::Fail)
            .filter_map(|o| o.value.as_i64())
            .collect();
        if let Some(value) = pick(&failed, &index) {
            let mut bad = good.clone();
            let write = bad.iter().find(|o| o.value == value).unwrap().clone();
            let full = bad
                .iter_mut()
                .find(|o| o.source == Some(Source::FullRead) && o.key == write.key)
                .unwrap();
            edit(full, |list| list.push(value));
            prop_assert_eq!(checks(&bad), BTreeSet::from([Check::ZombieWrite]));
        }
        // A client's later read lacks what it saw.
        let places = shown(&good, |o, e| {
            o.source == Some(Source::Workload) && good.iter().any(|before| {
                before.source == Some(Source::Workload)
                    && (before.client, &before.key) == (o.client, &o.key)
                    && before.returned < Some(o.invoke)
                    && answer(before).contains(&e)
            })
        });
        if let Some((at, place)) = pick(&places, &index) {
            let mut bad = good.clone();
            edit(&mut bad[at], |list| { list.remove(place); });
            prop_assert_eq!(checks(&bad), BTreeSet::from([Check::NonMonotonicRead]));
        }
    }
}
