//! What an error means: its kind, and whether the operation may have taken effect all the same.

use changeover_model::history::{ErrorKind, OpError};
use std::error::Error as _;
use std::fmt;
use std::io;

/// Why a statement or a connect did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    error: OpError,
    message: String,
}

impl SqlError {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.error.kind
    }

    /// The server's SQLSTATE, if it was the server who refused.
    pub fn sqlstate(&self) -> Option<&str> {
        self.error.sqlstate.as_deref()
    }

    /// As the history has it.
    pub fn into_op_error(self) -> OpError {
        self.error
    }

    pub(super) fn timeout() -> Self {
        SqlError::new(ErrorKind::Timeout, "no answer in time")
    }

    pub(super) fn reset() -> Self {
        SqlError::new(ErrorKind::Reset, "the connection was closed")
    }

    pub(super) fn wrong_answer(message: impl Into<String>) -> Self {
        SqlError::new(ErrorKind::WrongAnswer, message)
    }

    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        SqlError {
            error: OpError {
                kind,
                sqlstate: None,
            },
            message: message.into(),
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error.sqlstate {
            Some(sqlstate) => write!(f, "{} (SQLSTATE {sqlstate})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for SqlError {}

/// The error of an operation whose time was over.
pub(super) fn timed_out() -> OpError {
    SqlError::timeout().into_op_error()
}

/// Whether an error of this SQLSTATE says that the statement had no effect. Classes 08 (connection exception) and
/// XX (internal error), 57P (operator intervention: the server goes away) and 40003 (statement completion unknown)
/// do not.
pub(super) fn definite(sqlstate: &str) -> bool {
    !(sqlstate.starts_with("08")
        || sqlstate.starts_with("XX")
        || sqlstate.starts_with("57P")
        || sqlstate == "40003")
}

/// What came of a TCP connect.
pub(super) fn connect_error(error: &io::Error) -> SqlError {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => ErrorKind::Reset,
        // Unreachable networks, and our own limits.
        _ => ErrorKind::Other,
    };
    SqlError::new(kind, error.to_string())
}

/// What the client library says of an established connection or its startup.
pub(super) fn of_postgres(error: &tokio_postgres::Error) -> SqlError {
    if let Some(db) = error.as_db_error() {
        return of_server(db.code().code(), db.message());
    }
    if error.is_closed() {
        return SqlError::reset();
    }
    match error.source().and_then(|e| e.downcast_ref::<io::Error>()) {
        Some(source) => match source.kind() {
            io::ErrorKind::TimedOut => SqlError::timeout(),
            // The library's words for messages that end before their fields do, or are none. The end of the stream
            // itself is not among them.
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => SqlError::wrong_answer(source.to_string()),
            _ => SqlError::new(ErrorKind::Reset, source.to_string()),
        },
        None => SqlError::wrong_answer(error.to_string()),
    }
}

fn of_server(sqlstate: &str, message: &str) -> SqlError {
    let kind = if sqlstate == "25006" {
        ErrorKind::ReadOnly
    } else if message.to_ascii_lowercase().contains("fenced") {
        ErrorKind::Fenced
    } else {
        ErrorKind::Other
    };
    SqlError {
        error: OpError {
            kind,
            sqlstate: Some(sqlstate.to_owned()),
        },
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_sqlstates_leave_the_effect_open() {
        for open in ["08006", "57P01", "57P03", "XX000", "40003"] {
            assert!(!definite(open), "{open}");
        }
        for sure in ["25006", "40001", "57014", "42P01", "23505", "40002"] {
            assert!(definite(sure), "{sure}");
        }
    }

    #[test]
    fn what_the_server_says_has_a_kind() {
        let kind = |sqlstate, message| of_server(sqlstate, message).kind();
        assert_eq!(
            kind("25006", "cannot write in read-only mode"),
            ErrorKind::ReadOnly
        );
        assert_eq!(
            kind("57P01", "Fenced out by generation 2"),
            ErrorKind::Fenced
        );
        assert_eq!(kind("57P01", "shutting down"), ErrorKind::Other);
        assert_eq!(
            of_server("42P01", "no such table").to_string(),
            "no such table (SQLSTATE 42P01)"
        );
    }

    #[test]
    fn what_the_system_says_of_a_connect_has_a_kind() {
        let kind = |kind: io::ErrorKind| connect_error(&kind.into()).kind();
        assert_eq!(kind(io::ErrorKind::ConnectionRefused), ErrorKind::Refused);
        assert_eq!(kind(io::ErrorKind::ConnectionReset), ErrorKind::Reset);
        assert_eq!(kind(io::ErrorKind::TimedOut), ErrorKind::Timeout);
        assert_eq!(kind(io::ErrorKind::HostUnreachable), ErrorKind::Other);
    }
}
