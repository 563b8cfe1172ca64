//! One operation of a model in SQL: what is sent, and what the replies mean.

use super::WorkloadKind;
use crate::history::Op;
use serde_json::{Map, Value};

/// An operation as the history has it, and the statements that are it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whose it is.
    pub workload: WorkloadKind,
    /// What it does.
    pub op: Op,
    /// The object it works on.
    pub key: Option<String>,
    /// What is written, as the model says.
    pub value: Value,
    /// Whether it may change anything.
    pub writes: bool,
    /// What is sent, each after the reply to the one before; `BEGIN` and `COMMIT` included where it is a transaction.
    pub statements: Vec<String>,
    /// What the replies mean.
    pub meaning: Meaning,
}

/// What the replies to the statements of a [`Call`] mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// That they came is all.
    Done,
    /// Whether a row was changed.
    Changed,
    /// The integer in the one row; null without a row, or in it.
    Integer,
    /// The integer that the first statement's row was given: never null.
    Issued,
    /// Names and integers, a row each.
    Integers,
    /// The transaction of `value`, with its reads filled in.
    Transaction,
}

/// A reply to one statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The rows, as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many rows it says it was about.
    pub count: u64,
}

impl Call {
    /// The operation's result; `None` if the replies make no sense.
    pub fn result(&self, replies: &[Reply]) -> Option<Value> {
        let only = || match replies {
            [reply] => Some(reply),
            _ => None,
        };
        match self.meaning {
            Meaning::Done => (replies.len() == self.statements.len()).then_some(Value::Null),
            Meaning::Changed => Some(Value::Bool(only()?.count > 0)),
            Meaning::Integer => match only()?.rows.as_slice() {
                [] => Some(Value::Null),
                [row] => match row.as_slice() {
                    [None] => Some(Value::Null),
                    [Some(text)] => integer(text),
                    _ => None,
                },
                _ => None,
            },
            Meaning::Issued => match replies.first()?.rows.as_slice() {
                [row] => match row.as_slice() {
                    [Some(text)] => integer(text),
                    _ => None,
                },
                _ => None,
            },
            Meaning::Integers => {
                let mut all = Map::new();
                for row in &only()?.rows {
                    let [Some(name), Some(number)] = row.as_slice() else {
                        return None;
                    };
                    // A name twice is two rows where there was one: nothing that an object could say.
                    if all.insert(name.clone(), integer(number)?).is_some() {
                        return None;
                    }
                }
                Some(Value::Object(all))
            }
            Meaning::Transaction => super::append::result(&self.value, replies),
        }
    }
}

fn integer(text: &str) -> Option<Value> {
    text.trim().parse::<i64>().ok().map(Value::from)
}
