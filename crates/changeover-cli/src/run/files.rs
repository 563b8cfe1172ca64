//! `events.jsonl` and `history.jsonl`: written as a run goes on, read back by the judge.

use crate::error::CliError;
use crate::run::RunDir;
use changeover_check::{Judge, ProbeJudge, SubHistory, history_name};
use changeover_model::event::{self, Event, EventKind};
use changeover_model::history::{self, Operation};
use changeover_model::{Plan, Probe, Verdict};
use changeover_rehearse::record::Sink;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
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
            stop,
        };
        Ok((sink, trouble))
    }

    fn flush(&mut self) {
        let result = self.events.flush();
        self.note("events.jsonl", result);
        let result = self.history.flush();
        self.note("history.jsonl", result);
    }

    fn note(&self, file: &str, result: io::Result<()>) {
        let Err(error) = result else { return };
        let mut trouble = self.trouble.0.lock().unwrap_or_else(|e| e.into_inner());
        trouble.get_or_insert_with(|| {
            format!("cannot write {file}: {error}; the run was stopped, free some space and run it again")
        });
        self.stop.cancel();
    }
}

impl Sink for FileSink {
    fn event(&mut self, event: &Event) {
        let mut result = writeln!(self.events, "{}", event.to_line());
        // An intent is on disk before its action. So is everything before it; that the rest follows within the
        // buffer is enough for a reader of a run that was killed.
        if result.is_ok() && event.is_intent() {
            result = self.events.flush();
        }
        self.note("events.jsonl", result);
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

/// Reads a run's files back and judges them.
///
/// # Errors
///
/// When a file cannot be read or is damaged, with its line.
pub(crate) fn judge(dir: &RunDir, plan: &Plan, reproduce: String) -> Result<Verdict, CliError> {
    let mut judge = Judge::new(plan, dir.name(), reproduce);
    each_line(&dir.file("events.jsonl"), |number, line| match number {
        1 => Ok(()),
        _ => Event::parse(line)
            .map(|event| judge.event(&event))
            .map_err(|e| e.to_string()),
    })?;
    each_line(&dir.file("history.jsonl"), |number, line| match number {
        1 => history::Header::parse(line)
            .map(|header| judge.header(&header))
            .map_err(|e| e.to_string()),
        _ => Operation::parse(line)
            .map(|operation| judge.operation(&operation))
            .map_err(|e| e.to_string()),
    })?;
    let (verdict, histories) = judge.finish_with_histories("findings/");
    write_histories(dir, &histories)?;
    Ok(verdict)
}

/// The same for a probe.
///
/// # Errors
///
/// When a file cannot be read or is damaged, with its line.
pub(crate) fn judge_probe(dir: &RunDir, probe: &Probe) -> Result<Verdict, CliError> {
    let mut judge = ProbeJudge::new(probe, dir.name());
    each_line(&dir.file("events.jsonl"), |number, line| {
        if number > 1 {
            let event = Event::parse(line).map_err(|e| e.to_string())?;
            judge.event(&event);
        }
        Ok(())
    })?;
    each_line(&dir.file("history.jsonl"), |number, line| {
        if number > 1 {
            let operation = Operation::parse(line).map_err(|e| e.to_string())?;
            judge.operation(&operation);
        }
        Ok(())
    })?;
    Ok(judge.finish())
}

/// Writes the small histories that show the findings.
fn write_histories(dir: &RunDir, histories: &[SubHistory]) -> Result<(), CliError> {
    if histories.is_empty() {
        return Ok(());
    }
    let place = dir.file("findings");
    let unwritable = |e: io::Error| {
        CliError::bad_input(format!(
            "cannot write {}: {e}; free some space and judge the run again",
            place.display()
        ))
    };
    fs::create_dir_all(&place).map_err(unwritable)?;
    for (index, history) in histories.iter().enumerate() {
        let file = place.join(history_name(index + 1));
        fs::write(file, history.to_lines()).map_err(unwritable)?;
    }
    Ok(())
}

/// Calls `read` for each line, with its number.
fn each_line(
    path: &Path,
    mut read: impl FnMut(u64, &str) -> Result<(), String>,
) -> Result<(), CliError> {
    let file = File::open(path)
        .map_err(|e| CliError::bad_input(format!("cannot read {}: {e}", path.display())))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = String::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        let damaged = |number: u64, problem: &dyn std::fmt::Display| {
            CliError::bad_input(format!("{}, line {number}: {problem}", path.display()))
        };
        number += 1;
        match reader.read_line(&mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => read(number, line.trim_end()).map_err(|e| damaged(number, &e))?,
            Err(e) => return Err(damaged(number, &e)),
        }
    }
}
