//! Banks: no money is made and none is lost.

use super::{cases, check_with};
use crate::testing::operation;
use changeover_check::{Options, Report};
use changeover_model::check::Check;
use changeover_model::history::{Header, Op, Operation};
use changeover_model::verdict::VerdictOutcome;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn judge(negative_balances: Option<bool>, reads: &[Value]) -> Report {
    let header = Header {
        accounts: Some(BTreeMap::from([("a".to_owned(), 100), ("b".to_owned(), 0)])),
        negative_balances,
        ..Header::new("bank")
    };
    let transfer = Operation {
        key: None,
        value: json!({"from": "a", "to": "b", "amount": 10}),
        ..operation(Op::Transfer, 1, "", (0, 10))
    };
    let reads = reads.iter().enumerate().map(|(n, result)| Operation {
        key: None,
        result: result.clone(),
        ..operation(Op::Read, 2 + n as u64, "", (20, 30))
    });
    let history: Vec<Operation> = [transfer].into_iter().chain(reads).collect();
    let report = check_with(&header, &history, Options::default());
    super::small_histories_fail(&report).unwrap();
    report
}

#[test]
fn every_snapshot_adds_up() {
    assert_eq!(
        judge(None, &[json!({"a": 90, "b": 10})]).outcome,
        VerdictOutcome::Pass
    );
    // Every write of every account is one that somebody made; together they are a skewed read.
    let report = judge(
        None,
        &[json!({"a": 90, "b": 0}), json!({"a": 100, "b": 10})],
    );
    assert_eq!(report.findings[0].finding.check, Check::InvariantBroken);
    assert_eq!(
        report.findings[0].finding.message,
        "2× read of the bank that does not add up: client 2 read 90 in all instead of 100 at 0 s; client 3 read 110 in \
         all instead of 100 at 0 s"
    );
}

#[test]
fn accounts_are_overdrawn_only_where_they_may_be() {
    let overdrawn = [json!({"a": -10, "b": 110})];
    assert_eq!(judge(None, &overdrawn).outcome, VerdictOutcome::Pass);
    assert_eq!(judge(Some(true), &overdrawn).outcome, VerdictOutcome::Pass);
    assert_eq!(judge(Some(false), &overdrawn).outcome, VerdictOutcome::Fail);
    for odd in [
        json!({"a": 100}),
        json!({"a": 100, "b": 0, "c": 0}),
        json!([1]),
        json!({"a": 100, "b": null}),
    ] {
        assert_eq!(judge(None, &[odd]).outcome, VerdictOutcome::Fail);
    }
}

proptest! {
    #![proptest_config(cases())]

    /// The oracle: run the transfers in any order, and every snapshot adds up; change one balance, and it does not.
    #[test]
    fn what_transfers_lead_to_is_right_and_nothing_else(
        transfers in prop::collection::vec((any::<bool>(), 0_i64..80), 0..5),
        change in -5_i64..5,
    ) {
        let mut a = 100;
        for (there, amount) in transfers {
            a += if there { -amount } else { amount };
            let good = json!({"a": a, "b": 100 - a});
            prop_assert_eq!(judge(None, &[good]).outcome, VerdictOutcome::Pass);
            let bad = judge(None, &[json!({"a": a, "b": 100 - a + change})]);
            prop_assert_eq!(bad.outcome == VerdictOutcome::Fail, change != 0);
            let strict = judge(Some(false), &[json!({"a": a, "b": 100 - a})]);
            prop_assert_eq!(strict.outcome == VerdictOutcome::Fail, !(0..=100).contains(&a));
        }
    }
}
