//! What an event says to a person.

use crate::numbers::time;
use changeover_model::event::{Event, EventKind, PromoteResult, RestartReason, StatusSeen};
use changeover_model::history::Outcome;
use changeover_model::observation::Observation;
use changeover_model::text::{harmless, harmless_cut};
use changeover_model::version::names_version;
use std::collections::BTreeMap;

/// Answers of targets are cut to so many characters.
const ANSWER: usize = 120;

/// The event in a few words, without time and place, and the log lines that belong to it; `None` for what is not
/// worth a line.
pub(crate) fn describe(event: &Event) -> Option<(String, Vec<String>)> {
    let instance = instance(event);
    let line = match &event.kind {
        EventKind::RunStarted {
            run,
            changeover,
            cores,
        } => {
            let cores = match cores {
                1 => "1 core".to_owned(),
                n => format!("{n} cores"),
            };
            format!("run {} of changeover {changeover}, {cores}", harmless(run))
        }
        EventKind::FrontDoorListening { addr } => {
            format!("the front door listens at {}", harmless(addr))
        }
        EventKind::StepStarted { from: None, to } => format!("start {to}"),
        EventKind::StepStarted {
            from: Some(from),
            to,
        } => format!("upgrade {from} → {to}"),
        EventKind::StepEnded { completed: true } => "completed".to_owned(),
        EventKind::StepEnded { completed: false } => "not completed".to_owned(),
        EventKind::Attached { addr } => format!("{instance} runs already at {}", harmless(addr)),
        EventKind::SpawnDone { pid } => format!("{instance} started, process {pid}"),
        EventKind::RestartDone { pid } => format!("{instance} restarted, process {pid}"),
        EventKind::RestartIntent {
            reason: RestartReason::Crashed,
        } => format!("{instance} crashed and is restarted"),
        EventKind::ProcessEnded {
            end,
            by_fault: true,
            ..
        } => format!("{instance} ended by a fault: {end}"),
        EventKind::ProcessEnded {
            end, by_us: false, ..
        } => format!("{instance} ended: {end}"),
        EventKind::ProcessEnded {
            end, by_us: true, ..
        } => {
            format!("{instance} ended by the harness: {end}")
        }
        EventKind::StatusSeen {
            seen: StatusSeen::Status(status),
            ..
        } => format!("{instance} says {status}"),
        EventKind::StatusSeen {
            seen: StatusSeen::Nonsense(text),
            ..
        } => format!(
            "{instance} answers nonsense: {:?}",
            harmless_cut(text, ANSWER)
        ),
        EventKind::StatusSeen {
            seen: StatusSeen::Unmapped(text),
            ..
        } => format!("{instance}: {}", harmless(text)),
        EventKind::StatusSeen {
            seen: StatusSeen::Silent,
            ..
        } => format!("{instance} does not answer"),
        EventKind::PromoteIntent { attempt: 1 } => format!("promote {instance}"),
        EventKind::PromoteIntent { attempt } => format!("promote {instance}, attempt {attempt}"),
        EventKind::PromoteDone {
            result: PromoteResult::Refused(text),
        } => format!(
            "{instance} refused the promotion: {:?}",
            harmless_cut(text, ANSWER)
        ),
        EventKind::PromoteDone {
            result: PromoteResult::Unclear(text),
        } => format!(
            "{instance} answered the promotion with nonsense: {:?}",
            harmless_cut(text, ANSWER)
        ),
        EventKind::PromoteDone {
            result: PromoteResult::Lost,
        } => format!("{instance} did not answer the promotion"),
        EventKind::PromotionLost => format!("the promotion of {instance} was lost"),
        EventKind::Serving => format!("{instance} answers queries"),
        EventKind::VersionSeen { expected, found } if !names_version(found, expected) => format!(
            "{instance} says it is {:?}, planned was {:?}",
            harmless_cut(found, ANSWER),
            harmless(expected)
        ),
        EventKind::SwitchDone => format!("the front door leads to {instance}"),
        EventKind::LoadDone => "lanes and workload run".to_owned(),
        EventKind::LoadEndDone => "lanes and workload have ended".to_owned(),
        EventKind::FullReadDone { unread: 0 } => "everything acknowledged was read back".to_owned(),
        EventKind::FullReadDone { unread } => {
            format!("{unread} keys could not be read back")
        }
        EventKind::CatalogUnseen { reason } => {
            format!("the catalog could not be read: {}", harmless(reason))
        }
        EventKind::DdlIntent { statement, .. } => harmless_cut(statement, ANSWER),
        EventKind::DdlDone {
            outcome: Outcome::Fail,
        } => "the definition was refused".to_owned(),
        EventKind::DdlDone {
            outcome: Outcome::Unknown,
        } => "whether the definition took effect is unknown".to_owned(),
        EventKind::StopIntent { reason } => format!("stop {instance}: {reason}"),
        EventKind::CrashLoop { ends, .. } => {
            let ends: Vec<String> = ends.iter().map(ToString::to_string).collect();
            format!("{instance} is in a crash loop: {}", ends.join(", "))
        }
        EventKind::DeadlinePassed {
            phase,
            waited_ms,
            missing,
        } => format!(
            "the deadline of {phase} passed after {waited_ms} ms: {}",
            harmless(missing)
        ),
        EventKind::StepFailed { reason } => format!("failed: {}", harmless(reason)),
        EventKind::MetadataStoreDone { addr } => {
            format!(
                "the run's own metadata store takes connections on {}",
                harmless(addr)
            )
        }
        EventKind::MetadataStoreLost { addr, reason, .. } => format!(
            "the metadata store at {} does not answer: {}",
            harmless(addr),
            harmless_cut(reason, ANSWER)
        ),
        EventKind::MetadataStoreBack { addr } => {
            format!("the metadata store at {} answers again", harmless(addr))
        }
        EventKind::ConnectionsTracked { count, most } => {
            format!("the kernel tracks {count} connections, at most {most}")
        }
        EventKind::AgeIntent { versions } => {
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            format!("{} make the data to begin with", versions.join(", "))
        }
        EventKind::AgeDone { reused: true } => "they have made it for an earlier run".to_owned(),
        EventKind::AgeDone { reused: false } => "the data is made".to_owned(),
        EventKind::WorkloadSeen { seen } => return observed(seen).map(|line| (line, Vec::new())),
        EventKind::Leftover { what } => format!("left behind: {}", harmless(what)),
        EventKind::Interrupted { signal } => format!("interrupted by {}", harmless(signal)),
        EventKind::ProbeStarted { endpoint, cost } => {
            format!("probe {}: {}", harmless(endpoint), harmless(cost))
        }
        EventKind::GapOpened { lane, since } => {
            format!(
                "{} is away: no success since {}",
                harmless(lane),
                moment(*since)
            )
        }
        EventKind::GapClosed {
            lane,
            since,
            until,
            errors,
        } => format!(
            "{} is back after {}{}",
            harmless(lane),
            time(until.saturating_sub(*since) as f64 / 1e6),
            failures(errors)
        ),
        EventKind::UserCheckDone {
            check,
            action,
            problem,
        } => match problem {
            None => format!("check {}: {action} done", harmless(check)),
            Some(problem) => format!(
                "check {}: {action} failed: {}",
                harmless(check),
                harmless_cut(problem, ANSWER)
            ),
        },
        EventKind::Examined {
            what,
            expected,
            found,
            doubt,
            took_ms,
        } => match (found == expected, doubt) {
            (true, _) => format!("{instance}: {what}: as expected, after {took_ms} ms"),
            (false, None) => format!(
                "{instance}: {what}: {}, expected was {}",
                harmless_cut(found, ANSWER),
                harmless_cut(expected, ANSWER)
            ),
            (false, Some(doubt)) => format!(
                "{instance}: {what}: {}, which proves nothing: {}",
                harmless_cut(found, ANSWER),
                harmless_cut(doubt, ANSWER)
            ),
        },
        EventKind::Marker { name } => format!("marker: {}", harmless(name)),
        EventKind::ProbeEnding { reason } => format!("ending: {}", harmless(reason)),
        EventKind::CleanUpDone { left: Some(left) } => harmless(left),
        EventKind::StatusSeen {
            seen: StatusSeen::Unreachable,
            ..
        } if event.generation.is_none() => format!("{instance} cannot be reached"),
        EventKind::PointReached { point, held } => match held {
            true => format!("{instance} waits at point {point}"),
            false => format!("point {point} is reached"),
        },
        EventKind::FaultIntent { fault, before } => {
            format!("fault {fault}; before: {}", harmless(before))
        }
        EventKind::FaultDone {
            fault,
            after,
            evidence,
        } => match evidence {
            Some(evidence) => format!("fault {fault} took effect: {}", harmless(evidence)),
            None => format!("fault {fault} took no effect; after: {}", harmless(after)),
        },
        EventKind::FaultOver { fault, after, .. } => {
            format!("fault {fault} is over: {}", harmless(after))
        }
        EventKind::FaultMissed { fault, reason } => {
            format!("fault {fault} did not happen: {}", harmless(reason))
        }
        EventKind::CallOffIntent { point } => {
            format!("the upgrade is called off at point {point}")
        }
        EventKind::CallOffDone { old_leads, .. } => match old_leads {
            true => "called off; the old instance leads".to_owned(),
            false => "called off; the old instance does not lead any more".to_owned(),
        },
        EventKind::ComebackIntent => {
            format!("{instance} is started again, to see whether it can be")
        }
        EventKind::ComebackDone { problem } => match problem {
            None => format!("{instance} leads again"),
            Some(problem) => format!("{instance} does not come back: {}", harmless(problem)),
        },
        EventKind::RunEnded => "the run is over".to_owned(),
        // Intents announce what the done event tells, and the rest happens in every step.
        EventKind::PhaseStarted { .. }
        | EventKind::Machine { .. }
        | EventKind::Sampled { .. }
        | EventKind::QuietWindowStarted
        | EventKind::UserCheckIntent { .. }
        | EventKind::QuietWindowEnded
        | EventKind::SpawnIntent { .. }
        | EventKind::RestartIntent {
            reason: RestartReason::Asked | RestartReason::Fault | RestartReason::Comeback,
        }
        | EventKind::StatusSeen {
            seen: StatusSeen::Unreachable,
            ..
        }
        | EventKind::PromoteDone {
            result: PromoteResult::Acknowledged,
        }
        | EventKind::ImageSeen { .. }
        | EventKind::VersionSeen { .. }
        | EventKind::SwitchIntent { .. }
        | EventKind::MetadataStoreIntent
        | EventKind::MetadataStoreEndIntent
        | EventKind::MetadataStoreEndDone
        | EventKind::PrepareIntent
        | EventKind::PrepareDone
        | EventKind::LoadIntent
        | EventKind::LoadEndIntent
        | EventKind::FullReadIntent { .. }
        | EventKind::CatalogSeen { .. }
        | EventKind::DdlDone {
            outcome: Outcome::Ok,
        }
        | EventKind::SessionSeen { .. }
        | EventKind::StopDone
        | EventKind::CleanUpIntent
        | EventKind::CleanUpDone { left: None }
        | EventKind::Unknown => return None,
    };
    let log = match &event.kind {
        EventKind::CrashLoop { log, .. } => log.iter().map(|line| harmless(line)).collect(),
        _ => Vec::new(),
    };
    Some((line, log))
}

