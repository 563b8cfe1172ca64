//! Upgrades that were called off: whether anybody noticed, and until when it could be done.
//!
//! Until the new generation has written the fence, calling off is stopping it, and that is all. The leader must go on in
//! the same process, its clients must have no gap longer than [`NOTICED`] intervals, it must be able to start again, and
//! the next upgrade must succeed.

use crate::budget::{self, Measured};
use crate::faults::Faults;
use crate::stats::{from_ms, ms};
use crate::timeline::{Timeline, Window};
use changeover_model::check::{Check, Severity};
use changeover_model::event::{Event, EventKind};
use changeover_model::fault::Point;
use changeover_model::plan::{EVERY_POINT, Plan, StepPlan};
use changeover_model::verdict::{CallOffReport, Finding, PointOfNoReturn};
use serde_json::json;
use std::collections::BTreeMap;

/// A gap of more intervals than this in a step that was called off was noticed, if it is also longer than a part of the
/// budget. A process that starts beside the leader takes its share of the machine, and makes an operation or two late.
const NOTICED: u64 = 20;

/// That part of the budget: a tenth.
const OF_BUDGET: u64 = 10;

/// What is known of a run's call-offs.
#[derive(Debug, Default)]
pub(crate) struct CallOffs {
    /// By step.
    pub(crate) reports: BTreeMap<u32, CallOffReport>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) point_of_no_return: Vec<PointOfNoReturn>,
}

/// What the executor saw of one.
struct Seen<'a> {
    step: &'a StepPlan,
    point: Point,
    /// Whether the old instance still said that it leads.
    old_leads: bool,
    /// What was wrong when it was started again; `None` if nobody tried.
    comeback: Option<&'a Option<String>>,
    /// Its process ended before that, without us.
    ended: bool,
}

/// Judges the call-offs of a run. `found` is what the other checks found.
pub(crate) fn judge(
    plan: &Plan,
    events: &[Event],
    timeline: &Timeline,
    measured: &[(Measured, Vec<Window>)],
    faults: &Faults,
    found: &[Finding],
) -> CallOffs {
    let mut out = CallOffs::default();
    for step in &plan.steps {
        let Some(seen) = see(plan, step, events) else {
            continue;
        };
        let problem = seen
            .problem()
            .or_else(|| error_in(step.number, found))
            .or_else(|| gap_in(plan, step.number, measured, faults))
            .or_else(|| next_failed(plan, step, timeline));
        let report = CallOffReport {
            point: seen.point,
            worked: problem.is_none(),
            reason: problem.unwrap_or_default(),
        };
        // Beyond the fence there is no promise to break; whoever asks for every point wants to know.
        if !report.worked && seen.point.before_the_fence() {
            out.findings.push(noticed(step, &report));
        }
        out.reports.insert(step.number, report);
    }
    if plan.abort_at.as_deref() == Some(EVERY_POINT) {
        out.point_of_no_return = points_of_no_return(plan, &out.reports);
    }
    out
}

/// The steps that a run rightly left out: attempts to call off a hop that could not be called off any more.
pub(crate) fn left_out(plan: &Plan, events: &[Event]) -> Vec<u32> {
    let mut beyond = false;
    let mut out = Vec::new();
    for step in &plan.steps {
        if step.called_off_at.is_none() {
            beyond = false;
        } else if beyond {
            out.push(step.number);
        } else {
            beyond = see(plan, step, events).is_some_and(|seen| seen.leaves_nobody());
        }
    }
    out
}

fn see<'a>(plan: &Plan, step: &'a StepPlan, events: &'a [Event]) -> Option<Seen<'a>> {
    let point = step.called_off_at?;
    let of_step = |event: &&Event| event.step == Some(step.number);
    let mine: Vec<&Event> = events.iter().filter(of_step).collect();
    let old_leads = mine.iter().find_map(|event| match event.kind {
        EventKind::CallOffDone { old_leads, .. } => Some(old_leads),
        _ => None,
    })?;
    let comeback = mine.iter().find_map(|event| match &event.kind {
        EventKind::ComebackDone { problem } => Some(problem),
        _ => None,
    });
    let old = plan.leader_before(step.number).deploy_generation;
    let ended = mine
        .iter()
        .take_while(|event| !matches!(event.kind, EventKind::ComebackIntent))
        .filter(|event| event.generation == Some(old))
        .any(|event| {
            matches!(
                event.kind,
                EventKind::ProcessEnded {
                    by_us: false,
                    by_fault: false,
                    ..
                }
            )
        });
    Some(Seen {
        step,
        point,
        old_leads,
        comeback,
        ended,
    })
}

