//! The metadata store as a SQLite file in WAL mode, shared by the processes of one machine.
//!
//! Every writing transaction starts IMMEDIATE: a deferred one that reads first fails at once when somebody else wrote,
//! and no waiting helps it. `synchronous=NORMAL` makes commits durable against the death of the process, not of the
//! power; the moving of frames from the WAL into the file is left to [`MetadataStore::tidy`], so that no commit waits
//! for a disk.
//!
//! The file may be removed or replaced, which a process that has it open would not notice: it compares the file that it
//! has with the one that the path names, after each look at the fence and each commit and before it tells anybody.

mod log;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::format;
use super::place::{Place, signed, unsigned};
use super::{Appended, Effect, Fence, MetadataStore, Migration, Record, Role, StoreError, Token};
use crate::bug::{self, Bug};
use crate::ladder::{self, Release};

/// `application_id` in the file's header: "COrd", so that another product's file is not taken for a store.
const APPLICATION_ID: i32 = 0x434f_7264;

/// How often, and how long each time, a statement waits for another process's transaction: 5 s in all. SQLite's own
/// way of waiting grows to tenths of seconds, where ours take less than a millisecond.
const BUSY_TRIES: i32 = 25_000;
const BUSY_PAUSE: Duration = Duration::from_micros(200);

fn wait_a_little(tries: i32) -> bool {
    std::thread::sleep(BUSY_PAUSE);
    tries < BUSY_TRIES
}

/// Pages in the WAL at which a commit moves them itself, should [`MetadataStore::tidy`] have fallen behind.
const WAL_BACKSTOP: i64 = 16_384;

pub(super) struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// The file that was opened.
    file: Option<FileId>,
    place: Place,
}

/// A file, whatever it is called: its device and inode.
type FileId = (u64, u64);

