//! What a script's statements answered, held against what they must.

use crate::client::Answer;
use crate::record::{About, Recorder};
use changeover_model::history::Outcome;
use changeover_model::observation::Observation;
use changeover_model::workload::{Expect, Line, Script, Statement};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many wrong answers of a statement are events of their own; the rest are counted.
const TOLD: u64 = 5;

/// An answer in an event is cut to so many characters.
const SHOWN: usize = 200;

/// Counts the answers to the statements of a script.
pub(crate) struct ScriptTally {
    recorder: Recorder,
    statements: Vec<(Statement, Counts)>,
}

#[derive(Default)]
struct Counts {
    right: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
}

impl ScriptTally {
    pub(crate) fn new(recorder: Recorder, script: &Script) -> Self {
        let statements = script.statements.iter().cloned();
        ScriptTally {
            recorder,
            statements: statements.map(|s| (s, Counts::default())).collect(),
        }
    }

    /// Takes an answer.
    pub(crate) fn answered(&self, line: &Line, answer: &Answer) {
        let Some((statement, counts)) = self.statements.get(line.index) else {
            return;
        };
        match judge(statement.expect.as_ref(), answer) {
            Found::Right => counts.right.fetch_add(1, Ordering::Relaxed),
            Found::Failed => counts.failed.fetch_add(1, Ordering::Relaxed),
            Found::Wrong(found) => {
                let before = counts.wrong.fetch_add(1, Ordering::Relaxed);
                if before < TOLD {
                    let seen = Observation::ScriptWrong {
                        line: statement.line,
                        sql: line.sql.clone(),
                        expected: statement.expect.as_ref().map_or_else(String::new, words),
                        found,
                    };
                    self.recorder.observed(&About::default(), seen);
                }
                before
            }
        };
    }

    /// Says how often each was run, and how that ended.
    pub(crate) fn finish(&self) {
        for (statement, counts) in &self.statements {
            let seen = Observation::ScriptDone {
                line: statement.line,
                right: counts.right.load(Ordering::Relaxed),
                wrong: counts.wrong.load(Ordering::Relaxed),
                failed: counts.failed.load(Ordering::Relaxed),
            };
            self.recorder.observed(&About::default(), seen);
        }
    }
}

enum Found {
    Right,
    /// It was not answered, or by an error: no answer, and so no wrong one.
    Failed,
    Wrong(String),
}

/// An expected error may not come, and then it is wrong; one that nobody expected is an outage, and not wrong: it says
/// that there is no answer.
fn judge(expect: Option<&Expect>, answer: &Answer) -> Found {
    let state = answer.error.as_ref().and_then(|e| e.sqlstate.as_deref());
    let rows = || {
        answer.result["rows"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    match (expect, answer.outcome) {
        (Some(Expect::Error(expected)), Outcome::Ok) => {
            Found::Wrong(format!("no error, where {expected} must come"))
        }
        (Some(Expect::Error(expected)), _) if state == Some(expected) => Found::Right,
        (_, Outcome::Fail | Outcome::Unknown) => Found::Failed,
        (None, Outcome::Ok) => Found::Right,
        (Some(Expect::Rows(expected)), Outcome::Ok) => match rows().len() as u64 {
            found if found == *expected => Found::Right,
            found => Found::Wrong(format!("{found} rows")),
        },
        (Some(Expect::Count(expected)), Outcome::Ok) => match answer.result["count"].as_u64() {
            Some(found) if found == *expected => Found::Right,
            found => Found::Wrong(format!("a count of {}", found.unwrap_or(0))),
        },
        (Some(Expect::Value(expected)), Outcome::Ok) => match rows() {
            [Value::Array(row)] if row.len() == 1 => {
                let found = row[0].as_str().unwrap_or("null");
                match found == expected {
                    true => Found::Right,
                    false => Found::Wrong(found.chars().take(SHOWN).collect()),
                }
            }
            rows => Found::Wrong(format!("{} rows", rows.len())),
        },
    }
}

/// What is expected, in words.
fn words(expect: &Expect) -> String {
    match expect {
        Expect::Rows(rows) => format!("{rows} rows"),
        Expect::Value(value) => value.clone(),
        Expect::Count(count) => format!("a count of {count}"),
        Expect::Error(state) => format!("error {state}"),
    }
}
