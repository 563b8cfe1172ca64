//! What the lanes see right now: gaps as they open and close, and a strip of the last minutes for whoever watches.
//!
//! The judge finds gaps in the history; what is seen here is for people, and on record as events.

use crate::record::Sink;
use changeover_model::event::{Event, EventKind};
use changeover_model::history::{LaneId, Operation, Outcome};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Cells of a strip.
pub const CELLS: usize = 40;

/// The time that a cell stands for, in nanoseconds: a strip shows two minutes.
pub const CELL: u64 = 3_000_000_000;

/// How many successes say what is usual.
const QUIET: usize = 100;

/// What happened in the time of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    /// Operations that succeeded.
    pub ok: u32,
    /// Operations that did not.
    pub bad: u32,
}

/// A lane as it looks at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneView {
    /// Its name.
    pub lane: String,
    /// How long there has been no success, in nanoseconds, if that counts as a gap.
    pub away: Option<u64>,
    /// The longest gap so far, in nanoseconds, the one that is open included.
    pub longest: Option<u64>,
    /// The last minutes, oldest first.
    pub cells: Vec<Cell>,
}

/// All lanes. Shared by whoever records and whoever looks.
#[derive(Debug)]
pub struct Board {
    interval: u64,
    lanes: Mutex<Vec<Lane>>,
}

#[derive(Debug)]
struct Lane {
    id: LaneId,
    /// The intended send of the last success, or of the first operation.
    since: Option<u64>,
    /// Whether there was a success.
    succeeded: bool,
    usual: VecDeque<u64>,
    /// The end of the last gap.
    silent_until: u64,
    open: bool,
    longest: Option<u64>,
    /// What failed since the last success.
    errors: BTreeMap<String, u64>,
    cells: VecDeque<Cell>,
    /// The number of the newest cell.
    newest: u64,
    news: Vec<EventKind>,
}

