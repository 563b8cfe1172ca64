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
    located(sent, interval, steps)
        .into_iter()
        .map(|located| located.gaps)
        .collect()
}

/// The gaps of a lane that belong to a step, and when they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// Their figures.
    pub gaps: StepGaps,
    /// The gaps, in order of time; without any, the longest span alone.
    pub spans: Vec<Window>,
    /// The longest span that counts as no gap; `None` if there is none.
    pub longest_short: Option<u64>,
}

/// Like [`gaps`], and says when they were.
pub fn located(sent: &[Sent], interval: u64, steps: &[StepSpan]) -> Vec<Located> {
    let mut out = vec![Located::default(); steps.len()];
    let mut longest: Vec<Option<Window>> = vec![None; steps.len()];
    let thresholds: Vec<u64> = steps
        .iter()
        .map(|step| threshold(sent, interval, step))
        .collect();
    let spans = spans(sent);
    let mut open: Option<Union> = None;
    for &span in &spans {
        let Some(step) = belongs_to(span, steps) else {
            break;
        };
        if span.length() <= thresholds[step] {
            let short = &mut out[step].longest_short;
            *short = (*short).max(Some(span.length()));
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
    for ((located, longest), step) in out.iter_mut().zip(&mut longest).zip(steps) {
        let Located {
            gaps, spans: found, ..
        } = located;
        // A step so short that every span over it belongs to a neighbour still says what its clients saw.
        if longest.is_none() {
            for &span in spans.iter().filter(|s| touches(s, step.span)) {
                keep_longer(longest, span);
            }
        }
        gaps.longest = longest.map(|span| span.length());
        let around = longest.unwrap_or(step.span);
        gaps.resolution = interval.saturating_add(worst_lateness(sent, around));
        if found.is_empty() {
            found.extend(*longest);
        }
    }
    out
}

/// An outage that did not end while the lane ran: its length is a lower bound, and no measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenEnd {
    /// The place of the step it belongs to.
    pub step: usize,
    /// From the intended send of the last success to the lane's last scheduled send.
    pub span: Window,
}

/// The outage that a lane had not recovered from when its schedule ended; `None` if there is no such, and for a lane
/// without a success, which has no time to count from.
///
/// `sent` must be in ascending order of `intended`. The last span of a lane is always open; it is an outage when it
/// counts as a gap.
pub fn open_end(sent: &[Sent], interval: u64, steps: &[StepSpan]) -> Option<OpenEnd> {
    let span = Window {
        start: sent.iter().rev().find(|s| s.completed.is_some())?.intended,
        end: sent.last()?.intended,
    };
    let step = belongs_to(span, steps)?;
    (span.length() > threshold(sent, interval, &steps[step])).then_some(OpenEnd { step, span })
}

/// What a span over a step must exceed to count as a gap.
fn threshold(sent: &[Sent], interval: u64, step: &StepSpan) -> u64 {
    let latency = step.before.map_or(0, |quiet| largest_latency(sent, quiet));
    interval.saturating_mul(2).saturating_add(latency)
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
        if longer(span, self.longest) {
            self.longest = span;
        }
    }

    fn count(&self, steps: &[StepSpan], out: &mut [Located], longest: &mut [Option<Window>]) {
        if let Some(step) = belongs_to(self.all, steps) {
            let Located { gaps, spans, .. } = &mut out[step];
            gaps.count += 1;
            gaps.total = gaps.total.saturating_add(self.all.length());
            spans.push(self.all);
            keep_longer(&mut longest[step], self.longest);
        }
    }
}

fn keep_longer(kept: &mut Option<Window>, span: Window) {
    if kept.is_none_or(|kept| longer(span, kept)) {
        *kept = Some(span);
    }
}

