//! The gaps of a lane, found while its operations come in: whatever the lane's length, only what is still open is kept.
//!
//! What a gap is, [`gap`](crate::gap) says. Here the quiet that it is compared with are the lane's last 100 successes,
//! but for those that were under way when a gap began or sent before it ended: what hung in an outage is not usual. A
//! server that has become slow for good is one gap, and then usual.

use crate::gap::Sent;
use crate::stats::SECOND;
use crate::timeline::Window;
use std::collections::{BTreeMap, VecDeque};

/// How many successes say what is usual.
const QUIET: usize = 100;

/// How far around a gap the harness's lateness blurs it.
const BLUR: u64 = SECOND;

/// Lateness and errors are kept by slots of at least this length.
const SLOT: u64 = SECOND / 20;

/// More slots than these are joined by twos: an outage may last for days.
const SLOTS: usize = 4096;

/// So many gaps are listed; the others are counted.
const LISTED: usize = 1000;

/// A gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// From the intended send of the last success to the next completion; gaps that overlap are one.
    pub span: Window,
    /// The interval, and the worst lateness within a second of it.
    pub resolution: u64,
    /// Whether its end was seen.
    pub ended: bool,
    /// What failed of the operations that were due in it, by kind of error.
    pub errors: BTreeMap<String, u64>,
}

/// What there is to say about a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneGaps {
    /// The longest span, gap or not; `None` without a success.
    pub longest: Option<Window>,
    /// The interval, and the worst lateness within a second of the longest span.
    pub resolution: u64,
    /// The gaps, in the order of time.
    pub gaps: Vec<Gap>,
    /// Gaps beyond those.
    pub not_listed: u64,
    /// The sum of all gaps.
    pub total: u64,
    /// The span that had not ended when the lane did, if it counts as a gap.
    pub open_end: Option<Window>,
    /// How many operations were due.
    pub sends: u64,
    /// How many of them left more than an interval late through the harness's own fault.
    pub late: u64,
}

impl LaneGaps {
    /// How many gaps there are.
    pub fn count(&self) -> u64 {
        self.gaps.len() as u64 + self.not_listed
    }
}

/// Takes a lane's operations, in whatever order they ended.
#[derive(Debug)]
pub struct GapStream {
    interval: u64,
    /// An operation that was due so long before another one has ended too.
    horizon: u64,
    quiet: usize,
    /// Those that came before one which was due earlier.
    early: BTreeMap<u64, Vec<(Sent, Option<String>)>>,
    newest: u64,
    /// The intended sends of the first operation and of the last.
    first: Option<u64>,
    last: u64,
    /// Successes whose span has no certain end yet, ascending in start and end.
    pending: VecDeque<Pending>,
    /// The latencies of the last quiet successes.
    usual: VecDeque<u64>,
    /// The latency of the first success, as long as no other is known.
    first_latency: u64,
    /// The latest span that counted and did not begin within the one before: a silence.
    silence: Option<Window>,
    slots: VecDeque<Slot>,
    /// The latest gap: another one may yet overlap it.
    open: Option<Union>,
    /// Gaps that only lack the lateness after them.
    unsettled: VecDeque<Union>,
    longest: Option<Window>,
    /// Whether the longest span lacks the lateness after it.
    longest_unsettled: bool,
    succeeded: bool,
    out: LaneGaps,
}

#[derive(Debug)]
struct Pending {
    start: u64,
    end: Option<u64>,
    /// `None` for the time before the first success.
    completed: Option<u64>,
}

#[derive(Debug)]
struct Slot {
    at: u64,
    until: u64,
    lateness: u64,
    errors: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Union {
    span: Window,
    ended: bool,
}

impl GapStream {
    /// A lane that fires every `interval` and whose operations may take `timeout`, both in nanoseconds.
    pub fn new(interval: u64, timeout: u64) -> Self {
        GapStream {
            interval: interval.max(1),
            horizon: timeout.saturating_mul(3).saturating_add(5 * SECOND),
            quiet: QUIET,
            early: BTreeMap::new(),
            newest: 0,
            first: None,
            last: 0,
            pending: VecDeque::new(),
            usual: VecDeque::new(),
            first_latency: 0,
            silence: None,
            slots: VecDeque::new(),
            open: None,
            unsettled: VecDeque::new(),
            longest: None,
            longest_unsettled: false,
            succeeded: false,
            out: LaneGaps::default(),
        }
    }