/// What a workload saw, as far as it is news by itself; what it means beside the rest, the judge says.
fn observed(seen: &Observation) -> Option<String> {
    Some(match seen {
        Observation::ScriptWrong {
            line,
            expected,
            found,
            ..
        } => format!(
            "the script's statement of line {line} answered {:?}, expected {:?}",
            harmless_cut(found, ANSWER),
            harmless_cut(expected, ANSWER)
        ),
        Observation::Skipped {
            workload,
            part,
            why,
        } => format!(
            "workload {workload} skips {}: {}",
            harmless(part),
            harmless_cut(why, ANSWER)
        ),
        _ => return None,
    })
}

/// Whether the event is bad news, which no view may let scroll by or overwrite.
pub(crate) fn is_bad_news(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::PromotionLost
            | EventKind::RestartIntent {
                reason: RestartReason::Crashed
            }
            | EventKind::CrashLoop { .. }
            | EventKind::DeadlinePassed { .. }
            | EventKind::StepFailed { .. }
            | EventKind::StepEnded { completed: false }
            | EventKind::FaultDone { evidence: None, .. }
            | EventKind::FaultMissed { .. }
            | EventKind::ComebackDone { problem: Some(_) }
            | EventKind::Leftover { .. }
            | EventKind::MetadataStoreLost { .. }
            | EventKind::CleanUpDone { left: Some(_) }
            | EventKind::Interrupted { .. }
    )
}

/// A moment of the run, as lines begin with it.
pub(crate) fn moment(at: u64) -> String {
    format!("{}.{:03} s", at / 1_000_000_000, at / 1_000_000 % 1000)
}

/// What failed, by kind and with a colon before it; nothing if nothing did.
pub(crate) fn failures(errors: &BTreeMap<String, u64>) -> String {
    let errors: Vec<String> = errors
        .iter()
        .map(|(error, count)| format!("{} × {}", count, harmless(error)))
        .collect();
    match errors.is_empty() {
        true => String::new(),
        false => format!(": {}", errors.join(", ")),
    }
}

/// Whom the event is about, such as `mz_2 (generation 1)`.
fn instance(event: &Event) -> String {
    match (&event.slot, event.generation) {
        (Some(slot), Some(generation)) => format!("{} (generation {generation})", harmless(slot)),
        (Some(slot), None) => harmless(slot),
        (None, _) => "an instance".to_owned(),
    }
}
