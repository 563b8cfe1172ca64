//! Transactions against the oracle, and the anomalies of the literature.

use super::{Slot, cases, check, check_with, oracle, slot, small_histories_fail, timed};
use crate::testing::operation;
use changeover_check::{Consistency, Options, Report};
use changeover_model::check::Check;
use changeover_model::history::{Header, Op, Operation, Outcome};
use changeover_model::verdict::VerdictOutcome;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Lists = BTreeMap<String, Vec<i64>>;

#[derive(Debug, Clone, Copy)]
enum Step {
    Append(u8),
    Read(u8),
}

#[derive(Debug, Clone)]
struct Draft {
    steps: Vec<Step>,
    /// Where it takes effect among the others.
    place: u8,
    /// How many transactions its reads miss.
    behind: usize,
    /// Whether its last read is cut short.
    spoilt: bool,
}

fn draft() -> impl Strategy<Value = (Slot, Draft)> {
    let step = prop_oneof![
        (0_u8..2).prop_map(Step::Append),
        (0_u8..2).prop_map(Step::Read)
    ];
    let draft = (
        prop::collection::vec(step, 1..4),
        any::<u8>(),
        prop_oneof![4 => Just(0_usize), 1 => 1_usize..3],
        prop::bool::weighted(0.05),
    )
        .prop_map(|(steps, place, behind, spoilt)| Draft {
            steps,
            place,
            behind,
            spoilt,
        });
    (slot(), draft)
}

fn key(key: u8) -> String {
    format!("k{key}")
}

/// What a database would have answered that runs the transactions in the order of their places, but lets some of them
/// read an older state. Elements are numbers of steps, so each is another.
fn history(drafts: &[(Slot, Draft)]) -> Vec<Operation> {
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    // Mostly as they were sent.
    order.sort_by_key(|n| drafts[*n].1.place / 64 * 4 + *n as u8);
    let mut states: Vec<Lists> = vec![Lists::new()];
    let mut steps: BTreeMap<usize, (Value, Value)> = BTreeMap::new();
    for n in order {
        let (slot, draft) = &drafts[n];
        let mut now = states.last().unwrap().clone();
        let mut seen = states[states.len().saturating_sub(1 + draft.behind)].clone();
        let (mut value, mut result) = (Vec::new(), Vec::new());
        for (index, step) in draft.steps.iter().enumerate() {
            match *step {
                Step::Append(k) => {
                    let element = (n * 10 + index) as i64;
                    value.push(json!(["append", key(k), element]));
                    result.push(json!(["append", key(k), element]));
                    now.entry(key(k)).or_default().push(element);
                    seen.entry(key(k)).or_default().push(element);
                }
                Step::Read(k) => {
                    let mut list = seen.get(&key(k)).cloned().unwrap_or_default();
                    if draft.spoilt {
                        list.pop();
                    }
                    value.push(json!(["read", key(k), null]));
                    result.push(json!(["read", key(k), list]));
                }
            }
        }
        // An unknown one takes effect every other time, a failed one never.
        let effect = match slot.outcome {
            Outcome::Ok => true,
            Outcome::Unknown => draft.place % 2 == 0,
            Outcome::Fail => false,
        };
        if effect {
            states.push(now);
        }
        steps.insert(n, (json!(value), json!(result)));
    }
    let numbered: Vec<(Slot, usize)> = drafts.iter().enumerate().map(|(n, d)| (d.0, n)).collect();
    timed(&numbered, |process, times, n| Operation {
        key: None,
        value: steps[n].0.clone(),
        result: steps[n].1.clone(),
        ..operation(Op::Txn, process, "", times)
    })
}

