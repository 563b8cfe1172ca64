//! Statuses and exits, held against the protocol's state machine.
//!
//! Within one life of a process: `Initializing` → `ReadyToPromote` → `Promoting` → `IsLeader`, where polling may miss
//! any but the last, and `Initializing` → `IsLeader` for who need not be promoted. A restart begins again. An
//! unreachable, silent or nonsensical endpoint is no status.

use super::{Steps, error, instance, shown};
use changeover_model::check::Check;
use changeover_model::event::{EndMeaning, Event, EventKind, ProcessEnd, StatusSeen};
use changeover_model::status::DeploymentStatus::{
    self, Initializing, IsLeader, Promoting, ReadyToPromote,
};
use changeover_model::verdict::Finding;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of an instance that decides which arrows there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// The first service: leads without a promotion.
    first: bool,
    /// A promotion was sent to it that may have taken place.
    promoted: bool,
    /// It said that it leads, in this life or an earlier one.
    led: bool,
}

/// Whether the state machine has an arrow; `None` is the start of a process.
pub(super) fn arrow(from: Option<DeploymentStatus>, to: DeploymentStatus, who: Standing) -> bool {
    if from == Some(to) {
        return true;
    }
    match (from, to) {
        (None, Initializing) => true,
        (None | Some(Initializing), ReadyToPromote) => !who.led,
        (None | Some(Initializing), Promoting) => who.promoted && !who.led,
        (None | Some(Initializing), IsLeader) => who.first || who.promoted,
        (Some(ReadyToPromote), Promoting | IsLeader) => who.promoted,
        (Some(Promoting), IsLeader) => true,
        _ => false,
    }
}

#[derive(Default)]
struct Instance {
    standing: Standing,
    /// The last status of this life.
    last: Option<DeploymentStatus>,
    /// The last status of the life before, until this one has said something.
    previous_life: Option<DeploymentStatus>,
    /// Whether `last` may be an answer that the life before gave and that was recorded after its end: poller and
    /// supervisor run side by side.
    perhaps_stale: bool,
    /// A promotion was sent to it that certainly did not take place.
    refused: bool,
    /// It was started, and has not been stopped since.
    up: bool,
}

impl Instance {
    fn status(&mut self, status: DeploymentStatus) -> Result<(), Option<DeploymentStatus>> {
        let who = self.standing;
        let legal =
            arrow(self.last, status, who) || (self.perhaps_stale && arrow(None, status, who));
        let stale = self.last.is_none()
            && self
                .previous_life
                .take()
                .is_some_and(|before| arrow(Some(before), status, who));
        let from = self.last.replace(status);
        self.perhaps_stale = stale;
        self.standing.led |= status == IsLeader;
        if legal || stale { Ok(()) } else { Err(from) }
    }

    fn end(&mut self) {
        self.previous_life = self.last.take();
        self.perhaps_stale = false;
    }
}

