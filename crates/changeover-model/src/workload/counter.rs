//! `counter`: numbers that are added to, and identifiers that must never be issued twice.
//!
//! A counter `c0` is a number in a row. A counter `ids.0` is how many rows there are of its name in a table whose key
//! the database issues: adding to it is an INSERT, and what the database issued is the operation's result. The rows of
//! `gone`, which has a table of its own, are deleted again at once, so that nothing there tells what was issued: adding to
//! it adds nothing.

use super::WorkloadKind;
use super::call::{Call, Meaning};
use super::draw::Draws;
use crate::history::Op;
use serde_json::{Value, json};

const SALT: u64 = 0x636f;

/// How many plain counters there are.
const COUNTERS: u64 = 8;

/// The counter whose rows do not stay.
pub(super) const GONE: &str = "gone";

/// Operations of a client on one table of identifiers by name, so that counting the rows stays cheap.
const SHIFT: u64 = 64;

pub(super) fn create(identifiers: bool) -> Vec<String> {
    let rows: Vec<String> = (0..COUNTERS).map(|key| format!("('c{key}', 0)")).collect();
    let mut all = vec![
        "CREATE TABLE IF NOT EXISTS changeover_counter (id TEXT NOT NULL, value BIGINT NOT NULL)"
            .to_owned(),
        "DELETE FROM changeover_counter".to_owned(),
        format!(
            "INSERT INTO changeover_counter (id, value) VALUES {}",
            rows.join(", ")
        ),
    ];
    if identifiers {
        all.extend([
            "CREATE TABLE IF NOT EXISTS changeover_ids (id BIGSERIAL PRIMARY KEY, counter TEXT NOT NULL)"
                .to_owned(),
            "CREATE INDEX IF NOT EXISTS changeover_ids_counter ON changeover_ids (counter)".to_owned(),
            "DELETE FROM changeover_ids".to_owned(),
            "CREATE TABLE IF NOT EXISTS changeover_ids_gone (id BIGSERIAL PRIMARY KEY, counter TEXT NOT NULL)"
                .to_owned(),
        ]);
    }
    all
}

/// Operation `n` of `client`.
pub(super) fn operation(seed: u64, client: u64, n: u64, identifiers: bool) -> Call {
    let mut draws = Draws::of(seed, SALT, client, n);
    let key = match identifiers && draws.below(2) == 0 {
        true if draws.below(4) == 0 => return issue_and_delete(),
        true => format!("ids.{}", n / SHIFT),
        false => format!("c{}", draws.below(COUNTERS)),
    };
    match draws.below(2) {
        0 => read(&key),
        _ => add(&key),
    }
}

pub(super) fn read(key: &str) -> Call {
    Call {
        workload: WorkloadKind::Counter,
        op: Op::Read,
        key: Some(key.to_owned()),
        value: Value::Null,
        writes: false,
        statements: vec![match issues(key) {
            true => format!("SELECT count(*) FROM changeover_ids WHERE counter = '{key}'"),
            false => format!("SELECT value FROM changeover_counter WHERE id = '{key}'"),
        }],
        meaning: Meaning::Integer,
    }
}

fn add(key: &str) -> Call {
    let (statement, meaning) = match issues(key) {
        true => (
            format!("INSERT INTO changeover_ids (counter) VALUES ('{key}') RETURNING id"),
            Meaning::Issued,
        ),
        false => (
            format!("UPDATE changeover_counter SET value = value + 1 WHERE id = '{key}'"),
            Meaning::Done,
        ),
    };
    Call {
        workload: WorkloadKind::Counter,
        op: Op::Add,
        key: Some(key.to_owned()),
        value: json!(1),
        writes: true,
        statements: vec![statement],
        meaning,
    }
}

fn issue_and_delete() -> Call {
    let mut call = add(GONE);
    call.value = json!(0);
    call.statements = vec![
        format!("INSERT INTO changeover_ids_gone (counter) VALUES ('{GONE}') RETURNING id"),
        "DELETE FROM changeover_ids_gone".to_owned(),
    ];
    call.meaning = Meaning::Issued;
    call
}

/// Whether adding to it issues an identifier.
fn issues(key: &str) -> bool {
    key.starts_with("ids.")
}