fn apply(state: &Lists, txn: &Operation) -> Option<Lists> {
    let mut after = state.clone();
    let steps = match txn.outcome {
        Outcome::Ok => &txn.result,
        _ => &txn.value,
    };
    for step in steps.as_array().unwrap() {
        let list = after
            .entry(step[1].as_str().unwrap().to_owned())
            .or_default();
        match (step[0].as_str(), txn.outcome) {
            (Some("append"), _) => list.push(step[2].as_i64().unwrap()),
            (_, Outcome::Ok) if step[2] != json!(list) => return None,
            _ => {}
        }
    }
    Some(after)
}

fn with(history: &[Operation], consistency: Consistency) -> Report {
    let options = Options {
        consistency,
        ..Options::default()
    };
    check_with(&Header::new("append"), history, options)
}

fn outcome(explained: bool) -> VerdictOutcome {
    match explained {
        true => VerdictOutcome::Pass,
        false => VerdictOutcome::Fail,
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn transactions_are_judged_as_the_oracle_judges(
        drafts in prop::collection::vec(draft(), 1..6)
    ) {
        let history = history(&drafts);
        let report = check("append", &history);
        let strict = oracle::explained(&history, &Lists::new(), &apply);
        prop_assert_eq!(report.outcome, outcome(strict), "{:?}", report.findings);
        small_histories_fail(&report)?;
        // Without a clock, all may have been at once.
        let mut at_once = history.clone();
        for txn in &mut at_once {
            txn.invoke = 0;
            txn.returned = txn.returned.map(|_| 1);
        }
        let serial = oracle::explained(&at_once, &Lists::new(), &apply);
        let report = with(&history, Consistency::Serializable);
        prop_assert_eq!(report.outcome, outcome(serial), "{:?}", report.findings);
        // Whoever promises less is refused less.
        let mut refused = true;
        for consistency in Consistency::ALL {
            let fails = with(&history, consistency).outcome == VerdictOutcome::Fail;
            prop_assert!(refused || !fails, "{consistency} is refused and what is stronger is not");
            refused = fails;
        }
    }
}

/// A transaction of process `process`, from time to time.
fn txn(process: u64, times: (u64, u64), steps: &[(&str, &str, Value)]) -> Operation {
    let result: Vec<Value> = steps.iter().map(|(f, k, v)| json!([f, k, v])).collect();
    let value: Vec<Value> = steps
        .iter()
        .map(|(f, k, v)| match *f {
            "read" => json!([f, k, null]),
            _ => json!([f, k, v]),
        })
        .collect();
    Operation {
        key: None,
        value: json!(value),
        result: json!(result),
        ..operation(Op::Txn, process, "", times)
    }
}

fn append(key: &str, element: i64) -> (&str, &str, Value) {
    ("append", key, json!(element))
}

fn read<'a>(key: &'a str, list: &[i64]) -> (&'a str, &'a str, Value) {
    ("read", key, json!(list))
}

/// The one finding of a history, with the weakest model that it breaks.
fn anomaly(history: &[Operation]) -> (Check, String, Consistency) {
    let report = check("append", history);
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    small_histories_fail(&report).unwrap();
    let finding = &report.findings[0].finding;
    let broken = Consistency::ALL
        .into_iter()
        .rfind(|c| with(history, *c).outcome == VerdictOutcome::Fail);
    (finding.check, finding.message.clone(), broken.unwrap())
}

fn is(history: &[Operation], name: &str, breaks: Consistency) {
    let (check, message, broken) = anomaly(history);
    let expected = match breaks {
        Consistency::StrictSerializable => Check::StaleRead,
        _ => Check::SerializationAnomaly,
    };
    assert_eq!(check, expected);
    assert!(message.starts_with(&format!("1× {name}")), "{message}");
    assert_eq!(broken, breaks, "{message}");
    assert!(message.ends_with(&format!("not {breaks}")), "{message}");
}

/// At once, so that only what they saw orders them.
const NOW: (u64, u64) = (0, 100);
/// After all those.
const LATER: (u64, u64) = (200, 300);

