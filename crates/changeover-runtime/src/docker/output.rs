//! A container's output: written to the instance's log, and read for what a loop in it says about its process.

use crate::container::{LoopEnd, RestartLoop};
use bollard::container::LogOutput;
use bollard::errors::Error;
use futures_util::{Stream, StreamExt};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Follows one start of a container.
#[derive(Debug)]
pub(super) struct Output {
    /// The ends that the loop told of.
    pub(super) ends: mpsc::UnboundedReceiver<LoopEnd>,
    /// How many lines there were.
    pub(super) lines: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Output {
    /// Appends what comes to the log.
    pub(super) fn follow(
        mut chunks: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
        log: &Path,
        restart_loop: Option<RestartLoop>,
    ) -> io::Result<Self> {
        let mut log = OpenOptions::new().create(true).append(true).open(log)?;
        let (tell_ends, ends) = mpsc::unbounded_channel();
        let (tell_lines, lines) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut splitter = Splitter::default();
            while let Some(Ok(chunk)) = chunks.next().await {
                write(&mut log, &chunk);
                for line in splitter.lines(&chunk.into_bytes()) {
                    tell_lines.send_modify(|lines| *lines += 1);
                    if let Some(end) = restart_loop.as_ref().and_then(|it| it.end(&line)) {
                        // Nobody listens once the instance was stopped.
                        let _ = tell_ends.send(end);
                    }
                }
            }
        });
        Ok(Output { ends, lines, task })
    }

    /// Waits until everything was written; the container has ended.
    pub(super) async fn complete(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A log on a full disk is cut; the run goes on, and whoever reads it sees where it ends.
fn write(log: &mut File, chunk: &LogOutput) {
    let _ = log.write_all(chunk.as_ref());
}

/// Makes lines of chunks.
#[derive(Debug, Default)]
struct Splitter {
    begun: Vec<u8>,
}

impl Splitter {
    fn lines(&mut self, chunk: &[u8]) -> Vec<String> {
        self.begun.extend_from_slice(chunk);
        let Some(last) = self.begun.iter().rposition(|&byte| byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.begun.split_off(last + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        String::from_utf8_lossy(&whole)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_come_in_pieces() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.lines(b"one\ntw"), ["one"]);
        assert_eq!(splitter.lines(b"o"), [""; 0]);
        assert_eq!(splitter.lines(b"\nthree\n"), ["two", "three"]);
    }
}
