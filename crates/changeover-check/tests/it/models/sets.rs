//! Sets against the oracle.

use super::{Slot, cases, check, oracle, slot, small_histories_fail, timed};
use crate::testing::operation;
use changeover_model::check::Check;
use changeover_model::history::{Op, Operation};
use changeover_model::verdict::VerdictOutcome;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Draft {
    Add(i64),
    Read(BTreeSet<i64>),
}

fn explained(history: &[Operation]) -> bool {
    let elements =
        |o: &Operation| -> BTreeSet<i64> { serde_json::from_value(o.result.clone()).unwrap() };
    oracle::explained(
        history,
        &BTreeSet::new(),
        &|state: &BTreeSet<i64>, o: &Operation| match o.op {
            Op::Read => (*state == elements(o)).then(|| state.clone()),
            _ => {
                let mut after = state.clone();
                after.insert(o.value.as_i64().unwrap());
                Some(after)
            }
        },
    )
}

fn drafts() -> impl Strategy<Value = Vec<(Slot, Draft)>> {
    let draft = prop_oneof![
        1 => (0_i64..4).prop_map(Draft::Add),
        1 => prop::collection::btree_set(0_i64..4, 0..4).prop_map(Draft::Read),
    ];
    prop::collection::vec((slot(), draft), 1..8)
}

/// Answers that a set could have given if all had waited for each other, so that more than a few are right.
fn mostly_right() -> impl Strategy<Value = Vec<(Slot, Draft)>> {
    (drafts(), prop::collection::vec(any::<bool>(), 8)).prop_map(|(mut drafts, spoilt)| {
        let mut added = BTreeSet::new();
        for (index, (_, draft)) in drafts.iter_mut().enumerate() {
            match draft {
                Draft::Add(value) => {
                    added.insert(*value);
                }
                Draft::Read(shown) if !spoilt[index] => *shown = added.clone(),
                Draft::Read(_) => {}
            }
        }
        drafts
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn sets_are_judged_as_the_oracle_judges(drafts in prop_oneof![drafts(), mostly_right()]) {
        let history = timed(&drafts, |process, times, draft| match draft {
            Draft::Add(value) => Operation {
                value: json!(value),
                ..operation(Op::Add, process, "k", times)
            },
            Draft::Read(shown) => Operation {
                result: json!(shown),
                ..operation(Op::Read, process, "k", times)
            },
        });
        let report = check("set", &history);
        let expected = match explained(&history) {
            true => VerdictOutcome::Pass,
            false => VerdictOutcome::Fail,
        };
        prop_assert_eq!(report.outcome, expected, "{:?}", report.findings);
        small_histories_fail(&report)?;
    }
}

fn add(process: u64, value: i64, times: (u64, u64)) -> Operation {
    crate::testing::add(process, "k", value, times)
}

fn read(process: u64, shown: &[i64], times: (u64, u64)) -> Operation {
    crate::testing::read(process, "k", shown, times)
}

#[test]
fn an_acknowledged_element_is_in_every_later_answer() {
    let written = add(1, 5, (0, 10));
    let first = |history: &[Operation]| check("set", history).findings[0].finding.check;
    assert_eq!(
        first(&[written.clone(), read(2, &[], (20, 30))]),
        Check::LostWrite
    );
    let back = read(2, &[5], (40, 50));
    let stale = check(
        "set",
        &[written.clone(), read(2, &[], (20, 30)), back.clone()],
    );
    assert_eq!(stale.findings[0].finding.check, Check::StaleRead);
    assert!(
        stale.findings[0]
            .finding
            .message
            .contains("5 of key k had been acknowledged at 0 s to client 1"),
        "{stale:?}"
    );
    let own = check("set", &[written, read(1, &[], (20, 30)), back]);
    assert!(
        own.findings[0].finding.message.contains("its own"),
        "{own:?}"
    );
}

#[test]
fn two_answers_are_one_before_the_other() {
    // Both adds and both reads at once: each read alone is right, together they are not.
    let history = [
        add(1, 1, (0, 100)),
        add(2, 2, (0, 100)),
        read(3, &[1], (0, 100)),
        read(4, &[2], (0, 100)),
    ];
    let report = check("set", &history);
    assert_eq!(report.findings[0].finding.check, Check::NonLinearizable);
    assert_eq!(check("set", &history[..3]).outcome, VerdictOutcome::Pass);
}
