//! How things of a run are called and labelled on the engine, and the record of it in the run's directory.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// The file in a run's directory that says that things of it may be on an engine.
const FILE: &str = "containers.json";

/// The label with the run's name.
const RUN: &str = "changeover.run";
/// The label with the run's directory, which tells apart runs of one name.
const RUN_DIR: &str = "changeover.run-dir";

/// How much of a run's name is in the names of its things.
const SHOWN: usize = 32;

/// The names of one run's things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names {
    format: String,
    run: String,
    run_dir: String,
    /// The engine, as `DOCKER_HOST` names it. Older records do not say.
    #[serde(default)]
    engine: String,
}

impl Names {
    pub(super) fn new(run: &str, run_dir: &Path, engine: &str) -> Self {
        Names {
            format: "changeover.containers/1".to_owned(),
            run: run.to_owned(),
            run_dir: run_dir.to_string_lossy().into_owned(),
            engine: engine.to_owned(),
        }
    }

    /// What everything is called first: runs of one name differ in their directories.
    fn prefix(&self) -> String {
        let tame = |c: char| match c.is_ascii_alphanumeric() || c == '-' {
            true => c,
            false => '_',
        };
        let shown: String = self.run.chars().map(tame).take(SHOWN).collect();
        let mut hasher = DefaultHasher::new();
        self.run_dir.hash(&mut hasher);
        format!("changeover-{shown}-{:08x}", hasher.finish() >> 32)
    }

    pub(super) fn network(&self) -> String {
        self.prefix()
    }

    pub(super) fn volume(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix())
    }

    pub(super) fn container(&self, slot: &str, generation: u64) -> String {
        format!("{}-{slot}-{generation}", self.prefix())
    }

    pub(super) fn labels(&self) -> HashMap<String, String> {
        HashMap::from([
            (RUN.to_owned(), self.run.clone()),
            (RUN_DIR.to_owned(), self.run_dir.clone()),
        ])
    }

    /// What the engine is asked for to find everything of this run, and nothing else.
    pub(super) fn filters(&self) -> HashMap<String, Vec<String>> {
        let labels = self.labels().into_iter();
        HashMap::from([(
            "label".to_owned(),
            labels
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        )])
    }

    /// Writes down that things of this run may be on an engine, before they are.
    pub(super) fn announce(&self) -> io::Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        fs::write(file(Path::new(&self.run_dir)), format!("{text}\n"))
    }

    /// Takes that back: nothing is left.
    pub(super) fn retract(&self) {
        // Should it stay, `cleanup` finds nothing to do.
        let _ = fs::remove_file(file(Path::new(&self.run_dir)));
    }

    /// What was written down in this directory; `None` where nothing was.
    pub(super) fn left_by(run_dir: &Path) -> Option<io::Result<Self>> {
        let text = match fs::read_to_string(file(run_dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read,
        };
        Some(text.and_then(|text| serde_json::from_str(&text).map_err(io::Error::other)))
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// The engine that they are on, if the record says so.
    pub(super) fn engine(&self) -> Option<&str> {
        Some(self.engine.as_str()).filter(|engine| !engine.is_empty())
    }
}

fn file(run_dir: &Path) -> PathBuf {
    run_dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_name_have_different_things() {
        let one = Names::new("run", Path::new("/a/run"), "unix:///s");
        let other = Names::new("run", Path::new("/b/run"), "unix:///s");
        assert_ne!(one.network(), other.network());
        assert_eq!(
            one.container("mz_1", 2),
            format!("{}-mz_1-2", one.network())
        );
    }

    #[test]
    fn what_was_announced_is_read_back() {
        let place = tempfile::tempdir().unwrap();
        assert!(Names::left_by(place.path()).is_none());
        let names = Names::new("run", place.path(), "unix:///s");
        names.announce().unwrap();
        assert_eq!(Names::left_by(place.path()).unwrap().unwrap(), names);
        assert_eq!(names.engine(), Some("unix:///s"));
        // As an earlier version wrote it.
        let text = fs::read_to_string(file(place.path())).unwrap();
        let older = text.replace(",\"engine\":\"unix:///s\"", "");
        assert_ne!(older, text);
        fs::write(file(place.path()), older).unwrap();
        assert_eq!(
            Names::left_by(place.path()).unwrap().unwrap().engine(),
            None
        );
        names.retract();
        assert!(Names::left_by(place.path()).is_none());
    }
}
