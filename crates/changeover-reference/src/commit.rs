//! Write transactions on the leader, and the order in which a commit becomes true.
//!
//! One transaction writes at a time. Its commit goes: collect the effects, append them to the store, commit the
//! private copy with the position in it, and only then answer. A process that dies in between has answered nothing;
//! what is in the log is replayed, what is not never happened.

use std::sync::Arc;
use std::time::Duration;

use crate::bug::{self, Bug};
use crate::confirm::Confirm;
use crate::copy::{CopyConnection, Pooled, PrivateCopy};
use crate::lock::{FairLock, Permit};
use crate::sql::SqlError;
use crate::store::{Appended, MetadataStore, Migration, StoreError, Token};
use crate::{exit, log};

/// How long a transaction waits for its turn to write.
const WAIT: Duration = Duration::from_millis(400);

/// How long a portion of a migration waits for its turn, before it asks for it once more.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Commits after which the store may be tidied.
const TIDY_EVERY: u64 = 1_000;

/// What only the writing transaction may use.
pub(crate) struct Writer {
    store: Box<dyn MetadataStore>,
    token: Token,
    upper: u64,
    /// Kept for the next writer: nobody else changes the file, so its pages stay warm.
    home: Option<Pooled>,
}

/// What makes a process the leader.
pub(crate) struct Leader {
    writer: Arc<FairLock<Writer>>,
    confirm: Confirm,
    copy: Arc<PrivateCopy>,
    tidy: std::sync::mpsc::SyncSender<()>,
}

impl Leader {
    /// `upper` is the position up to which the private copy is complete. `tidy` is told now and then that it is time.
    pub(crate) fn new(
        token: Token,
        upper: u64,
        append: Box<dyn MetadataStore>,
        confirm: Box<dyn MetadataStore>,
        copy: Arc<PrivateCopy>,
        tidy: std::sync::mpsc::SyncSender<()>,
    ) -> Self {
        let writer = FairLock::new(Writer {
            store: append,
            token,
            upper,
            home: None,
        });
        Self {
            writer,
            confirm: Confirm::new(token, upper, confirm),
            copy,
            tidy,
        }
    }

    pub(crate) fn token(&self) -> Token {
        self.confirm.token()
    }

    /// How far the migration is. Takes no turn: most leaders have nothing to migrate.
    pub(crate) fn migration(&self) -> Result<Migration, StoreError> {
        self.confirm.migration()
    }

    /// Rewrites some records of older formats. Takes its turn like a transaction, so that no commit has to wait at
    /// the store for a lock that it cannot queue for.
    pub(crate) fn migrate(&self, limit: usize) -> Result<Migration, StoreError> {
        loop {
            if let Some(mut permit) = self.writer.acquire(PATIENCE) {
                let token = permit.token;
                return permit.store.migrate(token, limit);
            }
        }
    }

    /// See [`Confirm::still_leading`].
    pub(crate) fn still_leading(&self) -> Result<(), Arc<StoreError>> {
        self.confirm.still_leading()
    }

    /// The same for who answers a client.
    pub(crate) fn confirm(&self) -> Result<(), SqlError> {
        self.still_leading().map_err(|error| unavailable(&error))
    }

    /// Starts a transaction that writes.
    pub(crate) fn begin(&self) -> Result<WriteTransaction, SqlError> {
        let mut permit = self.turn()?;
        let connection = match permit.home.take() {
            Some(connection) => connection,
            None => self.copy.connection()?,
        };
        if !bug::on(Bug::StaleSnapshots) || connection.is_autocommit() {
            connection.run("BEGIN IMMEDIATE")?;
        }
        connection.recorder().on = true;
        Ok(WriteTransaction { connection, permit })
    }

    /// Lets a transaction write that has only read so far, if what it read is still the newest.
    pub(crate) fn upgrade(&self, connection: Pooled) -> Result<WriteTransaction, SqlError> {
        let permit = self.turn()?;
        if connection.applied()? != permit.upper {
            return Err(SqlError::conflict(
                "could not serialize access due to concurrent update",
            ));
        }
        connection.recorder().on = true;
        Ok(WriteTransaction { connection, permit })
    }

    fn turn(&self) -> Result<Permit<Writer>, SqlError> {
        self.writer.acquire(WAIT).ok_or_else(|| {
            SqlError::conflict(
                "could not serialize access: another transaction has been writing for too long",
            )
        })
    }

    /// Makes the transaction true, or says that it is not. Whether rows changed.
    pub(crate) fn commit(&self, transaction: WriteTransaction) -> Result<bool, SqlError> {
        let WriteTransaction {
            connection,
            mut permit,
        } = transaction;
        let effects = {
            let mut recorder = connection.recorder();
            recorder.on = false;
            std::mem::take(&mut recorder.effects)
        };
        if effects.is_empty() {
            // Having changed nothing is something that was read.
            connection.run("COMMIT")?;
            drop(permit);
            self.confirm()?;
            return Ok(false);
        }
        let effects = match bug::on(Bug::AcknowledgesEarly) {
            false => effects,
            true => match bug::hold_back(effects) {
                Some(effects) => effects,
                None => {
                    connection.run("COMMIT")?;
                    permit.home = Some(connection);
                    return Ok(true);
                }
            },
        };
        let (token, upper) = (permit.token, permit.upper);
        let position = match permit.store.append(token, upper, &effects) {
            Ok(Appended::At(position)) => position,
            Ok(Appended::Fenced(_)) if bug::on(Bug::FenceIgnored) => upper + 1,
            Ok(Appended::Fenced(_)) if bug::on(Bug::OldLeaderStays) => {
                return Err(SqlError::read_only());
            }
            Ok(Appended::Fenced(newer)) => exit::fenced(token, newer),
            Ok(Appended::UpperMoved(found)) => {
                log::error!(
                    "the log ends at {found}, although {upper} was the last record written by {token}"
                );
                exit::now(exit::FAILED)
            }
            Err(error @ (StoreError::Unknown { .. } | StoreError::Replaced { .. })) => {
                exit::store_failed(&error)
            }
            // Surely not written: the transaction is rolled back on drop.
            Err(error) => return Err(unavailable(&error)),
        };
        // From here on the transaction is true. A copy that cannot follow must not answer anybody.
        let shown = !bug::on(Bug::StaleSnapshots) || position.is_multiple_of(1024);
        if let Err(error) = connection.set_applied(position).and_then(|()| {
            if shown {
                connection.run("COMMIT")
            } else {
                Ok(())
            }
        }) {
            log::error!("the private copy cannot commit record {position}: {error}");
            exit::now(exit::FAILED)
        }
        permit.upper = position;
        self.confirm.note_written(position);
        permit.home = Some(connection);
        drop(permit);
        if position % TIDY_EVERY == 0 {
            let _ = self.tidy.try_send(());
        }
        if bug::on(Bug::DeniesCommit) && position.is_multiple_of(64) {
            return Err(SqlError::conflict(
                "could not serialize access due to concurrent update",
            ));
        }
        Ok(true)
    }
}

fn unavailable(error: &StoreError) -> SqlError {
    log::error!("{error}");
    SqlError::new("58030", error.to_string())
}

/// A transaction that writes. Dropped without [`Leader::commit`], it never happened.
pub(crate) struct WriteTransaction {
    // Dropped first: rolled back before the next one may write.
    connection: Pooled,
    permit: Permit<Writer>,
}

impl WriteTransaction {
    pub(crate) fn connection(&self) -> &CopyConnection {
        &self.connection
    }
}
