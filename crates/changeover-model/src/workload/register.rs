//! `register`: values that are read, overwritten, and compared and swapped.
//!
//! Every row is there from the beginning, because some targets have no upsert: a write is one UPDATE.

use super::WorkloadKind;
use super::call::{Call, Meaning};
use super::draw::{Draws, mix, unique};
use crate::history::Op;
use serde_json::{Value, json};

const SALT: u64 = 0x7265;

/// How many registers there are.
const KEYS: u64 = 64;

/// How many are worked on at a time: few, so that clients meet.
const HOT: u64 = 4;

/// After how many operations of a client the next registers are worked on: no register has all the history.
const SHIFT: u64 = 24;

pub(super) fn create() -> Vec<String> {
    let rows: Vec<String> = (0..KEYS).map(|key| format!("('r{key}', NULL)")).collect();
    vec![
        "CREATE TABLE IF NOT EXISTS changeover_register (id TEXT NOT NULL, value BIGINT)"
            .to_owned(),
        // What an earlier run has left where nobody cleans up.
        "DELETE FROM changeover_register".to_owned(),
        format!(
            "INSERT INTO changeover_register (id, value) VALUES {}",
            rows.join(", ")
        ),
    ]
}

/// Operation `n` of `client`. Operations come in pairs; half of the pairs begin with a write, and half of those go on
/// with a swap of what was just written, which works if nobody came between.
pub(super) fn operation(seed: u64, clients: u64, client: u64, n: u64) -> Call {
    let pair = n / 2;
    let mut draws = Draws::of(seed, SALT, client, pair);
    let hot = |draw: u64| format!("r{}", (pair * 2 / SHIFT * HOT + draw) % KEYS);
    let key = hot(draws.below(HOT));
    let kind = draws.below(4);
    let written = unique(clients, client, pair, 2, 0);
    match (n % 2, kind) {
        (0, 0 | 1) => write(&key, written),
        (1, 0) => swap(&key, written, unique(clients, client, pair, 2, 1)),
        _ => read(&hot(mix(draws.below(HOT) ^ n) % HOT)),
    }
}

pub(super) fn read(key: &str) -> Call {
    Call {
        workload: WorkloadKind::Register,
        op: Op::Read,
        key: Some(key.to_owned()),
        value: Value::Null,
        writes: false,
        statements: vec![format!(
            "SELECT value FROM changeover_register WHERE id = '{key}'"
        )],
        meaning: Meaning::Integer,
    }
}

fn write(key: &str, value: i64) -> Call {
    Call {
        workload: WorkloadKind::Register,
        op: Op::Write,
        key: Some(key.to_owned()),
        value: json!(value),
        writes: true,
        statements: vec![format!(
            "UPDATE changeover_register SET value = {value} WHERE id = '{key}'"
        )],
        meaning: Meaning::Done,
    }
}

fn swap(key: &str, expected: i64, new: i64) -> Call {
    Call {
        workload: WorkloadKind::Register,
        op: Op::Cas,
        key: Some(key.to_owned()),
        value: json!([expected, new]),
        writes: true,
        statements: vec![format!(
            "UPDATE changeover_register SET value = {new} WHERE id = '{key}' AND value = {expected}"
        )],
        meaning: Meaning::Changed,
    }
}
