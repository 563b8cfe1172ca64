//! What is known of past runs: a SQLite file beside them, made anew from their directories when it is missing.
//!
//! It holds every run's verdict, so that figures of runs whose directories were pruned can still be compared. It is
//! no evidence: that is in the runs' directories, and wins where the two disagree.

use crate::error::CliError;
use crate::output;
use crate::run::{Stored, is_run};
use changeover_model::Verdict;
use changeover_model::event::Header;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The file's name, in the directory of the runs.
const FILE: &str = "history.sqlite";

/// The version of its tables.
const VERSION: i64 = 1;

/// A run that is known.
#[derive(Debug, Clone)]
pub(crate) struct PastRun {
    /// Its directory's name.
    pub(crate) name: String,
    /// When it began, RFC 3339, if that can be told.
    pub(crate) begun: Option<String>,
    /// Its verdict.
    pub(crate) verdict: Verdict,
    /// Whether its directory is still there.
    pub(crate) kept: bool,
}

/// The past of the runs in a directory.
pub(crate) struct Past {
    directory: PathBuf,
    file: PathBuf,
    connection: Connection,
}

impl Past {
    /// Opens the past of the runs in this directory, and brings it up to what is there.
    ///
    /// # Errors
    ///
    /// When there is no such directory, or the file is damaged or cannot be written.
    pub(crate) fn open(directory: &Path) -> Result<Self, CliError> {
        if !directory.is_dir() {
            return Err(CliError::bad_input(format!(
                "there are no runs in {}: rehearse first, or give their directory with --dir",
                directory.display()
            )));
        }
        let file = directory.join(FILE);
        let connection = Connection::open(&file).map_err(|e| trouble(&file, &e))?;
        let past = Past {
            directory: directory.to_owned(),
            file,
            connection,
        };
        past.prepare()?;
        past.catch_up()?;
        Ok(past)
    }

    fn prepare(&self) -> Result<(), CliError> {
        let version: i64 = self
            .connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|e| self.trouble(&e))?;
        if version > VERSION {
            return Err(CliError::bad_input(format!(
                "{} was made by a newer Changeover: use that one, or remove the file, and it is made anew from the runs",
                self.file.display()
            )));
        }
        self.connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000;
                 CREATE TABLE IF NOT EXISTS run (
                     name TEXT PRIMARY KEY, begun TEXT, stamp INTEGER NOT NULL, verdict TEXT NOT NULL
                 ) WITHOUT ROWID;
                 PRAGMA user_version = {VERSION};"
            ))
            .map_err(|e| self.trouble(&e))
    }

    /// Takes in what is new, or was judged again.
    fn catch_up(&self) -> Result<(), CliError> {
        for name in self.directories()? {
            let run = Stored::at(&self.directory.join(&name));
            let stamp = stamp(&run.file("verdict.json"));
            let known: Option<i64> = self
                .connection
                .query_row("SELECT stamp FROM run WHERE name = ?1", [&name], |row| {
                    row.get(0)
                })
                .ok();
            if stamp.is_none() || known == stamp {
                continue;
            }
            match run.given_verdict() {
                Ok(Some(verdict)) => self.put(&name, &run, stamp.unwrap_or(0), &verdict)?,
                Ok(None) => {}
                // One damaged run hides none of the others.
                Err(error) => output::warning(&error.message),
            }
        }
        Ok(())
    }

    fn put(&self, name: &str, run: &Stored, stamp: i64, verdict: &Verdict) -> Result<(), CliError> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO run (name, begun, stamp, verdict) VALUES (?1, ?2, ?3, ?4)",
                params![name, begun(run), stamp, verdict.to_json()],
            )
            .map(|_| ())
            .map_err(|e| self.trouble(&e))
    }

    /// The directories of runs, oldest first.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub(crate) fn directories(&self) -> Result<BTreeSet<String>, CliError> {
        let entries = fs::read_dir(&self.directory).map_err(|e| {
            CliError::bad_input(format!("cannot read {}: {e}", self.directory.display()))
        })?;
        Ok(entries
            .flatten()
            .filter(|entry| is_run(&entry.path()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect())
    }

    /// The runs that are known, oldest first.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub(crate) fn runs(&self) -> Result<Vec<PastRun>, CliError> {
        let kept = self.directories()?;
        let mut statement = self
            .connection
            .prepare("SELECT name, begun, verdict FROM run ORDER BY begun, name")
            .map_err(|e| self.trouble(&e))?;
        let rows = statement
            .query_map([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, Option<String>>(1)?,
                    row.get::<_, String>(2)?,
                ))
            })
            .map_err(|e| self.trouble(&e))?;
        let mut runs = Vec::new();
        for row in rows {
            let (name, begun, verdict) = row.map_err(|e| self.trouble(&e))?;
            let verdict = Verdict::parse(&verdict).map_err(|e| self.trouble(&e))?;
            let kept = kept.contains(&name);
            runs.push(PastRun {
                name,
                begun,
                verdict,
                kept,
            });
        }
        Ok(runs)
    }

    /// Where a run lies, or lay.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn trouble(&self, error: &dyn std::fmt::Display) -> CliError {
        trouble(&self.file, error)
    }
}

fn trouble(file: &Path, error: &dyn std::fmt::Display) -> CliError {
    CliError::bad_input(format!(
        "cannot use {}: {error}; if it is damaged remove it, and it is made anew from the runs",
        file.display()
    ))
}

/// When a file was written last; `None` if there is none.
fn stamp(path: &Path) -> Option<i64> {
    let written = fs::metadata(path).ok()?.modified().ok()?;
    let since = written.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

/// When a run began, by the first line of its events.
fn begun(run: &Stored) -> Option<String> {
    let file = File::open(run.first_events()).ok()?;
    let mut line = String::new();
    BufReader::new(file).read_line(&mut line).ok()?;
    Some(Header::parse(line.trim_end()).ok()?.clock_zero)
}
