//! Why an operation did not succeed.

use changeover_model::history::{ErrorKind, OpError, Outcome};
use std::fmt;
use std::io;
use thiserror::Error;

/// Why an operation or a connect did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    pub(super) error: OpError,
    pub(super) message: String,
    /// The server said so, in a way that rules an effect out.
    pub(super) definite: bool,
}

impl ClientError {
    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.error.kind
    }

    /// The server's SQLSTATE, if it was the server who refused.
    pub fn sqlstate(&self) -> Option<&str> {
        self.error.sqlstate.as_deref()
    }

    /// What became of the change that was asked for: without effect if the server said so, or if nobody was there.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.definite || self.kind() == ErrorKind::Refused {
            true => Outcome::Fail,
            false => Outcome::Unknown,
        }
    }

    /// As the history has it.
    pub fn into_op_error(self) -> OpError {
        self.error
    }

    pub(crate) fn timeout() -> Self {
        ClientError::new(ErrorKind::Timeout, "no answer in time")
    }

    pub(crate) fn reset() -> Self {
        ClientError::new(ErrorKind::Reset, "the connection was closed")
    }

    pub(super) fn wrong_answer(message: impl Into<String>) -> Self {
        ClientError::new(ErrorKind::WrongAnswer, message)
    }

    /// What a server says with this SQLSTATE.
    #[cfg(test)]
    pub(crate) fn of_server(sqlstate: &str) -> Self {
        let mut error = ClientError::new(ErrorKind::Other, "refused");
        error.error.sqlstate = Some(sqlstate.to_owned());
        error
    }

    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        ClientError {
            error: OpError {
                kind,
                sqlstate: None,
            },
            message: message.into(),
            definite: false,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error.sqlstate {
            Some(sqlstate) => write!(f, "{} (SQLSTATE {sqlstate})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ClientError {}

/// What came of a TCP connect.
pub(super) fn connect_error(error: &io::Error) -> ClientError {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => ErrorKind::Reset,
        // Unreachable networks, and our own limits.
        _ => ErrorKind::Other,
    };
    ClientError::new(kind, error.to_string())
}

/// Why a target's `client.url` cannot be used.
#[derive(Debug, Error)]
pub enum UrlError {
    /// It is no such URL.
    #[error(
        "client.url {url:?} is no postgres URL: {reason}; write postgres://USER@{{sql_addr}}/DATABASE"
    )]
    Url {
        /// The URL.
        url: String,
        /// What its parser says.
        reason: String,
    },
    /// It names no user.
    #[error("client.url {url:?} names no user; write postgres://USER@{{sql_addr}}/DATABASE")]
    User {
        /// The URL.
        url: String,
    },
    /// A template of an HTTP target is no request.
    #[error("a template of [client] cannot be used: {0}")]
    Request(String),
    /// It is no http URL.
    #[error("{0:?} is no http URL; write http://HOST:PORT/PATH")]
    Http(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_a_connect_has_a_kind() {
        let kind = |kind: io::ErrorKind| connect_error(&kind.into()).kind();
        assert_eq!(kind(io::ErrorKind::ConnectionRefused), ErrorKind::Refused);
        assert_eq!(kind(io::ErrorKind::ConnectionReset), ErrorKind::Reset);
        assert_eq!(kind(io::ErrorKind::TimedOut), ErrorKind::Timeout);
        assert_eq!(kind(io::ErrorKind::HostUnreachable), ErrorKind::Other);
    }
}
