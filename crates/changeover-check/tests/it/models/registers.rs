//! Registers against the oracle.

use super::{Slot, cases, check, oracle, slot, small_histories_fail, timed};
use crate::testing::operation;
use changeover_model::check::Check;
use changeover_model::history::{Op, Operation};
use changeover_model::verdict::VerdictOutcome;
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Debug, Clone)]
enum Draft {
    Read(Option<i64>),
    Write(i64),
    Cas(i64, i64, bool),
}

fn explained(history: &[Operation]) -> bool {
    oracle::explained(
        history,
        &Value::Null,
        &|state: &Value, o: &Operation| match o.op {
            Op::Read => (*state == o.result).then(|| state.clone()),
            Op::Write => Some(o.value.clone()),
            _ => match (*state == o.value[0], &o.result) {
                (true, Value::Bool(false)) => None,
                (true, _) => Some(o.value[1].clone()),
                (false, Value::Bool(false)) => Some(state.clone()),
                (false, _) => None,
            },
        },
    )
}

fn history(drafts: &[(Slot, Draft)]) -> Vec<Operation> {
    timed(drafts, |process, times, draft| match draft {
        Draft::Read(shown) => Operation {
            result: json!(shown),
            ..operation(Op::Read, process, "k", times)
        },
        Draft::Write(value) => Operation {
            value: json!(value),
            ..operation(Op::Write, process, "k", times)
        },
        Draft::Cas(expected, new, swapped) => Operation {
            value: json!([expected, new]),
            result: json!(swapped),
            ..operation(Op::Cas, process, "k", times)
        },
    })
}

/// Every write another value: its number.
fn unique() -> impl Strategy<Value = Vec<(Slot, Draft)>> {
    let draft = prop_oneof![
        prop::option::of(0_i64..5).prop_map(Draft::Read),
        Just(Draft::Write(0)),
    ];
    prop::collection::vec((slot(), draft), 1..8).prop_map(|mut drafts| {
        let mut number = 0;
        for (_, draft) in &mut drafts {
            if let Draft::Write(value) = draft {
                *value = number;
                number += 1;
            }
        }
        drafts
    })
}

fn repeated() -> impl Strategy<Value = Vec<(Slot, Draft)>> {
    let draft = prop_oneof![
        3 => prop::option::of(0_i64..3).prop_map(Draft::Read),
        2 => (0_i64..3).prop_map(Draft::Write),
        2 => (0_i64..3, 0_i64..3, any::<bool>()).prop_map(|(e, n, ok)| Draft::Cas(e, n, ok)),
    ];
    prop::collection::vec((slot(), draft), 1..8)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn unique_values_are_judged_as_the_oracle_judges(drafts in unique()) {
        let history = history(&drafts);
        let report = check("register", &history);
        let expected = match explained(&history) {
            true => VerdictOutcome::Pass,
            false => VerdictOutcome::Fail,
        };
        prop_assert_eq!(report.outcome, expected, "{:?}", report.findings);
        small_histories_fail(&report)?;
    }

    #[test]
    fn repeated_values_and_swaps_are_judged_as_the_oracle_judges(drafts in repeated()) {
        let history = history(&drafts);
        let report = check("register", &history);
        let expected = match explained(&history) {
            true => VerdictOutcome::Pass,
            false => VerdictOutcome::Fail,
        };
        prop_assert_eq!(report.outcome, expected, "{:?}", report.findings);
        small_histories_fail(&report)?;
    }
}

fn write(process: u64, value: i64, times: (u64, u64)) -> Operation {
    Operation {
        value: json!(value),
        ..operation(Op::Write, process, "k7", times)
    }
}

fn read(process: u64, value: i64, times: (u64, u64)) -> Operation {
    Operation {
        result: json!(value),
        ..operation(Op::Read, process, "k7", times)
    }
}

/// Nanoseconds of so many milliseconds.
fn ms(from: u64, to: u64) -> (u64, u64) {
    (from * 1_000_000, to * 1_000_000)
}

