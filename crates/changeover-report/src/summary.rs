//! The one sentence of a verdict.

use crate::numbers::{count, time};
use crate::series;
use changeover_model::check::Check;
use changeover_model::history::Class;
use changeover_model::text::harmless;
use changeover_model::verdict::{FaultOutcome, Finding, Verdict, VerdictOutcome};
use changeover_model::version::PathVersion;

/// The outcome, the longest gaps, the writes and the command to run it again.
pub fn sentence(verdict: &Verdict) -> String {
    format!(
        "{} Reproduce: {}",
        claim(verdict),
        harmless(&verdict.reproduce)
    )
}

/// The sentence without the command.
pub fn claim(verdict: &Verdict) -> String {
    format!(
        "{}: {}{}. {}{}; {}{}{}.",
        what(verdict),
        outcome(verdict),
        series::how_often(verdict),
        gaps(verdict),
        explained(verdict),
        writes(verdict),
        broken(verdict),
        series::against_control(verdict),
    )
}

/// The longest outage that a fault explains, if there was any.
fn explained(verdict: &Verdict) -> String {
    let gaps = verdict.steps.iter().flat_map(|step| &step.gaps);
    let spans = gaps.flat_map(|gap| &gap.spans);
    let longest = spans
        .filter(|span| span.fault.is_some())
        .map(|span| span.to_ms - span.from_ms)
        .max_by(f64::total_cmp);
    match longest {
        Some(ms) => format!(
            " (beside outages of up to {} that faults explain)",
            time(ms)
        ),
        None => String::new(),
    }
}

/// What came of the faults, and until when upgrades could be called off.
fn broken(verdict: &Verdict) -> String {
    let mut out = String::new();
    let faults = verdict.faults.len() as u64;
    if faults > 0 {
        let held = verdict
            .faults
            .iter()
            .filter(|f| f.outcome == FaultOutcome::Held);
        out.push_str(&format!(
            "; {} of {} faults held",
            count(held.count() as u64),
            count(faults)
        ));
    }
    for point in &verdict.point_of_no_return {
        out.push_str(&format!("; {}", harmless(&point.sentence)));
    }
    out
}

/// What was upgraded, or probed.
pub(crate) fn what(verdict: &Verdict) -> String {
    match &verdict.probe {
        Some(probe) => harmless(&probe.endpoint),
        None => path(verdict),
    }
}

/// Where in the run: probes have no steps.
pub(crate) fn at_step(verdict: &Verdict, step: u32) -> String {
    match verdict.probe {
        Some(_) => String::new(),
        None => format!(" at step {step}"),
    }
}

/// The path with arrows.
pub(crate) fn path(verdict: &Verdict) -> String {
    let versions: Vec<String> = verdict.path.iter().map(PathVersion::to_string).collect();
    versions.join(" → ")
}

/// `passed`, or what it is and the checks that made it so.
pub(crate) fn outcome(verdict: &Verdict) -> String {
    match verdict.outcome {
        VerdictOutcome::Pass => "passed".to_owned(),
        VerdictOutcome::Inconclusive => "inconclusive".to_owned(),
        VerdictOutcome::Fail => {
            let checks: Vec<&str> = series::failed_checks(verdict)
                .into_iter()
                .map(Check::name)
                .collect();
            if checks.is_empty() {
                "failed".to_owned()
            } else {
                format!("failed ({})", checks.join(", "))
            }
        }
    }
}

fn gaps(verdict: &Verdict) -> String {
    let write = match (
        verdict.lane_without_success(Class::Write),
        verdict.longest_gap(Class::Write),
    ) {
        // A lane that never succeeded has no longest gap, and is worse than any that has.
        (Some((step, gap)), _) => format!(
            "No write on {} connections succeeded{}",
            gap.connection.name(),
            at_step(verdict, step)
        ),
        (None, Some(_)) if verdict.repeat.is_some() => series::longest_write_gap(verdict),
        (None, Some((step, ms, gap))) => format!(
            "Longest write gap {} (resolution {}){}",
            time(ms),
            time(gap.resolution_ms),
            at_step(verdict, step)
        ),
        (None, None) if writes_nothing(verdict) => "Nothing written".to_owned(),
        (None, None) => "No write gap measured".to_owned(),
    };
    let read = match (
        verdict.lane_without_success(Class::Read),
        verdict.longest_gap(Class::Read),
    ) {
        (Some((step, gap)), _) => format!(
            "no read on {} connections succeeded{}",
            gap.connection.name(),
            at_step(verdict, step)
        ),
        (None, Some((_, ms, _))) => {
            let longest = series::longest_gap(verdict, Class::Read);
            format!("reads {}", time(longest.map_or(ms, |(_, gap)| gap.ms)))
        }
        (None, None) => "reads not measured".to_owned(),
    };
    format!("{write}, {read}")
}

/// Whether a probe has no lane that writes.
fn writes_nothing(verdict: &Verdict) -> bool {
    verdict.probe.is_some() && verdict.gaps_of(Class::Write).next().is_none()
}

fn writes(verdict: &Verdict) -> String {
    if writes_nothing(verdict) {
        return format!("{} operations acknowledged", count(verdict.operations.ok));
    }
    let found = |finding: &Finding| finding.check == Check::LostWrite;
    let lost = verdict.findings.iter().any(found)
        || series::failed_checks(verdict).contains(&Check::LostWrite);
    // Only a pass proves it: any other run may have ended before everything was read back.
    let fate = match (lost, verdict.outcome) {
        (true, _) => "some lost",
        (false, VerdictOutcome::Pass) => "none lost",
        (false, _) => "no loss seen",
    };
    match verdict.operations.acknowledged_writes {
        Some(writes) => format!("{} acknowledged writes, {fate}", count(writes)),
        None => format!(
            "{} acknowledged operations, {}",
            count(verdict.operations.ok),
            match fate {
                "none lost" => "no write lost",
                "some lost" => "some writes lost",
                other => other,
            }
        ),
    }
}
