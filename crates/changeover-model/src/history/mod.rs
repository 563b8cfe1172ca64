//! `history.jsonl`: every client operation with its times and outcome.
//!
//! One JSON object a line; the first is a [`Header`]. Other tools may write this format, so reading ignores unknown
//! keys. Times are nanoseconds since the run's zero on one clock.

mod line;
mod model;
mod scan;

pub use line::Line;
pub use model::Model;

use crate::format::{FormatError, Kind};
use crate::text::harmless_cut;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// How much of a line an error quotes, in characters.
const QUOTED: usize = 200;

/// The model of a history whose operations each name their own.
pub const MIXED: &str = "mixed";

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// `changeover.history/1`.
    pub format: String,
    /// The model of the operations, or `mixed` when every operation names its own.
    pub model: String,
    /// What is in the accounts of a `bank` at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<BTreeMap<String, i64>>,
    /// Whether an account of a `bank` may be overdrawn; it may unless this is `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_balances: Option<bool>,
}

impl Header {
    /// The header of a history of one model.
    pub fn new(model: &str) -> Self {
        Header {
            format: Kind::History.mark(),
            model: model.to_owned(),
            accounts: None,
            negative_balances: None,
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Acknowledged.
    Ok,
    /// Certainly without effect.
    Fail,
    /// It may or may not have taken effect. Never rounded off to `fail`.
    Unknown,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Adds an element to a set, or to a counter.
    Add,
    /// Reads.
    Read,
    /// Writes a register.
    Write,
    /// Compares and swaps a register.
    Cas,
    /// Runs a transaction of appends and reads.
    Txn,
    /// Moves money.
    Transfer,
    /// TCP connect, startup, `ReadyForQuery`; belongs to no model.
    Connect,
    /// A query or a request of the user's own, or one that reads nothing; belongs to no model.
    Query,
}

impl Op {
    /// The stable word.
    pub fn name(self) -> &'static str {
        match self {
            Op::Add => "add",
            Op::Read => "read",
            Op::Write => "write",
            Op::Cas => "cas",
            Op::Txn => "txn",
            Op::Transfer => "transfer",
            Op::Connect => "connect",
            Op::Query => "query",
        }
    }
}

/// The class of a lane's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Connects.
    Connect,
}

impl Class {
    /// The stable word.
    pub fn name(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Write => "write",
            Class::Connect => "connect",
        }
    }
}

/// How an operation's connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// A connection that the client keeps.
    Held,
    /// A new connection for this operation.
    New,
    /// Straight to an instance, past the front door.
    Direct,
}

impl Connection {
    /// The stable word.
    pub fn name(self) -> &'static str {
        match self {
            Connection::Held => "held",
            Connection::New => "new",
            Connection::Direct => "direct",
        }
    }
}

/// A lane: a class and a kind of connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// What it does.
    pub class: Class,
    /// How it connects.
    pub connection: Connection,
    /// What a lane of the user's own asks. Its operations are [`Op::Query`], and their key is this one's text.
    pub own: Option<OwnLane>,
}

impl LaneId {
    /// One of the lanes that every run has.
    pub const fn new(class: Class, connection: Connection) -> Self {
        LaneId {
            class,
            connection,
            own: None,
        }
    }

    /// One of the user's own: it reads.
    pub const fn own(own: OwnLane, connection: Connection) -> Self {
        LaneId {
            class: Class::Read,
            connection,
            own: Some(own),
        }
    }

    /// The lane that an operation belongs to; `None` if it is no lane's.
    pub fn of(operation: &Operation) -> Option<Self> {
        if operation.source != Some(Source::Lane) {
            return None;
        }
        Some(LaneId {
            class: operation.class?,
            connection: operation.connection?,
            own: match (operation.op, &operation.key) {
                (Op::Query, Some(key)) => Some(OwnLane::from_text(key)?),
                _ => None,
            },
        })
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.own {
            Some(own) => write!(f, "{own}/{}", self.connection.name()),
            None => write!(f, "{}/{}", self.class.name(), self.connection.name()),
        }
    }
}

/// What a lane of the user's own asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnLane {
    /// The user's query of that number, 1 for the first.
    Sql(u8),
    /// The HTTP endpoint of that number, 1 for the first.
    Http(u8),
}

impl OwnLane {
    fn from_text(text: &str) -> Option<Self> {
        let (kind, number) = text.split_once('-')?;
        let number = number.parse().ok()?;
        match kind {
            "sql" => Some(OwnLane::Sql(number)),
            "http" => Some(OwnLane::Http(number)),
            _ => None,
        }
    }
}