/// Adya, "Weak Consistency" (1999), section 3.2: phenomena G0, G1a, G1b and G1c.
#[test]
fn the_phenomena_of_adya() {
    is(
        &[
            txn(1, NOW, &[append("x", 1), append("y", 2)]),
            txn(2, NOW, &[append("x", 3), append("y", 4)]),
            txn(3, LATER, &[read("x", &[1, 3]), read("y", &[4, 2])]),
        ],
        "G0",
        Consistency::ReadCommitted,
    );
    let mut aborted = txn(1, NOW, &[append("x", 1)]);
    aborted.outcome = Outcome::Fail;
    is(
        &[aborted, txn(2, NOW, &[read("x", &[1])])],
        "G1a",
        Consistency::ReadCommitted,
    );
    is(
        &[
            txn(1, NOW, &[append("x", 1), append("y", 2)]),
            txn(2, NOW, &[append("y", 3), read("x", &[1])]),
            txn(3, NOW, &[append("z", 4), read("y", &[3])]),
            txn(4, LATER, &[read("x", &[1]), read("y", &[3, 2])]),
        ],
        "G1c",
        Consistency::ReadCommitted,
    );
}

/// Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB 2020): read skew in
/// section 1 (the transactions of TiDB that lose an append), and the G2 of section 7 (FaunaDB and YugaByte DB).
#[test]
fn the_anomalies_of_elle() {
    is(
        &[
            txn(1, NOW, &[read("x", &[]), append("x", 1)]),
            txn(2, NOW, &[read("x", &[]), append("x", 2)]),
            txn(3, LATER, &[read("x", &[1, 2])]),
        ],
        "lost update",
        Consistency::SnapshotIsolation,
    );
    is(
        &[
            txn(1, NOW, &[append("x", 1), append("y", 2)]),
            txn(2, NOW, &[read("x", &[1]), read("y", &[])]),
        ],
        "G-single",
        Consistency::SnapshotIsolation,
    );
    is(
        &[
            txn(1, NOW, &[read("x", &[]), append("y", 1)]),
            txn(2, NOW, &[read("y", &[]), append("x", 2)]),
        ],
        "G2",
        Consistency::Serializable,
    );
}

/// Fekete, Liarokapis, O'Neil, O'Neil and Shasha, "Making Snapshot Isolation Serializable" (2005): a cycle of two
/// anti-dependencies that do not follow one another is none that snapshots allow; Fekete, O'Neil and O'Neil, "A
/// Read-Only Transaction Anomaly Under Snapshot Isolation" (2004): one that they do allow.
#[test]
fn the_anomalies_of_snapshot_isolation() {
    // The long fork: two readers see two writers in two orders.
    is(
        &[
            txn(1, NOW, &[append("x", 1)]),
            txn(2, NOW, &[append("y", 2)]),
            txn(3, NOW, &[read("x", &[1]), read("y", &[])]),
            txn(4, NOW, &[read("x", &[]), read("y", &[2])]),
        ],
        "G-nonadjacent",
        Consistency::SnapshotIsolation,
    );
    // The batch's report: it reads a state that neither order of the two writers has.
    is(
        &[
            txn(1, NOW, &[read("x", &[]), read("y", &[]), append("x", 1)]),
            txn(2, NOW, &[read("y", &[]), append("y", 2)]),
            txn(3, NOW, &[read("x", &[]), read("y", &[2])]),
        ],
        "G2",
        Consistency::Serializable,
    );
}

