//! What holds for the operations of every model.

use super::*;
use crate::history::Op;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const CLIENTS: u32 = 5;

const IN_SQL: [WorkloadKind; 4] = [
    WorkloadKind::Register,
    WorkloadKind::Counter,
    WorkloadKind::Bank,
    WorkloadKind::Append,
];

fn able() -> Capabilities {
    Capability::ALL.iter().copied().collect()
}

fn plain() -> Capabilities {
    [Capability::Sql].into()
}

/// The first operations of every client.
fn calls(kind: WorkloadKind, seed: &str, can: &Capabilities) -> Vec<Call> {
    let mix = Mix::new(&[kind], seed, CLIENTS, can);
    let all = (0..u64::from(CLIENTS)).flat_map(|client| (0..400).map(move |n| (client, n)));
    all.map(|(client, n)| match mix.operation(client, n) {
        Some(Next::Call(call)) => call,
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn the_same_seed_gives_the_same_operations_and_another_others() {
    for kind in IN_SQL {
        let once = calls(kind, "42", &able());
        assert_eq!(once, calls(kind, "42", &able()), "{kind}");
        assert_ne!(once, calls(kind, "43", &able()), "{kind}");
    }
}

#[test]
fn every_model_reads_and_writes_and_does_nothing_else() {
    for kind in IN_SQL {
        let all = calls(kind, "42", &able());
        let writes = all.iter().filter(|call| call.writes).count();
        assert!(
            writes > 300 && writes < 1800,
            "{kind}: {writes} of {}",
            all.len()
        );
        for call in all {
            assert_eq!(call.workload, kind);
            let of_model = match kind {
                WorkloadKind::Register => matches!(call.op, Op::Read | Op::Write | Op::Cas),
                WorkloadKind::Counter => matches!(call.op, Op::Read | Op::Add),
                WorkloadKind::Bank => matches!(call.op, Op::Read | Op::Transfer),
                _ => call.op == Op::Txn,
            };
            assert!(of_model, "{kind}: {:?}", call.op);
        }
    }
}

#[test]
fn no_value_is_written_twice() {
    let mut written = BTreeSet::new();
    for call in calls(WorkloadKind::Register, "42", &able()) {
        let value = match call.op {
            Op::Write => &call.value,
            Op::Cas => &call.value[1],
            _ => continue,
        };
        assert!(written.insert(value.as_i64().unwrap()), "{value} twice");
    }
    let mut appended = BTreeSet::new();
    for call in calls(WorkloadKind::Append, "42", &able()) {
        for part in call.value.as_array().unwrap() {
            if part[0] == "append" {
                assert!(appended.insert(part[2].as_i64().unwrap()), "{part} twice");
            }
        }
    }
    assert!(written.len() > 500 && appended.len() > 500);
}

#[test]
fn a_swap_expects_what_the_client_has_just_written() {
    let mix = Mix::new(&[WorkloadKind::Register], "42", CLIENTS, &able());
    let mut swaps = 0;
    for n in 1..400 {
        let (before, call) = (mix.operation(3, n - 1), mix.operation(3, n));
        if let (Some(Next::Call(before)), Some(Next::Call(call))) = (before, call)
            && call.op == Op::Cas
        {
            swaps += 1;
            assert_eq!((before.op, &before.key), (Op::Write, &call.key));
            assert_eq!(before.value, call.value[0]);
        }
    }
    assert!(swaps > 20, "{swaps}");
}

#[test]
fn without_interactive_transactions_a_write_is_one_statement() {
    for kind in IN_SQL {
        if kind.needs().contains(&Capability::InteractiveTransactions) {
            continue;
        }
        for call in calls(kind, "42", &plain()) {
            assert_eq!(call.statements.len(), 1, "{:?}", call.statements);
            assert!(!call.statements[0].contains("RETURNING"));
        }
    }
    let transfers = calls(WorkloadKind::Bank, "42", &plain());
    let transfer = transfers
        .iter()
        .find(|call| call.op == Op::Transfer)
        .unwrap();
    assert!(transfer.statements[0].contains("CASE id WHEN"));
    let interactive = calls(WorkloadKind::Bank, "42", &able());
    let transfer = interactive
        .iter()
        .find(|call| call.op == Op::Transfer)
        .unwrap();
    assert_eq!(transfer.statements.len(), 4);
}

#[test]
fn money_moves_between_accounts_that_are_there() {
    let accounts = bank::accounts();
    for call in calls(WorkloadKind::Bank, "42", &able()) {
        if call.op == Op::Transfer {
            let (from, to) = (call.value["from"].as_str(), call.value["to"].as_str());
            assert_ne!(from, to);
            assert!(accounts.contains_key(from.unwrap()) && accounts.contains_key(to.unwrap()));
            assert!(call.value["amount"].as_i64().unwrap() > 0);
        }
    }
}

#[test]
fn what_is_written_is_read_back_and_what_is_worked_on_was_made() {
    for kind in IN_SQL {
        let made = create(&[kind], &able()).join("\n");
        let mut reads = BTreeMap::new();
        for call in calls(kind, "42", &able()) {
            let back = read_back(&call);
            let gone = call.key.as_deref() == Some(counter::GONE);
            assert_eq!(back.is_empty(), !call.writes || gone, "{call:?}");
            for (name, read) in back {
                assert!(!read.writes);
                reads.insert(name, read);
            }
            // The rows of identifiers come and go; all others must be there for an UPDATE to find.
            let keys = match kind {
                WorkloadKind::Append => append::appended(&call.value),
                _ => call.key.as_deref().into_iter().collect(),
            };
            for key in keys
                .into_iter()
                .filter(|key| !gone && !key.starts_with("ids."))
            {
                assert!(made.contains(&format!("('{key}'")), "{key}");
            }
        }
        assert!(!reads.is_empty(), "{kind}");
        for read in reads.values() {
            assert!(!read.statements.is_empty());
        }
    }
}

#[test]
fn workloads_have_equal_shares() {
    let kinds = [
        WorkloadKind::Set,
        WorkloadKind::Session,
        WorkloadKind::Bank,
        WorkloadKind::Script,
    ];
    let mix = Mix::new(&kinds, "42", 1, &able());
    let mut shares = [0, 0, 0];
    for n in 0..300 {
        match mix.operation(0, n).unwrap() {
            Next::Set(_) => shares[0] += 1,
            Next::Call(_) => shares[1] += 1,
            Next::Script { .. } => shares[2] += 1,
        }
    }
    assert_eq!(shares, [100, 100, 100]);
    let none = Mix::new(&[WorkloadKind::Ddl], "42", 1, &able());
    assert_eq!(none.operation(0, 0), None);
}

/// The result of an operation of that meaning that was answered so.
fn result(meaning: Meaning, rows: &[&[Option<&str>]], count: u64) -> Option<Value> {
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|v| v.map(str::to_owned)).collect());
    let reply = Reply {
        rows: rows.collect(),
        count,
    };
    let call = Call {
        meaning,
        ..register::read("r1")
    };
    call.result(&[reply])
}

#[test]
fn answers_are_read_and_those_of_another_shape_are_none() {
    let one: &[&[Option<&str>]] = &[&[Some("7")]];
    assert_eq!(result(Meaning::Done, &[], 0), Some(Value::Null));
    assert_eq!(result(Meaning::Changed, &[], 1), Some(json!(true)));
    assert_eq!(result(Meaning::Changed, &[], 0), Some(json!(false)));
    assert_eq!(result(Meaning::Integer, one, 1), Some(json!(7)));
    assert_eq!(result(Meaning::Integer, &[], 0), Some(Value::Null));
    assert_eq!(result(Meaning::Integer, &[&[None]], 1), Some(Value::Null));
    assert_eq!(result(Meaning::Integer, &[&[Some("x")]], 1), None);
    assert_eq!(
        result(Meaning::Integer, &[&[Some("7")], &[Some("7")]], 2),
        None
    );
    assert_eq!(result(Meaning::Issued, one, 1), Some(json!(7)));
    assert_eq!(result(Meaning::Issued, &[], 1), None);
    let all: &[&[Option<&str>]] = &[&[Some("a"), Some("1")], &[Some("b"), Some("-2")]];
    assert_eq!(
        result(Meaning::Integers, all, 2),
        Some(json!({"a": 1, "b": -2}))
    );
    // A row that is there twice is one too many.
    let twice: &[&[Option<&str>]] = &[&[Some("a"), Some("1")], &[Some("a"), Some("1")]];
    assert_eq!(result(Meaning::Integers, twice, 2), None);
}

#[test]
fn a_transaction_has_its_reads_filled_in() {
    let call = append::read(&["e1", "e2"]);
    let reply = |text: Option<&str>| Reply {
        rows: text.iter().map(|t| vec![Some((*t).to_owned())]).collect(),
        count: 1,
    };
    let replies = [
        reply(None),
        reply(Some(",4,5")),
        reply(Some("")),
        reply(None),
    ];
    assert_eq!(
        call.result(&replies),
        Some(json!([["read", "e1", [4, 5]], ["read", "e2", []]]))
    );
    assert_eq!(call.result(&replies[..3]), None);
    let odd = [
        reply(None),
        reply(Some("4,5")),
        reply(Some("")),
        reply(None),
    ];
    assert_eq!(call.result(&odd), None);
}
