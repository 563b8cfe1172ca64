//! Puts the verdict together.

use crate::budget::Measured;
use crate::faults::Faults;
use crate::findings::Found;
use crate::gap::Sent;
use crate::lanes::LANES;
use crate::latency::latency;
use crate::stats::ms;
use crate::timeline::{StepTimes, Timeline, Window};
use changeover_model::check::{Check, Severity};
use changeover_model::format::Kind;
use changeover_model::plan::{Plan, PlanFinding};
use changeover_model::verdict::{
    BudgetReport, FaultReport, Finding, FreshnessReport, GapReport, GapSpan, LISTED_SPANS,
    OperationCounts, PhaseReport, PointOfNoReturn, StepReport, Verdict, VerdictOutcome,
};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Everything that was found out about a run.
pub(crate) struct Judged {
    pub(crate) run: String,
    pub(crate) reproduce: String,
    pub(crate) steps: Vec<StepReport>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) doubts: Vec<String>,
    pub(crate) budgets: Vec<BudgetReport>,
    pub(crate) operations: OperationCounts,
    pub(crate) faults: Vec<FaultReport>,
    pub(crate) point_of_no_return: Vec<PointOfNoReturn>,
}

/// The outcome: any finding of severity error makes it fail; else any doubt, inconclusive.
pub fn outcome(findings: &[Finding], doubts: &[String]) -> VerdictOutcome {
    if findings.iter().any(|f| f.severity == Severity::Error) {
        VerdictOutcome::Fail
    } else if doubts.is_empty() {
        VerdictOutcome::Pass
    } else {
        VerdictOutcome::Inconclusive
    }
}

/// Most severe first, then by step (what belongs to none comes last), then by check.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(order);
}

/// The same, of findings with their small histories.
pub fn sort_found(findings: &mut [Found]) {
    findings.sort_by_key(|found| order(&found.finding));
}

fn order(finding: &Finding) -> (Reverse<Severity>, u32, Check) {
    (
        Reverse(finding.severity),
        finding.step.unwrap_or(u32::MAX),
        finding.check,
    )
}

pub(crate) fn verdict(plan: &Plan, judged: Judged) -> Verdict {
    let Judged {
        run,
        reproduce,
        steps,
        mut findings,
        doubts,
        budgets,
        operations,
        faults,
        point_of_no_return,
    } = judged;
    sort(&mut findings);
    let skipped = &plan.workload.details.skipped;
    let reasons = reasons(&findings, &doubts);
    Verdict {
        format: Kind::Verdict.mark(),
        outcome: outcome(&findings, &doubts),
        reasons,
        run,
        seed: plan.seed.clone(),
        target: plan.target.clone(),
        runtime: plan.runtime.clone(),
        path: plan.path.clone(),
        steps,
        findings,
        budgets,
        operations,
        faults,
        point_of_no_return,
        repeat: None,
        control: None,
        skipped: skipped.iter().map(ToString::to_string).collect(),
        reproduce,
        probe: None,
    }
}

/// Why a verdict is no pass: findings of severity error first, then doubts.
pub(crate) fn reasons(findings: &[Finding], doubts: &[String]) -> Vec<String> {
    let errors = findings.iter().filter(|f| f.severity == Severity::Error);
    errors
        .map(|f| match f.step {
            Some(step) => format!("{} at step {step}: {}", f.check, f.message),
            None => format!("{}: {}", f.check, f.message),
        })
        .chain(doubts.iter().cloned())
        .collect()
}

/// What planning found, as a finding of the verdict.
pub(crate) fn planned_finding(planned: &PlanFinding) -> Finding {
    Finding {
        check: planned.check,
        severity: planned.severity,
        step: planned.step,
        message: planned.message.clone(),
        evidence: Value::Null,
    }
}

/// The reports of the plan's steps that began.
pub(crate) fn steps(
    plan: &Plan,
    timeline: &Timeline,
    lanes: &[Vec<Sent>; LANES.len()],
    measured: &[(Measured, Vec<Window>)],
    freshness: &BTreeMap<u32, FreshnessReport>,
) -> Vec<StepReport> {
    plan.steps
        .iter()
        .filter_map(|planned| {
            let times = timeline.step(planned.number)?;
            Some(StepReport {
                number: planned.number,
                from: planned.from.clone(),
                to: planned.to.clone(),
                service: planned.service.clone(),
                deploy_generation: planned.deploy_generation,
                called_off: None,
                phases: phases(times),
                gaps: measured
                    .iter()
                    .filter(|(m, _)| m.step == Some(planned.number))
                    .map(|(m, spans)| gap_report(m, spans))
                    .collect(),
                freshness: freshness
                    .get(&planned.number)
                    .cloned()
                    .unwrap_or(FreshnessReport {
                        p50_ms: None,
                        max_ms: None,
                    }),
                latency: latency(times, lanes),
            })
        })
        .collect()
}

