//! Ready too early: who said `ReadyToPromote` before it had what it needs to serve.

use super::{Steps, error};
use crate::stats::ms;
use crate::timeline::{StepTimes, Timeline, Window};
use changeover_model::check::Check;
use changeover_model::event::{Event, EventKind, Phase, StatusSeen};
use changeover_model::status::DeploymentStatus;
use changeover_model::verdict::Finding;
use serde_json::json;

/// A step whose new generation needed longer from `IsLeader` to its first answer than it had needed to become ready,
/// and longer than the plan's budget for reads. Who has its data only has to open its doors; the budget keeps out
/// those for whom both are short. Without a budget nothing is too long.
pub(super) fn judge(steps: &Steps<'_>, timeline: &Timeline, events: &[Event]) -> Vec<Finding> {
    let Some(&budget_ms) = steps.plan.budgets.get("read-gap") else {
        return Vec::new();
    };
    let late = |step: &StepTimes| {
        let at = |wanted: Phase| {
            let found = step.phases.iter().find(|(phase, _)| *phase == wanted);
            found.map(|(_, at)| *at)
        };
        let opening = Window {
            start: at(Phase::Bootstrap)?,
            end: at(Phase::Retire)?,
        };
        if steps.faults.disturb_clients(opening) {
            return None;
        }
        let became_ready = said_ready(events, step.number)?.saturating_sub(at(Phase::Boot)?);
        let first_answer = opening.length();
        let too_late = first_answer > became_ready && first_answer as f64 / 1e6 > budget_ms;
        too_late.then(|| {
            error(
                Check::PrematureReady,
                Some(step.number),
                format!(
                    "the new generation was ready after {} ms, and then needed {} ms from leading to its first answer: it said that it was ready before its data was there",
                    ms(became_ready),
                    ms(first_answer)
                ),
                json!({
                    "became_ready_ms": ms(became_ready),
                    "first_answer_ms": ms(first_answer),
                    "limit_ms": budget_ms,
                }),
            )
        })
    };
    timeline.upgrades().filter_map(late).collect()
}

/// When the new generation of a step first said that it is ready; what the harness did before it promoted is no time
/// of the target's.
fn said_ready(events: &[Event], step: u32) -> Option<u64> {
    let ready = |event: &&Event| {
        event.step == Some(step)
            && matches!(
                event.kind,
                EventKind::StatusSeen {
                    seen: StatusSeen::Status(DeploymentStatus::ReadyToPromote),
                    ..
                }
            )
    };
    events.iter().find(ready).map(|event| event.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{events, plan};

    /// Ready after so many milliseconds, and the first answer so many after `IsLeader`; the budget is 1 s.
    fn found(ready: u64, answer: Option<u64>) -> Vec<Finding> {
        let mut e = events();
        e.step(1).at_ms(100).started().phase(Phase::Boot);
        e.at_ms(110).phase(Phase::CatchUp);
        e.at_ms(100 + ready)
            .status(DeploymentStatus::ReadyToPromote);
        // The harness looks at something first.
        e.at_ms(140 + ready).phase(Phase::Promote);
        e.at_ms(150 + ready).phase(Phase::Bootstrap);
        if let Some(answer) = answer {
            e.at_ms(150 + ready + answer).phase(Phase::Retire);
        }
        judge(&Steps::of(&plan(1)), &Timeline::new(&e.list), &e.list)
    }

    #[test]
    fn who_was_ready_answers_soon() {
        assert_eq!(found(50, Some(1001)).len(), 1);
        assert_eq!(found(50, Some(1001))[0].check, Check::PrematureReady);
        // Within the budget; or no longer than it took to become ready.
        assert_eq!(found(50, Some(1000)), []);
        assert_eq!(found(1001, Some(1001)), []);
        assert_eq!(found(1000, Some(1001)).len(), 1);
        // It never answered: another check tells.
        assert_eq!(found(50, None), []);
    }

    #[test]
    fn without_a_budget_nothing_is_too_long() {
        let mut plan = plan(1);
        plan.budgets.clear();
        let mut e = events();
        e.step(1).at_ms(0).started().phase(Phase::Boot);
        e.status(DeploymentStatus::ReadyToPromote);
        e.phase(Phase::Bootstrap).at_ms(9000).phase(Phase::Retire);
        assert_eq!(
            judge(&Steps::of(&plan), &Timeline::new(&e.list), &e.list),
            []
        );
    }
}
