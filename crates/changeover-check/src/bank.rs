//! The `bank` model: money that moves between accounts. None is made and none is lost, so every snapshot of the accounts
//! adds up to what there was; and where that is forbidden, no account is overdrawn.

use crate::checker::{BadInput, Doubts};
use crate::evidence;
use crate::findings::{Case, Cases};
use crate::ops::{Ops, What};
use crate::subhistory::SubHistory;
use crate::timeline::Timeline;
use changeover_model::check::Check;
use changeover_model::history::{Header, Line, Model, Op, Operation, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A transfer, as its JSON says it.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "that they are there is what is checked")]
struct Transfer {
    from: String,
    to: String,
    amount: u64,
}

/// What is wrong with a snapshot.
#[derive(Debug)]
enum Wrong {
    /// It is none.
    NoSnapshot,
    /// It has an account that there is not, or lacks one.
    Account(String),
    /// The accounts add up to this.
    Total(i128),
    /// An account is overdrawn.
    Negative(String, i64),
}

/// All operations of the `bank` model. Only snapshots that are wrong are kept.
#[derive(Debug)]
pub(crate) struct BankHistory {
    header: Header,
    total: i128,
    wrong: Ops,
    snapshots: Vec<(Wrong, Value)>,
    count: usize,
}

impl BankHistory {
    pub(crate) fn new(header: &Header) -> Self {
        let accounts = header.accounts.iter().flatten();
        BankHistory {
            header: Header {
                accounts: header.accounts.clone(),
                negative_balances: header.negative_balances,
                ..Header::new(Model::Bank.name())
            },
            total: accounts.map(|(_, balance)| i128::from(*balance)).sum(),
            wrong: Ops::default(),
            snapshots: Vec::new(),
            count: 0,
        }
    }

    /// Takes an operation.
    pub(crate) fn take(&mut self, line: &Line<'_>, number: u64) -> Result<(), BadInput> {
        if self.header.accounts.is_none() {
            return Err(BadInput::NoAccounts);
        }
        self.count += 1;
        if line.op == Op::Transfer {
            let transfer: Result<Transfer, _> = serde_json::from_str(line.value);
            return transfer.map(|_| ()).map_err(|_| BadInput::Value {
                op: Op::Transfer,
                expected: "{\"from\":account,\"to\":account,\"amount\":whole number}",
            });
        }
        if line.outcome == Outcome::Ok
            && let Some(wrong) = self.look(line.result)
        {
            let shown = serde_json::from_str(line.result).unwrap_or(Value::Null);
            self.wrong.push(line, number);
            self.snapshots.push((wrong, shown));
        }
        Ok(())
    }

    fn look(&self, json: &str) -> Option<Wrong> {
        let Ok(shown) = serde_json::from_str::<BTreeMap<String, i64>>(json) else {
            return Some(Wrong::NoSnapshot);
        };
        let accounts = self.header.accounts.as_ref()?;
        let unknown = shown.keys().find(|name| !accounts.contains_key(*name));
        let missing = accounts.keys().find(|name| !shown.contains_key(*name));
        if let Some(name) = unknown.or(missing) {
            return Some(Wrong::Account(name.clone()));
        }
        let total: i128 = shown.values().map(|balance| i128::from(*balance)).sum();
        if total != self.total {
            return Some(Wrong::Total(total));
        }
        if self.header.negative_balances == Some(false)
            && let Some((name, balance)) = shown.iter().find(|(_, balance)| **balance < 0)
        {
            return Some(Wrong::Negative(name.clone(), *balance));
        }
        None
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Tells the snapshots that are wrong.
    pub(crate) fn judge(&self, timeline: &Timeline, cases: &mut Cases) -> Doubts {
        for (read, (wrong, shown)) in self.snapshots.iter().enumerate() {
            let read = read as u32;
            let at = u64::try_from(self.wrong.invoke(read)).unwrap_or(0);
            let (headline, what) = match wrong {
                Wrong::NoSnapshot => (
                    "read of the bank that is no balance for each account",
                    "something else".to_owned(),
                ),
                Wrong::Account(name) => (
                    "read of the bank that has not its accounts",
                    format!("not exactly the accounts: see {name:?}"),
                ),
                Wrong::Total(total) => (
                    "read of the bank that does not add up",
                    format!("{total} in all instead of {}", self.total),
                ),
                Wrong::Negative(name, balance) => (
                    "read of the bank with an account overdrawn",
                    format!("{balance} in {name:?}"),
                ),
            };
            let operation = || self.operation(read, shown);
            cases.add_shown(
                Check::InvariantBroken,
                timeline.step_at(at),
                headline,
                || Case {
                    words: format!(
                        "{} read {} at {}{}",
                        self.wrong.name(read),
                        changeover_model::text::harmless_cut(&what, 80),
                        self.wrong.sent(read),
                        self.wrong.generation(read, "from")
                    ),
                    evidence: evidence::of(
                        Model::Bank,
                        timeline.phase_at(at),
                        [self.wrong.evidence(read, &operation())].into_iter(),
                    ),
                },
                || {
                    Some(SubHistory {
                        header: self.header.clone(),
                        operations: vec![operation()],
                    })
                },
            );
        }
        Doubts::default()
    }

    fn operation(&self, read: u32, shown: &Value) -> Operation {
        let what = What {
            op: Op::Read,
            key: None,
            value: json!(null),
            result: shown.clone(),
            outcome: Outcome::Ok,
        };
        self.wrong.operation(read, what)
    }
}
