//! The private copy: one instance's SQLite file in WAL mode, hydrated from the log.
//!
//! A file and not memory, because an in-memory database lets a scan block writers. `synchronous=OFF` is enough: the
//! copy survives the death of the process, and after a crash of the machine (another boot id) it is thrown away and
//! made anew from the log, which is the truth.

pub(crate) mod apply;
pub(crate) mod functions;
pub(crate) mod schema;

use std::cell::Cell;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::store::Effect;

/// What names of internal tables and triggers start with; users can neither see nor use them.
pub(crate) const INTERNAL: &str = "__changeover";

/// Idle connections kept for the next session.
const KEPT: usize = 64;

/// Why the private copy could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("the private copy in {path} cannot be used: {cause}")]
    Sqlite {
        path: String,
        cause: rusqlite::Error,
    },
    #[error("the private copy in {path} cannot be used: {cause}")]
    Io { path: String, cause: std::io::Error },
    #[error("the data directory {path} is in use by another process; give each instance its own")]
    InUse { path: String },
    #[error("record {position} of the log does not fit the private copy: {cause}")]
    Replay { position: u64, cause: String },
}

/// The effects of the transaction in progress on one connection.
///
/// The triggers call a function of ours for each changed row, which puts the row here. What a failed statement or a
/// rolled-back savepoint left is cut off again by whoever undid it; [`Recorder::mark`] tells how far.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Off while replaying: what comes from the log must not go back into it.
    pub(crate) on: bool,
    pub(crate) effects: Vec<Effect>,
}

/// One connection to the private copy.
pub(crate) struct CopyConnection {
    connection: Connection,
    recorder: Arc<Mutex<Recorder>>,
    /// The version of the schema that the cached statements were prepared for.
    schema: Cell<i64>,
}

impl CopyConnection {
    fn open(path: &Path, version: &'static str) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(128);
        // A misspelt "column" must be an error, not a text.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        // Closing the only connection must not stop to move the WAL into the file.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;
             PRAGMA case_sensitive_like = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 268435456;",
        )?;
        let recorder = Arc::new(Mutex::new(Recorder::default()));
        functions::register(&connection, &recorder, version)?;
        Ok(Self {
            connection,
            recorder,
            schema: Cell::new(-1),
        })
    }

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement from the cache that knows the tables as they are now. SQLite itself prepares an outdated statement
    /// again only when it runs, and until then tells the old columns.
    pub(crate) fn prepare_current(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        let version = self
            .connection
            .prepare_cached("PRAGMA schema_version")?
            .query_row([], |row| row.get(0))?;
        if self.schema.replace(version) != version {
            self.connection.flush_prepared_statement_cache();
        }
        self.connection.prepare_cached(sql)
    }

    /// The position of the last record that the current snapshot holds.
    pub(crate) fn applied(&self) -> rusqlite::Result<u64> {
        self.connection
            .prepare_cached("SELECT value FROM __changeover_meta WHERE key = 'applied'")?
            .query_row([], |row| row.get::<_, i64>(0))
            .map(|position| position as u64)
    }

    pub(crate) fn set_applied(&self, position: u64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE __changeover_meta SET value = ?1 WHERE key = 'applied'")?
            .execute([position as i64])
            .map(drop)
    }

    /// Runs a statement without rows, like `BEGIN`, from the statement cache.
    pub(crate) fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}

impl Deref for CopyConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// A data directory that is ours as long as the process lives: two processes in one would destroy the copy.
pub(crate) struct DataDirectory {
    path: PathBuf,
    _lock: std::fs::File,
}

impl DataDirectory {
    /// Makes the directory if there is none, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, CopyError> {
        let shown = || path.display().to_string();
        let io = |cause| CopyError::Io {
            path: shown(),
            cause,
        };
        std::fs::create_dir_all(path).map_err(io)?;
        let lock = std::fs::File::create(path.join("lock")).map_err(io)?;
        if lock.try_lock().is_err() {
            return Err(CopyError::InUse { path: shown() });
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }
}

