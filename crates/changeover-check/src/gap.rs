//! Gaps: how long a client of a lane would have waited.
//!
//! Let x be the intended send of a success, and e(x) the earliest completion among the successes intended later
//! than x. A client that arrives just after x, and retries, waits for the span (x, e(x)). The schedule is open
//! loop, so the spans cover the lane's whole time and nothing hides between them.
//!
//! All times are nanoseconds; arithmetic saturates, so no input makes it panic.

use crate::stats::SECOND;
use crate::timeline::Window;

/// How far around a gap the harness's lateness blurs it.
const BLUR: u64 = SECOND;

/// One operation of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// When the schedule wanted it sent.
    pub intended: u64,
    /// When it succeeded; `None` if it did not.
    pub completed: Option<u64>,
    /// How late the harness itself was with it.
    pub lateness: u64,
    /// Whether the lane was full, so that it was not sent at all.
    pub not_sent: bool,
}

impl Sent {
    /// The latency of a success, from the intended send.
    pub fn latency(&self) -> Option<u64> {
        self.completed
            .map(|completed| completed.saturating_sub(self.intended))
    }
}

/// A step, as far as gaps care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepSpan {
    /// From its start to its end.
    pub span: Window,
    /// The quiet window before it: the lane's largest latency there belongs to the threshold.
    pub before: Option<Window>,
}

/// The gaps of a lane that belong to a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepGaps {
    /// The longest span, gap or not; `None` if the lane has no success, or did not run.
    pub longest: Option<u64>,
    /// The sum of the gaps.
    pub total: u64,
    /// How many gaps there are.
    pub count: u64,
    /// The interval, and the worst lateness within a second of the longest span.
    pub resolution: u64,
}

/// The gaps of a lane, one entry for each step.
///
/// `sent` must be in ascending order of `intended`. A span counts as a gap when it is longer than two intervals and
/// the lane's largest latency in the quiet window before its step. Gaps that overlap are one, their union. A span or
/// gap belongs to the step it overlaps longest, the earlier of equals; one that overlaps none, to the nearest.
///
/// Takes O(n · steps) after sorting.
pub fn gaps(sent: &[Sent], interval: u64, steps: &[StepSpan]) -> Vec<StepGaps> {
    let mut out = vec![StepGaps::default(); steps.len()];
    let mut longest: Vec<Option<Window>> = vec![None; steps.len()];
    let thresholds: Vec<u64> = steps
        .iter()
        .map(|step| {
            let latency = step.before.map_or(0, |quiet| largest_latency(sent, quiet));
            interval.saturating_mul(2).saturating_add(latency)
        })
        .collect();
    let spans = spans(sent);
    let mut open: Option<Union> = None;
    for &span in &spans {
        let Some(step) = belongs_to(span, steps) else {
            break;
        };
        if span.length() <= thresholds[step] {
            keep_longer(&mut longest[step], span);
            continue;
        }
        match &mut open {
            Some(union) if span.start < union.all.end => union.add(span),
            _ => {
                if let Some(union) = open.replace(Union::new(span)) {
                    union.count(steps, &mut out, &mut longest);
                }
            }
        }
    }
    if let Some(union) = open {
        union.count(steps, &mut out, &mut longest);
    }
    for ((gaps, longest), step) in out.iter_mut().zip(&mut longest).zip(steps) {
        // A step so short that every span over it belongs to a neighbour still says what its clients saw.
        if longest.is_none() {
            for &span in spans.iter().filter(|s| touches(s, step.span)) {
                keep_longer(longest, span);
            }
        }
        gaps.longest = longest.map(|span| span.length());
        let around = longest.unwrap_or(step.span);
        gaps.resolution = interval.saturating_add(worst_lateness(sent, around));
    }
    out
}

