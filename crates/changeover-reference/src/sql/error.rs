//! Errors as clients see them: an SQLSTATE and a sentence.

use rusqlite::ffi;

use crate::copy::functions::STATE_SEPARATOR;

/// An error with its SQLSTATE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SqlError {
    pub(crate) state: String,
    pub(crate) message: String,
}

/// Names of the checks which hold the type of a column start with this; see [`super::define`].
pub(crate) const TYPE_CHECK: &str = "__changeover_type_";
/// The same for the range of small integers.
pub(crate) const RANGE_CHECK: &str = "__changeover_range_";

impl SqlError {
    pub(crate) fn new(state: &str, message: impl Into<String>) -> Self {
        Self {
            state: state.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn syntax(message: impl Into<String>) -> Self {
        Self::new("42601", message)
    }

    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new("0A000", format!("{what} is not supported"))
    }

    pub(crate) fn read_only() -> Self {
        Self::new("25006", "cannot write in read-only mode")
    }

    pub(crate) fn conflict(message: &str) -> Self {
        Self::new("40001", message)
    }

    pub(crate) fn aborted() -> Self {
        Self::new(
            "25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
        )
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(cause, message) => from_sqlite(
                cause.extended_code,
                message.as_deref().unwrap_or("unknown error"),
            ),
            rusqlite::Error::SqlInputError {
                error: cause, msg, ..
            } => from_sqlite(cause.extended_code, msg),
            rusqlite::Error::InvalidParameterCount(given, wanted) => Self::new(
                "08P01",
                format!("{given} parameters were given, {wanted} are needed"),
            ),
            rusqlite::Error::MultipleStatement => {
                Self::syntax("cannot use several statements here")
            }
            rusqlite::Error::NulError(_) => {
                Self::new("22021", "a text must not contain a zero byte")
            }
            _ => Self::new("22000", error.to_string()),
        }
    }
}

fn from_sqlite(code: i32, message: &str) -> SqlError {
    let found = |state: &str| SqlError::new(state, message);
    match code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => SqlError::new(
            "23505",
            format!(
                "duplicate key value violates a unique constraint ({})",
                after_colon(message)
            ),
        ),
        ffi::SQLITE_CONSTRAINT_NOTNULL => SqlError::new(
            "23502",
            format!(
                "null value in column {} violates not-null constraint",
                after_colon(message)
            ),
        ),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
            SqlError::new("23503", "a row violates a foreign key constraint")
        }
        ffi::SQLITE_CONSTRAINT_CHECK => check_failed(after_colon(message)),
        _ => match code & 0xff {
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
                SqlError::conflict("could not serialize access due to concurrent update")
            }
            ffi::SQLITE_INTERRUPT => {
                SqlError::new("57014", "canceling statement due to user request")
            }
            ffi::SQLITE_CONSTRAINT => found("23000"),
            ffi::SQLITE_TOOBIG => found("54000"),
            ffi::SQLITE_FULL => found("53100"),
            ffi::SQLITE_NOMEM => found("53200"),
            ffi::SQLITE_IOERR | ffi::SQLITE_CORRUPT | ffi::SQLITE_CANTOPEN | ffi::SQLITE_NOTADB => {
                found("58030")
            }
            ffi::SQLITE_MISMATCH => found("22P02"),
            _ => from_text(message),
        },
    }
}

fn after_colon(message: &str) -> &str {
    message.rsplit_once(": ").map_or(message, |(_, what)| what)
}

fn check_failed(name: &str) -> SqlError {
    if let Some(column) = name.strip_prefix(TYPE_CHECK) {
        return SqlError::new(
            "22P02",
            format!("invalid input syntax for the type of column \"{column}\""),
        );
    }
    if let Some(column) = name.strip_prefix(RANGE_CHECK) {
        return SqlError::new(
            "22003",
            format!("value out of range for the type of column \"{column}\""),
        );
    }
    SqlError::new(
        "23514",
        format!("new row violates check constraint \"{name}\""),
    )
}

/// SQLite tells its plain errors apart by their texts only.
fn from_text(message: &str) -> SqlError {
    if let Some((state, rest)) = message.split_once(STATE_SEPARATOR)
        && state.len() == 5
    {
        return SqlError::new(state, rest);
    }
    let tail = after_colon(message);
    let (state, text) = if message.contains("no such table") {
        (
            "42P01",
            format!(
                "relation \"{}\" does not exist",
                tail.strip_prefix("main.").unwrap_or(tail)
            ),
        )
    } else if message.contains("no such column") || message.contains("has no column named") {
        ("42703", format!("column does not exist: {message}"))
    } else if message.contains("no such view") || message.contains("no such index") {
        (
            if message.contains("index") {
                "42704"
            } else {
                "42P01"
            },
            message.to_owned(),
        )
    } else if message.contains("no such function") || message.contains("wrong number of arguments")
    {
        ("42883", message.to_owned())
    } else if message.contains("no such savepoint") {
        ("3B001", message.to_owned())
    } else if message.contains("already exists")
        || message.contains("already another table or index")
    {
        ("42P07", message.to_owned())
    } else if message.contains("duplicate column name") {
        ("42701", message.to_owned())
    } else if message.contains("ambiguous column name") {
        ("42702", message.to_owned())
    } else if message.contains("misuse of aggregate") || message.contains("misuse of window") {
        ("42803", message.to_owned())
    } else if message.contains("integer overflow") {
        ("22003", "bigint out of range".to_owned())
    } else if message.contains("cannot modify") {
        ("42809", message.to_owned())
    } else if message.contains("too many")
        || message.contains("too large")
        || message.contains("too big")
    {
        ("54000", message.to_owned())
    } else {
        ("42601", message.to_owned())
    };
    SqlError::new(state, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_states() {
        let state = |message: &str| from_text(message).state;
        assert_eq!(state("no such table: t"), "42P01");
        assert_eq!(state("no such column: x"), "42703");
        assert_eq!(state("near \"foo\": syntax error"), "42601");
        assert_eq!(state("22P02|invalid input syntax"), "22P02");
        assert_eq!(
            from_sqlite(
                ffi::SQLITE_CONSTRAINT_CHECK,
                "CHECK constraint failed: __changeover_type_v"
            )
            .state,
            "22P02"
        );
    }
}