#[test]
fn a_finding_says_what_happened() {
    let mut stale = read(3, 12, ms(14_203, 14_204));
    stale.generation = Some(2);
    let mut newer = write(1, 19, ms(14_090, 14_100));
    newer.generation = Some(1);
    let fresh = read(4, 19, ms(14_300, 14_310));
    let report = check("register", &[write(1, 12, ms(10, 20)), newer, stale, fresh]);
    assert_eq!(report.findings.len(), 1);
    let finding = &report.findings[0].finding;
    assert_eq!(finding.check, Check::StaleRead);
    assert_eq!(
        finding.message,
        "1× read that does not show a write acknowledged before it was sent: client 3 read k7 = 12 at 14.203 s from \
         generation 2, although 19 had been acknowledged at 14.1 s by client 1 from generation 1 (not monotonic writes)"
    );
    let shown = finding.evidence["cases"][0]["operations"]
        .as_array()
        .unwrap();
    assert_eq!(shown.len(), 3);
    assert_eq!(shown[0]["line"], 2);
}

#[test]
fn findings_have_the_most_telling_name() {
    let first = |history: &[Operation]| check("register", history).findings[0].finding.check;
    let (old, new) = (write(1, 1, (0, 10)), write(1, 2, (20, 30)));
    // Nobody ever saw it, up to the end.
    assert_eq!(
        first(&[old.clone(), new.clone(), read(2, 1, (40, 50))]),
        Check::LostWrite
    );
    // One client saw the new value, and then the old one.
    assert_eq!(
        first(&[
            old.clone(),
            new.clone(),
            read(2, 2, (31, 35)),
            read(2, 1, (40, 50))
        ]),
        Check::NonMonotonicRead
    );
    // Somebody does not see what he wrote himself; others do.
    let own = check(
        "register",
        &[
            old.clone(),
            new.clone(),
            read(1, 1, (40, 50)),
            read(2, 2, (60, 70)),
        ],
    );
    assert!(
        own.findings[0].finding.message.contains("its own"),
        "{own:?}"
    );
    // Out of nowhere, too early, and after all.
    assert_eq!(first(&[read(2, 7, (40, 50))]), Check::InvariantBroken);
    assert_eq!(
        first(&[read(2, 2, (0, 5)), new.clone()]),
        Check::InvariantBroken
    );
    let mut failed = new;
    failed.outcome = changeover_model::history::Outcome::Fail;
    assert_eq!(first(&[failed, read(2, 2, (40, 50))]), Check::ZombieWrite);
}

/// Terry, Demers, Petersen, Spreitzer, Theimer and Welch, "Session Guarantees for Weakly Consistent Replicated Data" (1994):
/// an example of each, after section 3.
#[test]
fn the_guarantees_of_terry() {
    let broken = |history: &[Operation]| {
        let report = check("register", history);
        let message = &report.findings[0].finding.message;
        let from = message.rfind(" (not ").map_or(message.len(), |at| at + 1);
        message[from..].to_owned()
    };
    let old = write(1, 1, (0, 10));
    let new = write(2, 2, (20, 30));
    let with =
        |operations: &[Operation]| broken(&[&[old.clone(), new.clone()], operations].concat());
    assert_eq!(
        with(&[read(3, 2, (40, 50)), read(3, 1, (60, 70))]),
        "(not monotonic reads)"
    );
    assert_eq!(
        with(&[read(2, 1, (40, 50)), read(3, 2, (60, 70))]),
        "(not read your writes)"
    );
    assert_eq!(
        broken(&[old.clone(), write(1, 2, (20, 30)), read(3, 1, (40, 50))]),
        "(not monotonic writes)"
    );
    // Who wrote 2 had seen 1, and somebody sees 2 and then 1.
    assert_eq!(
        broken(&[
            old.clone(),
            read(2, 1, (11, 15)),
            new.clone(),
            read(3, 1, (40, 50))
        ]),
        "(not writes follow reads)"
    );
}

/// Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects" (1990), section 2: the register
/// histories of figure 2 and the variations of it that they discuss.
#[test]
fn the_registers_of_herlihy_and_wing() {
    // A writes 0; then B reads while A writes 1: 1 and then 0 is wrong, 0 and then 1 is right.
    let base = [write(1, 0, (0, 1)), write(1, 1, (2, 10))];
    let with = |first: i64, second: i64| {
        let reads = [read(2, first, (3, 4)), read(3, second, (5, 6))];
        check("register", &[&base[..], &reads[..]].concat()).outcome
    };
    assert_eq!(with(0, 1), VerdictOutcome::Pass);
    assert_eq!(with(1, 0), VerdictOutcome::Fail);
    assert_eq!(with(1, 1), VerdictOutcome::Pass);
}
