//! The metadata store that all generations share: the fence, and the log of row effects and DDL.
//!
//! A [`MetadataStore`] is one *handle*: a connection that belongs to one thread at a time. [`StoreAddress::open`]
//! makes as many as are needed. Another kind of store implements the trait and gets a variant in the address.

pub(crate) mod format;
mod place;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::ladder::Release;

pub use postgres::{
    PostgresAddress, StoreTrouble, look, look_for_database, make_database, remove, remove_database,
};

/// A value of a row, exactly as SQLite stores it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// One change made by a transaction, as followers replay it. Rows are known by their rowid, so that replay needs no
/// key and cannot depend on what an expression would give elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    Insert {
        table: String,
        rowid: i64,
        row: Vec<Value>,
    },
    /// `old` differs from `rowid` when the statement changed a key that is the rowid's other name.
    Update {
        table: String,
        old: i64,
        rowid: i64,
        row: Vec<Value>,
    },
    Delete {
        table: String,
        rowid: i64,
    },
    /// A statement of data definition, translated; never one that changes rows.
    Ddl {
        statement: String,
    },
}

/// What one committed transaction left in the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// Counts from 1 without holes; the store's `upper` is the position of the last one.
    pub(crate) position: u64,
    pub(crate) effects: Vec<Effect>,
}

impl Record {
    pub(crate) fn ddl(&self) -> Option<&str> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Ddl { statement } => Some(statement.as_str()),
            _ => None,
        })
    }
}

/// Who may write. Ordered by generation, then by epoch: the greater one has fenced out the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {} epoch {}", self.generation, self.epoch)
    }
}

/// The fence row: the newest token, and the position of the last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) token: Token,
    pub(crate) upper: u64,
}

/// How a process begins, decided by the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It leads: its token is in the fence now.
    Lead(Fence),
    /// A lower generation leads.
    Follow(Fence),
    /// A higher generation leads.
    FencedOut(Fence),
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// The record is in the log, at this position.
    At(u64),
    /// Refused, nothing written: somebody else's token is in the fence.
    Fenced(Token),
    /// Refused, nothing written: our token is in the fence, but the log is longer than we know. Only a defect does
    /// that; the process must end, as its copy cannot be right.
    UpperMoved(u64),
}

/// How far the rewriting of older records has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Migration {
    /// Nothing is left to rewrite.
    Done,
    /// Records up to `position` of `until` are rewritten.
    At { position: u64, until: u64 },
    /// Somebody else's token is in the fence.
    Fenced(Token),
}

impl Migration {
    fn from(position: u64, until: u64) -> Self {
        match position < until {
            true => Self::At { position, until },
            false => Self::Done,
        }
    }
}

/// One handle on a metadata store.
pub(crate) trait MetadataStore: Send {
    /// The store's own name, made when it was initialised: tells a private copy of this store from another's.
    fn id(&mut self) -> Result<String, StoreError>;

    /// Ties the handle to the store of this id, before it is used: whoever recreates the store begins again with low
    /// numbers, which the token of an old leader may fit. A handle that is not tied belongs to the first store it
    /// meets.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if it is known already that another store is there; else whoever uses the handle is
    /// told so.
    fn tie(&mut self, id: &str) -> Result<(), StoreError>;

    /// Decides how a process of this generation begins. Initialises an empty store, and claims one that is of the
    /// same generation already (epoch + 1, and the format of this release); touches nothing when another
    /// generation leads.
    fn begin(&mut self, generation: u64) -> Result<Role, StoreError>;

    /// Claims the fence for `generation` with the next epoch and marks the store with this release's format: the
    /// point of no return. Never answers [`Role::Follow`].
    fn promote(&mut self, generation: u64) -> Result<Role, StoreError>;

    /// Reads the fence.
    fn fence(&mut self) -> Result<Fence, StoreError>;

    /// Appends one record if the fence still holds `token` and `upper`: all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the outcome cannot be known; with any other error nothing was written.
    fn append(
        &mut self,
        token: Token,
        upper: u64,
        effects: &[Effect],
    ) -> Result<Appended, StoreError>;

    /// The records after `position`, at most `limit`, in order and without holes.
    fn read(&mut self, position: u64, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// How far the rewriting has come, without doing any of it; whoever's token is in the fence.
    fn migration(&mut self) -> Result<Migration, StoreError>;

    /// Rewrites at most `limit` records of older formats under the fence, all or none.
    fn migrate(&mut self, token: Token, limit: usize) -> Result<Migration, StoreError>;

    /// Moves what the store wrote to where it stays, off the path of commits. Costs time, never correctness.
    fn tidy(&mut self) -> Result<(), StoreError>;
}

/// Where a metadata store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// A SQLite file, given as `sqlite:PATH`.
    Sqlite(PathBuf),
    /// A schema of a PostgreSQL database, given as `postgres://user@host:port/database?schema=NAME`.
    Postgres(Box<PostgresAddress>),
}

impl StoreAddress {
    pub(crate) fn open(
        &self,
        release: &'static Release,
    ) -> Result<Box<dyn MetadataStore>, StoreError> {
        match self {
            Self::Sqlite(path) => Ok(Box::new(sqlite::SqliteStore::open(path, release)?)),
            Self::Postgres(address) => {
                Ok(Box::new(postgres::PostgresStore::open(address, release)?))
            }
        }
    }
}

impl fmt::Display for StoreAddress {
    /// What can be given again, without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl FromStr for StoreAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("sqlite", _)) => Err("the path after `sqlite:` is missing".to_owned()),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => text
                .parse()
                .map(|address| Self::Postgres(Box::new(address))),
            // Only the scheme is shown: what follows may hold a password.
            _ => Err(format!(
                "`{}` is no kind of metadata store this release knows; give `sqlite:PATH` or \
                 `postgres://user@host:port/database`",
                text.split(':').next().unwrap_or(text)
            )),
        }
    }
}

/// Why a metadata store could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot reach the metadata store {store}: {cause}")]
    Unreachable { store: String, cause: String },
    #[error("{store} is not a metadata store of the reference database: {cause}")]
    Foreign { store: String, cause: String },
    #[error(
        "the metadata store {store} has format `{found}`, which is newer than `{own}`, the format of {version}; \
         start a release that writes `{found}`"
    )]
    Newer {
        store: String,
        found: String,
        own: &'static str,
        version: &'static str,
    },
    #[error(
        "the metadata store {store} is damaged: {cause}; restore it from a backup or start with a new one"
    )]
    Damaged { store: String, cause: String },
    #[error("the metadata store {store} did not do its work: {cause}")]
    Failed { store: String, cause: String },
    #[error(
        "the metadata store {store} was removed or replaced by another while this process used it; start the process \
         again to use what is there now"
    )]
    Replaced { store: String },
    #[error("the outcome of an append to the metadata store {store} is unknown: {cause}")]
    Unknown { store: String, cause: String },
}
