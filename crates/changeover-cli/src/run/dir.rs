//! Where a run keeps its files.

use crate::error::CliError;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

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
        let unwritable = |error: std::io::Error| {
            CliError::bad_input(format!(
                "cannot write the run's directory {}: {error}; choose another with --out",
                path.display()
            ))
        };
        fs::create_dir_all(&path).map_err(unwritable)?;
        let path = fs::canonicalize(&path).map_err(unwritable)?;
        if fs::read_dir(&path).map_err(unwritable)?.next().is_some() {
            return Err(CliError::bad_input(format!(
                "the run's directory {} is not empty; give a new one with --out",
                path.display()
            )));
        }
        fs::create_dir(path.join("logs")).map_err(unwritable)?;
        Ok(RunDir { name, path })
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