impl fmt::Display for OwnLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OwnLane::Sql(number) => write!(f, "sql-{number}"),
            OwnLane::Http(number) => write!(f, "http-{number}"),
        }
    }
}

/// The lanes there are, in the order of reports, and in which they fire within an interval.
pub const LANES: [LaneId; 5] = [
    LaneId::new(Class::Read, Connection::Held),
    LaneId::new(Class::Write, Connection::Held),
    LaneId::new(Class::Read, Connection::New),
    LaneId::new(Class::Write, Connection::New),
    LaneId::new(Class::Connect, Connection::New),
];

/// Who sent an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A lane: it measures availability.
    Lane,
    /// The workload: it is judged for correctness.
    Workload,
    /// A direct observer of one instance.
    Observer,
    /// The comparison of everything acknowledged, after each promotion and at the end.
    FullRead,
}

/// The kind of an error, coarse enough to count by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The connection was refused.
    Refused,
    /// The connection died.
    Reset,
    /// No answer in time.
    Timeout,
    /// SQLSTATE 25006.
    ReadOnly,
    /// The server said that it was fenced.
    Fenced,
    /// The harness did not send it: too many in flight.
    NotSent,
    /// An answer that cannot be right, such as a row of another shape.
    WrongAnswer,
    /// Another error of the server.
    Other,
}

impl ErrorKind {
    /// The stable word.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Refused => "refused",
            ErrorKind::Reset => "reset",
            ErrorKind::Timeout => "timeout",
            ErrorKind::ReadOnly => "read-only",
            ErrorKind::Fenced => "fenced",
            ErrorKind::NotSent => "not-sent",
            ErrorKind::WrongAnswer => "wrong-answer",
            ErrorKind::Other => "other",
        }
    }
}

/// An error, with the server's code if it sent one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpError {
    /// Its kind.
    pub kind: ErrorKind,
    /// The SQLSTATE, five characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sqlstate {
            Some(sqlstate) => write!(f, "{} {sqlstate}", self.kind.name()),
            None => f.write_str(self.kind.name()),
        }
    }
}

/// One client operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Who has at most one operation in flight; a new number after an `unknown`.
    pub process: u64,
    /// What it does.
    pub op: Op,
    /// The model, in a `mixed` history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The object it works on.
    #[serde(default)]
    pub key: Option<String>,
    /// What is written.
    #[serde(default)]
    pub value: Value,
    /// What came back.
    #[serde(default)]
    pub result: Value,
    /// When it was sent, in nanoseconds.
    pub invoke: u64,
    /// When the answer was there; `None` for `unknown`.
    #[serde(rename = "return", default)]
    pub returned: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The stable client; session guarantees are judged by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u64>,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// A lane operation's class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// A lane or observer operation's kind of connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// When the schedule wanted it sent, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intended: Option<u64>,
    /// How late the harness itself was with it, in nanoseconds; waiting for a client that the target keeps busy is
    /// not the harness's fault and not in here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness: Option<u64>,
    /// A direct observer's instance: its slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// A direct observer's instance: its deploy generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why it did not end `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<OpError>,
    /// When it ended in whatever way, in nanoseconds; also for `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
}

/// A line that is no operation or header.
#[derive(Debug)]
pub enum HistoryError {
    /// Not the JSON object it must be.
    Json(serde_json::Error),
    /// The header's format mark.
    Format(FormatError),
    /// An answer before the question.
    ReturnBeforeInvoke {
        /// When it was sent.
        invoke: u64,
        /// When it is said to have returned.
        returned: u64,
    },
    /// A time beyond what a signed 64-bit number holds.
    TooLate {
        /// Which time.
        field: &'static str,
        /// The time.
        at: u64,
    },
    /// An acknowledged operation that never returned.
    NoReturn,
    /// A line that is something else than a JSON object.
    NoObject,
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistoryError::Json(error) if error.is_eof() => {
                write!(f, "the line ends too early: it is truncated")
            }
            HistoryError::Json(error) => {
                // A line is one line: its number is said by whoever knows it.
                let text = error.to_string();
                let end = text.rfind(" at line ").unwrap_or(text.len());
                // It quotes the line, which may hold anything.
                let text = harmless_cut(&text[..end], QUOTED);
                match error.column() {
                    0 => write!(f, "{text}"),
                    column => write!(f, "column {column}: {text}"),
                }
            }
            HistoryError::Format(error) => write!(f, "{error}"),
            HistoryError::ReturnBeforeInvoke { invoke, returned } => {
                write!(f, "\"return\" {returned} is before \"invoke\" {invoke}")
            }
            HistoryError::TooLate { field, at } => write!(
                f,
                "\"{field}\" {at} is beyond {}: give times in nanoseconds since the run began",
                i64::MAX
            ),
            HistoryError::NoObject => write!(
                f,
                "the line is no JSON object: a history has one object a line"
            ),
            HistoryError::NoReturn => write!(
                f,
                "\"return\" is missing: an operation that is \"ok\" has one, and one without an answer is \"unknown\""
            ),
        }
    }
}

