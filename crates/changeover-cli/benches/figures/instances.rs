//! Running the real binary.

use changeover_model::Verdict;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The release binary.
pub(crate) const CHANGEOVER: &str = env!("CARGO_BIN_EXE_changeover");

/// A rehearsal that is over. Its directory goes with it.
pub(crate) struct Run {
    dir: tempfile::TempDir,
    /// Its verdict.
    pub(crate) verdict: Verdict,
}

impl Run {
    /// A file of the run.
    pub(crate) fn read(&self, name: &str) -> Result<String, String> {
        read(&self.dir.path().join("run").join(name))
    }
}

/// Reads a file, or says which could not be read.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// A rehearsal that has been started.
pub(crate) struct Started {
    /// It holds the run's directory.
    pub(crate) dir: tempfile::TempDir,
    /// The harness's process.
    pub(crate) child: Child,
}

impl Started {
    /// The run's directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<Run, String> {
        self.child.wait().map_err(|e| e.to_string())?;
        let text = read(&self.path().join("verdict.json"))?;
        let verdict = serde_json::from_str(&text).map_err(|e| format!("verdict.json: {e}"))?;
        Ok(Run {
            dir: self.dir,
            verdict,
        })
    }
}

/// Starts `changeover rehearse` with these arguments.
pub(crate) fn start(args: &[&str]) -> Result<Started, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let child = Command::new(CHANGEOVER)
        .arg("rehearse")
        .args(args)
        .arg("--out")
        .arg(dir.path().join("run"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start {CHANGEOVER}: {e}"))?;
    Ok(Started { dir, child })
}

/// Runs `changeover rehearse` with these arguments.
pub(crate) fn rehearse(args: &[&str]) -> Result<Run, String> {
    start(args)?.finish()
}
