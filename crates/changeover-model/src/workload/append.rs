//! `append`: transactions append to lists and read them, and any order of them that explains the answers will do.
//!
//! A list is a text, because a text has an order that no sorting of rows could hide.

use super::WorkloadKind;
use super::call::{Call, Meaning, Reply};
use super::draw::{Draws, unique};
use crate::history::Op;
use serde_json::{Value, json};

const SALT: u64 = 0x6170;

/// How many lists there are.
const KEYS: u64 = 512;

/// How many are worked on at a time.
const HOT: u64 = 4;

/// After how many transactions of a client the next lists are worked on: lists stay short.
const SHIFT: u64 = 12;

/// The most a transaction does.
const LONGEST: u64 = 3;

pub(super) fn create() -> Vec<String> {
    let rows: Vec<String> = (0..KEYS).map(|key| format!("('e{key}', '')")).collect();
    vec![
        // The key makes the rows what transactions conflict over, and not the table.
        "CREATE TABLE IF NOT EXISTS changeover_append (id TEXT PRIMARY KEY, value TEXT NOT NULL)"
            .to_owned(),
        "DELETE FROM changeover_append".to_owned(),
        format!(
            "INSERT INTO changeover_append (id, value) VALUES {}",
            rows.join(", ")
        ),
    ]
}

/// Operation `n` of `client`.
pub(super) fn operation(seed: u64, clients: u64, client: u64, n: u64) -> Call {
    let mut draws = Draws::of(seed, SALT, client, n);
    let length = 1 + draws.below(LONGEST);
    let parts = (0..length).map(|i| {
        let key = format!("e{}", (n / SHIFT * HOT + draws.below(HOT)) % KEYS);
        match draws.below(2) {
            0 => json!(["read", key, null]),
            _ => json!(["append", key, unique(clients, client, n, LONGEST, i)]),
        }
    });
    transaction(parts.collect())
}

/// A transaction that reads these lists.
pub(super) fn read(keys: &[&str]) -> Call {
    transaction(keys.iter().map(|key| json!(["read", key, null])).collect())
}

/// The lists that a transaction appends to.
pub(super) fn appended(value: &Value) -> Vec<&str> {
    let parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
    parts
        .iter()
        .filter(|part| part[0] == "append")
        .filter_map(|part| part[1].as_str())
        .collect()
}

fn transaction(parts: Vec<Value>) -> Call {
    let mut statements = vec!["BEGIN ISOLATION LEVEL SERIALIZABLE".to_owned()];
    statements.extend(parts.iter().map(|part| {
        let key = part[1].as_str().unwrap_or_default();
        match &part[2] {
            Value::Null => format!("SELECT value FROM changeover_append WHERE id = '{key}'"),
            value => {
                format!(
                    "UPDATE changeover_append SET value = value || ',{value}' WHERE id = '{key}'"
                )
            }
        }
    }));
    statements.push("COMMIT".to_owned());
    let value = Value::Array(parts);
    Call {
        workload: WorkloadKind::Append,
        op: Op::Txn,
        key: None,
        writes: !appended(&value).is_empty(),
        value,
        statements,
        meaning: Meaning::Transaction,
    }
}

/// The transaction with its reads filled in.
pub(super) fn result(value: &Value, replies: &[Reply]) -> Option<Value> {
    let parts = value.as_array()?;
    // Around the parts are BEGIN and COMMIT.
    let inner = replies.get(1..replies.len().checked_sub(1)?)?;
    if inner.len() != parts.len() {
        return None;
    }
    let filled = parts.iter().zip(inner).map(|(part, reply)| {
        if part[0] != "read" {
            return Some(part.clone());
        }
        let list = match reply.rows.as_slice() {
            [] => Vec::new(),
            [row] => list(row.first()?.as_deref()?)?,
            _ => return None,
        };
        Some(json!(["read", part[1], list]))
    });
    filled.collect::<Option<Vec<_>>>().map(Value::Array)
}

/// A list as the table has it: `,17,4`.
fn list(text: &str) -> Option<Vec<i64>> {
    let mut elements = text.split(',');
    if !elements.next()?.is_empty() {
        return None;
    }
    elements.map(|element| element.parse().ok()).collect()
}
