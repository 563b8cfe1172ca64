//! A latency cliff: in the quiet window after a step, clients are served far more slowly than in the one before.
//!
//! The fastest tenth after the step is compared with the median before it, of a class over both kinds of connection:
//! nine in ten must be slow, as whatever disturbs a machine for a while leaves some answers fast, and a defect does not.
//! And the machine's own slowness is taken off: the harness notes how late it came to send each operation, and an answer
//! takes about ten times as many turns of the scheduler as that. When more than a twentieth of the sends in the window
//! left more than an interval late, the machine was too busy for a proof, and a cliff is a warning.
//!
//! An operation that fails is answered never. When more than a tenth of a class failed in the window after, and less
//! than a hundredth in the one before, that is a cliff too, although a client that tries again finds no gap.

use crate::faults::Faults;
use crate::gap::{Sent, due_in};
use crate::lanes::LANES;
use crate::stats::{from_ms, ms, percentile};
use crate::timeline::{StepTimes, Timeline, Window};
use changeover_model::check::{Check, Severity};
use changeover_model::history::Class;
use changeover_model::verdict::Finding;
use serde_json::json;

/// So many times the median before,
const TIMES: u64 = 5;
/// and so many times the lateness that three in four sends of the harness stay below,
const TURNS: u64 = 10;
/// and this, in milliseconds, may the fastest tenth after take.
const FREE_MS: u64 = 5;

/// How many of the sends in the window may be late for a proof: a twentieth.
const LATE_SHARE: usize = 20;

/// From fewer operations no share of failures is told.
const ENOUGH: usize = 20;

/// The cliffs of all steps. `lanes` has one entry for each of [`LANES`], ascending by intended send.
/// They fire every `interval` nanoseconds.
pub(crate) fn judge(
    timeline: &Timeline,
    lanes: &[Vec<Sent>; LANES.len()],
    interval: u64,
    faults: &Faults,
) -> Vec<Finding> {
    let quiet = |window: Option<Window>| window.is_none_or(|w| !faults.disturb_clients(w));
    let classes = [Class::Read, Class::Write, Class::Connect];
    timeline
        .upgrades()
        // Where something is broken on purpose, the windows do not compare like with like.
        .filter(|step| quiet(step.before) && quiet(step.after))
        .flat_map(|step| classes.map(|class| (step, class)))
        .flat_map(|(step, class)| {
            [
                cliff(step, class, lanes, interval),
                failures(step, class, lanes),
            ]
        })
        .flatten()
        .collect()
}

/// The operations of a class that were due in a window.
fn of_class(
    lanes: &[Vec<Sent>; LANES.len()],
    class: Class,
    window: Window,
) -> impl Iterator<Item = &Sent> {
    LANES
        .iter()
        .zip(lanes)
        .filter(move |(lane, _)| lane.class == class)
        .flat_map(move |(_, sent)| due_in(sent, window))
}

fn failures(step: &StepTimes, class: Class, lanes: &[Vec<Sent>; LANES.len()]) -> Option<Finding> {
    let count = |window: Window| {
        let failed = of_class(lanes, class, window).filter(|sent| sent.completed.is_none());
        (failed.count(), of_class(lanes, class, window).count())
    };
    let ((failed_before, of_before), (failed, of)) = (count(step.before?), count(step.after?));
    let cliff =
        of >= ENOUGH && of_before >= ENOUGH && failed * 10 > of && failed_before * 100 < of_before;
    cliff.then(|| Finding {
        check: Check::LatencyCliff,
        severity: Severity::Error,
        step: Some(step.number),
        message: format!(
            "{failed} of {of} {} operations failed in the quiet window after the step, {failed_before} of {of_before} in the one before it",
            class.name()
        ),
        evidence: json!({
            "class": class,
            "failed_before": failed_before,
            "of_before": of_before,
            "failed_after": failed,
            "of_after": of,
        }),
    })
}