impl std::error::Error for HistoryError {}

/// Refuses what is no object. Field by field, `serde` would read a list as well.
fn check_object(line: &str) -> Result<(), HistoryError> {
    match line.trim_start().starts_with('{') {
        true => Ok(()),
        false => Err(HistoryError::NoObject),
    }
}

impl Header {
    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// When it is no header, or one of another kind or major version.
    pub fn parse(line: &str) -> Result<Self, HistoryError> {
        check_object(line)?;
        let header: Header = serde_json::from_str(line).map_err(HistoryError::Json)?;
        Kind::History
            .accept(&header.format)
            .map_err(HistoryError::Format)?;
        Ok(header)
    }
}

impl Operation {
    /// Reads a line after the first.
    ///
    /// # Errors
    ///
    /// When it is no operation, or one that returned before it was sent.
    pub fn parse(line: &str) -> Result<Self, HistoryError> {
        let operation: Operation = serde_json::from_str(line).map_err(HistoryError::Json)?;
        line::check_times(operation.invoke, operation.returned, operation.ended)?;
        Ok(operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_example_of_the_contract() {
        let line = r#"{"process":3,"op":"write","key":"k1","value":17,"result":null,"invoke":1200345,"return":1203345,"outcome":"ok","later":1}"#;
        let operation = Operation::parse(line).unwrap();
        assert_eq!(operation.process, 3);
        assert_eq!(operation.returned, Some(1_203_345));
        assert_eq!(operation.value, 17);
        let line = r#"{"process":3,"op":"read","invoke":5,"return":4,"outcome":"ok"}"#;
        assert_eq!(
            Operation::parse(line).unwrap_err().to_string(),
            "\"return\" 4 is before \"invoke\" 5"
        );
    }

    #[test]
    fn an_operation_knows_its_lane() {
        let lane = |line: &str| LaneId::of(&Operation::parse(line).unwrap());
        let line = |op: &str, key: &str| {
            format!(
                r#"{{"process":1,"op":"{op}","key":{key},"invoke":1,"return":2,"outcome":"ok","source":"lane","class":"read","connection":"held"}}"#
            )
        };
        let held = LaneId::new(Class::Read, Connection::Held);
        assert_eq!(lane(&line("read", r#""k1""#)), Some(held));
        assert_eq!(lane(&line("query", "null")), Some(held));
        for own in [OwnLane::Sql(1), OwnLane::Http(12)] {
            let id = LaneId::own(own, Connection::Held);
            assert_eq!(lane(&line("query", &format!("\"{own}\""))), Some(id));
            assert_eq!(id.to_string(), format!("{own}/held"));
        }
        assert_eq!(lane(&line("query", r#""what""#)), None);
        assert_eq!(
            lane(r#"{"process":1,"op":"connect","invoke":1,"outcome":"fail","source":"workload"}"#),
            None
        );
    }

    #[test]
    fn error_kinds_have_one_word_each() {
        for kind in [
            ErrorKind::Refused,
            ErrorKind::Reset,
            ErrorKind::Timeout,
            ErrorKind::ReadOnly,
            ErrorKind::Fenced,
            ErrorKind::NotSent,
            ErrorKind::WrongAnswer,
            ErrorKind::Other,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_line() {
        for (text, problem) in [
            (
                r#"{"process":3,"op":"read""#,
                "the line ends too early: it is truncated",
            ),
            (
                r#"{"process":3,"op":"read","invoke":9223372036854775808,"outcome":"unknown"}"#,
                "\"invoke\" 9223372036854775808 is beyond 9223372036854775807: give times in nanoseconds since the run began",
            ),
            (
                r#"{"process":3,"op":"read","invoke":1,"outcome":"ok"}"#,
                "\"return\" is missing: an operation that is \"ok\" has one, and one without an answer is \"unknown\"",
            ),
            (
                r#"[3,"read"]"#,
                "the line is no JSON object: a history has one object a line",
            ),
            (
                r#"{"process":3,"op":"read","invoke":-1,"outcome":"ok"}"#,
                "column 36: invalid value: integer `-1`, expected u64",
            ),
        ] {
            assert_eq!(Line::parse(text).unwrap_err().to_string(), problem);
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(line in any::<String>()) {
            let _ = Operation::parse(&line);
            let _ = Line::parse(&line);
            let _ = Header::parse(&line);
        }
    }
}
