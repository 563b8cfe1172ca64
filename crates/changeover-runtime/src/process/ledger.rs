//! `processes.jsonl`: which processes a run started, so that they can be found after the harness itself was killed.
//!
//! The first line tells whose run it is; each start of a process is two lines, one written before and one after.

use super::proc_fs;
use changeover_model::format::Kind;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The file's name in a run's directory.
pub(super) const FILE: &str = "processes.jsonl";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) format: String,
    pub(super) run: String,
    pub(super) run_dir: String,
    /// Tells this boot of the machine from others; pids and start times count within one.
    pub(super) boot: String,
    /// The harness itself: while it lives, its processes are its own business.
    pub(super) harness: u32,
    pub(super) harness_start: u64,
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(super) enum Line {
    /// A process is about to be started. If nothing follows, the harness may have died right after the start.
    Starting {
        instance: String,
        command: Vec<String>,
    },
    /// It was started.
    Started {
        instance: String,
        pid: u32,
        /// See [`proc_fs::Seen::start`].
        start: u64,
    },
}

/// The open file.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
}

impl Ledger {
    /// Opens the file of this run and writes its first line.
    pub(super) fn create(run: &str, run_dir: &Path) -> io::Result<Self> {
        let path = run_dir.join(FILE);
        let harness = std::process::id();
        let owner = Owner {
            format: Kind::Processes.mark(),
            run: run.to_owned(),
            run_dir: run_dir.to_string_lossy().into_owned(),
            boot: proc_fs::boot_id(),
            harness,
            harness_start: proc_fs::process(harness).map_or(0, |seen| seen.start),
        };
        let mut file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)?;
        write_line(&mut file, &owner)?;
        Ok(Ledger {
            path,
            file: Mutex::new(file),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line. It is in the kernel's hands when this returns, so it survives our death.
    pub(super) fn append(&self, line: &Line) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        write_line(&mut file, line)
    }
}

fn write_line(file: &mut File, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(line).map_err(io::Error::other)?;
    text.push('\n');
    // One call: a line is there as a whole or not at all.
    file.write_all(text.as_bytes())
}

/// Reads a file back. Lines after the first that are cut or damaged are left out: what they recorded cannot be proven
/// ours.
pub(super) fn read(run_dir: &Path) -> io::Result<(Owner, Vec<Line>)> {
    let mut lines = BufReader::new(File::open(run_dir.join(FILE))?).split(b'\n');
    let first = lines
        .next()
        .ok_or_else(|| io::Error::other("the file is empty"))??;
    // The mark first: another version's record may lack what this one needs.
    #[derive(Deserialize)]
    struct Mark {
        format: String,
    }
    let mark: Mark = serde_json::from_slice(&first).map_err(io::Error::other)?;
    Kind::Processes
        .accept(&mark.format)
        .map_err(io::Error::other)?;
    let owner = serde_json::from_slice(&first).map_err(io::Error::other)?;
    let mut rest = Vec::new();
    for line in lines {
        rest.extend(serde_json::from_slice(&line?).ok());
    }
    Ok((owner, rest))
}
