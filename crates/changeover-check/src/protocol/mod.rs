//! The hand-over protocol: findings from what the executor did and saw. What the end of a process means is the
//! target's to say, and part of its event.

mod examined;
mod leaders;
mod objects;
mod ready;
mod sessions;
mod transitions;

pub(crate) use leaders::ObservedWrite;

use crate::faults::Faults;
use crate::findings::{Case, Cases};
use crate::timeline::Timeline;
use changeover_model::check::{Check, Severity};
use changeover_model::event::{Event, EventKind, Examination, Phase, StopReason};
use changeover_model::plan::Plan;
use changeover_model::verdict::Finding;
use changeover_model::version::names_version;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// All findings about the protocol. `events` must be in their order.
pub(crate) fn judge(
    plan: &Plan,
    events: &[Event],
    writes: &[ObservedWrite],
    faults: &Faults,
) -> Vec<Finding> {
    let steps = Steps { plan, faults };
    let mut findings = seen_directly(&steps, events);
    findings.extend(transitions::judge(&steps, events));
    findings.extend(examined::judge(&steps, events));
    findings.extend(leaders::judge(&steps, events, writes));
    findings.extend(objects::judge(&steps, events));
    findings.extend(ready::judge(&steps, &Timeline::new(events), events));
    findings.extend(sessions::judge(&steps, events));
    findings.extend(lost_promotions(&steps, events));
    let unexplained = failed_steps(&steps, events, &findings);
    findings.extend(unexplained);
    findings
}

/// Reasons for doubt: what could not be looked at.
pub(crate) fn doubts(events: &[Event]) -> Vec<String> {
    let unseen = |event: &Event| match &event.kind {
        EventKind::CatalogUnseen { reason } => Some(format!(
            "the catalog could not be read, so changed objects may be undetected: {reason}"
        )),
        EventKind::Examined {
            what: Examination::EarlyPromotion,
            found,
            doubt: Some(_),
            ..
        } if found.starts_with('2') => Some(format!(
            "{} took a promotion that was only to be refused, and whether it was ready by then nobody saw",
            instance(event)
        )),
        _ => None,
    };
    events.iter().filter_map(unseen).collect()
}

/// Which step an instance belongs to.
pub(crate) struct Steps<'a> {
    plan: &'a Plan,
    /// What was broken on purpose, and so is nobody else's fault.
    faults: &'a Faults,
}

#[cfg(test)]
impl<'a> Steps<'a> {
    /// Of a plan without faults.
    fn of(plan: &'a Plan) -> Self {
        static NONE: std::sync::LazyLock<Faults> = std::sync::LazyLock::new(Faults::default);
        Steps {
            plan,
            faults: &NONE,
        }
    }
}

impl Steps<'_> {
    /// The step that brings a generation up; 0 for the first service.
    fn of_generation(&self, generation: u64) -> Option<u32> {
        if self.is_first(generation) {
            return Some(0);
        }
        self.plan
            .steps
            .iter()
            .find(|s| s.deploy_generation == generation)
            .map(|s| s.number)
    }

    /// Whether a generation is that of the first service, which leads without a promotion.
    fn is_first(&self, generation: u64) -> bool {
        let first = self.plan.services.first();
        first.is_some_and(|s| s.deploy_generation == generation)
    }

    /// Whether the instance that a step replaces may be late at this moment.
    fn old_is_excused(&self, step: Option<u32>, at: u64) -> bool {
        step.is_some_and(|step| {
            let old = self.plan.leader_before(step).deploy_generation;
            self.faults.excuse(Some(old), at)
        })
    }

    /// The step an event belongs to: as it says, or else its instance's.
    fn of_event(&self, event: &Event) -> Option<u32> {
        event.step.or_else(|| self.of_generation(event.generation?))
    }
}

/// An instance in words.
fn instance(event: &Event) -> String {
    match (&event.slot, event.generation) {
        (Some(slot), Some(generation)) => format!("{slot} (generation {generation})"),
        (Some(slot), None) => slot.clone(),
        (None, Some(generation)) => format!("generation {generation}"),
        (None, None) => "the instance".to_owned(),
    }
}

/// The events that show something, as they are.
fn shown(events: &[&Event]) -> Value {
    json!({ "events": events })
}

fn error(check: Check, step: Option<u32>, message: String, evidence: Value) -> Finding {
    Finding {
        check,
        severity: Severity::Error,
        step,
        message,
        evidence,
    }
}

