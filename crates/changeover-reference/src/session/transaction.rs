//! A session's transaction: which connection it works on, and how it ends.

use rusqlite::Result;

use crate::commit::{Leader, WriteTransaction};
use crate::copy::{CopyConnection, Pooled};
use crate::engine::{Engine, Mode};
use crate::sql::SqlError;

/// What a transaction has needed so far. Nothing is taken before it is needed: an idle `BEGIN` holds nothing.
pub(super) enum Work {
    Nothing,
    /// A snapshot, fixed by the first read.
    Read(Pooled),
    /// The one transaction that writes.
    Write(Box<WriteTransaction>),
}

impl Work {
    pub(super) fn connection(&self) -> Option<&CopyConnection> {
        match self {
            Self::Nothing => None,
            Self::Read(connection) => Some(connection),
            Self::Write(transaction) => Some(transaction.connection()),
        }
    }
}

/// What SQLite knows the n-th open savepoint by: it takes names for the same that differ in case, clients do not.
fn own_name(n: usize) -> String {
    format!("savepoint_{n}")
}

pub(super) struct Transaction {
    pub(super) work: Work,
    /// Begun by the client, not just by a statement.
    pub(super) explicit: bool,
    pub(super) read_only: bool,
    /// An error happened: everything but its end is refused.
    pub(super) failed: bool,
    /// Ended by us, and the client does not know yet. It must learn so even if its next word is COMMIT.
    pub(super) untold: Option<SqlError>,
    /// Names, and how many effects there were.
    savepoints: Vec<(String, usize)>,
}

impl Transaction {
    pub(super) fn new() -> Self {
        Self {
            work: Work::Nothing,
            explicit: false,
            read_only: false,
            failed: false,
            untold: None,
            savepoints: Vec::new(),
        }
    }

    pub(super) fn is_writing(&self) -> bool {
        matches!(self.work, Work::Write(_))
    }

    /// Makes sure that there is a connection to read from.
    pub(super) fn read(&mut self, engine: &Engine) -> Result<&CopyConnection, SqlError> {
        if matches!(self.work, Work::Nothing) {
            let connection = engine.copy.connection()?;
            connection.run("BEGIN")?;
            self.work = Work::Read(connection);
        }
        self.work.connection().ok_or_else(SqlError::aborted)
    }

    /// Makes sure that this is the transaction that writes.
    pub(super) fn write(&mut self, leader: &Leader) -> Result<&CopyConnection, SqlError> {
        self.work = match std::mem::replace(&mut self.work, Work::Nothing) {
            Work::Nothing => Work::Write(Box::new(leader.begin()?)),
            Work::Read(connection) => Work::Write(Box::new(leader.upgrade(connection)?)),
            writing @ Work::Write(_) => writing,
        };
        self.work.connection().ok_or_else(SqlError::aborted)
    }

    /// Ends it. Whether something was written.
    pub(super) fn commit(self, engine: &Engine) -> Result<bool, SqlError> {
        match self.work {
            Work::Write(transaction) => match engine.leader(Mode::Leading)? {
                Some(leader) => leader.commit(*transaction),
                None => Err(SqlError::read_only()),
            },
            Work::Read(connection) => {
                connection.run("COMMIT")?;
                Ok(false)
            }
            Work::Nothing => Ok(false),
        }
    }

    /// After an error in an explicit transaction: keeps only what a savepoint may still need.
    pub(super) fn fail(&mut self) {
        self.failed = true;
        if self.savepoints.is_empty() {
            self.work = Work::Nothing;
        }
    }

    /// Ends it from our side, with a reason that the client gets with its next statement.
    pub(super) fn abort(&mut self, reason: SqlError) {
        self.savepoints.clear();
        self.fail();
        self.untold = Some(reason);
    }

    pub(super) fn savepoint(&mut self, engine: &Engine, name: String) -> Result<(), SqlError> {
        let own = own_name(self.savepoints.len());
        let connection = self.read(engine)?;
        connection.run(&format!("SAVEPOINT {own}"))?;
        let effects = connection.recorder().effects.len();
        self.savepoints.push((name, effects));
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, SqlError> {
        self.savepoints
            .iter()
            .rposition(|(known, _)| known == name)
            .ok_or_else(|| SqlError::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }

    pub(super) fn release(&mut self, name: &str) -> Result<(), SqlError> {
        let at = self.find(name)?;
        let connection = self.work.connection().ok_or_else(SqlError::aborted)?;
        connection.run(&format!("RELEASE {}", own_name(at)))?;
        self.savepoints.truncate(at);
        Ok(())
    }

    pub(super) fn rollback_to(&mut self, name: &str) -> Result<(), SqlError> {
        let at = self.find(name)?;
        let connection = self.work.connection().ok_or_else(SqlError::aborted)?;
        connection.run(&format!("ROLLBACK TO {}", own_name(at)))?;
        connection
            .recorder()
            .effects
            .truncate(self.savepoints[at].1);
        self.savepoints.truncate(at + 1);
        self.failed = false;
        Ok(())
    }
}