/// The earlier of equals counts as longer, so that the result does not depend on the order of looking.
fn longer(a: Window, b: Window) -> bool {
    (a.length(), b.start) > (b.length(), a.start)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MS;

    const INTERVAL: u64 = 10 * MS;

    fn ok(intended: u64, latency: u64) -> Sent {
        Sent {
            intended: intended * MS,
            completed: Some((intended + latency) * MS),
            lateness: 0,
            not_sent: false,
        }
    }

    fn failed(intended: u64) -> Sent {
        Sent {
            completed: None,
            ..ok(intended, 0)
        }
    }

    fn step(start: u64, end: u64) -> StepSpan {
        let window = |start, end| Window {
            start: start * MS,
            end: end * MS,
        };
        StepSpan {
            span: window(start, end),
            before: Some(window(0, start)),
        }
    }

    /// A lane at 10 ms from 0 to `end`, 1 ms a success, failing in `from..to`.
    fn outage(end: u64, from: u64, to: u64) -> Vec<Sent> {
        (0..=end / 10)
            .map(|n| n * 10)
            .map(|at| match (from..to).contains(&at) {
                true => failed(at),
                false => ok(at, 1),
            })
            .collect()
    }

    #[test]
    fn a_gap_lasts_from_the_last_success_intended_to_the_next_completion() {
        let gaps = gaps(&outage(1000, 520, 580), INTERVAL, &[step(500, 600)]);
        assert_eq!(
            gaps,
            [StepGaps {
                longest: Some(71 * MS),
                total: 71 * MS,
                count: 1,
                resolution: INTERVAL,
            }]
        );
    }

    #[test]
    fn gaps_are_located_and_without_any_the_longest_span() {
        let window = |start: u64, end: u64| Window {
            start: start * MS,
            end: end * MS,
        };
        let steps = [step(500, 700)];
        let mut sent = outage(1000, 520, 580);
        sent[66].completed = None;
        sent[67].completed = None;
        let found = located(&sent, INTERVAL, &steps);
        assert_eq!(found[0].spans, [window(510, 581), window(650, 681)]);
        assert_eq!(found[0].gaps, gaps(&sent, INTERVAL, &steps)[0]);
        let found = located(&outage(1000, 0, 0), INTERVAL, &steps);
        assert_eq!(found[0].gaps.count, 0);
        assert_eq!(found[0].spans.len(), 1);
        assert_eq!(found[0].spans[0].length(), 11 * MS);
    }

    #[test]
    fn the_longest_span_is_told_even_if_it_is_no_gap() {
        let gaps = gaps(&outage(1000, 0, 0), INTERVAL, &[step(500, 600)]);
        assert_eq!((gaps[0].longest, gaps[0].count), (Some(11 * MS), 0));
    }

    #[test]
    fn the_threshold_is_two_intervals_and_the_largest_latency_of_the_quiet_window() {
        let with_latency = |latency| {
            let mut sent = outage(1000, 520, 540);
            sent[10] = ok(100, latency);
            gaps(&sent, INTERVAL, &[step(500, 600)])[0].count
        };
        // The span is (510, 541): 31 ms.
        assert_eq!(with_latency(1), 1);
        assert_eq!(with_latency(10), 1);
        assert_eq!(with_latency(11), 0);
        // One that is still under way when the window closes met the step.
        let mut sent = outage(1000, 520, 540);
        sent[50] = ok(500, 45);
        assert_eq!(gaps(&sent, INTERVAL, &[step(500, 600)])[0].count, 1);
        // A failure has no latency.
        let mut sent = outage(1000, 520, 540);
        sent[10] = failed(100);
        assert_eq!(gaps(&sent, INTERVAL, &[step(500, 600)])[0].count, 1);
    }

    #[test]
    fn overlapping_gaps_are_one() {
        // Two operations of a held lane hang, and are answered at the end of the outage.
        let mut sent = outage(1000, 520, 580);
        sent[53] = ok(530, 60);
        sent[54] = ok(540, 90);
        let gaps = gaps(&sent, INTERVAL, &[step(500, 600)])[0];
        // (510, 581), (530, 581) and (540, 581).
        assert_eq!((gaps.count, gaps.total), (1, 71 * MS));
        assert_eq!(gaps.longest, Some(71 * MS));
        // A union longer than each of its parts.
        let sent = [ok(0, 1), ok(100, 60), ok(200, 1)];
        let gaps = self::gaps(&sent, INTERVAL, &[step(0, 300)])[0];
        // (0, 160) and (100, 201).
        assert_eq!((gaps.count, gaps.total), (1, 201 * MS));
        assert_eq!(gaps.longest, Some(160 * MS));
    }

    #[test]
    fn separate_gaps_are_counted_apart() {
        let mut sent = outage(1000, 520, 560);
        for at in [58, 59, 60] {
            sent[at] = failed(at as u64 * 10);
        }
        let gaps = gaps(&sent, INTERVAL, &[step(500, 700)])[0];
        // (510, 561) and (570, 611).
        assert_eq!((gaps.count, gaps.total), (2, (51 + 41) * MS));
    }

    #[test]
    fn an_outage_without_end_lasts_to_the_last_send() {
        let gaps = gaps(&outage(1000, 520, 5000), INTERVAL, &[step(500, 600)])[0];
        assert_eq!((gaps.longest, gaps.count), (Some(490 * MS), 1));
    }

    #[test]
    fn a_lane_that_did_not_recover_has_an_open_end() {
        let steps = [step(200, 300), step(500, 600)];
        let open = |sent: &[Sent]| open_end(sent, INTERVAL, &steps);
        let end = |step, start| {
            let span = Window {
                start: start * MS,
                end: 1000 * MS,
            };
            Some(OpenEnd { step, span })
        };
        // After the last step, and since a step before it.
        assert_eq!(open(&outage(1000, 800, 5000)), end(1, 790));
        assert_eq!(open(&outage(1000, 220, 5000)), end(1, 210));
        // It recovered, and a lane without a success never was well.
        assert_eq!(open(&outage(1000, 800, 1000)), None);
        assert_eq!(open(&outage(1000, 0, 5000)), None);
        assert_eq!(open(&[]), None);
        // The last sends are no outage as long as the span is no gap: here 21 ms and less.
        assert_eq!(open(&outage(1000, 990, 5000)), None);
        assert_eq!(open(&outage(1000, 980, 5000)), end(1, 970));
        // Where an answer took as long in the quiet window, so may the last ones.
        let mut slow = outage(1000, 980, 5000);
        slow[10] = ok(100, 10);
        assert_eq!(open(&slow), None);
        // One late answer from the very end is a recovery.
        let mut recovered = outage(1000, 800, 5000);
        recovered[99] = ok(990, 400);
        assert_eq!(open(&recovered), None);
    }

    #[test]
    fn the_time_before_the_first_success_counts() {
        let gaps = gaps(&outage(1000, 0, 300), INTERVAL, &[step(500, 600)])[0];
        assert_eq!((gaps.longest, gaps.count), (Some(301 * MS), 1));
    }

    #[test]
    fn without_a_success_there_is_no_longest() {
        let gaps = gaps(&outage(1000, 0, 5000), INTERVAL, &[step(500, 600)])[0];
        assert_eq!((gaps.longest, gaps.count), (None, 0));
    }

    #[test]
    fn a_gap_belongs_to_the_step_it_overlaps_longest_or_else_the_nearest() {
        let steps = [step(200, 300), step(500, 600)];
        let counts = |from, to| {
            let gaps = gaps(&outage(1000, from, to), INTERVAL, &steps);
            [gaps[0].count, gaps[1].count]
        };
        assert_eq!(counts(260, 550), [0, 1]);
        assert_eq!(counts(220, 520), [1, 0]);
        // Between them.
        assert_eq!(counts(320, 370), [1, 0]);
        assert_eq!(counts(430, 480), [0, 1]);
        // After them.
        assert_eq!(counts(800, 900), [0, 1]);
    }

    #[test]
    fn the_resolution_takes_the_worst_lateness_within_a_second() {
        let resolution = |late_at: usize| {
            let mut sent = outage(4000, 2020, 2080);
            sent[late_at].lateness = 7 * MS;
            gaps(&sent, INTERVAL, &[step(2000, 2100)])[0].resolution
        };
        // The gap is (2010, 2081).
        assert_eq!(resolution(100), INTERVAL);
        assert_eq!(resolution(101), INTERVAL + 7 * MS);
        assert_eq!(resolution(308), INTERVAL + 7 * MS);
        assert_eq!(resolution(309), INTERVAL);
    }

    #[test]
    fn a_step_shorter_than_every_span_still_has_one() {
        let steps = [step(200, 300), step(301, 302)];
        let gaps = gaps(&outage(1000, 0, 0), INTERVAL, &steps);
        assert_eq!(gaps[1].longest, Some(11 * MS));
    }
}