/// Findings that one event is enough for.
fn seen_directly(steps: &Steps<'_>, events: &[Event]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut lingered = BTreeSet::new();
    let mut leftovers = Cases::default();
    for event in events {
        let step = steps.of_event(event);
        let who = instance(event);
        match &event.kind {
            EventKind::VersionSeen { expected, found } if !names_version(found, expected) => {
                findings.push(error(
                    Check::WrongVersion,
                    step,
                    format!("{who} says it is version {found}; {expected} was planned"),
                    shown(&[event]),
                ));
            }
            EventKind::DeadlinePassed {
                phase,
                waited_ms,
                missing,
            } => {
                let waited = format!("{waited_ms} ms, still missing: {missing}");
                if *phase == Phase::Retire {
                    if !steps.old_is_excused(step, event.at) && lingered.insert(step) {
                        findings.push(error(
                            Check::OldLeaderLingered,
                            step,
                            format!("the old leader had not left by itself after {waited}"),
                            shown(&[event]),
                        ));
                    }
                } else {
                    findings.push(error(
                        Check::NeverReady,
                        step,
                        format!("{who}: phase {phase} gave up after {waited}"),
                        shown(&[event]),
                    ));
                }
            }
            EventKind::StopIntent {
                reason: StopReason::Lingered,
            } if !steps.old_is_excused(step, event.at) && lingered.insert(step) => {
                findings.push(error(
                    Check::OldLeaderLingered,
                    step,
                    format!("{who} did not leave by itself after the promotion and was stopped"),
                    shown(&[event]),
                ));
            }
            // Some services leave by themselves then, and some stay up, ready for ever.
            EventKind::StopIntent {
                reason: StopReason::Skipped,
            } => findings.push(Finding {
                check: Check::OldLeaderLingered,
                severity: Severity::Warning,
                step,
                message: format!(
                    "{who} was skipped by a later promotion, did not leave by itself and was retired"
                ),
                evidence: shown(&[event]),
            }),
            EventKind::CrashLoop { ends, log } => {
                let ends: Vec<String> = ends.iter().map(ToString::to_string).collect();
                findings.push(error(
                    Check::CrashLoop,
                    step,
                    format!(
                        "{who} crashed in a loop, getting no further ({})",
                        ends.join(", ")
                    ),
                    json!({ "ends": ends, "log": log }),
                ));
            }
            EventKind::Leftover { what } => leftovers.add(
                Check::Leftovers,
                None,
                "leftover of the run still there after it",
                || Case {
                    words: what.clone(),
                    evidence: json!(what),
                },
            ),
            _ => {}
        }
    }
    findings.extend(leftovers.into_findings());
    findings
}

/// A promotion that was lost is a warning when a later attempt in the same step led, else an error.
fn lost_promotions(steps: &Steps<'_>, events: &[Event]) -> Vec<Finding> {
    let lost: Vec<&Event> = events
        .iter()
        .filter(|e| matches!(e.kind, EventKind::PromotionLost))
        .collect();
    let mut findings = Vec::new();
    let numbers: BTreeSet<Option<u32>> = lost.iter().map(|e| steps.of_event(e)).collect();
    for step in numbers {
        let of_step: Vec<&Event> = lost
            .iter()
            .copied()
            .filter(|e| steps.of_event(e) == step)
            .collect();
        let led_later = of_step.last().is_some_and(|last| {
            events.iter().any(|e| {
                e.seq > last.seq
                    && e.generation == last.generation
                    && steps.of_event(e) == step
                    && leaders::says_leader(e)
            })
        });
        let (severity, then) = if led_later {
            (Severity::Warning, "a later attempt succeeded")
        } else {
            (Severity::Error, "no later attempt succeeded")
        };
        findings.push(Finding {
            check: Check::PromotionLost,
            severity,
            step,
            message: format!(
                "the promotion of {} was lost {} time(s); {then}",
                instance(of_step[0]),
                of_step.len()
            ),
            evidence: shown(&of_step),
        });
    }
    findings
}

