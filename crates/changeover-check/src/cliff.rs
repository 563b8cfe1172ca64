//! A latency cliff: in the quiet window after a step, clients are served far more slowly than in the one before.
//!
//! What is compared are medians of a class over both kinds of connection, so that no single pause counts; and the
//! machine's own slowness is taken off: the harness notes how late it came to send each operation, and an answer takes
//! about ten times as many turns of the scheduler as that.

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
/// and so many times the harness's median lateness,
const TURNS: u64 = 10;
/// and this, in milliseconds, may the median after be.
const FREE_MS: u64 = 5;

/// The cliffs of all steps. `lanes` has one entry for each of [`LANES`], ascending by intended send.
pub(crate) fn judge(timeline: &Timeline, lanes: &[Vec<Sent>; LANES.len()]) -> Vec<Finding> {
    let classes = [Class::Read, Class::Write, Class::Connect];
    timeline
        .upgrades()
        .flat_map(|step| classes.map(|class| cliff(step, class, lanes)))
        .flatten()
        .collect()
}

fn cliff(step: &StepTimes, class: Class, lanes: &[Vec<Sent>; LANES.len()]) -> Option<Finding> {
    let (before, after) = (step.before?, step.after?);
    let of_class = |window: Window| {
        let latencies = LANES
            .iter()
            .zip(lanes)
            .filter(|(lane, _)| lane.class == class)
            .flat_map(|(_, sent)| due_in(sent, window))
            .filter_map(Sent::latency);
        median(latencies)
    };
    let (was, is) = (of_class(before)?, of_class(after)?);
    let late = median(
        lanes
            .iter()
            .flat_map(|sent| due_in(sent, after))
            .map(|sent| sent.lateness),
    )?;
    let limit = from_ms(FREE_MS)
        .saturating_add(was.saturating_mul(TIMES))
        .saturating_add(late.saturating_mul(TURNS));
    (is > limit).then(|| Finding {
        check: Check::LatencyCliff,
        severity: Severity::Error,
        step: Some(step.number),
        message: format!(
            "the median latency of {} operations was {} ms before the step and is {} ms after it, more than {} ms",
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

fn median(samples: impl Iterator<Item = u64>) -> Option<u64> {
    let mut samples: Vec<u64> = samples.collect();
    samples.sort_unstable();
    percentile(&samples, 50)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MS, events};

    /// A step from 500 to 600 ms; each lane fires every 10 ms, and takes so many tenths of a millisecond.
    fn found(before: u64, after: impl Fn(u64) -> u64, late: u64) -> Vec<Option<u32>> {
        let mut e = events();
        e.at_ms(0).quiet(true).at_ms(500).quiet(false);
        e.step(1).started().at_ms(600).ended(true);
        e.quiet(true).at_ms(1100).quiet(false);
        let sent = |n: u64| {
            let intended = n * 10 * MS;
            let took = if n < 50 { before } else { after(n) };
            Sent {
                intended,
                completed: Some(intended + took * MS / 10),
                lateness: late * MS / 10,
                not_sent: false,
            }
        };
        let mut lanes: [Vec<Sent>; 5] = Default::default();
        // Reads alone.
        for lane in [0, 2] {
            lanes[lane] = (0..110).map(sent).collect();
        }
        judge(&Timeline::new(&e.list), &lanes)
            .into_iter()
            .map(|finding| finding.step)
            .collect()
    }

    #[test]
    fn a_median_far_above_the_one_before_is_a_cliff() {
        assert_eq!(found(10, |_| 101, 0), [Some(1)]);
        assert_eq!(found(10, |_| 100, 0), []);
        // A small latency may grow more.
        assert_eq!(found(1, |_| 55, 0), []);
        assert_eq!(found(1, |_| 56, 0), [Some(1)]);
    }

    #[test]
    fn a_few_slow_answers_are_none() {
        assert_eq!(found(10, |n| if n % 5 < 2 { 9000 } else { 10 }, 0), []);
        assert_eq!(found(10, |n| if n % 5 < 3 { 9000 } else { 10 }, 0), [Some(1)]);
    }

    #[test]
    fn the_machine_s_own_slowness_is_taken_off() {
        assert_eq!(found(10, |_| 200, 9), [Some(1)]);
        assert_eq!(found(10, |_| 200, 10), []);
    }

    #[test]
    fn without_both_windows_there_is_nothing_to_compare() {
        let mut e = events();
        e.step(1).at_ms(0).started().at_ms(100).ended(true);
        assert_eq!(judge(&Timeline::new(&e.list), &Default::default()), []);
    }
}
