//! Reasons for doubt: what makes a run inconclusive when nothing is proven.

use crate::faults::Faults;
use crate::gap::{Sent, due_in};
use crate::lanes::LaneId;
use crate::stats::{SECOND, ms};
use crate::timeline::{StepTimes, Timeline, Window};
use changeover_model::event::Phase;
use changeover_model::plan::Plan;
use std::collections::BTreeMap;

/// How many sends of a lane in a step may leave late: a twentieth.
const LATE_SHARE: usize = 20;

/// Whether too many sends of a lane in a step left more than one interval late through the harness's own fault.
/// What was not sent because the lane was full is the target's outage. The step's quiet windows count: the threshold
/// of its gaps rests on them, and a fast step alone has so few sends that a single hiccup would be a twentieth.
///
/// Returns how many, and of how many.
pub fn too_late(sent: &[Sent], interval: u64, step: &StepTimes) -> Option<(usize, usize)> {
    let sends = due_in(sent, step.whole());
    let late = sends
        .iter()
        .filter(|s| !s.not_sent && s.lateness > interval)
        .count();
    (late * LATE_SHARE > sends.len()).then_some((late, sends.len()))
}

/// Whether a resolution is too coarse for a limit: more than a fifth of it. A nanosecond more does not count.
pub fn too_coarse(resolution: u64, limit_ms: f64) -> bool {
    resolution as f64 / 1e6 > limit_ms / 5.0
}

/// Doubts about whether the run came to its end and did what was planned. `left_out` are the steps that it left out for
/// a good reason.
pub(crate) fn doubts_of_run(plan: &Plan, timeline: &Timeline, left_out: &[u32]) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(signal) = &timeline.interrupted {
        doubts.push(format!("the run was interrupted by {signal}"));
    } else if !timeline.run_ended {
        doubts.push("the run was interrupted: its events stop before its end".to_owned());
    }
    for step in &plan.steps {
        let number = step.number;
        match timeline.step(number) {
            None if left_out.contains(&number) => {}
            None => doubts.push(format!("step {number} did not begin")),
            // One that is called off is not to be completed.
            Some(times) if step.called_off_at.is_some() && times.ended => {}
            Some(times) if !times.completed => {
                doubts.push(format!("step {number} was not completed"));
            }
            Some(_) => {}
        }
    }
    doubts
}

/// Doubts about full reads: one after each promotion, before the next step, and one at the end, after the last
/// operation of the load. The one at the end is also the last promotion's. Keys left unread spoil it.
pub(crate) fn doubts_of_full_reads(timeline: &Timeline, faults: &Faults) -> Vec<String> {
    let mut doubts = Vec::new();
    if timeline.load_began.is_none() {
        return doubts;
    }
    let mut check = |what: &str, from: u64, to: Option<u64>| {
        let reads = timeline
            .full_reads
            .iter()
            .filter(|r| from <= r.began && to.is_none_or(|to| r.began <= to));
        match reads.filter_map(|r| r.unread).min() {
            Some(0) => {}
            Some(unread) => doubts.push(format!(
                "the full read {what} left {unread} key(s) unread, so lost writes may be undetected"
            )),
            None => doubts.push(format!(
                "there was no full read {what}, so lost writes may be undetected"
            )),
        }
    };
    let upgrades: Vec<&StepTimes> = timeline.upgrades().collect();
    for (index, step) in upgrades.iter().enumerate() {
        // Nobody led after an upgrade that was called off too late: there was nobody to read from.
        if let Some(promoted) = promoted_at(step).filter(|_| !faults.left_nobody_leading(step.span))
        {
            let next = upgrades.get(index + 1).map(|s| s.span.start);
            let what = format!("after the promotion of step {}", step.number);
            check(&what, promoted, next);
        }
    }
    match timeline.load_ended {
        Some(ended) => check("at the end", ended, None),
        None => doubts.push(
            "the load did not end, so there was no full read at the end and lost writes may be undetected"
                .to_owned(),
        ),
    }
    doubts
}

/// When the new generation of a step was known to lead.
fn promoted_at(step: &StepTimes) -> Option<u64> {
    step.phases
        .iter()
        .find(|(phase, _)| *phase >= Phase::Bootstrap)
        .map(|(_, at)| *at)
}

