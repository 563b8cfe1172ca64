//! The truth log: this process's own record of its first and last acknowledged operations.
//!
//! One line of fixed width for each process, rewritten in place, so that it is complete after SIGKILL too. The format
//! is described in docs/reference-database.md.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Bytes of a line, its newline included.
const LINE: usize = 320;

/// What was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    Read,
    Write,
}

#[derive(Debug, Default)]
struct Span {
    first: u64,
    last: u64,
    count: u64,
}

impl Span {
    fn note(&mut self, at: u64) {
        if self.count == 0 {
            self.first = at;
        }
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        self.count += 1;
    }
}

/// A file that can be written, without a line of this process yet.
pub(crate) struct AckFile {
    append: File,
    /// A file opened for appending cannot be written in place.
    write: File,
}

impl AckFile {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let append = OpenOptions::new().create(true).append(true).open(path)?;
        let write = OpenOptions::new().write(true).open(path)?;
        Ok(Self { append, write })
    }
}

/// An open truth log.
pub(crate) struct AckLog {
    file: File,
    offset: u64,
    head: String,
    spans: Mutex<[Span; 2]>,
}

impl AckLog {
    /// Adds a line for this process at the end of the file.
    pub(crate) fn begin(file: AckFile, version: &str, generation: u64) -> std::io::Result<Self> {
        let AckFile { mut append, write } = file;
        // Appending claims the place: whoever comes next, appends after it.
        append.lock()?;
        let offset = append.metadata()?.len();
        let head = format!(
            r#"{{"format":"changeover.ack-log/1","pid":{},"version":"{version}","generation":{generation}"#,
            std::process::id()
        );
        let line = render(&head, &[Span::default(), Span::default()]);
        append.write_all(&line)?;
        append.unlock()?;
        Ok(Self {
            file: write,
            offset,
            head,
            spans: Mutex::new(Default::default()),
        })
    }

    /// Notes an acknowledgement that was handed to the socket at `at`, in nanoseconds of CLOCK_MONOTONIC.
    pub(crate) fn note(&self, what: Acknowledged, at: u64) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let [writes, reads] = &mut *spans;
        match what {
            Acknowledged::Write => writes.note(at),
            Acknowledged::Read => reads.note(at),
        }
        // A full disk must not stop the database; the line then tells less than the truth, never more.
        let _ = self
            .file
            .write_all_at(&render(&self.head, &spans), self.offset);
    }
}

fn render(head: &str, [writes, reads]: &[Span; 2]) -> Vec<u8> {
    let mut line = Vec::with_capacity(LINE);
    let _ = write!(
        line,
        "{head},\"first_write\":{},\"last_write\":{},\"writes\":{},\"first_read\":{},\"last_read\":{},\"reads\":{}}}",
        writes.first, writes.last, writes.count, reads.first, reads.last, reads.count
    );
    line.resize(LINE - 1, b' ');
    line.push(b'\n');
    line
}

/// Nanoseconds of CLOCK_MONOTONIC, the same for all processes of this machine.
pub(crate) fn monotonic() -> u64 {
    match nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC) {
        Ok(time) => time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_a_line_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ack.log");
        let first = AckLog::begin(AckFile::open(&path).unwrap(), "v0.1.0", 0).unwrap();
        let second = AckLog::begin(AckFile::open(&path).unwrap(), "current", 1).unwrap();
        first.note(Acknowledged::Write, 5);
        second.note(Acknowledged::Read, 9);
        first.note(Acknowledged::Write, 7);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 2 * LINE);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            (
                lines[0]["first_write"].as_u64(),
                lines[0]["last_write"].as_u64()
            ),
            (Some(5), Some(7))
        );
        assert_eq!(
            (lines[1]["generation"].as_u64(), lines[1]["reads"].as_u64()),
            (Some(1), Some(1))
        );
    }
}