pub(super) fn judge(steps: &Steps<'_>, events: &[Event]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Two instances of one generation are in different slots.
    let mut instances: BTreeMap<(u64, Option<&str>), Instance> = BTreeMap::new();
    let refused = refused(events);
    // Whether a higher generation led, now or later: only then was the promotion a real one.
    let highest_leader = events
        .iter()
        .filter(|e| super::leaders::says_leader(e))
        .filter_map(|e| e.generation)
        .max();
    for event in events {
        let Some(generation) = event.generation else {
            continue;
        };
        let higher = || instances.iter().filter(|((g, _), _)| *g > generation);
        let superseded = higher().any(|(_, i)| i.standing.promoted);
        let coming_up = higher().any(|(_, i)| i.up && !i.standing.promoted);
        let name = (generation, event.slot.as_deref());
        let who = instances.entry(name).or_default();
        who.standing.first = steps.is_first(generation);
        match &event.kind {
            EventKind::SpawnDone { .. } => who.up = true,
            EventKind::StopIntent { .. } => who.up = false,
            EventKind::PromoteIntent { .. } if refused.contains(&event.seq) => who.refused = true,
            EventKind::PromoteIntent { .. } => who.standing.promoted = true,
            EventKind::StatusSeen {
                seen: StatusSeen::Status(status),
                ..
            } => {
                let (standing, refused) = (who.standing, who.refused);
                if let Err(from) = who.status(*status) {
                    findings.push(error(
                        Check::IllegalTransition,
                        steps.of_event(event),
                        words(event, from, *status, standing, refused),
                        shown(&[event]),
                    ));
                }
            }
            EventKind::ProcessEnded {
                end,
                meaning,
                by_us,
                by_fault,
            } => {
                let last = who.last;
                who.end();
                if *by_us || *by_fault {
                    continue;
                }
                // A store that is broken makes its users fail, and none of them knows that it is on purpose.
                if *meaning == EndMeaning::Crash && steps.faults.excuse(event.generation, event.at)
                {
                    continue;
                }
                let after = After {
                    led: who.standing.led,
                    superseded,
                    replaced: superseded && highest_leader.is_some_and(|h| h > generation),
                    coming_up,
                };
                if let Some((check, problem)) = exit_problem(*end, *meaning, &after, last) {
                    findings.push(error(
                        check,
                        steps.of_event(event),
                        format!("{} {problem}", instance(event)),
                        shown(&[event]),
                    ));
                }
            }
            _ => {}
        }
    }
    findings
}

/// The announcements of promotions that certainly did not take place, by sequence number.
fn refused(events: &[Event]) -> BTreeSet<u64> {
    let mut announced: BTreeMap<Option<u64>, u64> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for event in events {
        match &event.kind {
            EventKind::PromoteIntent { .. } => {
                announced.insert(event.generation, event.seq);
            }
            EventKind::PromoteDone { result } => {
                let intent = announced.remove(&event.generation);
                if !result.may_be_taken() {
                    refused.extend(intent);
                }
            }
            _ => {}
        }
    }
    refused
}

fn words(
    event: &Event,
    from: Option<DeploymentStatus>,
    to: DeploymentStatus,
    standing: Standing,
    refused: bool,
) -> String {
    let from = match from {
        Some(from) => format!("went from {from} to {to} in one process"),
        None => format!("said {to} first"),
    };
    let why = match (standing.led, standing.promoted, refused) {
        (true, ..) => "although it had led",
        (false, false, false) => "although no promotion had been sent",
        (false, false, true) => "although its promotion had been refused",
        (false, true, _) => "which the protocol does not know",
    };
    format!("{} {from}, {why}", instance(event))
}

/// What had happened when a process ended by itself.
struct After {
    /// It had led.
    led: bool,
    /// A promotion had been sent to a higher generation.
    superseded: bool,
    /// And a higher generation leads, or will.
    replaced: bool,
    /// A higher generation was running that had not been promoted.
    coming_up: bool,
}

/// Signals with which people and machines end processes from outside: SIGHUP, SIGINT, SIGKILL, SIGTERM.
const FROM_OUTSIDE: [i32; 4] = [1, 2, 9, 15];

