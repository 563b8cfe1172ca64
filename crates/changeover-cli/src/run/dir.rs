//! Where a run keeps its files.

use crate::error::CliError;
use crate::output;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

/// Writes a file of a run as a whole, or not at all: half a verdict is worse than none, which can be given again.
///
/// # Errors
///
/// When it cannot be written, with what to do.
pub(crate) fn write_whole(file: &Path, text: &str) -> Result<(), CliError> {
    let begun = file.with_extension("part");
    let written = fs::write(&begun, text).and_then(|()| fs::rename(&begun, file));
    written.map_err(|e| {
        // It may not have been made at all.
        let _ = fs::remove_file(&begun);
        CliError::bad_input(format!(
            "cannot write {}: {e}; free some space, and changeover report shows what is on record",
            file.display()
        ))
    })
}

/// A run's directory, new or empty when it was made.
#[derive(Debug, Clone)]
pub(crate) struct RunDir {
    name: String,
    path: PathBuf,
}

impl RunDir {
    /// Makes the directory: `out`, or `.changeover/runs/<UTC time>-<6 hex>/`.
    ///
    /// # Errors
    ///
    /// When it is there and not empty, or cannot be written.
    pub(crate) fn create(out: Option<&Path>) -> Result<Self, CliError> {
        let name = format!(
            "{}-{:06x}",
            jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
            // A fresh random state is seeded by the operating system.
            RandomState::new().hash_one(std::process::id()) & 0xff_ffff
        );
        let path = match out {
            Some(out) => out.to_owned(),
            None => Path::new(super::RUNS).join(&name),
        };
        let unwritable = |error: std::io::Error| unwritable(&path, &error);
        if out.is_none() {
            later_runs(&name);
        }
        fs::create_dir_all(&path).map_err(unwritable)?;
        let path = fs::canonicalize(&path).map_err(unwritable)?;
        if fs::read_dir(&path).map_err(unwritable)?.next().is_some() {
            return Err(CliError::bad_input(format!(
                "the run's directory {} is not empty; give a new one with --out",
                path.display()
            )));
        }
        Ok(RunDir { name, path })
    }

    /// Makes the directory of a run of a series in this one.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn within(&self, name: &str) -> Result<Self, CliError> {
        let path = self.file(name);
        fs::create_dir(&path).map_err(|e| unwritable(&path, &e))?;
        Ok(RunDir {
            name: format!("{}-{name}", self.name),
            path,
        })
    }

    /// Makes the directory of its logs.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn make_logs(&self) -> Result<(), CliError> {
        fs::create_dir(self.file("logs")).map_err(|e| unwritable(&self.path, &e))
    }

    /// The run's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The directory, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::bad_input(format!(
        "cannot write the run's directory {}: {error}; choose another with --out",
        path.display()
    ))
}

/// Says so when there are runs that began later than this one: the machine's clock was set back, and `latest` is another.
fn later_runs(name: &str) {
    let time = |name: &str| name.split_once('-').map(|(time, _)| time.to_owned());
    let entries = fs::read_dir(super::RUNS).into_iter().flatten().flatten();
    let last = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|other| other.len() == name.len() && time(other) > time(name))
        .max();
    if let Some(last) = last {
        output::note(&format!(
            "the run {last} began later than now, so this machine's clock was set back: runs are sorted by it, and latest is that one; times in a run come from another clock"
        ));
    }
}
