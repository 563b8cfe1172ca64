//! Which checks are made.

use changeover_model::check::Check;
use changeover_model::fault::{Action, Fault};
use changeover_model::plan::Plan;
use changeover_model::probe::Probe;
use changeover_model::workload::WorkloadKind;

/// The checks that [`crate::Judge`] makes, what planning found among them. Of the others no run says anything.
pub const EXAMINED: &[Check] = &[
    Check::LostWrite,
    Check::DuplicatedEffect,
    Check::StaleRead,
    Check::NonMonotonicRead,
    Check::NonLinearizable,
    Check::SerializationAnomaly,
    Check::InvariantBroken,
    Check::ZombieWrite,
    Check::TwoLeaders,
    Check::ReadOnlyWrite,
    Check::WrongVersion,
    Check::OldLeaderLingered,
    Check::CrashLoop,
    Check::PromotionLost,
    Check::PrematureReady,
    Check::NeverReady,
    Check::SessionState,
    Check::DdlMissed,
    Check::ObjectChanged,
    Check::FreshnessStall,
    Check::LatencyCliff,
    Check::ClientHang,
    Check::IllegalTransition,
    Check::IllegalHop,
    Check::FaultMissed,
    Check::FaultBroken,
    Check::AbortNoticed,
    Check::Budget,
    Check::Leftovers,
];

/// What [`crate::ProbeJudge`] can find where it writes; without writes it looks at gaps alone.
pub const PROBED: &[Check] = &[
    Check::LostWrite,
    Check::DuplicatedEffect,
    Check::StaleRead,
    Check::NonMonotonicRead,
    Check::NonLinearizable,
    Check::InvariantBroken,
    Check::ZombieWrite,
    Check::Budget,
];

/// The checks that are made of a rehearsal of this plan: [`EXAMINED`] but for those that it gives nothing to look at.
pub fn examined(plan: &Plan) -> Vec<Check> {
    let has = |kind| plan.workload.has(kind);
    let looked_at = |check: &Check| match check {
        Check::SerializationAnomaly => has(WorkloadKind::Append),
        Check::SessionState => has(WorkloadKind::Session),
        Check::DdlMissed => {
            let ddl = |fault: &Fault| matches!(fault.action, Action::Ddl { .. });
            has(WorkloadKind::Ddl) || plan.faults.iter().any(ddl)
        }
        Check::FaultMissed | Check::FaultBroken => !plan.faults.is_empty(),
        Check::AbortNoticed => plan.steps.iter().any(|step| step.called_off_at.is_some()),
        Check::IllegalHop => !plan.rules.is_empty(),
        _ => true,
    };
    EXAMINED.iter().copied().filter(looked_at).collect()
}

/// The checks that are made of this probe.
pub fn probed(probe: &Probe) -> Vec<Check> {
    match probe.write_table {
        Some(_) => PROBED.to_vec(),
        None => vec![Check::Budget],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plan;

    #[test]
    fn what_a_plan_has_nothing_for_is_not_examined() {
        let mut plan = plan(1);
        plan.workload.models = vec!["set".to_owned()];
        plan.faults.clear();
        let bare = examined(&plan);
        for check in [
            Check::SerializationAnomaly,
            Check::SessionState,
            Check::DdlMissed,
            Check::FaultMissed,
            Check::FaultBroken,
            Check::AbortNoticed,
        ] {
            assert!(!bare.contains(&check), "{check}");
        }
        assert!(bare.contains(&Check::LostWrite) && bare.contains(&Check::TwoLeaders));

        plan.faults = vec!["upgrade:ddl@ready".parse().unwrap()];
        let faults = examined(&plan);
        assert!(faults.contains(&Check::FaultMissed) && faults.contains(&Check::DdlMissed));
        plan.workload.models = ["append", "session"].map(str::to_owned).to_vec();
        plan.steps[0].called_off_at = Some(changeover_model::fault::Point::Ready);
        plan.rules = vec!["operator".to_owned()];
        assert_eq!(examined(&plan), EXAMINED);
    }
}