impl Seen<'_> {
    /// Whether nobody leads after it, so that the next upgrade has to go through.
    fn leaves_nobody(&self) -> bool {
        !self.old_leads || matches!(self.comeback, Some(Some(_)))
    }

    fn problem(&self) -> Option<String> {
        let old = &self.step.previous_service;
        if !self.old_leads {
            return Some(format!("{old} does not lead any more"));
        }
        if self.ended {
            return Some(format!("the process of {old} ended"));
        }
        match self.comeback {
            Some(Some(problem)) => Some(format!("{old} cannot start again: {problem}")),
            None => Some(format!("{old} was not started again")),
            Some(None) => None,
        }
    }
}

fn error_in(step: u32, found: &[Finding]) -> Option<String> {
    let mut errors = found.iter().filter(|f| f.severity == Severity::Error);
    let error = errors.find(|f| f.step == Some(step))?;
    Some(format!("{}: {}", error.check, error.message))
}

fn gap_in(
    plan: &Plan,
    step: u32,
    measured: &[(Measured, Vec<Window>)],
    faults: &Faults,
) -> Option<String> {
    let intervals = from_ms(plan.workload.probe_interval_ms).saturating_mul(NOTICED);
    let limit = |class| intervals.max(budget::limit_of(&plan.budgets, class) / OF_BUDGET);
    let of_step = measured.iter().filter(|(m, _)| m.step == Some(step));
    of_step
        .flat_map(|(m, gaps)| gaps.iter().map(move |gap| (m.lane, *gap)))
        .filter(|(lane, gap)| gap.length() > limit(lane.class) && !faults.explains(*gap))
        .max_by_key(|(_, gap)| gap.length())
        .map(|(lane, gap)| {
            format!(
                "lane {lane} had no success for {} ms, more than {} ms",
                ms(gap.length()),
                ms(limit(lane.class))
            )
        })
}

/// Whether the attempt that comes next failed, though it has a higher generation.
fn next_failed(plan: &Plan, step: &StepPlan, timeline: &Timeline) -> Option<String> {
    let next = plan.steps.iter().find(|s| s.number == step.number + 1)?;
    let times = timeline.step(next.number)?;
    let failed = next.called_off_at.is_none()
        && times.ended
        && !times.completed
        && timeline.interrupted.is_none();
    failed.then(|| {
        format!(
            "the next upgrade, with generation {}, did not succeed",
            next.deploy_generation
        )
    })
}

fn noticed(step: &StepPlan, report: &CallOffReport) -> Finding {
    Finding {
        check: Check::AbortNoticed,
        severity: Severity::Error,
        step: Some(step.number),
        message: format!(
            "the upgrade was called off at point {}, and that was noticed: {}",
            report.point, report.reason
        ),
        evidence: json!({ "point": report.point, "reason": report.reason }),
    }
}

fn points_of_no_return(
    plan: &Plan,
    reports: &BTreeMap<u32, CallOffReport>,
) -> Vec<PointOfNoReturn> {
    let mut out = Vec::new();
    let (mut last, mut fails_at): (Option<Point>, Option<&CallOffReport>) = (None, None);
    for step in &plan.steps {
        match reports.get(&step.number) {
            Some(report) if report.worked && fails_at.is_none() => last = Some(report.point),
            Some(report) if !report.worked && fails_at.is_none() => fails_at = Some(report),
            _ => {}
        }
        if step.called_off_at.is_some() {
            continue;
        }
        let (last, fails_at) = (last.take(), fails_at.take());
        if last.is_none() && fails_at.is_none() {
            continue;
        }
        out.push(PointOfNoReturn {
            step: step.number,
            point: last,
            fails_at: fails_at.map(|report| report.point),
            sentence: sentence(step, last, fails_at),
        });
    }
    out
}

fn sentence(step: &StepPlan, last: Option<Point>, fails: Option<&CallOffReport>) -> String {
    let hop = format!("{} → {}", step.from, step.to);
    let until = match last {
        Some(point) => format!("can be called off up to point {point}, with all data"),
        None => "cannot be called off at any point that was tried".to_owned(),
    };
    match fails {
        Some(report) => format!("{hop} {until}; at point {} {}", report.point, report.reason),
        None => format!("{hop} {until}, which is the last that was tried"),
    }
}

#[cfg(test)]
mod tests;