fn exit_problem(
    end: ProcessEnd,
    meaning: EndMeaning,
    after: &After,
    last: Option<DeploymentStatus>,
) -> Option<(Check, String)> {
    match meaning {
        EndMeaning::Fenced if after.led && !after.superseded => Some((
            Check::IllegalTransition,
            format!(
                "led and left with {end} (\"I was fenced\") though no higher generation had been promoted"
            ),
        )),
        EndMeaning::Fenced if !after.led && !after.superseded => {
            let last = last.map_or("no status".to_owned(), |status| status.to_string());
            Some((
                Check::NeverReady,
                format!(
                    "left with {end} (\"I was fenced\") before it led; its last word was {last}, still missing: {IsLeader}"
                ),
            ))
        }
        EndMeaning::Crash if after.led && after.replaced => Some((
            Check::IllegalTransition,
            format!("was fenced and left with {end}, which does not say so"),
        )),
        // Until it is promoted, whoever leads must not notice it: then everything can still be called off.
        EndMeaning::Crash
            if after.led
                && after.coming_up
                && !matches!(end, ProcessEnd::Signal(signal) if FROM_OUTSIDE.contains(&signal)) =>
        {
            Some((
                Check::IllegalTransition,
                format!(
                    "led and crashed ({end}) while a higher generation was coming up, which must not touch it"
                ),
            ))
        }
        // One crash alone is no finding, and a loop is told by its own event.
        EndMeaning::Fenced | EndMeaning::Restart | EndMeaning::Crash => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Events, events, plan};
    use changeover_model::event::{PromoteResult, StopReason};

    fn checks(build: impl FnOnce(&mut Events)) -> Vec<(Check, Option<u32>)> {
        let mut e = events();
        build(&mut e);
        judge(&Steps::of(&plan(2)), &e.list)
            .into_iter()
            .map(|f| (f.check, f.step))
            .collect()
    }

    const ILLEGAL: (Check, Option<u32>) = (Check::IllegalTransition, Some(1));

    /// The first service leads.
    fn first(e: &mut Events) -> &mut Events {
        e.step(0).on(0).status(Initializing).status(IsLeader);
        e.step(1)
    }

    /// The second is ready.
    fn ready(e: &mut Events) -> &mut Events {
        first(e).on(1).status(Initializing).status(ReadyToPromote)
    }

    #[test]
    fn a_plain_upgrade_is_legal() {
        let found = checks(|e| {
            ready(e).promote().status(Promoting);
            e.on(0).seen(StatusSeen::Unreachable).exit(0);
            e.on(1).exit(166).seen(StatusSeen::Unreachable);
            e.status(Initializing).status(IsLeader);
            // Restarts of the leader.
            e.exit(101).status(Initializing).status(IsLeader);
            // The next one restarts while catching up, because of DDL.
            e.step(2).on(2).status(Initializing).exit(166);
            e.status(Initializing).status(ReadyToPromote).promote();
            // Polling missed some.
            e.exit(166).status(IsLeader);
            e.on(1).exit(166).status(Initializing).exit(0);
        });
        assert_eq!(found, []);
    }

    #[test]
    fn the_table_of_arrows() {
        let who = |first, promoted, led| Standing {
            first,
            promoted,
            led,
        };
        let new = who(false, false, false);
        let told = who(false, true, false);
        let leader = who(false, true, true);
        let arrows = |standing: Standing| {
            let froms = [
                None,
                Some(Initializing),
                Some(ReadyToPromote),
                Some(Promoting),
                Some(IsLeader),
            ];
            froms.map(|from| {
                DeploymentStatus::ALL
                    .into_iter()
                    .filter(|to| from != Some(*to) && arrow(from, *to, standing))
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            arrows(new),
            [
                vec![Initializing, ReadyToPromote],
                vec![ReadyToPromote],
                vec![],
                vec![IsLeader],
                vec![],
            ]
        );
        assert_eq!(
            arrows(told),
            [
                vec![Initializing, ReadyToPromote, Promoting, IsLeader],
                vec![ReadyToPromote, Promoting, IsLeader],
                vec![Promoting, IsLeader],
                vec![IsLeader],
                vec![],
            ]
        );
        assert_eq!(
            arrows(leader),
            [
                vec![Initializing, IsLeader],
                vec![IsLeader],
                vec![Promoting, IsLeader],
                vec![IsLeader],
                vec![],
            ]
        );
        assert_eq!(
            arrows(who(true, false, false))[1],
            [ReadyToPromote, IsLeader]
        );
    }

    #[test]
    fn a_leader_does_not_initialise_again_without_a_restart() {
        let found = checks(|e| {
            first(e).on(0).status(Initializing);
        });
        assert_eq!(found, [ILLEGAL]);
        // Unreachable in between is no restart.
        let found = checks(|e| {
            first(e)
                .on(0)
                .seen(StatusSeen::Unreachable)
                .status(Initializing);
        });
        assert_eq!(found, [ILLEGAL]);
        let found = checks(|e| {
            first(e).on(0).exit(101).status(Initializing);
        });
        assert_eq!(found, []);
    }

    #[test]
    fn nobody_leads_without_a_promotion() {
        for from in [None, Some(Initializing), Some(ReadyToPromote)] {
            let found = checks(|e| {
                first(e).on(1);
                if let Some(from) = from {
                    e.status(from);
                }
                e.status(IsLeader);
            });
            assert_eq!(found, [ILLEGAL], "{from:?}");
        }
        assert_eq!(
            checks(|e| {
                ready(e).promote().status(IsLeader);
            }),
            []
        );
    }

    #[test]
    fn an_answer_recorded_after_its_process_ended_is_no_transition() {
        let found = checks(|e| {
            ready(e).promote().exit(166).status(Promoting);
            e.status(Initializing).status(IsLeader);
        });
        assert_eq!(found, []);
        // But only the first answer of a life can be such.
        let found = checks(|e| {
            ready(e).promote().exit(166).status(Promoting);
            e.status(Initializing).status(IsLeader).status(Initializing);
        });
        assert_eq!(found, [ILLEGAL]);
    }

    #[test]
    fn a_leader_exits_0_only_after_a_promotion() {
        assert_eq!(
            checks(|e| {
                first(e).on(0).exit(0);
            }),
            [ILLEGAL]
        );
        assert_eq!(
            checks(|e| {
                ready(e).on(0).exit(0);
            }),
            [ILLEGAL]
        );
        assert_eq!(
            checks(|e| {
                ready(e).promote().on(0).exit(0);
            }),
            []
        );
    }

    #[test]
    fn a_promotion_that_was_refused_never_took_place() {
        let answers = |refused: &'static [&'static str]| {
            move |e: &mut Events| {
                ready(e);
                for answer in refused {
                    let result = PromoteResult::Refused((*answer).to_owned());
                    e.promote().push(EventKind::PromoteDone { result });
                }
            }
        };
        let refused = answers(&["400: not ready", "connection refused: not sent"]);
        // The old leader was not fenced by it.
        let found = checks(|e| {
            refused(e);
            e.on(0).exit(0);
        });
        assert_eq!(found, [ILLEGAL]);
        // And the new one leads unpromoted, also if that was seen before the refusal was recorded.
        let mut e = events();
        refused(&mut e);
        e.status(IsLeader);
        let found = judge(&Steps::of(&plan(2)), &e.list);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .message
                .contains("although its promotion had been refused"),
            "{}",
            found[0].message
        );
        let found = checks(|e| {
            ready(e).promote().status(IsLeader);
            let result = PromoteResult::Refused("400: not ready".to_owned());
            e.push(EventKind::PromoteDone { result });
        });
        assert_eq!(found, [ILLEGAL]);
        // Of two attempts, one may have taken place.
        for results in [
            [
                PromoteResult::Lost,
                PromoteResult::Refused("400: initializing".to_owned()),
            ],
            [
                PromoteResult::Refused("400: initializing".to_owned()),
                PromoteResult::Acknowledged,
            ],
        ] {
            let found = checks(|e| {
                ready(e);
                for result in results {
                    e.promote().push(EventKind::PromoteDone { result });
                }
                e.on(0).exit(0).on(1).status(IsLeader);
            });
            assert_eq!(found, []);
        }
        // An answer that the protocol does not know leaves open what was done.
        let found = checks(|e| {
            let result = PromoteResult::Unclear("201: done".to_owned());
            ready(e).promote().push(EventKind::PromoteDone { result });
            e.on(0).exit(0).on(1).status(IsLeader);
        });
        assert_eq!(found, []);
    }

    #[test]
    fn a_fenced_leader_leaves_with_0() {
        let end = |codes: &'static [i32]| {
            checks(move |e| {
                ready(e).promote();
                for &code in codes {
                    e.on(0).exit(code);
                }
                e.on(1).exit(166).status(IsLeader);
            })
        };
        assert_eq!(end(&[0]), []);
        assert_eq!(end(&[166, 0]), []);
        assert_eq!(end(&[101]), [ILLEGAL]);
        // Stopped by us.
        let stopped = checks(|e| {
            ready(e).promote().status(IsLeader);
            e.on(0).push(EventKind::ProcessEnded {
                end: ProcessEnd::Signal(9),
                meaning: EndMeaning::Crash,
                by_us: true,
                by_fault: false,
            });
        });
        assert_eq!(stopped, []);
        // A crash before any promotion, or when nobody took over, is only a crash.
        let crashed = checks(|e| {
            ready(e)
                .on(0)
                .exit(101)
                .status(Initializing)
                .status(IsLeader);
            e.on(1).promote().on(0).exit(101);
        });
        assert_eq!(crashed, []);
    }

    #[test]
    fn a_leader_must_not_crash_of_the_next_one() {
        let crash = |code: ProcessEnd, promoted: bool| {
            checks(move |e| {
                first(e).on(1).push(EventKind::SpawnDone { pid: 7 });
                if promoted {
                    e.promote();
                }
                e.on(0).end(code, EndMeaning::Crash);
            })
        };
        assert_eq!(crash(ProcessEnd::Code(101), false), [ILLEGAL]);
        assert_eq!(crash(ProcessEnd::Signal(6), false), [ILLEGAL]);
        // Killed from outside; or after the promotion, when what counts is who leads in the end.
        assert_eq!(crash(ProcessEnd::Signal(9), false), []);
        assert_eq!(crash(ProcessEnd::Code(101), true), []);
        // With no other generation about, or one that was given up, it is a crash and nothing else.
        let alone = checks(|e| {
            first(e).on(0).exit(101);
            e.on(1).push(EventKind::SpawnDone { pid: 7 });
            e.push(EventKind::StopIntent {
                reason: StopReason::StepFailed,
            });
            e.on(0).exit(101);
        });
        assert_eq!(alone, []);
        // The one that comes up may crash: it leads nobody.
        let itself = checks(|e| {
            first(e)
                .on(1)
                .push(EventKind::SpawnDone { pid: 7 })
                .exit(101);
        });
        assert_eq!(itself, []);
    }

    #[test]
    fn a_code_means_what_the_target_says() {
        let left = |meaning| {
            checks(|e| {
                ready(e).promote();
                e.on(0).end(ProcessEnd::Code(42), meaning);
                e.on(1).status(IsLeader);
            })
        };
        assert_eq!(left(EndMeaning::Fenced), []);
        assert_eq!(left(EndMeaning::Crash), [ILLEGAL]);
        // 0 is no fence to a target that does not say so.
        let crashed = checks(|e| {
            first(e).on(0).end(ProcessEnd::Code(0), EndMeaning::Crash);
        });
        assert_eq!(crashed, []);
    }

    #[test]
    fn leaving_as_fenced_before_leading_is_never_ready() {
        let found = checks(|e| {
            ready(e).on(1).exit(0);
        });
        assert_eq!(found, [(Check::NeverReady, Some(1))]);
        let found = checks(|e| {
            e.step(0).on(0).exit(0);
        });
        assert_eq!(found, [(Check::NeverReady, Some(0))]);
        let found = checks(|e| {
            ready(e).on(1).exit(166).exit(101);
        });
        assert_eq!(found, []);
        // Passed over by a higher one: fenced, and right to leave.
        let found = checks(|e| {
            ready(e).step(2).on(2).status(ReadyToPromote).promote();
            e.on(1).exit(0);
        });
        assert_eq!(found, []);
    }
}
