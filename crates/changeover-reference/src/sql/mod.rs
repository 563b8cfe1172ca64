//! SQL: PostgreSQL's surface over SQLite's engine.
//!
//! A statement is parsed in PostgreSQL's dialect, classified, and rewritten to what SQLite understands; what neither
//! can do is refused with the SQLSTATE that PostgreSQL clients expect.

pub(crate) mod classify;
pub(crate) mod define;
pub(crate) mod error;
pub(crate) mod infer;
pub(crate) mod translate;
pub(crate) mod types;

pub(crate) use classify::{Kind, Plan, parse};
pub(crate) use error::SqlError;
