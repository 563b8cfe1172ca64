//! `events.jsonl` and `history.jsonl`, written as a run goes on.

use crate::error::CliError;
use crate::run::RunDir;
use changeover_model::event::{self, Event, EventKind};
use changeover_model::history::{self, Operation};
use changeover_rehearse::record::Sink;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// The first thing that went wrong while writing, if any.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteTrouble(Arc<Mutex<Option<String>>>);

impl WriteTrouble {
    /// The sentence, if something went wrong.
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

/// Writes both files and passes the events on to a reporter.
pub(crate) struct FileSink {
    events: BufWriter<File>,
    history: BufWriter<File>,
    reporter: Sender<Event>,
    trouble: WriteTrouble,
    /// Something could not be written. What came after a gap would look like evidence, so nothing does.
    ended: bool,
    stop: CancellationToken,
}

impl FileSink {
    /// Opens both files and writes their headers. When writing fails later, `stop` is cancelled: a run whose
    /// evidence is incomplete is of no use.
    ///
    /// # Errors
    ///
    /// When the files cannot be written.
    pub(crate) fn create(
        dir: &RunDir,
        header: &history::Header,
        clock_zero: &str,
        reporter: Sender<Event>,
        stop: CancellationToken,
    ) -> Result<(Self, WriteTrouble), CliError> {
        let open = |name: &str, header: String| {
            let path = dir.file(name);
            let file = File::create(&path).map(|file| BufWriter::with_capacity(1 << 16, file));
            file.and_then(|mut file| writeln!(file, "{header}").map(|()| file))
                .map_err(|e| CliError::bad_input(format!("cannot write {}: {e}", path.display())))
        };
        let events = open("events.jsonl", json(&event::Header::new(clock_zero)))?;
        let history = open("history.jsonl", json(header))?;
        let trouble = WriteTrouble::default();
        let sink = FileSink {
            events,
            history,
            reporter,
            trouble: trouble.clone(),
            ended: false,
            stop,
        };
        Ok((sink, trouble))
    }

    fn flush(&mut self) {
        if self.ended {
            return;
        }
        let result = self.events.flush();
        self.note("events.jsonl", result);
        let result = self.history.flush();
        self.note("history.jsonl", result);
    }

    fn note(&mut self, file: &str, result: io::Result<()>) {
        let Err(error) = result else { return };
        self.ended = true;
        let mut trouble = self.trouble.0.lock().unwrap_or_else(|e| e.into_inner());
        trouble.get_or_insert_with(|| {
            format!("cannot write {file}: {error}; the run was stopped, and changeover report shows what is on record; free some space and run it again")
        });
        self.stop.cancel();
    }
}

impl Sink for FileSink {
    fn event(&mut self, event: &Event) {
        if !self.ended {
            let mut result = writeln!(self.events, "{}", event.to_line());
            // An intent is on disk before its action. So is everything before it; that the rest follows within the
            // buffer is enough for a reader of a run that was killed.
            if result.is_ok() && event.is_intent() {
                result = self.events.flush();
            }
            self.note("events.jsonl", result);
        }
        // A probe may last for days; who looks at its files meanwhile, or finds them after a kill, finds its gaps.
        if matches!(
            event.kind,
            EventKind::RunEnded
                | EventKind::GapOpened { .. }
                | EventKind::GapClosed { .. }
                | EventKind::Marker { .. }
        ) {
            self.flush();
        }
        // The reporter may be gone at the very end; nobody is left to tell then.
        let _ = self.reporter.send(event.clone());
    }

    fn operation(&mut self, operation: &Operation) {
        if self.ended {
            return;
        }
        let result = serde_json::to_writer(&mut self.history, operation)
            .map_err(io::Error::from)
            .and_then(|()| self.history.write_all(b"\n"));
        self.note("history.jsonl", result);
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.flush();
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a header holds nothing that JSON cannot")
}