/// The file that a path names now.
fn file_at(path: &Path) -> Option<FileId> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl SqliteStore {
    pub(super) fn open(path: &Path, release: &'static Release) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let unreachable = |cause: rusqlite::Error| classify(&name, cause, true);
        let mut connection = Connection::open(path).map_err(unreachable)?;
        connection
            .busy_handler(Some(wait_a_little))
            .map_err(unreachable)?;
        connection.set_prepared_statement_cache_capacity(64);
        // Closing the only connection must not stop to move the WAL into the file: a promotion waits for it.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(unreachable)?;
        let mut store = Self {
            connection,
            path: path.to_owned(),
            file: file_at(path),
            place: Place {
                name,
                release,
                id: None,
            },
        };
        store.check()?;
        let id = store.read_id()?;
        store.place.meet(&id)?;
        store
            .connection
            .pragma_update(None, "synchronous", "NORMAL")
            .map_err(|e| store.failed(e))?;
        store
            .connection
            .pragma_update(None, "wal_autocheckpoint", WAL_BACKSTOP)
            .map_err(|e| store.failed(e))?;
        Ok(store)
    }

    /// Refuses what is not a store; makes an empty file one. The format is looked at when a process begins, as a
    /// generation that is fenced is that first of all, whatever the format.
    fn check(&mut self) -> Result<(), StoreError> {
        // At one moment: another first process may be initialising the store just now.
        let look = || -> rusqlite::Result<(i32, i64)> {
            let moment = self.connection.unchecked_transaction()?;
            let tables =
                moment.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            let id = moment.pragma_query_value(None, "application_id", |row| row.get(0))?;
            Ok((id, tables))
        };
        let (id, tables) = look().map_err(|e| classify(&self.place.name, e, true))?;
        if tables == 0 {
            return self.initialise();
        }
        if id != APPLICATION_ID {
            return Err(self.place.foreign("it is a SQLite file of another product"));
        }
        Ok(())
    }

    fn initialise(&mut self) -> Result<(), StoreError> {
        let name = self.place.name.clone();
        let unreachable = |e: rusqlite::Error| classify(&name, e, true);
        // Here SQLite does not wait by itself for another first process that is doing the same.
        let mut tries = 0;
        while let Err(error) =
            self.connection
                .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        {
            if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || !wait_a_little(tries) {
                return Err(unreachable(error));
            }
            tries += 1;
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(unreachable)?;
        // Two first processes may race to here; the second finds the first one's tables.
        transaction
            .execute_batch(&format!(
                "PRAGMA application_id = {APPLICATION_ID};
                 CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS fence (
                     one INTEGER PRIMARY KEY CHECK (one = 1),
                     generation INTEGER NOT NULL, epoch INTEGER NOT NULL, upper INTEGER NOT NULL);
                 CREATE TABLE IF NOT EXISTS log (
                     position INTEGER NOT NULL, part INTEGER NOT NULL, mark INTEGER NOT NULL, body NOT NULL,
                     PRIMARY KEY (position, part)) WITHOUT ROWID;
                 INSERT OR IGNORE INTO meta VALUES ('store_id', lower(hex(randomblob(16))));"
            ))
            .map_err(unreachable)?;
        transaction.commit().map_err(unreachable)
    }

    /// The release whose format the store has; `None` before the first claim.
    fn format(&self, connection: &Connection) -> Result<Option<&'static Release>, StoreError> {
        let name: Option<String> = connection
            .prepare_cached("SELECT value FROM meta WHERE key = 'format'")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
            .map_err(|e| self.failed(e))?;
        name.map(|name| self.place.known(name)).transpose()
    }

    /// How far something is that the store counts; 0 if it does not yet.
    fn mark(&self, connection: &Connection, key: &str) -> Result<u64, StoreError> {
        connection
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
            .map(|value| unsigned(value.unwrap_or(0)))
            .map_err(|e| self.failed(e))
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        classify(&self.place.name, error, false)
    }

    fn read_id(&self) -> Result<String, StoreError> {
        self.connection
            .query_row("SELECT value FROM meta WHERE key = 'store_id'", [], |row| {
                row.get(0)
            })
            .map_err(|e| self.failed(e))
    }

    /// The fence, if it was ever taken and is this store's.
    fn read_fence(&self, connection: &Connection) -> Result<Option<Fence>, StoreError> {
        let found = connection
            .prepare_cached(
                "SELECT generation, epoch, upper, (SELECT value FROM meta WHERE key = 'store_id') IS ?1
                 FROM fence WHERE one = 1",
            )
            .and_then(|mut statement| {
                statement
                    .query_row([&self.place.id], |row| {
                        let token = Token {
                            generation: unsigned(row.get(0)?),
                            epoch: unsigned(row.get(1)?),
                        };
                        let fence = Fence {
                            token,
                            upper: unsigned(row.get(2)?),
                        };
                        Ok((fence, row.get(3)?))
                    })
                    .optional()
            })
            .map_err(|e| self.failed(e))?;
        match found {
            Some((_, false)) => Err(self.place.replaced()),
            found => Ok(found.map(|(fence, _)| fence)),
        }
    }

    /// Whether what was just read or written is what others find at the path.
    fn in_place(&self) -> Result<(), StoreError> {
        match self.file == file_at(&self.path) {
            true => Ok(()),
            false => Err(self.place.replaced()),
        }
    }

    /// One writing transaction; rolled back when `work` fails.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Self, &Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // `Transaction::new_unchecked`, as `work` wants to share `self`: nothing here nests transactions.
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
                .map_err(|e| self.failed(e))?;
        let result = work(self, &transaction)?;
        transaction.commit().map_err(|e| StoreError::Unknown {
            store: self.place.name.clone(),
            cause: e.to_string(),
        })?;
        self.in_place()?;
        Ok(result)
    }

    /// Puts our token into the fence, and our format on the store.
    fn claim(
        &self,
        connection: &Connection,
        generation: u64,
        old: Option<Fence>,
    ) -> Result<Fence, StoreError> {
        let fence = Fence {
            token: Token {
                generation: match old {
                    Some(fence) if bug::on(Bug::KeepsGeneration) => fence.token.generation,
                    _ => generation,
                },
                epoch: old.map_or(0, |fence| fence.token.epoch) + 1,
            },
            upper: old.map_or(0, |fence| fence.upper),
        };
        let format = self.format(connection)?;
        let work = || -> rusqlite::Result<()> {
            connection.execute(
                "INSERT INTO fence VALUES (1, ?1, ?2, ?3)
                 ON CONFLICT (one) DO UPDATE SET generation = ?1, epoch = ?2",
                params![
                    signed(fence.token.generation),
                    signed(fence.token.epoch),
                    signed(fence.upper)
                ],
            )?;
            if format.is_none_or(|format| format.mark < self.place.release.mark) {
                let format = match bug::on(Bug::PersistsWrongFormat) {
                    true => ladder::releases().last().unwrap_or(self.place.release),
                    false => self.place.release,
                };
                connection.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('format', ?1)",
                    [format.format],
                )?;
                if bug::on(Bug::SecondUpgradeFails) && format::lists_definitions(format.mark) {
                    connection.execute_batch("CREATE TABLE definitions (position INTEGER)")?;
                }
                // Everything up to here may be of an older format; what comes is of ours.
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('migrated', 0)", [])?;
                connection.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('migrate_until', ?1)",
                    [signed(fence.upper)],
                )?;
            }
            if format::lists_definitions(self.place.release.mark) {
                connection.execute_batch(
                    "CREATE TABLE IF NOT EXISTS catalog (
                         position INTEGER NOT NULL, part INTEGER NOT NULL, statement TEXT NOT NULL,
                         PRIMARY KEY (position, part)) WITHOUT ROWID;",
                )?;
            }
            Ok(())
        };
        work().map_err(|e| self.failed(e))?;
        Ok(fence)
    }
}

