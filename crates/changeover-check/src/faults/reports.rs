//! What came of each fault.

use super::{AFTERMATH, Broken, Faults};
use crate::budget::{self, Measured};
use crate::lanes::LaneId;
use crate::stats::{from_ms, ms};
use crate::timeline::{Timeline, Window};
use changeover_model::check::{Check, Severity};
use changeover_model::fault::Action;
use changeover_model::history::Class;
use changeover_model::plan::{Plan, Timeout};
use changeover_model::verdict::{FaultOutcome, FaultReport, Finding};
use serde_json::json;

/// What came of a run besides, which its faults are judged by.
pub(crate) struct Aftermath<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) timeline: &'a Timeline,
    /// What all other checks found.
    pub(crate) findings: &'a [Finding],
    /// The gaps of all lanes.
    pub(crate) measured: &'a [(Measured, Vec<Window>)],
    /// The lanes that were not served again, by the step in which that began.
    pub(crate) unrecovered: &'a [(LaneId, u32, Window)],
}

/// The report of each fault, and what is found about those that took no effect, or had another than was expected.
///
/// What another check finds in the step of a fault breaks its expectation, and needs no finding of its own.
pub(crate) fn judge(faults: &Faults, run: &Aftermath<'_>) -> (Vec<FaultReport>, Vec<Finding>) {
    let mut findings = Vec::new();
    let reports = faults.all.iter().map(|broken| {
        let (outcome, reason) = match missed(broken, run) {
            Some(reason) => (FaultOutcome::Missed, reason),
            None => match unexpected(broken, faults, run) {
                Some(reason) => (FaultOutcome::Broken, reason),
                None => (FaultOutcome::Held, String::new()),
            },
        };
        let report = FaultReport {
            fault: broken.fault.clone(),
            step: broken.step,
            expected: broken.fault.expectation(),
            before: broken.before.clone(),
            after: broken.after.clone(),
            evidence: broken.evidence.clone(),
            outcome,
            reason,
        };
        findings.extend(finding(&report, run));
        report
    });
    (reports.collect(), findings)
}

/// Why a fault took no effect, as far as anybody knows.
fn missed(broken: &Broken, run: &Aftermath<'_>) -> Option<String> {
    if broken.window.is_none() {
        let unreached = || match run.timeline.step(broken.step) {
            None => format!("step {} did not begin", broken.step),
            Some(_) => format!("point {} was not reached", broken.fault.point),
        };
        return Some(broken.missed.clone().unwrap_or_else(unreached));
    }
    broken.evidence.is_empty().then(|| match &broken.missed {
        Some(reason) => reason.clone(),
        None => "nothing shows that it took effect".to_owned(),
    })
}

/// What else came of a fault than what was expected.
fn unexpected(broken: &Broken, faults: &Faults, run: &Aftermath<'_>) -> Option<String> {
    let step = broken.step;
    let planned = run.plan.steps.iter().find(|one| one.number == step)?;
    let other = run
        .findings
        .iter()
        .find(|f| f.step == Some(step) && f.severity == Severity::Error);
    if let Some(other) = other {
        return Some(format!("{}: {}", other.check, other.message));
    }
    let completed = run.timeline.step(step).is_some_and(|times| times.completed);
    if planned.called_off_at.is_none() && !completed && run.timeline.interrupted.is_none() {
        return Some(format!("step {step} was not completed"));
    }
    // It was seen to run, and then to leave by itself.
    if matches!(broken.fault.action, Action::Rival { .. }) && broken.evidence.len() < 2 {
        return Some("the other instance was still there when the step ended".to_owned());
    }
    if let Some((lane, ..)) = run.unrecovered.iter().find(|(_, of, _)| *of == step) {
        return Some(format!("lane {lane} was not served again"));
    }
    let window = broken.window?;
    let mut late = run.measured.iter().flat_map(|(measured, gaps)| {
        let gaps = gaps.iter().filter(|_| measured.gaps.count > 0);
        gaps.map(move |gap| (measured.lane, *gap))
    });
    late.find_map(|(lane, gap)| {
        let explained = faults
            .explaining(gap)
            .is_some_and(|by| by.fault == broken.fault);
        let allowed = allowance(run.plan, lane.class);
        let after = gap.end.saturating_sub(window.end);
        (explained && after > allowed).then(|| {
            format!(
                "lane {lane} was served again only {} ms after the fault was over, allowed are {} ms",
                ms(after),
                ms(allowed)
            )
        })
    })
}

/// How long after a fault an outage of it may last: as long as the class may have a gap without any fault, and as long
/// as an operation may take that was sent before it was over.
fn allowance(plan: &Plan, class: Class) -> u64 {
    let limit = budget::limit_of(&plan.budgets, class);
    let operation = plan.timeouts_ms.get(Timeout::Operation.name());
    let operation = from_ms(operation.copied().unwrap_or(0));
    limit.max(AFTERMATH).saturating_add(operation)
}

fn finding(report: &FaultReport, run: &Aftermath<'_>) -> Option<Finding> {
    let fault = &report.fault;
    let (check, message) = match report.outcome {
        FaultOutcome::Held => return None,
        // What an interruption kept from happening did not fail.
        FaultOutcome::Missed if run.timeline.interrupted.is_some() => return None,
        FaultOutcome::Missed => (
            Check::FaultMissed,
            format!("fault {fault} took no effect: {}", report.reason),
        ),
        FaultOutcome::Broken => (
            Check::FaultBroken,
            format!(
                "fault {fault}: expected was {}, and {}",
                report.expected.words(),
                report.reason
            ),
        ),
    };
    let told = run
        .findings
        .iter()
        .any(|f| f.step == Some(report.step) && f.severity == Severity::Error);
    let itself = report.outcome == FaultOutcome::Missed || !told;
    itself.then(|| Finding {
        check,
        severity: Severity::Error,
        step: Some(report.step),
        message,
        evidence: json!({
            "fault": fault,
            "before": report.before,
            "after": report.after,
            "evidence": report.evidence,
        }),
    })
}
