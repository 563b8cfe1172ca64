//! What a server's error means: its kind, and whether the operation may have taken effect all the same.

use super::super::ClientError;
use changeover_model::history::{ErrorKind, OpError};
use std::error::Error as _;
use std::io;

/// What the runtime says when a connection ends before the one byte that answers the wish for TLS.
const END: &str = "early eof";

/// Whether an error of this SQLSTATE says that the statement had no effect. Classes 08 (connection exception) and
/// XX (internal error), 57P (operator intervention: the server goes away) and 40003 (statement completion unknown)
/// do not.
pub(crate) fn definite(sqlstate: &str) -> bool {
    !(sqlstate.starts_with("08")
        || sqlstate.starts_with("XX")
        || sqlstate.starts_with("57P")
        || sqlstate == "40003")
}

/// What the client library says of an established connection or its startup.
pub(super) fn of_postgres(error: &tokio_postgres::Error) -> ClientError {
    if let Some(db) = error.as_db_error() {
        return of_server(db.code().code(), db.message());
    }
    if error.is_closed() {
        return ClientError::reset();
    }
    let said = error.to_string();
    // The library has no other word for what kind of error it is.
    if let Some(what) = ["TLS", "authentication", "configuration"]
        .into_iter()
        .find(|what| said.contains(what))
    {
        return before_startup(what, error);
    }
    match error.source().and_then(|e| e.downcast_ref::<io::Error>()) {
        Some(source) if source.to_string() == END => ClientError::reset(),
        Some(source) => match source.kind() {
            io::ErrorKind::TimedOut => ClientError::timeout(),
            // The library's words for messages that end before their fields do, or are none. The end of the stream
            // itself is not among them.
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => ClientError::wrong_answer(source.to_string()),
            _ => ClientError::new(ErrorKind::Reset, source.to_string()),
        },
        None => ClientError::wrong_answer(error.to_string()),
    }
}

/// What went wrong before a server took us in: about certificates and passwords, and not about the network. A handshake
/// that the other end broke off is the network's.
fn before_startup(what: &str, error: &tokio_postgres::Error) -> ClientError {
    let source = error.source();
    let cause = source.map_or_else(|| error.to_string(), ToString::to_string);
    let io = source.and_then(|e| e.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe,
        ) => ClientError::new(ErrorKind::Reset, cause),
        _ => ClientError::new(ErrorKind::Other, format!("{what}: {cause}")),
    }
}

fn of_server(sqlstate: &str, message: &str) -> ClientError {
    let kind = if sqlstate == "25006" {
        ErrorKind::ReadOnly
    } else if message.to_ascii_lowercase().contains("fenced") {
        ErrorKind::Fenced
    } else {
        ErrorKind::Other
    };
    ClientError {
        error: OpError {
            kind,
            sqlstate: Some(sqlstate.to_owned()),
        },
        message: message.to_owned(),
        definite: definite(sqlstate),
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
}
