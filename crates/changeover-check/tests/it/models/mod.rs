//! Whole histories against oracles: a brute force over all orders of tiny histories says what is right, and the checkers
//! must say the same.

mod banks;
mod counters;
mod oracle;
mod registers;
mod runs;
mod sets;
mod transactions;

use changeover_check::timeline::Timeline;
use changeover_check::{Checker, Options, Report};
use changeover_model::history::{Header, Operation, Outcome};
use changeover_model::verdict::VerdictOutcome;
use proptest::prelude::*;

/// How many histories each oracle judges; `cargo xtask soak` asks for many more.
fn cases() -> ProptestConfig {
    let cases = std::env::var("CHANGEOVER_SOAK_HISTORIES").ok();
    ProptestConfig::with_cases(cases.and_then(|n| n.parse().ok()).unwrap_or(2000))
}

fn check_with(header: &Header, operations: &[Operation], options: Options) -> Report {
    let mut checker = Checker::new(header, options).unwrap();
    for (index, operation) in operations.iter().enumerate() {
        let line = serde_json::to_string(operation).unwrap();
        checker
            .line(index as u64 + 2, &line)
            .unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    checker.finish(&Timeline::default())
}

fn check(model: &str, operations: &[Operation]) -> Report {
    check_with(&Header::new(model), operations, Options::default())
}

/// Every small history must be refused too, for the same check.
fn small_histories_fail(report: &Report) -> Result<(), TestCaseError> {
    for found in &report.findings {
        let Some(small) = &found.history else {
            return Err(TestCaseError::fail(format!("no history: {found:?}")));
        };
        let again = check_with(&small.header, &small.operations, Options::default());
        prop_assert_eq!(
            again.outcome,
            VerdictOutcome::Fail,
            "{}\n{}",
            found.finding.message,
            small.to_lines()
        );
    }
    Ok(())
}

/// When an operation is sent and when it ends, and how.
#[derive(Debug, Clone, Copy)]
struct Slot {
    process: u64,
    pause: u64,
    length: u64,
    outcome: Outcome,
}

/// Mostly acknowledged; moments that are often equal, because those are the ones to get wrong.
fn slot() -> impl Strategy<Value = Slot> {
    let outcome = prop_oneof![
        8 => Just(Outcome::Ok),
        2 => Just(Outcome::Unknown),
        1 => Just(Outcome::Fail),
    ];
    (0_u64..4, 0_u64..4, 0_u64..6, outcome).prop_map(|(process, pause, length, outcome)| Slot {
        process,
        pause,
        length,
        outcome,
    })
}

/// Gives each operation its times: one after the other for each process, and a new process after an unknown.
fn timed<T: Clone>(
    drafts: &[(Slot, T)],
    mut make: impl FnMut(u64, (u64, u64), &T) -> Operation,
) -> Vec<Operation> {
    let mut clocks = std::collections::BTreeMap::<u64, (u64, u64)>::new();
    let mut fresh = 100;
    let mut operations = Vec::new();
    for (slot, draft) in drafts {
        let (process, clock) = clocks
            .get(&slot.process)
            .copied()
            .unwrap_or((slot.process, 0));
        let invoke = clock + slot.pause;
        let end = invoke + slot.length;
        let mut operation = make(process, (invoke, end), draft);
        operation.client = None;
        operation.source = None;
        operation.outcome = slot.outcome;
        if slot.outcome != Outcome::Ok {
            operation.result = serde_json::Value::Null;
        }
        if slot.outcome == Outcome::Unknown {
            operation.returned = None;
            operation.ended = None;
            fresh += 1;
            clocks.insert(slot.process, (fresh, end));
        } else {
            clocks.insert(slot.process, (process, end));
        }
        operations.push(operation);
    }
    operations
}