/// Among hundreds of write skews, which snapshots allow, one read skew that they do not: a search that looks at so many
/// anti-dependencies and no more would take it for allowed.
#[test]
fn a_read_skew_is_found_behind_any_number_of_write_skews() {
    const RING: usize = 400;
    let names: Vec<String> = (0..RING).map(|n| format!("k{n}")).collect();
    let skews = |skewed: bool| -> Vec<Operation> {
        let mut history: Vec<Operation> = (0..RING)
            .map(|n| {
                // Each misses what the one before it appended.
                let mut steps = vec![
                    read(&names[n], &[]),
                    append(&names[(n + 1) % RING], n as i64),
                ];
                // The first has seen the writer and missed the reader, so that all hang together.
                if n == 0 {
                    steps.extend([read("seen", &[1002]), read("missed", &[])]);
                }
                txn(n as u64, NOW, &steps)
            })
            .collect();
        let writer = [append("x", 1000), append("y", 1001), append("seen", 1002)];
        let of_y: &[i64] = if skewed { &[] } else { &[1001] };
        let reader = [
            read("x", &[1000]),
            read("y", of_y),
            read(&names[5], &[]),
            append("missed", 1003),
        ];
        history.extend([txn(1000, NOW, &writer), txn(1001, NOW, &reader)]);
        history
    };
    for (skewed, under_snapshots) in [(false, VerdictOutcome::Pass), (true, VerdictOutcome::Fail)] {
        let history = skews(skewed);
        let report = with(&history, Consistency::SnapshotIsolation);
        assert_eq!(report.outcome, under_snapshots, "{:?}", report.findings);
        let report = with(&history, Consistency::Serializable);
        assert_eq!(report.outcome, VerdictOutcome::Fail);
    }
}

#[test]
fn an_order_that_contradicts_the_clock_is_stale() {
    is(
        &[
            txn(1, (0, 10), &[append("x", 1)]),
            txn(2, (20, 30), &[read("x", &[])]),
        ],
        "stale in real time",
        Consistency::StrictSerializable,
    );
    let (_, message, _) = anomaly(&[
        txn(1, (0, 10_000_000), &[append("x", 1)]),
        txn(2, (20_000_000, 30_000_000), &[read("x", &[])]),
    ]);
    assert_eq!(
        message,
        "1× stale in real time: the order of the transactions contradicts the clock: T1 read x without 1, which T2 \
         appended, T2 had ended at 0.01 s, before T1 was sent at 0.02 s, T1 is the transaction of client 2 sent at \
         0.02 s, T2 is the transaction of client 1 sent at 0 s; not strict-serializable"
    );
}

#[test]
fn what_one_read_gives_away() {
    let messages = |history: &[Operation]| -> Vec<String> {
        let report = check("append", history);
        small_histories_fail(&report).unwrap();
        let findings = report.findings.into_iter();
        findings.map(|found| found.finding.message).collect()
    };
    let two = txn(1, NOW, &[append("x", 1), append("x", 2)]);
    // The half of a transaction is also a skewed read.
    let half = messages(&[two.clone(), txn(2, NOW, &[read("x", &[1])])]);
    assert!(half.iter().any(|m| m.starts_with("1× G1b")), "{half:?}");
    for (reads, name) in [
        (
            vec![read("x", &[1, 2]), read("x", &[])],
            "unrepeatable read",
        ),
        (vec![append("x", 3), read("x", &[1, 2])], "internal"),
        (vec![read("x", &[2, 1])], "incompatible order"),
        (
            vec![read("x", &[1, 2, 1])],
            "element that a list shows twice",
        ),
        (
            vec![read("x", &[1, 2, 7])],
            "element read that nobody appended",
        ),
        (
            vec![("read", "x", json!(7))],
            "read that was answered with no list",
        ),
    ] {
        let history = [
            two.clone(),
            txn(2, LATER, &[read("x", &[1, 2])]),
            txn(3, LATER, &reads),
        ];
        let found = messages(&history);
        let name = format!("1× {name}");
        assert!(
            found.iter().any(|m| m.starts_with(&name)),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn what_cannot_be_told_apart_is_no_pass() {
    let history = [
        txn(1, NOW, &[append("x", 1)]),
        txn(2, NOW, &[append("x", 1)]),
        txn(3, LATER, &[read("x", &[1])]),
    ];
    let report = check("append", &history);
    assert_eq!(report.outcome, VerdictOutcome::Inconclusive);
    let reason = report.models[0].reason.as_deref();
    assert!(
        reason.is_some_and(|r| r.contains("appended more than once")),
        "{reason:?}"
    );
}
