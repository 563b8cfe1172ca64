//! Counters against the oracle.

use super::{Slot, cases, check, oracle, slot, small_histories_fail, timed};
use crate::testing::operation;
use changeover_model::check::Check;
use changeover_model::history::{Op, Operation};
use changeover_model::verdict::VerdictOutcome;
use proptest::prelude::*;
use serde_json::json;

#[derive(Debug, Clone)]
enum Draft {
    Add(i64),
    Read(i64),
}

fn explained(history: &[Operation]) -> bool {
    oracle::explained(history, &0_i64, &|state: &i64, o: &Operation| match o.op {
        Op::Read => (o.result.as_i64() == Some(*state)).then_some(*state),
        _ => Some(state + o.value.as_i64().unwrap()),
    })
}

fn drafts(amounts: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<(Slot, Draft)>> {
    let draft = prop_oneof![
        1 => amounts.prop_map(Draft::Add),
        1 => (-2_i64..6).prop_map(Draft::Read),
    ];
    let drafts = prop::collection::vec((slot(), draft), 1..9);
    (drafts, prop::collection::vec(0..10_u8, 9)).prop_map(|(mut drafts, spoilt)| {
        let mut sum = 0;
        for (index, (_, draft)) in drafts.iter_mut().enumerate() {
            match draft {
                Draft::Add(amount) => sum += *amount,
                Draft::Read(shown) if spoilt[index] > 2 => *shown = sum,
                Draft::Read(_) => {}
            }
        }
        drafts
    })
}

fn judged_as_the_oracle(drafts: &[(Slot, Draft)]) -> Result<(), TestCaseError> {
    let history = timed(drafts, |process, times, draft| match draft {
        Draft::Add(amount) => Operation {
            value: json!(amount),
            ..operation(Op::Add, process, "k", times)
        },
        Draft::Read(shown) => Operation {
            result: json!(shown),
            ..operation(Op::Read, process, "k", times)
        },
    });
    let report = check("counter", &history);
    let expected = match explained(&history) {
        true => VerdictOutcome::Pass,
        false => VerdictOutcome::Fail,
    };
    prop_assert_eq!(report.outcome, expected, "{:?}", report.findings);
    small_histories_fail(&report)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn counters_of_ones_are_judged_as_the_oracle_judges(drafts in drafts(Just(1))) {
        judged_as_the_oracle(&drafts)?;
    }

    #[test]
    fn counters_that_go_down_by_twos_too(drafts in drafts(Just(-2))) {
        judged_as_the_oracle(&drafts)?;
    }

    #[test]
    fn counters_of_any_amounts_too(drafts in drafts(-2_i64..4)) {
        judged_as_the_oracle(&drafts)?;
    }
}

#[test]
fn findings_have_the_most_telling_name() {
    let add = |process, times| Operation {
        value: json!(1),
        ..operation(Op::Add, process, "k", times)
    };
    let read = |process, shown: i64, times| Operation {
        result: json!(shown),
        ..operation(Op::Read, process, "k", times)
    };
    let first = |history: &[Operation]| check("counter", history).findings[0].finding.clone();
    let two = [add(1, (0, 10)), add(2, (0, 10))];
    let with = |reads: &[Operation]| first(&[&two[..], reads].concat());
    assert_eq!(with(&[read(3, 3, (20, 30))]).check, Check::DuplicatedEffect);
    assert_eq!(with(&[read(3, 1, (20, 30))]).check, Check::LostWrite);
    let stale = with(&[read(3, 1, (20, 30)), read(3, 2, (40, 50))]);
    assert_eq!(stale.check, Check::StaleRead);
    assert!(
        stale
            .message
            .contains("client 3 read k = 1 at 0 s, although 2 had been acknowledged"),
        "{}",
        stale.message
    );
    let early = [read(3, 2, (0, 5)), read(3, 1, (6, 9))];
    assert_eq!(with(&early).check, Check::NonMonotonicRead);
    let mut failed = add(4, (0, 10));
    failed.outcome = changeover_model::history::Outcome::Fail;
    let zombie = first(&[failed, read(3, 1, (20, 30))]);
    assert_eq!(zombie.check, Check::ZombieWrite);
}