/// A step that failed for a reason no other finding tells: the executor's own words are all there is. What an
/// interruption called off did not fail.
fn failed_steps(steps: &Steps<'_>, events: &[Event], found: &[Finding]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::Interrupted { .. } => break,
            EventKind::StepFailed { reason } => {
                let step = steps.of_event(event);
                let explained = found
                    .iter()
                    .any(|f| f.severity == Severity::Error && f.step == step);
                if !explained {
                    findings.push(error(
                        Check::NeverReady,
                        step,
                        format!("the step could not go on: {reason}"),
                        shown(&[event]),
                    ));
                }
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Events, events, plan};
    use changeover_model::event::ProcessEnd;
    use changeover_model::status::DeploymentStatus::{Initializing, IsLeader, Promoting};

    fn found(build: impl FnOnce(&mut Events)) -> Vec<Finding> {
        let mut e = events();
        build(&mut e);
        judge(&plan(2), &e.list, &[], &Faults::default())
    }

    fn checks(build: impl FnOnce(&mut Events)) -> Vec<(Check, Severity, Option<u32>)> {
        found(build)
            .into_iter()
            .map(|f| (f.check, f.severity, f.step))
            .collect()
    }

    fn deadline(phase: Phase) -> EventKind {
        EventKind::DeadlinePassed {
            phase,
            waited_ms: 5000,
            missing: "status ReadyToPromote".to_owned(),
        }
    }

    #[test]
    fn a_generation_that_was_skipped_and_stays_is_a_warning() {
        let skipped = checks(|e| {
            e.step(1).on(1).push(EventKind::StopIntent {
                reason: StopReason::Skipped,
            });
        });
        let expected = (Check::OldLeaderLingered, Severity::Warning, Some(1));
        assert_eq!(skipped, [expected]);
    }

    #[test]
    fn a_wrong_version_is_found() {
        let seen = |found: &str| EventKind::VersionSeen {
            expected: "v0.2.0".to_owned(),
            found: found.to_owned(),
        };
        let wrong = found(|e| {
            e.step(1).on(1).push(seen("v0.1.0"));
        });
        assert_eq!(wrong[0].check, Check::WrongVersion);
        assert_eq!(
            wrong[0].message,
            "mz_2 (generation 1) says it is version v0.1.0; v0.2.0 was planned"
        );
        assert_eq!(
            checks(|e| {
                e.step(1).on(1).push(seen("v0.2.0"));
            }),
            []
        );
    }

    #[test]
    fn an_old_leader_that_lingers_is_found_once() {
        let lingered = EventKind::StopIntent {
            reason: StopReason::Lingered,
        };
        let expected = [(Check::OldLeaderLingered, Severity::Error, Some(1))];
        let both = checks(|e| {
            e.step(1).on(0).push(deadline(Phase::Retire));
            e.push(lingered.clone());
        });
        assert_eq!(both, expected);
        assert_eq!(
            checks(|e| {
                e.step(1).on(0).push(lingered.clone());
            }),
            expected
        );
        assert_eq!(
            checks(|e| {
                e.step(1).on(0).push(deadline(Phase::Retire));
            }),
            expected
        );
        // Stopped, and the step failed for another reason.
        assert_eq!(
            checks(|e| {
                e.step(1).on(0).push(deadline(Phase::Retire));
                e.push(lingered.clone()).push(EventKind::StepFailed {
                    reason: "no version".to_owned(),
                });
            }),
            expected
        );
        // Not stopped any more, because the step failed for another reason: it lingered all the same.
        assert_eq!(
            checks(|e| {
                e.step(1).on(0).push(deadline(Phase::Retire));
                e.push(EventKind::StepFailed {
                    reason: "no version".to_owned(),
                });
            }),
            expected
        );
        assert_eq!(
            checks(|e| {
                e.step(1).on(0).push(EventKind::StopIntent {
                    reason: StopReason::RunOver,
                });
            }),
            []
        );
    }

    #[test]
    fn every_other_deadline_is_never_ready_and_says_what_was_missing() {
        for phase in [
            Phase::Boot,
            Phase::CatchUp,
            Phase::Promote,
            Phase::Bootstrap,
        ] {
            let found = found(|e| {
                e.step(2).on(2).push(deadline(phase));
            });
            assert_eq!(found.len(), 1);
            assert_eq!(
                (found[0].check, found[0].step),
                (Check::NeverReady, Some(2))
            );
            assert!(found[0].message.contains("status ReadyToPromote"));
        }
    }

    #[test]
    fn a_crash_loop_comes_with_the_log() {
        let found = found(|e| {
            e.step(1).on(1).push(EventKind::CrashLoop {
                ends: vec![ProcessEnd::Code(101), ProcessEnd::Signal(6)],
                log: vec!["no such format".to_owned()],
            });
            // The step fails because of it: one finding is enough.
            e.push(EventKind::StepFailed {
                reason: "crash loop".to_owned(),
            });
        });
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].check, Check::CrashLoop);
        assert_eq!(found[0].evidence["log"][0], "no such format");
        assert_eq!(found[0].evidence["ends"][1], "signal 6");
    }

    #[test]
    fn a_lost_promotion_is_a_warning_only_if_a_later_one_led() {
        let lost = |e: &mut Events| {
            e.step(1).on(1).promote().push(EventKind::PromotionLost);
        };
        assert_eq!(
            checks(lost),
            [(Check::PromotionLost, Severity::Error, Some(1))]
        );
        let recovered = checks(|e| {
            lost(e);
            e.promote().status(IsLeader);
        });
        assert_eq!(
            recovered,
            [(Check::PromotionLost, Severity::Warning, Some(1))]
        );
        // Leading before it was lost proves nothing, and so does another instance that leads.
        let others = checks(|e| {
            e.step(0).on(0).status(IsLeader);
            lost(e);
            e.on(0).status(IsLeader);
        });
        assert_eq!(others, [(Check::PromotionLost, Severity::Error, Some(1))]);
    }

    #[test]
    fn a_failed_step_never_goes_unfound() {
        let failed = EventKind::StepFailed {
            reason: "the program is missing".to_owned(),
        };
        let finding = found(|e| {
            e.step(0).on(0).push(failed.clone());
        });
        assert_eq!(finding[0].check, Check::NeverReady);
        assert_eq!(finding[0].step, Some(0));
        assert!(finding[0].message.contains("the program is missing"));
        assert_eq!(
            checks(|e| {
                e.push(EventKind::Interrupted {
                    signal: "SIGINT".to_owned(),
                });
                e.step(1).push(failed.clone());
            }),
            []
        );
    }

    #[test]
    fn a_catalog_that_was_not_seen_is_a_doubt() {
        let mut e = events();
        e.step(1).push(EventKind::CatalogUnseen {
            reason: "no such table".to_owned(),
        });
        assert_eq!(doubts(&e.list).len(), 1);
        assert!(doubts(&e.list)[0].contains("no such table"));
    }

    /// An examination whose answer was not the one that is described.
    fn examined(what: Examination, found: &str, doubt: Option<&str>) -> EventKind {
        EventKind::Examined {
            what,
            expected: "400 no".to_owned(),
            found: found.to_owned(),
            doubt: doubt.map(str::to_owned),
            took_ms: 1,
        }
    }

    #[test]
    fn an_examination_that_nobody_answered_is_held_against_nobody() {
        use Examination::{EarlyPromotion, ReadOnlyWrite, SecondPromotion};
        for (what, check) in [
            (ReadOnlyWrite, Check::ReadOnlyWrite),
            (SecondPromotion, Check::IllegalTransition),
            (EarlyPromotion, Check::IllegalTransition),
        ] {
            let one = |doubt: Option<&str>| {
                checks(|e| {
                    e.step(1).on(1).push(examined(what, "no answer", doubt));
                })
            };
            assert_eq!(one(None), [(check, Severity::Error, Some(1))]);
            let doubted = one(Some("nobody answered"));
            assert_eq!(doubted, [(check, Severity::Warning, Some(1))]);
        }
    }

    #[test]
    fn a_promotion_that_was_taken_by_accident_is_no_error_and_a_doubt() {
        let mut e = events();
        let accident = examined(
            Examination::EarlyPromotion,
            "200 yes",
            Some("it may have become ready"),
        );
        e.step(1).on(1).status(Initializing).push(accident);
        assert_eq!(doubts(&e.list).len(), 1);
        assert!(doubts(&e.list)[0].contains("took a promotion that was only to be refused"));
        let found = checks(|all| {
            all.list.clone_from(&e.list);
            all.step(1).on(1).promote().status(Promoting);
            all.status(IsLeader);
        });
        assert_eq!(
            found,
            [(Check::IllegalTransition, Severity::Warning, Some(1))]
        );
    }

    #[test]
    fn leftovers_are_one_finding() {
        let found = found(|e| {
            for what in ["process 7", "directory work"] {
                e.push(EventKind::Leftover {
                    what: what.to_owned(),
                });
            }
        });
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].check, Check::Leftovers);
        assert!(found[0].message.contains("process 7; directory work"));
    }
}
