//! Budgets: the longest gap of a class, over all steps and both kinds of connection.

use crate::gap::StepGaps;
use crate::lanes::LaneId;
use crate::quality::too_coarse;
use crate::stats::ms;
use changeover_model::check::{Check, Severity};
use changeover_model::history::Class;
use changeover_model::plan::Plan;
use changeover_model::verdict::{BudgetReport, Finding, VerdictOutcome};
use serde_json::json;

/// A lane in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The lane.
    pub lane: LaneId,
    /// The step.
    pub step: u32,
    /// Its gaps.
    pub gaps: StepGaps,
    /// Whether something else than the resolution makes it inconclusive.
    pub doubtful: bool,
}

/// What the budgets say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Budgets {
    /// A row for each budget of the plan.
    pub reports: Vec<BudgetReport>,
    /// What exceeds.
    pub findings: Vec<Finding>,
    /// What cannot be judged, and why.
    pub doubts: Vec<String>,
}

/// The class that a budget limits.
pub fn class_of(budget: &str) -> Option<Class> {
    [Class::Read, Class::Write, Class::Connect]
        .into_iter()
        .find(|class| budget.strip_suffix("-gap") == Some(class.name()))
}

/// Judges the plan's budgets. `dead` are the lanes without a success.
///
/// A measurement exceeds the limit for certain when its lane is conclusive, or when it exceeds by more than its
/// resolution. Otherwise it is a warning beside the doubt.
pub fn judge(plan: &Plan, measured: &[Measured], dead: &[LaneId]) -> Budgets {
    let mut out = Budgets::default();
    for (name, &limit_ms) in &plan.budgets {
        let Some(class) = class_of(name) else {
            continue;
        };
        let mut longest: Option<u64> = None;
        let mut exceeded = dead.iter().any(|lane| lane.class == class);
        let mut doubtful = false;
        for lane in measured.iter().filter(|m| m.lane.class == class) {
            let coarse = too_coarse(lane.gaps.resolution, limit_ms);
            let doubt = coarse || lane.doubtful;
            doubtful |= doubt;
            if coarse {
                out.doubts.push(format!(
                    "lane {} measured step {} with a resolution of {} ms, more than a fifth of the {name} budget of {limit_ms} ms",
                    lane.lane,
                    lane.step,
                    ms(lane.gaps.resolution)
                ));
            }
            let Some(gap) = lane.gaps.longest else {
                doubtful = true;
                continue;
            };
            longest = longest.max(Some(gap));
            if gap as f64 / 1e6 > limit_ms {
                let sure = gap.saturating_sub(lane.gaps.resolution) as f64 / 1e6 > limit_ms;
                let severity = if doubt && !sure {
                    Severity::Warning
                } else {
                    exceeded = true;
                    Severity::Error
                };
                out.findings
                    .push(finding(name, limit_ms, lane, gap, severity));
            }
        }
        out.reports.push(BudgetReport {
            name: name.clone(),
            limit_ms,
            measured_ms: longest.map(ms),
            outcome: match (exceeded, doubtful || longest.is_none()) {
                (true, _) => VerdictOutcome::Fail,
                (false, true) => VerdictOutcome::Inconclusive,
                (false, false) => VerdictOutcome::Pass,
            },
        });
    }
    out
}

fn finding(name: &str, limit_ms: f64, lane: &Measured, gap: u64, severity: Severity) -> Finding {
    Finding {
        check: Check::Budget,
        severity,
        step: Some(lane.step),
        message: format!(
            "lane {} had no success for {} ms (resolution {} ms), more than the {name} budget of {limit_ms} ms",
            lane.lane,
            ms(gap),
            ms(lane.gaps.resolution)
        ),
        evidence: json!({
            "budget": name,
            "limit_ms": limit_ms,
            "class": lane.lane.class,
            "connection": lane.lane.connection,
            "longest_ms": ms(gap),
            "resolution_ms": ms(lane.gaps.resolution),
            "count": lane.gaps.count,
            "total_ms": ms(lane.gaps.total),
        }),
    }
}

/// The finding about a lane that has operations and no success: its gap has no end that could be measured.
pub(crate) fn dead_lane(lane: LaneId, operations: usize) -> Finding {
    Finding {
        check: Check::Budget,
        severity: Severity::Error,
        step: None,
        message: format!("lane {lane} had no success at all in {operations} operations"),
        evidence: json!({
            "class": lane.class,
            "connection": lane.connection,
            "operations": operations,
        }),
    }
}