/// The private copy of one instance.
pub(crate) struct PrivateCopy {
    file: PathBuf,
    version: &'static str,
    idle: Mutex<Vec<CopyConnection>>,
    _directory: DataDirectory,
}

impl PrivateCopy {
    /// Opens the copy in `directory`, or starts a new one if it is of another store or release, was made before the
    /// machine last started, or is ahead of the log (`upper`).
    pub(crate) fn open(
        data: DataDirectory,
        store: &str,
        version: &'static str,
        upper: u64,
    ) -> Result<Self, CopyError> {
        let directory = &data.path;
        let shown = || directory.display().to_string();
        let io = |cause| CopyError::Io {
            path: shown(),
            cause,
        };
        let sqlite = |cause| CopyError::Sqlite {
            path: shown(),
            cause,
        };
        let file = directory.join("copy.db");
        let stamp = format!("{store} {version} {}", boot_id());
        // A copy that cannot be read is as good as none.
        let usable = CopyConnection::open(&file, version)
            .and_then(|connection| usable(&connection, &stamp, upper))
            .unwrap_or_default();
        if !usable {
            for suffix in ["", "-wal", "-shm"] {
                match std::fs::remove_file(directory.join(format!("copy.db{suffix}"))) {
                    Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                        return Err(io(cause));
                    }
                    _ => {}
                }
            }
            create(
                &CopyConnection::open(&file, version).map_err(sqlite)?,
                &stamp,
            )
            .map_err(sqlite)?;
        }
        Ok(Self {
            file,
            version,
            idle: Mutex::new(Vec::new()),
            _directory: data,
        })
    }

    pub(crate) fn error(&self, cause: rusqlite::Error) -> CopyError {
        CopyError::Sqlite {
            path: self.file.display().to_string(),
            cause,
        }
    }

    /// A connection of one's own, outside the pool.
    pub(crate) fn dedicated(&self) -> rusqlite::Result<CopyConnection> {
        CopyConnection::open(&self.file, self.version)
    }

    /// A connection for one transaction: the one used last, as its statements and pages are warm.
    pub(crate) fn connection(self: &Arc<Self>) -> rusqlite::Result<Pooled> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => CopyConnection::open(&self.file, self.version)?,
        };
        Ok(Pooled {
            connection: Some(connection),
            copy: Arc::clone(self),
        })
    }
}

/// A connection that goes back to the pool, with whatever transaction was open on it rolled back.
pub(crate) struct Pooled {
    connection: Option<CopyConnection>,
    copy: Arc<PrivateCopy>,
}

impl Deref for Pooled {
    type Target = CopyConnection;

    fn deref(&self) -> &CopyConnection {
        match &self.connection {
            Some(connection) => connection,
            None => unreachable!("the connection leaves only on drop"),
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        {
            let mut recorder = connection.recorder();
            recorder.on = false;
            recorder.effects.clear();
        }
        if !connection.is_autocommit() && connection.run("ROLLBACK").is_err() {
            return;
        }
        let mut idle = self
            .copy
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(connection);
        }
    }
}

fn usable(connection: &CopyConnection, stamp: &str, upper: u64) -> rusqlite::Result<bool> {
    let found: Option<String> = connection
        .query_row(
            "SELECT value FROM __changeover_meta WHERE key = 'stamp'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.as_deref() == Some(stamp) && connection.applied()? <= upper)
}

fn create(connection: &CopyConnection, stamp: &str) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.execute_batch("BEGIN IMMEDIATE; CREATE TABLE __changeover_meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;")?;
    connection.execute(
        "INSERT INTO __changeover_meta VALUES ('stamp', ?1), ('applied', 0)",
        params![stamp],
    )?;
    schema::create_catalog_views(connection)?;
    connection.execute_batch("COMMIT")
}

/// What the kernel calls this run of the machine; empty where it does not tell.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
