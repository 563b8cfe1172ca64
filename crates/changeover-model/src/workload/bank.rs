//! `bank`: money moves between accounts, and none is made or lost.

use super::WorkloadKind;
use super::call::{Call, Meaning};
use super::draw::Draws;
use crate::history::Op;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SALT: u64 = 0x6261;

/// How many accounts there are, and what is in each. Accounts may be overdrawn: forbidding that takes a condition that
/// not every target allows in an UPDATE.
const ACCOUNTS: u64 = 8;
const BALANCE: i64 = 1000;

/// The accounts and what is in them at the beginning.
pub fn accounts() -> BTreeMap<String, i64> {
    (0..ACCOUNTS).map(|n| (format!("a{n}"), BALANCE)).collect()
}

pub(super) fn create() -> Vec<String> {
    let rows: Vec<String> = accounts()
        .iter()
        .map(|(name, balance)| format!("('{name}', {balance})"))
        .collect();
    vec![
        "CREATE TABLE IF NOT EXISTS changeover_bank (id TEXT NOT NULL, balance BIGINT NOT NULL)"
            .to_owned(),
        "DELETE FROM changeover_bank".to_owned(),
        format!(
            "INSERT INTO changeover_bank (id, balance) VALUES {}",
            rows.join(", ")
        ),
    ]
}

/// Operation `n` of `client`. A transfer is a transaction of two statements if `interactive`, else one UPDATE.
pub(super) fn operation(seed: u64, client: u64, n: u64, interactive: bool) -> Call {
    let mut draws = Draws::of(seed, SALT, client, n);
    if draws.below(2) == 0 {
        return read();
    }
    let from = draws.below(ACCOUNTS);
    let to = (from + 1 + draws.below(ACCOUNTS - 1)) % ACCOUNTS;
    transfer(from, to, 1 + draws.below(9), interactive)
}

pub(super) fn read() -> Call {
    Call {
        workload: WorkloadKind::Bank,
        op: Op::Read,
        key: None,
        value: Value::Null,
        writes: false,
        statements: vec!["SELECT id, balance FROM changeover_bank".to_owned()],
        meaning: Meaning::Integers,
    }
}

fn transfer(from: u64, to: u64, amount: u64, interactive: bool) -> Call {
    let statements = match interactive {
        false => vec![format!(
            "UPDATE changeover_bank SET balance = CASE id WHEN 'a{from}' THEN balance - {amount} ELSE balance + {amount} END WHERE id IN ('a{from}', 'a{to}')"
        )],
        true => {
            let change = |account: u64| {
                let sign = if account == from { '-' } else { '+' };
                format!(
                    "UPDATE changeover_bank SET balance = balance {sign} {amount} WHERE id = 'a{account}'"
                )
            };
            // In the order of accounts: two that go opposite ways wait for each other, and neither is a deadlock.
            vec![
                "BEGIN".to_owned(),
                change(from.min(to)),
                change(from.max(to)),
                "COMMIT".to_owned(),
            ]
        }
    };
    Call {
        workload: WorkloadKind::Bank,
        op: Op::Transfer,
        key: None,
        value: json!({"from": format!("a{from}"), "to": format!("a{to}"), "amount": amount}),
        writes: true,
        statements,
        meaning: Meaning::Done,
    }
}