    /// Takes an operation; `error` says why it was not acknowledged.
    pub fn operation(&mut self, sent: Sent, error: Option<String>) {
        self.newest = self.newest.max(sent.intended);
        self.early
            .entry(sent.intended)
            .or_default()
            .push((sent, error));
        while let Some((&due, _)) = self.early.first_key_value() {
            let next = self.first.is_some() && due <= self.last.saturating_add(self.interval);
            if !next && self.newest - due < self.horizon {
                return;
            }
            self.release();
        }
    }

    /// What there is to say, when there are no more operations.
    pub fn finish(mut self) -> LaneGaps {
        while !self.early.is_empty() {
            self.release();
        }
        let last = self.last;
        while let Some(pending) = self.pending.pop_front() {
            match pending.end {
                Some(end) => self.span(&pending, end, true),
                // With no later success it lasts to the lane's last scheduled send.
                None if self.succeeded => self.span(&pending, last, false),
                None => {}
            }
        }
        self.unsettled.extend(self.open.take());
        self.settle(None);
        self.out.longest = self.longest;
        if self.longest.is_none() {
            self.out.resolution = self.interval;
        }
        self.out
    }

    fn release(&mut self) {
        let Some((_, released)) = self.early.pop_first() else {
            return;
        };
        for (sent, error) in released {
            self.take(sent, error);
        }
    }

    /// Takes operations in the order in which they were due.
    fn take(&mut self, sent: Sent, error: Option<String>) {
        let due = sent.intended;
        self.out.sends += 1;
        if !sent.not_sent && sent.lateness > self.interval {
            self.out.late += 1;
        }
        if self.first.is_none() {
            self.first = Some(due);
            self.pending.push_back(Pending {
                start: due,
                end: None,
                completed: None,
            });
        }
        self.last = self.last.max(due);
        self.note(due, sent.lateness, error);
        // Whatever comes from here on ends later than it is due.
        while let Some(front) = self.pending.front()
            && let Some(end) = front.end
            && end <= due
            && let Some(front) = self.pending.pop_front()
        {
            self.span(&front, end, true);
        }
        if let Some(completed) = sent.completed {
            if !self.succeeded {
                self.first_latency = completed.saturating_sub(due);
            }
            self.succeeded = true;
            for pending in self.pending.iter_mut().rev() {
                if pending.end.is_some_and(|end| end <= completed) {
                    break;
                }
                // Two that were due at the very same moment do not count for each other.
                if pending.start < due || pending.completed.is_none() {
                    pending.end = Some(completed);
                }
            }
            self.pending.push_back(Pending {
                start: due,
                end: None,
                completed: Some(completed),
            });
        }
        self.settle(Some(due));
        self.forget();
    }

    fn note(&mut self, due: u64, lateness: u64, error: Option<String>) {
        let length = SLOT.max(self.interval);
        let at = due / length * length;
        if self.slots.back().is_none_or(|slot| slot.until <= at) {
            self.slots.push_back(Slot {
                at,
                until: at.saturating_add(length),
                lateness: 0,
                errors: BTreeMap::new(),
            });
            self.join_slots();
        }
        if let Some(slot) = self.slots.back_mut() {
            slot.lateness = slot.lateness.max(lateness);
            if let Some(error) = error {
                *slot.errors.entry(error).or_default() += 1;
            }
        }
    }

    fn join_slots(&mut self) {
        if self.slots.len() < SLOTS {
            return;
        }
        let mut slots = std::mem::take(&mut self.slots).into_iter();
        while let Some(mut slot) = slots.next() {
            if let Some(next) = slots.next() {
                slot.until = next.until;
                slot.lateness = slot.lateness.max(next.lateness);
                for (error, count) in next.errors {
                    *slot.errors.entry(error).or_default() += count;
                }
            }
            self.slots.push_back(slot);
        }
    }