pub(crate) fn gap_report(measured: &Measured, spans: &[Window]) -> GapReport {
    let mut spans = spans.to_vec();
    spans.sort_by_key(|span| Reverse(span.length()));
    spans.truncate(LISTED_SPANS);
    GapReport {
        class: measured.lane.class,
        connection: measured.lane.connection,
        longest_ms: measured.gaps.longest.map(ms),
        total_ms: ms(measured.gaps.total),
        count: measured.gaps.count,
        unexplained_ms: measured.unexplained.map(ms),
        resolution_ms: ms(measured.gaps.resolution),
        spans: spans
            .iter()
            .map(|span| GapSpan {
                from_ms: ms(span.start),
                to_ms: ms(span.end),
                fault: None,
            })
            .collect(),
        lane: measured.lane.own.map(|own| own.to_string()),
    }
}

/// Writes down which gaps a fault explains.
pub(crate) fn name_faults(steps: &mut [StepReport], faults: &Faults) {
    let from_ms = |ms: f64| (ms * 1e6) as u64;
    for gap in steps.iter_mut().flat_map(|step| &mut step.gaps) {
        let counted = gap.count > 0;
        for span in gap.spans.iter_mut().filter(|_| counted) {
            let window = Window {
                start: from_ms(span.from_ms),
                end: from_ms(span.to_ms),
            };
            let explaining = faults.explaining(window);
            span.fault = explaining.map(|broken| broken.fault.clone());
        }
    }
}

/// The phases abut: each ends where the next begins, the last with the step.
fn phases(step: &StepTimes) -> Vec<PhaseReport> {
    let ends = step
        .phases
        .iter()
        .skip(1)
        .map(|(_, at)| Some(*at))
        .chain([step.ended.then_some(step.span.end)]);
    step.phases
        .iter()
        .zip(ends)
        .map(|((phase, began), end)| PhaseReport {
            name: *phase,
            ms: end.map(|end| ms(end.saturating_sub(*began))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use changeover_model::check::Check;
    use changeover_model::event::Phase;

    fn finding(check: Check, severity: Severity, step: Option<u32>) -> Finding {
        Finding {
            check,
            severity,
            step,
            message: "something".to_owned(),
            evidence: Value::Null,
        }
    }

    #[test]
    fn errors_fail_doubts_are_inconclusive_warnings_change_nothing() {
        let warning = [finding(Check::IllegalHop, Severity::Warning, None)];
        let error = [finding(Check::LostWrite, Severity::Error, None)];
        let doubt = ["too little".to_owned()];
        assert_eq!(outcome(&warning, &[]), VerdictOutcome::Pass);
        assert_eq!(outcome(&warning, &doubt), VerdictOutcome::Inconclusive);
        assert_eq!(outcome(&error, &doubt), VerdictOutcome::Fail);
    }

    #[test]
    fn findings_are_sorted_most_severe_first() {
        let (error, warning) = (Severity::Error, Severity::Warning);
        let expected = [
            finding(Check::TwoLeaders, error, Some(1)),
            finding(Check::Budget, error, Some(1)),
            finding(Check::LostWrite, error, Some(2)),
            finding(Check::Leftovers, error, None),
            finding(Check::IllegalHop, warning, Some(1)),
        ];
        let mut findings: Vec<Finding> = expected.iter().rev().cloned().collect();
        sort(&mut findings);
        assert_eq!(findings, expected);
    }

    #[test]
    fn phases_abut_and_one_that_did_not_end_has_no_length() {
        let mut step = StepTimes {
            number: 1,
            span: Window {
                start: 0,
                end: 9_000_000,
            },
            ended: true,
            completed: true,
            phases: vec![(Phase::Boot, 0), (Phase::CatchUp, 4_100_000)],
            before: None,
            after: None,
        };
        let lengths = |step: &StepTimes| -> Vec<Option<f64>> {
            phases(step).into_iter().map(|p| p.ms).collect()
        };
        assert_eq!(lengths(&step), [Some(4.1), Some(4.9)]);
        step.ended = false;
        assert_eq!(lengths(&step), [Some(4.1), None]);
    }
}
