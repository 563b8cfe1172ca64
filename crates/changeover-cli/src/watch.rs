//! Shows a run while it goes on, from a thread of its own: a slow terminal must not slow the run.

use changeover_model::event::{Event, EventKind};
use changeover_model::verdict::Finding;
use changeover_rehearse::clock::Clock;
use changeover_rehearse::probe::board::{Board, CELL, LaneView};
use changeover_rehearse::tally;
use changeover_report::strips::{ProbeLive, Strip};
use changeover_report::{Live, LoadSnapshot, plain};
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at the load.
const PERIOD: Duration = Duration::from_millis(100);

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Not at all.
    Nothing,
    /// A line per notable event, on standard output.
    Lines,
    /// A line for every event there is, on standard output.
    EveryLine,
    /// A live picture, on standard error.
    Picture,
}

impl View {
    /// The picture on a terminal, lines elsewhere and in CI, where terminals are often pretended.
    pub(crate) fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        if terminal && std::env::var_os("CI").is_none() {
            View::Picture
        } else {
            View::Lines
        }
    }
}

/// Where findings go while the run goes on.
#[derive(Debug, Clone)]
pub(crate) enum Findings {
    /// Nowhere: the verdict has them.
    Nowhere,
    /// To standard output, a line each.
    Lines,
    /// Above the picture.
    Picture(Sender<String>),
}

impl Findings {
    /// Shows one.
    pub(crate) fn show(&self, finding: &Finding) {
        let line = plain::finding(finding);
        match self {
            Findings::Nowhere => {}
            // Whoever stopped reading does not stop the run.
            Findings::Lines => drop(writeln!(std::io::stdout(), "{line}")),
            Findings::Picture(picture) => drop(picture.send(line)),
        }
    }
}

/// The thread that shows a run.
pub(crate) struct Watch {
    events: Sender<Event>,
    findings: Findings,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Starts showing. `live` holds the load's figures once it runs.
    pub(crate) fn start(view: View, clock: Clock, live: Arc<OnceLock<Arc<tally::Live>>>) -> Self {
        Watch::with(view, move |events, notes| {
            picture(events, notes, clock, &live)
        })
    }

    /// Starts showing a probe, whose lanes are on `board`.
    pub(crate) fn of_probe(
        view: View,
        clock: Clock,
        live: Arc<OnceLock<Arc<tally::Live>>>,
        board: Arc<Board>,
    ) -> Self {
        Watch::with(view, move |events, _| strips(events, clock, &live, &board))
    }

    fn with(
        view: View,
        picture: impl FnOnce(&Receiver<Event>, &Receiver<String>) + Send + 'static,
    ) -> Self {
        let (events, receiver) = mpsc::channel();
        let (above, notes) = mpsc::channel();
        let findings = match view {
            View::Nothing => Findings::Nowhere,
            View::Lines | View::EveryLine => Findings::Lines,
            View::Picture => Findings::Picture(above),
        };
        let thread = std::thread::spawn(move || match view {
            View::Nothing => {}
            View::Lines => lines(&receiver, plain::line),
            View::EveryLine => lines(&receiver, |event| Some(plain::any_line(event))),
            View::Picture => picture(&receiver, &notes),
        });
        Watch {
            events,
            findings,
            thread,
        }
    }

    /// Where events go in.
    pub(crate) fn events(&self) -> Sender<Event> {
        self.events.clone()
    }

    /// Where findings go in.
    pub(crate) fn findings(&self) -> Findings {
        self.findings.clone()
    }

    /// Returns when the end of the run has been shown.
    pub(crate) fn finish(self) {
        drop(self.events);
        // A view that panicked has said so; the run is not the worse for it.
        let _ = self.thread.join();
    }
}

fn lines(events: &Receiver<Event>, line_of: impl Fn(&Event) -> Option<String>) {
    let mut stdout = std::io::stdout();
    for event in events {
        if let Some(line) = line_of(&event) {
            // Whoever stopped reading does not stop the run.
            let _ = writeln!(stdout, "{line}");
        }
        if event.kind == EventKind::RunEnded {
            return;
        }
    }
}

fn picture(
    events: &Receiver<Event>,
    notes: &Receiver<String>,
    clock: Clock,
    live: &OnceLock<Arc<tally::Live>>,
) {
    let mut view = Live::new();
    loop {
        match events.recv_timeout(PERIOD) {
            Ok(event) => {
                view.event(&event);
                if event.kind == EventKind::RunEnded {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        for note in notes.try_iter() {
            view.note(&note);
        }
        if let Some(live) = live.get() {
            view.load(clock.now(), &snapshot(live));
        }
    }
    view.finish();
}

fn strips(
    events: &Receiver<Event>,
    clock: Clock,
    live: &OnceLock<Arc<tally::Live>>,
    board: &Board,
) {
    let mut view = ProbeLive::new(CELL);
    loop {
        match events.recv_timeout(PERIOD) {
            Ok(event) => {
                view.event(&event);
                if event.kind == EventKind::RunEnded {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some(live) = live.get() {
            let now = clock.now();
            let strips: Vec<Strip> = board.view(now).into_iter().map(strip).collect();
            view.lanes(now, &snapshot(live), &strips);
        }
    }
    view.finish();
}

fn strip(lane: LaneView) -> Strip {
    let ms = |nanos: Option<u64>| nanos.map(|n| n as f64 / 1e6);
    Strip {
        lane: lane.lane,
        away_ms: ms(lane.away),
        longest_ms: ms(lane.longest),
        cells: lane.cells.iter().map(|cell| (cell.ok, cell.bad)).collect(),
    }
}

fn snapshot(live: &tally::Live) -> LoadSnapshot {
    let figures = live.figures();
    let ms = |nanos: Option<u64>| nanos.map(|n| n as f64 / 1e6);
    LoadSnapshot {
        ok: figures.ok,
        fail: figures.fail,
        unknown: figures.unknown,
        since_last_write_ms: ms(figures.since_write),
        since_last_read_ms: ms(figures.since_read),
    }
}