/// Doubts about a lane: too little of it, in the quiet windows or in a step. `sent` is ascending by `intended`.
pub(crate) fn doubts_of_lane(
    lane: LaneId,
    sent: &[Sent],
    interval: u64,
    timeline: &Timeline,
    faults: &Faults,
) -> Vec<String> {
    let mut doubts = Vec::new();
    let interval = interval.max(1);
    for step in timeline.upgrades() {
        let number = step.number;
        let windows = [
            (step.before, "the quiet window before"),
            (Some(step.span), "the time of"),
            (step.after, "the quiet window after"),
        ];
        for (window, what) in windows {
            let Some(window) = window else {
                continue;
            };
            let scheduled = window.length() / interval;
            let sends = due_in(sent, window).len() as u64;
            if sends < scheduled / 2 {
                doubts.push(format!(
                    "lane {lane} sent only {sends} of about {scheduled} operations in {what} step {number}"
                ));
            }
        }
        if let Some(before) = step
            .before
            .filter(|before| !faults.disturb_clients(*before))
        {
            // The threshold rests on the latencies of these.
            let scheduled = before.length() / interval;
            let successes = due_in(sent, before)
                .iter()
                .filter(|s| s.completed.is_some())
                .count() as u64;
            let sends = due_in(sent, before).len() as u64;
            if sends >= scheduled / 2 && successes < scheduled / 2 {
                doubts.push(format!(
                    "lane {lane} had only {successes} of about {scheduled} successes in the quiet window before step {number}, so the step began on a target that was not well"
                ));
            }
        }
        if let Some((late, of)) = too_late(sent, interval, step) {
            doubts.push(format!(
                "lane {lane} left more than one interval late in {late} of {of} sends of step {number}, because the harness was late"
            ));
        }
    }
    doubts
}

/// Doubts about the quiet windows of completed steps.
pub(crate) fn doubts_of_windows(plan: &Plan, timeline: &Timeline, faults: &Faults) -> Vec<String> {
    let required = plan.workload.quiet_window_ms().saturating_mul(1_000_000);
    let mut doubts = Vec::new();
    for step in timeline.upgrades() {
        let windows = [
            // With nobody to serve clients there is nothing to wait for.
            (
                step.before,
                "before",
                !faults.left_nobody_leading(step.span),
            ),
            (step.after, "after", step.completed),
        ];
        for (window, when, expected) in windows {
            let number = step.number;
            match window {
                None if expected => doubts.push(format!(
                    "there was no quiet window {when} step {number} to compare with"
                )),
                // The windows are cut where a step begins; a tenth of slack for that.
                Some(window) if expected && window.length() < required - required / 10 => {
                    doubts.push(format!(
                        "the quiet window {when} step {number} was {} ms long, shorter than {} ms",
                        ms(window.length()),
                        ms(required)
                    ));
                }
                _ => {}
            }
        }
    }
    doubts
}

/// From fewer operations of a model nobody can tell that it does not work.
const ENOUGH_OF_A_MODEL: u64 = 10;

/// What the workload did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WorkloadCounts {
    /// Operations.
    pub(crate) total: u64,
    /// Acknowledged writes.
    pub(crate) writes: u64,
    /// Answered reads.
    pub(crate) reads: u64,
    /// By model: operations, and those of them that were acknowledged or answered.
    pub(crate) by_model: BTreeMap<&'static str, (u64, u64)>,
}

/// Doubts about the workload: nothing acknowledged, nothing read, or less than half of the planned rate sent.
pub(crate) fn doubts_of_workload(
    plan: &Plan,
    counts: &WorkloadCounts,
    timeline: &Timeline,
) -> Vec<String> {
    let mut doubts = Vec::new();
    let Some(began) = timeline.load_began else {
        if !plan.steps.is_empty() {
            doubts.push("the load did not begin, so nothing was measured".to_owned());
        }
        return doubts;
    };
    // Other workloads leave nothing in the history.
    let kinds = plan.workload.kinds();
    let models = kinds.iter().filter(|kind| kind.is_model()).count() as u64;
    let with_operations = kinds.iter().filter(|kind| kind.has_operations()).count() as u64;
    if models == 0 {
        return doubts;
    }
    if counts.writes == 0 {
        doubts.push("the workload has no acknowledged write".to_owned());
    }
    if counts.reads == 0 {
        doubts.push("the workload has no answered read".to_owned());
    }
    for (model, (total, ok)) in &counts.by_model {
        if *total >= ENOUGH_OF_A_MODEL && *ok == 0 {
            doubts.push(format!(
                "none of the {total} operations of workload {model} succeeded, so nothing is known of it"
            ));
        }
    }
    let ran = Window {
        start: began,
        end: timeline.load_end_intent.unwrap_or(timeline.last),
    };
    let all = u128::from(ran.length()) * u128::from(plan.workload.rate) / u128::from(SECOND);
    let planned = all * u128::from(models) / u128::from(with_operations.max(1));
    if u128::from(counts.total) < planned / 2 {
        doubts.push(format!(
            "the workload sent only {} of about {planned} operations",
            counts.total
        ));
    }
    doubts
}