/// The largest latency of successes that both were due and ended in a quiet window. One that was still under way
/// when the window closed met the step, and says nothing about quiet.
pub fn largest_latency(sent: &[Sent], quiet: Window) -> u64 {
    due_in(sent, quiet)
        .iter()
        .filter(|s| s.completed.is_some_and(|at| at <= quiet.end))
        .filter_map(Sent::latency)
        .max()
        .unwrap_or(0)
}

/// The operations that were due in a window; `sent` must be in ascending order of `intended`.
pub fn due_in(sent: &[Sent], window: Window) -> &[Sent] {
    let from = sent.partition_point(|s| s.intended < window.start);
    let to = sent.partition_point(|s| s.intended <= window.end);
    &sent[from..to.max(from)]
}

/// Overlapping gaps.
struct Union {
    all: Window,
    longest: Window,
}

impl Union {
    fn new(span: Window) -> Self {
        Union {
            all: span,
            longest: span,
        }
    }

    fn add(&mut self, span: Window) {
        self.all.end = self.all.end.max(span.end);
        if span.length() > self.longest.length() {
            self.longest = span;
        }
    }

    fn count(&self, steps: &[StepSpan], out: &mut [StepGaps], longest: &mut [Option<Window>]) {
        if let Some(step) = belongs_to(self.all, steps) {
            out[step].count += 1;
            out[step].total = out[step].total.saturating_add(self.all.length());
            keep_longer(&mut longest[step], self.longest);
        }
    }
}

fn keep_longer(kept: &mut Option<Window>, span: Window) {
    if kept.is_none_or(|k| span.length() > k.length()) {
        *kept = Some(span);
    }
}

/// All spans, ascending by start.
fn spans(sent: &[Sent]) -> Vec<Window> {
    let (Some(first), Some(last)) = (sent.first(), sent.last()) else {
        return Vec::new();
    };
    let mut spans = Vec::new();
    // Backwards: `earliest` is over all successes intended later than the present one, `pending` over those intended
    // at the very same moment, which do not count for each other.
    let mut earliest: Option<u64> = None;
    let mut pending: Option<(u64, u64)> = None;
    for (x, completed) in sent
        .iter()
        .rev()
        .filter_map(|s| s.completed.map(|completed| (s.intended, completed)))
    {
        match &mut pending {
            Some((at, completion)) if *at == x => *completion = (*completion).min(completed),
            _ => {
                if let Some((_, completion)) = pending.replace((x, completed)) {
                    earliest = Some(earliest.map_or(completion, |e| e.min(completion)));
                }
                // With no later success it lasts to the lane's last scheduled send.
                let end = earliest.unwrap_or(last.intended);
                spans.push(Window {
                    start: x,
                    end: end.max(x),
                });
            }
        }
    }
    if let Some((_, completion)) = pending {
        // Before the first success nobody was served either.
        let end = earliest.map_or(completion, |e| e.min(completion));
        spans.push(Window {
            start: first.intended,
            end: end.max(first.intended),
        });
    }
    spans.reverse();
    spans
}

fn touches(span: &Window, step: Window) -> bool {
    span.start <= step.end && step.start <= span.end
}

fn belongs_to(span: Window, steps: &[StepSpan]) -> Option<usize> {
    let rank = |step: &StepSpan| {
        let (from, to) = (span.start.max(step.span.start), span.end.min(step.span.end));
        // Longest overlap first, then the smallest distance.
        (
            to.saturating_sub(from),
            std::cmp::Reverse(from.saturating_sub(to)),
        )
    };
    let mut best = None;
    for (index, step) in steps.iter().enumerate() {
        let rank = rank(step);
        if best.is_none_or(|(_, kept)| rank > kept) {
            best = Some((index, rank));
        }
    }
    best.map(|(index, _)| index)
}

fn worst_lateness(sent: &[Sent], around: Window) -> u64 {
    let near = Window {
        start: around.start.saturating_sub(BLUR),
        end: around.end.saturating_add(BLUR),
    };
    due_in(sent, near)
        .iter()
        .map(|s| s.lateness)
        .max()
        .unwrap_or(0)
}