impl MetadataStore for SqliteStore {
    fn id(&mut self) -> Result<String, StoreError> {
        self.read_id()
    }

    fn tie(&mut self, id: &str) -> Result<(), StoreError> {
        self.place.meet(id)
    }

    fn begin(&mut self, generation: u64) -> Result<Role, StoreError> {
        // Looked at first without a lock: a process that only follows must not disturb the leader.
        // At one moment: whoever puts a newer format on the store has put a higher generation into the fence with it.
        let follows =
            |fence: &Fence| fence.token.generation < generation && !bug::on(Bug::LeadsAtOnce);
        {
            let moment = self
                .connection
                .unchecked_transaction()
                .map_err(|e| self.failed(e))?;
            let fence = self.read_fence(&moment)?;
            if let Some(fence) = fence.filter(|fence| fence.token.generation > generation) {
                return Ok(Role::FencedOut(fence));
            }
            self.format(&moment)?;
            if let Some(fence) = fence.filter(follows) {
                if bug::on(Bug::MarksTooEarly) {
                    let mark = "UPDATE meta SET value = ?1 WHERE key = 'format'";
                    let marked = moment.execute(mark, [self.place.release.format]);
                    marked
                        .and_then(|_| moment.commit())
                        .map_err(|e| self.failed(e))?;
                } else if bug::on(Bug::ReservesGeneration) {
                    let reserved = self.mark(&moment, "reserved")?;
                    if reserved > fence.token.generation && reserved != generation {
                        let cause = format!("generation {reserved} is taking over");
                        return Err(self.place.damaged(cause));
                    }
                    let reserve = "INSERT OR REPLACE INTO meta VALUES ('reserved', ?1)";
                    let done = moment.execute(reserve, [signed(generation)]);
                    done.and_then(|_| moment.commit())
                        .map_err(|e| self.failed(e))?;
                }
                return Ok(Role::Follow(fence));
            }
        }
        self.write(|store, transaction| match store.read_fence(transaction)? {
            Some(fence) if follows(&fence) => Ok(Role::Follow(fence)),
            Some(fence) if fence.token.generation > generation => Ok(Role::FencedOut(fence)),
            old => store.claim(transaction, generation, old).map(Role::Lead),
        })
    }

    fn promote(&mut self, generation: u64) -> Result<Role, StoreError> {
        self.write(|store, transaction| match store.read_fence(transaction)? {
            Some(fence) if fence.token.generation > generation => Ok(Role::FencedOut(fence)),
            old => store.claim(transaction, generation, old).map(Role::Lead),
        })
    }

    fn fence(&mut self) -> Result<Fence, StoreError> {
        let fence = self
            .read_fence(&self.connection)?
            .ok_or_else(|| self.place.damaged("the fence is missing"))?;
        self.in_place()?;
        Ok(fence)
    }

