//! Where an upgrader keeps logs and stores: a directory of the caller's, or a temporary one of its own.

use super::error::UpgradeError;
use crate::premises::{Premises, work};
use changeover_runtime::Runtime;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The directory, before anything runs in it.
pub(super) struct Place {
    /// Absolute, with `logs` and `work` in it.
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    /// Furnishes the given directory, or makes a temporary one.
    pub(super) fn make(given: Option<PathBuf>) -> Result<Self, UpgradeError> {
        let refuse = |path: &Path, error: io::Error| UpgradeError::Directory {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let (path, temporary) = match given {
            Some(path) => (path, None),
            None => {
                let temporary = tempfile::Builder::new()
                    .prefix("changeover-")
                    .tempdir()
                    .map_err(|e| refuse(&std::env::temp_dir(), e))?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let path = furnish(&path).map_err(|e| refuse(&path, e))?;
        Ok(Place { path, temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What runs there from now on is guarded, and the directory goes with it as far as it is to go.
    pub(super) fn premises(self, runtime: Arc<dyn Runtime>) -> Premises {
        match self.temporary {
            Some(temporary) => Premises::all_of(runtime, temporary.keep()),
            None => Premises::of(runtime, &self.path),
        }
    }
}

fn furnish(path: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(path)?;
    if fs::read_dir(path)?.next().is_some() {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    let path = path.canonicalize()?;
    fs::create_dir(path.join("logs"))?;
    fs::create_dir(work(&path))?;
    Ok(path)
}
