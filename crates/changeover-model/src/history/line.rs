//! One line of a history, read without copying it.
//!
//! A judge reads millions of them. Nearly all have a plain shape, which [`scan`](super::scan) reads in a fraction of
//! a microsecond; whatever that does not understand is left to `serde_json`, whose word is final.

use super::{Class, Connection, HistoryError, Op, Operation, Outcome, Source, scan};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An operation whose text still lies in its line. `value` and `result` are JSON, `null` when absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Who has at most one operation in flight.
    pub process: u64,
    /// What it does.
    pub op: Op,
    /// The model, in a `mixed` history.
    pub model: Option<Cow<'a, str>>,
    /// The object it works on.
    pub key: Option<Cow<'a, str>>,
    /// What is written.
    pub value: &'a str,
    /// What came back.
    pub result: &'a str,
    /// When it was sent.
    pub invoke: u64,
    /// When the answer was there.
    pub returned: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The stable client.
    pub client: Option<u64>,
    /// Who sent it.
    pub source: Option<Source>,
    /// A lane operation's class.
    pub class: Option<Class>,
    /// A lane or observer operation's kind of connection.
    pub connection: Option<Connection>,
    /// The deploy generation that answered, where it is known.
    pub generation: Option<u64>,
    /// When it ended in whatever way.
    pub ended: Option<u64>,
}

/// The same, as `serde` reads it.
#[derive(Deserialize)]
struct Careful<'a> {
    process: u64,
    op: Op,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    invoke: u64,
    #[serde(rename = "return", default)]
    returned: Option<u64>,
    outcome: Outcome,
    #[serde(default)]
    client: Option<u64>,
    #[serde(default)]
    source: Option<Source>,
    #[serde(default)]
    class: Option<Class>,
    #[serde(default)]
    connection: Option<Connection>,
    #[serde(default)]
    generation: Option<u64>,
    #[serde(default)]
    ended: Option<u64>,
}

impl<'a> Line<'a> {
    /// Reads a line after the first.
    ///
    /// # Errors
    ///
    /// When it is no operation, or its times cannot be.
    pub fn parse(text: &'a str) -> Result<Self, HistoryError> {
        let line = match scan::line(text) {
            Some(line) => line,
            None => Line::parse_carefully(text)?,
        };
        check_times(line.invoke, line.returned, line.ended)?;
        if line.outcome == Outcome::Ok && line.returned.or(line.ended).is_none() {
            return Err(HistoryError::NoReturn);
        }
        Ok(line)
    }

    /// Reads it with `serde_json` alone.
    pub(super) fn parse_carefully(text: &'a str) -> Result<Self, HistoryError> {
        super::check_object(text)?;
        let read: Careful<'a> = serde_json::from_str(text).map_err(HistoryError::Json)?;
        let raw = |value: Option<&'a RawValue>| value.map_or("null", RawValue::get);
        Ok(Line {
            process: read.process,
            op: read.op,
            model: read.model.map(Cow::Owned),
            key: read.key.map(Cow::Owned),
            value: raw(read.value),
            result: raw(read.result),
            invoke: read.invoke,
            returned: read.returned,
            outcome: read.outcome,
            client: read.client,
            source: read.source,
            class: read.class,
            connection: read.connection,
            generation: read.generation,
            ended: read.ended,
        })
    }

    /// An operation as its line would be; `value` and `result` are its JSON.
    pub fn of(operation: &'a Operation, value: &'a str, result: &'a str) -> Self {
        Line {
            process: operation.process,
            op: operation.op,
            model: operation.model.as_deref().map(Cow::Borrowed),
            key: operation.key.as_deref().map(Cow::Borrowed),
            value,
            result,
            invoke: operation.invoke,
            returned: operation.returned,
            outcome: operation.outcome,
            client: operation.client,
            source: operation.source,
            class: operation.class,
            connection: operation.connection,
            generation: operation.generation,
            ended: operation.ended,
        }
    }

    /// When its answer was there, if there was one; `None` for what was not acknowledged.
    pub fn acknowledged(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok => self.returned.or(self.ended),
            Outcome::Fail | Outcome::Unknown => None,
        }
    }
}

/// Refuses an answer before its question, and times that other programs could not hold.
pub(super) fn check_times(
    invoke: u64,
    returned: Option<u64>,
    ended: Option<u64>,
) -> Result<(), HistoryError> {
    const LATEST: u64 = i64::MAX as u64;
    for (field, at) in [
        ("invoke", Some(invoke)),
        ("return", returned),
        ("ended", ended),
    ] {
        if let Some(at) = at.filter(|at| *at > LATEST) {
            return Err(HistoryError::TooLate { field, at });
        }
    }
    match [returned, ended]
        .into_iter()
        .flatten()
        .find(|end| *end < invoke)
    {
        Some(returned) => Err(HistoryError::ReturnBeforeInvoke { invoke, returned }),
        None => Ok(()),
    }
}