    /// A span whose end is certain.
    fn span(&mut self, pending: &Pending, end: u64, ended: bool) {
        let span = Window {
            start: pending.start,
            end: end.max(pending.start),
        };
        if self
            .longest
            .is_none_or(|longest| span.length() > longest.length())
        {
            self.longest = Some(span);
            self.longest_unsettled = true;
        }
        if let Some(completed) = pending.completed {
            self.note_usual(pending.start, completed);
        }
        if span.length() > self.threshold() {
            if self.silence.is_none_or(|silence| silence.end <= span.start) {
                self.silence = Some(span);
            }
            if !ended {
                self.out.open_end = Some(span);
            }
            match &mut self.open {
                Some(open) if span.start < open.span.end => {
                    open.span.end = open.span.end.max(span.end);
                    open.ended &= ended;
                }
                open => {
                    let before = open.replace(Union { span, ended });
                    self.unsettled.extend(before);
                }
            }
        }
    }

    fn note_usual(&mut self, start: u64, completed: u64) {
        let met = |silence: &Window| start < silence.end && silence.start < completed;
        if self.silence.as_ref().is_some_and(met) {
            return;
        }
        if self.usual.len() >= self.quiet {
            self.usual.pop_front();
        }
        self.usual.push_back(completed.saturating_sub(start));
    }

    fn threshold(&self) -> u64 {
        let usual = match self.quiet {
            0 => 0,
            _ => self
                .usual
                .iter()
                .copied()
                .max()
                .unwrap_or(self.first_latency),
        };
        self.interval.saturating_mul(2).saturating_add(usual)
    }

    /// Completes what lies so far before `due` that nothing blurs it any more; everything, at the end.
    fn settle(&mut self, due: Option<u64>) {
        let passed = |end: u64| due.is_none_or(|due| end.saturating_add(BLUR) < due);
        while self
            .unsettled
            .front()
            .is_some_and(|gap| passed(gap.span.end))
        {
            let Some(gap) = self.unsettled.pop_front() else {
                return;
            };
            self.list(&gap);
        }
        // It overlaps nothing any more, and its successor may be hours away.
        let first = self.pending.front().map_or(u64::MAX, |p| p.start);
        if let Some(gap) = self
            .open
            .take_if(|gap| passed(gap.span.end) && gap.span.end <= first)
        {
            self.list(&gap);
        }
        if let Some(longest) = self.longest
            && self.longest_unsettled
            && passed(longest.end)
        {
            self.out.resolution = self.resolution(longest);
            self.longest_unsettled = false;
        }
    }

    fn list(&mut self, gap: &Union) {
        self.out.total = self.out.total.saturating_add(gap.span.length());
        if self.out.gaps.len() == LISTED {
            self.out.not_listed += 1;
            return;
        }
        let mut errors = BTreeMap::new();
        for slot in &self.slots {
            if gap.span.start <= slot.until && slot.at <= gap.span.end {
                for (error, count) in &slot.errors {
                    *errors.entry(error.clone()).or_default() += count;
                }
            }
        }
        self.out.gaps.push(Gap {
            span: gap.span,
            resolution: self.resolution(gap.span),
            ended: gap.ended,
            errors,
        });
    }

    fn resolution(&self, span: Window) -> u64 {
        let near = self.slots.iter().filter(|slot| {
            span.start <= slot.until.saturating_add(BLUR)
                && slot.at <= span.end.saturating_add(BLUR)
        });
        let worst = near.map(|slot| slot.lateness).max().unwrap_or(0);
        self.interval.saturating_add(worst)
    }

    /// Drops slots that no span can need any more.
    fn forget(&mut self) {
        let needed = [
            self.pending.front().map(|p| p.start),
            self.open.as_ref().map(|gap| gap.span.start),
            self.unsettled.front().map(|gap| gap.span.start),
            self.longest
                .filter(|_| self.longest_unsettled)
                .map(|l| l.start),
        ];
        let Some(from) = needed.into_iter().flatten().min() else {
            return;
        };
        let from = from.saturating_sub(BLUR);
        while self.slots.front().is_some_and(|slot| slot.until < from) {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "gaps_tests.rs"]
mod tests;