impl Board {
    /// A board of lanes that fire every `interval` nanoseconds.
    pub fn new(lanes: Vec<LaneId>, interval: u64) -> Self {
        let lane = |id| Lane {
            id,
            since: None,
            succeeded: false,
            usual: VecDeque::new(),
            silent_until: 0,
            open: false,
            longest: None,
            errors: BTreeMap::new(),
            cells: VecDeque::new(),
            newest: 0,
            news: Vec::new(),
        };
        Board {
            interval,
            lanes: Mutex::new(lanes.into_iter().map(lane).collect()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lanes begin at that moment: what follows it without a success counts.
    pub(super) fn begin(&self, at: u64) {
        for lane in self.lock().iter_mut() {
            lane.since = Some(at);
        }
    }

    /// Takes an operation that has ended.
    fn operation(&self, operation: &Operation) {
        let id = LaneId::of(operation);
        if let Some(lane) = self.lock().iter_mut().find(|lane| Some(lane.id) == id) {
            lane.operation(operation);
        }
    }

    /// What is news at `now`: gaps that have opened and closed.
    pub(super) fn news(&self, now: u64) -> Vec<EventKind> {
        let mut news = Vec::new();
        for lane in self.lock().iter_mut() {
            lane.look(now, self.interval);
            news.append(&mut lane.news);
        }
        news
    }

    /// What the lanes look like at `now`.
    pub fn view(&self, now: u64) -> Vec<LaneView> {
        let view = |lane: &mut Lane| {
            lane.turn_to(now / CELL);
            let away = lane.since.filter(|_| lane.open);
            let away = away.map(|since| now.saturating_sub(since));
            LaneView {
                lane: lane.id.to_string(),
                away,
                longest: lane.longest.max(away),
                cells: lane.cells.iter().copied().collect(),
            }
        };
        self.lock().iter_mut().map(view).collect()
    }
}

impl Lane {
    fn operation(&mut self, operation: &Operation) {
        let due = operation.intended.unwrap_or(operation.invoke);
        let ended = operation.ended.unwrap_or(operation.invoke);
        let ok = operation.outcome == Outcome::Ok;
        self.turn_to(due / CELL);
        let behind = usize::try_from(self.newest - due / CELL).unwrap_or(usize::MAX);
        let at = self.cells.len().checked_sub(behind.saturating_add(1));
        if let Some(cell) = at.and_then(|at| self.cells.get_mut(at)) {
            match ok {
                true => cell.ok += 1,
                false => cell.bad += 1,
            }
        }
        if !ok {
            let error = operation.error.as_ref().map(ToString::to_string);
            *self.errors.entry(error.unwrap_or_default()).or_default() += 1;
            return;
        }
        let since = self.since.unwrap_or(due);
        // The first to arrive of those that were due later ends the span.
        if due > since || !self.succeeded {
            if self.open {
                self.open = false;
                self.silent_until = ended;
                self.longest = self.longest.max(Some(ended.saturating_sub(since)));
                self.news.push(EventKind::GapClosed {
                    lane: self.id.to_string(),
                    since,
                    until: ended,
                    errors: std::mem::take(&mut self.errors),
                });
            }
            self.errors.clear();
            self.since = Some(due.max(since));
            self.succeeded = true;
        }
        if due >= self.silent_until && !self.open {
            if self.usual.len() == QUIET {
                self.usual.pop_front();
            }
            self.usual.push_back(ended.saturating_sub(due));
        }
    }

    /// Notices that there has been no success for too long.
    fn look(&mut self, now: u64, interval: u64) {
        let Some(since) = self.since.filter(|_| !self.open) else {
            return;
        };
        let usual = self.usual.iter().copied().max().unwrap_or(0);
        // What hung in a gap is answered after it, in any order: until there was time for more, nothing new is away.
        let quiet_since = since.max(self.silent_until);
        if now.saturating_sub(quiet_since) > interval.saturating_mul(2).saturating_add(usual) {
            self.open = true;
            self.news.push(EventKind::GapOpened {
                lane: self.id.to_string(),
                since,
            });
        }
    }

    /// Makes room for a cell of that number.
    fn turn_to(&mut self, number: u64) {
        if self.cells.is_empty() {
            self.newest = number;
            self.cells.push_back(Cell::default());
        }
        // After so many empty ones nothing is left of what was there.
        let missing = number.saturating_sub(self.newest).min(CELLS as u64);
        for _ in 0..missing {
            self.cells.push_back(Cell::default());
        }
        self.newest = self.newest.max(number);
        while self.cells.len() > CELLS {
            self.cells.pop_front();
        }
    }
}

/// Passes everything on, and shows the operations to a board.
pub struct Watched {
    sink: Box<dyn Sink>,
    board: Arc<Board>,
}

impl Watched {
    /// A sink with a board beside it.
    pub fn new(sink: Box<dyn Sink>, board: Arc<Board>) -> Self {
        Watched { sink, board }
    }
}

impl Sink for Watched {
    fn event(&mut self, event: &Event) {
        self.sink.event(event);
    }

    fn operation(&mut self, operation: &Operation) {
        self.board.operation(operation);
        self.sink.operation(operation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use changeover_model::history::{ErrorKind, Op};
    use changeover_model::history::{LANES, OpError, Source};
    use serde_json::Value;

    const MS: u64 = 1_000_000;

    fn operation(due: u64, latency: u64, ok: bool) -> Operation {
        Operation {
            process: 1,
            op: Op::Read,
            model: None,
            key: None,
            value: Value::Null,
            result: Value::Null,
            invoke: due * MS,
            returned: Some((due + latency) * MS),
            outcome: if ok { Outcome::Ok } else { Outcome::Fail },
            client: None,
            source: Some(Source::Lane),
            class: Some(LANES[0].class),
            connection: Some(LANES[0].connection),
            intended: Some(due * MS),
            lateness: None,
            slot: None,
            generation: None,
            error: (!ok).then_some(OpError {
                kind: ErrorKind::Refused,
                sqlstate: None,
            }),
            ended: Some((due + latency) * MS),
        }
    }

    fn board() -> Board {
        Board::new(vec![LANES[0]], 100 * MS)
    }

    #[test]
    fn a_gap_is_told_when_it_opens_and_when_it_closes() {
        let board = board();
        board.begin(0);
        for due in [0, 100, 200] {
            board.operation(&operation(due, 5, true));
        }
        for due in [300, 400] {
            board.operation(&operation(due, 1, false));
        }
        let lane = "read/held".to_owned();
        assert_eq!(board.news(405 * MS), []);
        let opened = EventKind::GapOpened {
            lane: lane.clone(),
            since: 200 * MS,
        };
        assert_eq!(board.news(406 * MS), [opened]);
        assert_eq!(board.news(450 * MS), []);
        assert_eq!(board.view(450 * MS)[0].away, Some(250 * MS));
        board.operation(&operation(500, 7, true));
        let closed = EventKind::GapClosed {
            lane,
            since: 200 * MS,
            until: 507 * MS,
            errors: [("refused".to_owned(), 2)].into(),
        };
        assert_eq!(board.news(508 * MS), [closed]);
        let view = &board.view(510 * MS)[0];
        assert_eq!((view.away, view.longest), (None, Some(307 * MS)));
        // One that was due before it says nothing about what came after.
        board.operation(&operation(350, 200, true));
        assert_eq!(board.news(712 * MS), []);
        assert_eq!(board.news(713 * MS).len(), 1);
    }

    #[test]
    fn what_hung_in_a_gap_opens_no_other() {
        let board = board();
        board.begin(0);
        board.operation(&operation(0, 5, true));
        assert_eq!(board.news(900 * MS).len(), 1);
        for due in [100, 200, 300] {
            board.operation(&operation(due, 1000 - due, true));
            let closed = usize::from(due == 100);
            assert_eq!(board.news(1001 * MS).len(), closed);
        }
    }

    #[test]
    fn a_lane_that_never_succeeds_is_away_from_the_beginning() {
        let board = board();
        assert_eq!(board.news(999 * MS), []);
        board.begin(50 * MS);
        let opened = EventKind::GapOpened {
            lane: "read/held".to_owned(),
            since: 50 * MS,
        };
        assert_eq!(board.news(251 * MS), [opened]);
    }

    #[test]
    fn a_strip_shows_the_last_minutes() {
        let board = board();
        board.operation(&operation(10, 5, true));
        board.operation(&operation(CELL / MS, 5, false));
        board.operation(&operation(20, 5, true));
        let cell = |ok, bad| Cell { ok, bad };
        assert_eq!(board.view(CELL)[0].cells, [cell(2, 0), cell(0, 1)]);
        let later = board.view(CELL * 50)[0].cells.clone();
        assert_eq!(later, vec![Cell::default(); CELLS]);
        // Far too late to be shown.
        board.operation(&operation(30, 5, true));
        assert_eq!(board.view(CELL * 50)[0].cells, later);
    }
}
