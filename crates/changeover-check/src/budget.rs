//! Budgets: the longest gap of a class, over all steps and both kinds of connection.

use crate::gap::StepGaps;
use crate::lanes::LaneId;
use crate::quality::too_coarse;
use crate::stats::{ms, seconds};
use crate::timeline::Window;
use changeover_model::check::{Check, Severity};
use changeover_model::history::Class;
use changeover_model::verdict::{BudgetReport, Finding, VerdictOutcome};
use serde_json::json;
use std::collections::BTreeMap;

/// A lane in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The lane.
    pub lane: LaneId,
    /// The step; `None` where there are none.
    pub step: Option<u32>,
    /// Its gaps.
    pub gaps: StepGaps,
    /// The longest span, in nanoseconds, that no fault explains; `None` if none is explained.
    pub unexplained: Option<u64>,
    /// Whether something else than the resolution makes it inconclusive.
    pub doubtful: bool,
}

impl Measured {
    /// The longest span that a budget is about: a fault's own outage is none of the upgrade's.
    fn answerable(&self) -> Option<u64> {
        self.unexplained.or(self.gaps.longest)
    }
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

/// The limit of a class, in nanoseconds; 0 if it has none.
pub(crate) fn limit_of(budgets: &BTreeMap<String, f64>, class: Class) -> u64 {
    let limits = budgets
        .iter()
        .filter(|(name, _)| class_of(name) == Some(class));
    // Budgets are limits of people, far below what a float cannot hold.
    let limit = limits.map(|(_, limit)| (limit * 1e6) as u64).max();
    limit.unwrap_or(0)
}

/// Judges budgets, by name and in milliseconds. `endless` are the lanes with an outage that has no measured end: whatever was measured
/// of it is only a lower bound, so that their class is over its budget.
///
/// A measurement exceeds the limit for certain when its lane is conclusive, or when it exceeds by more than its
/// resolution. Otherwise it is a warning beside the doubt.
pub fn judge(
    budgets: &BTreeMap<String, f64>,
    measured: &[Measured],
    endless: &[LaneId],
) -> Budgets {
    let mut out = Budgets::default();
    for (name, &limit_ms) in budgets {
        let Some(class) = class_of(name) else {
            continue;
        };
        let mut longest: Option<u64> = None;
        let mut exceeded = endless.iter().any(|lane| lane.class == class);
        let mut doubtful = false;
        for lane in measured.iter().filter(|m| m.lane.class == class) {
            let coarse = too_coarse(lane.gaps.resolution, limit_ms);
            let doubt = coarse || lane.doubtful;
            doubtful |= doubt;
            if coarse {
                out.doubts.push(format!(
                    "lane {} measured {}with a resolution of {} ms, more than a fifth of the {name} budget of {limit_ms} ms",
                    lane.lane,
                    lane.step.map_or_else(String::new, |step| format!("step {step} ")),
                    ms(lane.gaps.resolution)
                ));
            }
            let Some(gap) = lane.answerable() else {
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
        step: lane.step,
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
pub(crate) fn dead_lane(lane: LaneId, operations: u64) -> Finding {
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

/// The finding about a lane that was not served again after `span` had begun: its gap has no end that could be
/// measured either.
pub(crate) fn unrecovered_lane(lane: LaneId, step: Option<u32>, span: Window) -> Finding {
    Finding {
        check: Check::Budget,
        severity: Severity::Error,
        step,
        message: format!(
            "lane {lane} had no success from {} s until the load ended {} ms later, so the outage has no measured end",
            seconds(span.start),
            ms(span.length())
        ),
        evidence: json!({
            "class": lane.class,
            "connection": lane.connection,
            "last_success_s": seconds(span.start),
            "last_send_s": seconds(span.end),
            "at_least_ms": ms(span.length()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::LANES;
    use crate::testing::{MS, plan};
    use changeover_model::history::Connection;

    /// A gap of a lane that measured well, in milliseconds.
    fn measured(class: Class, connection: Connection, step: u32, longest: u64) -> Measured {
        Measured {
            lane: LaneId::new(class, connection),
            step: Some(step),
            gaps: StepGaps {
                longest: Some(longest * MS),
                total: longest * MS,
                count: 1,
                resolution: 11 * MS,
            },
            unexplained: None,
            doubtful: false,
        }
    }

    /// All lanes at 30 ms but read/new, in step 2.
    fn lanes(read_new: Measured) -> Vec<Measured> {
        let mut all: Vec<Measured> = LANES
            .iter()
            .map(|lane| measured(lane.class, lane.connection, 1, 30))
            .collect();
        all.push(read_new);
        all
    }

    fn read_new(longest: u64) -> Measured {
        measured(Class::Read, Connection::New, 2, longest)
    }

    fn outcomes(budgets: &Budgets) -> Vec<(&str, VerdictOutcome)> {
        let report = |r: &BudgetReport| r.outcome;
        budgets
            .reports
            .iter()
            .map(|r| (r.name.as_str(), report(r)))
            .collect()
    }

    const PASS: VerdictOutcome = VerdictOutcome::Pass;

    #[test]
    fn the_longest_gap_of_a_class_counts_over_steps_and_connections() {
        let budgets = judge(&plan(2).budgets, &lanes(read_new(1000)), &[]);
        assert_eq!(
            outcomes(&budgets),
            [
                ("connect-gap", PASS),
                ("read-gap", PASS),
                ("write-gap", PASS)
            ]
        );
        assert_eq!(budgets.reports[1].measured_ms, Some(1000.0));
        assert!(budgets.findings.is_empty() && budgets.doubts.is_empty());

        let budgets = judge(&plan(2).budgets, &lanes(read_new(1001)), &[]);
        assert_eq!(budgets.reports[1].outcome, VerdictOutcome::Fail);
        assert_eq!(budgets.reports[2].outcome, PASS);
        assert_eq!(budgets.findings.len(), 1);
        let finding = &budgets.findings[0];
        assert_eq!(
            (finding.check, finding.severity, finding.step),
            (Check::Budget, Severity::Error, Some(2))
        );
        assert_eq!(finding.evidence["connection"], "new");
    }

    #[test]
    fn too_coarse_a_resolution_is_inconclusive() {
        let with = |longest, resolution| {
            let mut lane = read_new(longest);
            lane.gaps.resolution = resolution * MS;
            let budgets = judge(&plan(2).budgets, &lanes(lane), &[]);
            let severity = budgets.findings.first().map(|f| f.severity);
            (budgets.reports[1].outcome, severity, budgets.doubts.len())
        };
        assert_eq!(with(30, 200), (PASS, None, 0));
        assert_eq!(with(30, 201), (VerdictOutcome::Inconclusive, None, 1));
        // Over the limit, but perhaps only because it was measured so coarsely.
        assert_eq!(
            with(1100, 201),
            (VerdictOutcome::Inconclusive, Some(Severity::Warning), 1)
        );
        // Over the limit whatever the resolution.
        assert_eq!(
            with(1300, 201),
            (VerdictOutcome::Fail, Some(Severity::Error), 1)
        );
    }

    #[test]
    fn a_doubtful_lane_keeps_its_budget_from_passing() {
        let mut lane = read_new(30);
        lane.doubtful = true;
        let budgets = judge(&plan(2).budgets, &lanes(lane), &[]);
        assert_eq!(budgets.reports[1].outcome, VerdictOutcome::Inconclusive);
        let nothing = judge(&plan(2).budgets, &[], &[]);
        assert_eq!(nothing.reports[1].outcome, VerdictOutcome::Inconclusive);
        assert_eq!(nothing.reports[1].measured_ms, None);
    }

    #[test]
    fn a_lane_without_a_success_fails_its_budget() {
        let mut lane = read_new(0);
        lane.gaps.longest = None;
        let budgets = judge(&plan(2).budgets, &lanes(lane), &[lane.lane]);
        assert_eq!(budgets.reports[1].outcome, VerdictOutcome::Fail);
    }

    #[test]
    fn a_limit_of_nothing_is_exceeded_by_anything() {
        let mut plan = plan(2);
        plan.budgets.insert("read-gap".to_owned(), 0.0);
        let budgets = judge(&plan.budgets, &lanes(read_new(1)), &[]);
        assert!(budgets.reports[1].outcome != PASS);
        plan.budgets = [("read-gap".to_owned(), f64::NAN)].into();
        assert_eq!(
            judge(&plan.budgets, &lanes(read_new(1)), &[]).reports.len(),
            1
        );
    }
}