fn cliff(
    step: &StepTimes,
    class: Class,
    lanes: &[Vec<Sent>; LANES.len()],
    interval: u64,
) -> Option<Finding> {
    let (before, after) = (step.before?, step.after?);
    let latencies = |window| sorted(of_class(lanes, class, window).filter_map(Sent::latency));
    let (was, is) = (percentile(&latencies(before), 50)?, latencies(after));
    let is = percentile(&is, 10).filter(|_| is.len() >= ENOUGH)?;
    let lateness = sorted(
        lanes
            .iter()
            .flat_map(|sent| due_in(sent, after))
            .map(|sent| sent.lateness),
    );
    let too_late = lateness.iter().filter(|late| **late > interval).count();
    let late = percentile(&lateness, 75)?;
    let limit = from_ms(FREE_MS)
        .saturating_add(was.saturating_mul(TIMES))
        .saturating_add(late.saturating_mul(TURNS));
    (is > limit).then(|| Finding {
        check: Check::LatencyCliff,
        severity: match too_late * LATE_SHARE > lateness.len() {
            true => Severity::Warning,
            false => Severity::Error,
        },
        step: Some(step.number),
        message: format!(
            "the median latency of {} operations was {} ms before the step; after it nine in ten take more than {} ms, where {} ms are allowed",
            class.name(),
            ms(was),
            ms(is),
            ms(limit)
        ),
        evidence: json!({
            "class": class,
            "before_ms": ms(was),
            "after_ms": ms(is),
            "limit_ms": ms(limit),
            "harness_late_ms": ms(late),
        }),
    })
}

fn sorted(samples: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut samples: Vec<u64> = samples.collect();
    samples.sort_unstable();
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MS, events};

    /// A step from 500 to 600 ms, and the lanes that read: each fires every 10 ms.
    fn judged(sent: impl Fn(u64) -> Sent) -> Vec<Option<u32>> {
        let mut e = events();
        e.at_ms(0).quiet(true).at_ms(500).quiet(false);
        e.step(1).started().at_ms(600).ended(true);
        e.quiet(true).at_ms(1100).quiet(false);
        let mut lanes: [Vec<Sent>; 5] = Default::default();
        for lane in [0, 2] {
            lanes[lane] = (0..110).map(&sent).collect();
        }
        judge(&Timeline::new(&e.list), &lanes, 10 * MS, &Faults::default())
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| finding.step)
            .collect()
    }

    /// Each answer takes so many tenths of a millisecond.
    fn found(before: u64, after: impl Fn(u64) -> u64, late: u64) -> Vec<Option<u32>> {
        judged(|n| {
            let intended = n * 10 * MS;
            let took = if n < 50 { before } else { after(n) };
            Sent {
                intended,
                completed: Some(intended + took * MS / 10),
                lateness: late * MS / 10,
                not_sent: false,
            }
        })
    }

    #[test]
    fn many_failures_where_there_were_none_are_a_cliff() {
        let failing = |fails: fn(u64) -> bool| {
            judged(|n| Sent {
                intended: n * 10 * MS,
                completed: (!fails(n)).then_some((n * 10 + 1) * MS),
                lateness: 0,
                not_sent: false,
            })
        };
        // The window after the step has 50 operations of each of the two lanes.
        assert_eq!(failing(|n| (60..66).contains(&n)), [Some(1)]);
        assert_eq!(failing(|n| (60..65).contains(&n)), []);
        // During the step they are an outage, which its gap tells.
        assert_eq!(failing(|n| (51..60).contains(&n)), []);
        // It was so before.
        assert_eq!(failing(|n| n % 3 == 0), []);
    }

    #[test]
    fn answers_far_slower_than_before_are_a_cliff() {
        assert_eq!(found(10, |_| 101, 0), [Some(1)]);
        assert_eq!(found(10, |_| 100, 0), []);
        // A small latency may grow more.
        assert_eq!(found(1, |_| 55, 0), []);
        assert_eq!(found(1, |_| 56, 0), [Some(1)]);
    }

    #[test]
    fn when_some_are_as_fast_as_before_it_is_none() {
        // Five of the window's fifty are a tenth.
        assert_eq!(found(10, |n| if n < 65 { 10 } else { 9000 }, 0), []);
        assert_eq!(found(10, |n| if n < 64 { 10 } else { 9000 }, 0), [Some(1)]);
    }

    #[test]
    fn the_machine_s_own_slowness_is_taken_off() {
        assert_eq!(found(10, |_| 200, 9), [Some(1)]);
        assert_eq!(found(10, |_| 200, 10), []);
        // With many sends late it is no proof any more.
        let noisy = |late: u64| {
            judged(|n| Sent {
                intended: n * 10 * MS,
                completed: Some((n * 10 + if n < 50 { 1 } else { 50 }) * MS),
                lateness: if (60..60 + late).contains(&n) {
                    11 * MS
                } else {
                    0
                },
                not_sent: false,
            })
        };
        assert_eq!(noisy(2), [Some(1)]);
        assert_eq!(noisy(3), []);
    }

    #[test]
    fn without_both_windows_there_is_nothing_to_compare() {
        let mut e = events();
        e.step(1).at_ms(0).started().at_ms(100).ended(true);
        assert_eq!(
            judge(
                &Timeline::new(&e.list),
                &Default::default(),
                10 * MS,
                &Faults::default()
            ),
            []
        );
    }
}