    fn append(
        &mut self,
        token: Token,
        upper: u64,
        effects: &[Effect],
    ) -> Result<Appended, StoreError> {
        let checked = bug::on(Bug::FenceCheckedBefore);
        if checked && self.fence()?.token != token {
            return Ok(Appended::Fenced(self.fence()?.token));
        }
        if checked {
            std::thread::sleep(Duration::from_millis(3));
        }
        self.write(|store, transaction| {
            let (token, upper) = match store.read_fence(transaction) {
                Ok(Some(fence)) if checked => (fence.token, fence.upper),
                _ => (token, upper),
            };
            let advanced = transaction
                .prepare_cached(
                    "UPDATE fence SET upper = upper + 1
                     WHERE one = 1 AND generation = ?1 AND epoch = ?2 AND upper = ?3
                         AND (SELECT value FROM meta WHERE key = 'store_id') = ?4",
                )
                .and_then(|mut statement| {
                    let id = &store.place.id;
                    statement.execute(params![
                        signed(token.generation),
                        signed(token.epoch),
                        signed(upper),
                        id
                    ])
                })
                .map_err(|e| store.failed(e))?;
            if advanced == 1 {
                store
                    .insert(transaction, upper + 1, effects)
                    .map_err(|e| store.failed(e))?;
                return Ok(Appended::At(upper + 1));
            }
            let fence = store
                .read_fence(transaction)?
                .ok_or_else(|| store.place.damaged("the fence is missing"))?;
            Ok(if fence.token == token {
                Appended::UpperMoved(fence.upper)
            } else {
                Appended::Fenced(fence.token)
            })
        })
    }

    fn read(&mut self, position: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        Ok(self
            .records(&self.connection, position, limit)?
            .into_iter()
            .map(|(_, record)| record)
            .collect())
    }

    fn migration(&mut self) -> Result<Migration, StoreError> {
        let position = self.mark(&self.connection, "migrated")?;
        let until = self.mark(&self.connection, "migrate_until")?;
        Ok(Migration::from(position, until))
    }

    fn migrate(&mut self, token: Token, limit: usize) -> Result<Migration, StoreError> {
        if self.migration()? == Migration::Done {
            return Ok(Migration::Done);
        }
        self.write(|store, transaction| {
            let fence = store
                .read_fence(transaction)?
                .ok_or_else(|| store.place.damaged("the fence is missing"))?;
            if fence.token != token {
                return Ok(Migration::Fenced(fence.token));
            }
            let until = store.mark(transaction, "migrate_until")?;
            let from = store.mark(transaction, "migrated")?;
            let limit =
                limit.min(usize::try_from(until.saturating_sub(from)).unwrap_or(usize::MAX));
            let records = store.records(transaction, from, limit)?;
            if records.len() < limit {
                return Err(store.place.damaged(format!(
                    "record {} is missing",
                    from + records.len() as u64 + 1
                )));
            }
            let rewrite = || -> rusqlite::Result<()> {
                if bug::on(Bug::TornMigration) {
                    let last = records.last().map_or(from, |(_, record)| record.position);
                    let range = params![signed(from), signed(last)];
                    transaction.execute(
                        "DELETE FROM log WHERE position > ?1 AND position <= ?2",
                        range,
                    )?;
                    transaction.execute_batch("COMMIT")?;
                    std::thread::sleep(Duration::from_millis(2));
                    transaction.execute_batch("BEGIN IMMEDIATE")?;
                }
                for (mark, record) in &records {
                    if *mark < store.place.release.mark {
                        transaction
                            .prepare_cached("DELETE FROM log WHERE position = ?1")?
                            .execute([signed(record.position)])?;
                        let kept = bug::kept(&record.effects);
                        store.insert(transaction, record.position, &kept)?;
                    }
                }
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('migrated', ?1)")?
                    .execute([signed(from + limit as u64)])?;
                Ok(())
            };
            rewrite().map_err(|e| store.failed(e))?;
            Ok(Migration::At {
                position: from + limit as u64,
                until,
            })
        })
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .map_err(|e| self.failed(e))
    }
}

fn classify(store: &str, error: rusqlite::Error, opening: bool) -> StoreError {
    let (store, cause) = (store.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Foreign {
            store,
            cause: "it is not a SQLite file".to_owned(),
        },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { store, cause },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Unreachable { store, cause }
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseBusy | ErrorCode::DiskFull)
            if opening =>
        {
            StoreError::Unreachable { store, cause }
        }
        // A statement that no longer compiles, or a column of a wrong type: the tables are not what we made.
        Some(ErrorCode::Unknown) | None => StoreError::Damaged { store, cause },
        _ => StoreError::Failed { store, cause },
    }
}
