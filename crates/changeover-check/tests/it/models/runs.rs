//! A run's history may be of several models: the judge hands each operation to its own.

use super::check_with;
use crate::testing::{add, observed, operation, plan};
use changeover_check::{Judge, Options, SubHistory};
use changeover_model::Verdict;
use changeover_model::check::Check;
use changeover_model::history::{Header, Op, Operation};
use changeover_model::verdict::VerdictOutcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn of(model: &str, operation: Operation) -> Operation {
    Operation {
        model: Some(model.to_owned()),
        ..operation
    }
}

fn judge(operations: &[Operation]) -> (Verdict, Vec<SubHistory>) {
    let mut judge = Judge::new(&plan(1), "run", String::new());
    judge.header(&Header {
        accounts: Some(BTreeMap::from([("a".to_owned(), 1)])),
        ..Header::new("mixed")
    });
    for operation in operations {
        judge.operation(operation);
    }
    judge.finish_with_histories("findings/")
}

/// One operation of each model that is wrong by itself.
fn wrong() -> Vec<(Operation, Check)> {
    let with = |op, process, result: Value| Operation {
        result,
        ..operation(op, process, "k", (10, 20))
    };
    vec![
        (
            of("register", with(Op::Read, 1, json!(7))),
            Check::InvariantBroken,
        ),
        (
            of("counter", with(Op::Read, 2, json!(7))),
            Check::DuplicatedEffect,
        ),
        (
            of("set", with(Op::Read, 3, json!([7]))),
            Check::InvariantBroken,
        ),
        (
            of("bank", with(Op::Read, 4, json!({"a": 2}))),
            Check::InvariantBroken,
        ),
        (
            of("append", with(Op::Txn, 5, json!([["read", "k", [7]]]))),
            Check::InvariantBroken,
        ),
    ]
}

#[test]
fn each_operation_is_judged_by_its_own_model() {
    for (operation, check) in wrong() {
        let (verdict, histories) = judge(&[operation]);
        let found: Vec<Check> = verdict.findings.iter().map(|f| f.check).collect();
        assert_eq!(found, [check]);
        assert_eq!(
            verdict.findings[0].evidence["history"],
            "findings/finding-1.jsonl"
        );
        let [small] = histories.as_slice() else {
            panic!("{histories:?}")
        };
        let again = check_with(&small.header, &small.operations, Options::default());
        assert_eq!(again.outcome, VerdictOutcome::Fail);
    }
}

#[test]
fn histories_are_numbered_in_the_order_of_the_findings() {
    let operations: Vec<Operation> = wrong()
        .into_iter()
        .map(|(operation, _)| operation)
        .collect();
    let (verdict, histories) = judge(&operations);
    let names: Vec<&str> = verdict
        .findings
        .iter()
        .filter_map(|finding| finding.evidence["history"].as_str())
        .collect();
    let expected: Vec<String> = (1..=histories.len())
        .map(|n| format!("findings/finding-{n}.jsonl"))
        .collect();
    assert_eq!(names, expected);
    assert_eq!(names.len(), 5);
}

#[test]
fn what_went_past_the_front_door_belongs_to_no_model() {
    // A direct observer may lag behind, and what connects reads nothing.
    let written = of("set", add(1, "k", 7, (0, 5)));
    let behind = observed(operation(Op::Read, 2, "k", (10, 20)), 1);
    let connected = operation(Op::Connect, 3, "k", (10, 20));
    let (verdict, _) = judge(&[written, of("set", behind), connected]);
    assert_eq!(verdict.findings, []);
}

#[test]
fn what_does_not_fit_its_model_is_a_reason_for_doubt() {
    let swap = of("set", operation(Op::Cas, 1, "k", (0, 5)));
    let (verdict, _) = judge(&[swap]);
    assert_eq!(verdict.findings, []);
    let doubt =
        "1 operation(s) do not fit their model: model set has no operation cas: it has add, read";
    assert!(
        verdict.reasons.iter().any(|r| r == doubt),
        "{:?}",
        verdict.reasons
    );
}
