//! Who leads: two at once, or one that writes too early.

use super::{Steps, error, instance, shown};
use crate::findings::{Case, Cases};
use crate::stats::seconds;
use changeover_model::check::Check;
use changeover_model::event::{Event, EventKind, StatusSeen};
use changeover_model::status::DeploymentStatus;
use changeover_model::verdict::Finding;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A write of a direct observer that the instance acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedWrite {
    /// The instance's slot.
    pub(crate) slot: Option<String>,
    /// The instance's generation.
    pub(crate) generation: u64,
    /// The process number of the observer.
    pub(crate) process: u64,
    /// The key written to.
    pub(crate) key: Option<String>,
    /// What was written.
    pub(crate) value: Value,
    /// When it was sent.
    pub(crate) invoke: u64,
    /// When it was acknowledged.
    pub(crate) returned: Option<u64>,
}

/// Whether an event is an instance saying that it leads.
pub(super) fn says_leader(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::StatusSeen {
            seen: StatusSeen::Status(DeploymentStatus::IsLeader),
            ..
        }
    )
}

pub(super) fn judge(steps: &Steps<'_>, events: &[Event], writes: &[ObservedWrite]) -> Vec<Finding> {
    let mut findings = leader_again(steps, events);
    findings.extend(observed(steps, events, writes));
    findings
}

#[derive(Default)]
struct Instance {
    /// The last promotion sent to it.
    promotion: Option<u64>,
    /// Since when it leads: the last promotion before it was seen leading, or that moment.
    leads_since: Option<u64>,
    /// When it ended, until it is started again.
    ended: Option<u64>,
    /// When it last ended, and was started again, or said something else than `IsLeader`.
    stepped_down: Option<u64>,
}

/// An instance that says `IsLeader` after a higher generation led, and that had ended or said something else since
/// that one's promotion. Without the second part an old leader that has not noticed the fence yet, and is asked now,
/// would be one; it is expected to go within the retire phase. Poller and supervisor run side by side: what is
/// recorded between the end of a process and the start of the next is the old one's last answer. All positions are
/// sequence numbers.
fn leader_again(steps: &Steps<'_>, events: &[Event]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut instances: BTreeMap<u64, Instance> = BTreeMap::new();
    for event in events {
        let Some(generation) = event.generation else {
            continue;
        };
        let since = instances
            .iter()
            .filter(|(g, _)| **g > generation)
            .filter_map(|(_, i)| i.leads_since)
            .max();
        let who = instances.entry(generation).or_default();
        match &event.kind {
            EventKind::PromoteIntent { .. } => who.promotion = Some(event.seq),
            EventKind::ProcessEnded { .. } => who.ended = Some(event.seq),
            EventKind::RestartDone { .. } => {
                who.stepped_down = who.stepped_down.max(who.ended.take());
            }
            EventKind::StatusSeen {
                seen: StatusSeen::Status(DeploymentStatus::IsLeader),
                ..
            } => {
                if who.leads_since.is_none() {
                    who.leads_since = Some(who.promotion.unwrap_or(event.seq));
                }
                if let (Some(since), Some(down)) = (since, who.stepped_down.take())
                    && down > since
                {
                    findings.push(error(
                        Check::TwoLeaders,
                        steps.of_event(event),
                        format!(
                            "{} said IsLeader again after a higher generation had taken over",
                            instance(event)
                        ),
                        shown(&[event]),
                    ));
                }
            }
            EventKind::StatusSeen {
                seen: StatusSeen::Status(_),
                ..
            } => who.stepped_down = Some(event.seq),
            _ => {}
        }
    }
    findings
}

/// Acknowledged writes of direct observers: on a new generation before its promotion was sent, and on an old one
/// after a higher one was seen leading. A write that was still under way when the promotion was sent may have been
/// done by a leader.
fn observed(steps: &Steps<'_>, events: &[Event], writes: &[ObservedWrite]) -> Vec<Finding> {
    let mut promoted: BTreeMap<u64, u64> = BTreeMap::new();
    let mut led: BTreeMap<u64, u64> = BTreeMap::new();
    for event in events {
        let Some(generation) = event.generation else {
            continue;
        };
        if matches!(event.kind, EventKind::PromoteIntent { .. }) {
            promoted.entry(generation).or_insert(event.at);
        }
        if says_leader(event) {
            led.entry(generation).or_insert(event.at);
        }
    }
    let mut cases = Cases::default();
    let mut writes: Vec<&ObservedWrite> = writes.iter().collect();
    writes.sort_by_key(|w| w.invoke);
    for write in writes {
        let generation = write.generation;
        let too_early = !steps.is_first(generation)
            && promoted
                .get(&generation)
                .is_none_or(|&sent| write.returned.is_some_and(|returned| returned < sent));
        if too_early {
            cases.add(
                Check::ReadOnlyWrite,
                steps.of_generation(generation),
                "write acknowledged by a generation whose promotion had not been sent",
                || case(write),
            );
        }
        let successor = led
            .iter()
            .find(|(higher, at)| **higher > generation && write.invoke > **at);
        if let Some((&higher, _)) = successor {
            cases.add(
                Check::TwoLeaders,
                steps.of_generation(higher),
                "write acknowledged by the old leader after the new one had been seen leading",
                || case(write),
            );
        }
    }
    cases.into_findings()
}

fn case(write: &ObservedWrite) -> Case {
    Case {
        words: format!(
            "{} on generation {} at {} s",
            write.value,
            write.generation,
            seconds(write.invoke)
        ),
        evidence: json!({
            "op": "add",
            "process": write.process,
            "slot": write.slot,
            "generation": write.generation,
            "key": write.key,
            "value": write.value,
            "sent_s": seconds(write.invoke),
            "returned_s": write.returned.map(seconds),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Events, events, plan, slot};
    use changeover_model::event::{EndMeaning, ProcessEnd};
    use changeover_model::status::DeploymentStatus::{Initializing, IsLeader, ReadyToPromote};

    fn checks(build: impl FnOnce(&mut Events), writes: &[ObservedWrite]) -> Vec<(Check, u32)> {
        let mut e = events();
        build(&mut e);
        judge(&Steps::of(&plan(2)), &e.list, writes)
            .into_iter()
            .map(|f| (f.check, f.step.unwrap()))
            .collect()
    }

    fn write(generation: u64, invoke: u64) -> ObservedWrite {
        ObservedWrite {
            slot: Some(slot(generation)),
            generation,
            process: 4,
            key: Some("observer".to_owned()),
            value: json!(1),
            invoke,
            returned: Some(invoke + 1),
        }
    }

    /// Generation 1 is promoted at 100 and seen leading at 200.
    fn upgrade(e: &mut Events) -> &mut Events {
        e.at(10).step(0).on(0).status(IsLeader);
        e.at(50).step(1).on(1).status(ReadyToPromote);
        e.at(100).promote().at(200).status(IsLeader)
    }

    #[test]
    fn a_write_before_the_promotion_must_be_refused() {
        let found = |generation, invoke| {
            checks(
                |e| {
                    upgrade(e);
                },
                &[write(generation, invoke)],
            )
        };
        assert_eq!(found(1, 98), [(Check::ReadOnlyWrite, 1)]);
        // Its answer came a moment later: under way when the promotion was sent.
        assert_eq!(found(1, 99), []);
        assert_eq!(found(1, 100), []);
        // Never promoted.
        assert_eq!(found(2, 5000), [(Check::ReadOnlyWrite, 2)]);
        // The first service leads from the start.
        assert_eq!(found(0, 99), []);
    }

    #[test]
    fn a_write_on_the_old_leader_after_the_new_one_leads_makes_two() {
        let found = |invoke| {
            checks(
                |e| {
                    upgrade(e);
                },
                &[write(0, invoke)],
            )
        };
        assert_eq!(found(201), [(Check::TwoLeaders, 1)]);
        assert_eq!(found(200), []);
    }

    #[test]
    fn an_old_leader_that_leads_again_makes_two() {
        let two = [(Check::TwoLeaders, 1)];
        let after_end = checks(
            |e| {
                upgrade(e).on(0).exit(166).restarted().status(IsLeader);
            },
            &[],
        );
        assert_eq!(after_end, two);
        let after_another_status = checks(
            |e| {
                upgrade(e).on(0).status(Initializing).status(IsLeader);
            },
            &[],
        );
        assert_eq!(after_another_status, two);
        // It ended between the promotion and the moment the new one was seen leading.
        let in_between = checks(
            |e| {
                e.step(0).on(0).status(IsLeader);
                e.step(1).on(1).promote();
                e.on(0).push(EventKind::ProcessEnded {
                    end: ProcessEnd::Code(166),
                    meaning: EndMeaning::Restart,
                    by_us: false,
                    by_fault: false,
                });
                e.restarted();
                e.on(1).status(IsLeader).on(0).status(IsLeader);
            },
            &[],
        );
        assert_eq!(in_between, two);
        // The last word of the process before changes nothing about that of the next.
        let both = checks(
            |e| {
                upgrade(e).on(0).exit(166).status(IsLeader);
                e.restarted().status(IsLeader);
            },
            &[],
        );
        assert_eq!(both, two);
    }

    #[test]
    fn an_answer_recorded_after_its_process_ended_is_no_second_leader() {
        let last_word = checks(
            |e| {
                upgrade(e).on(0).exit(0).status(IsLeader);
            },
            &[],
        );
        assert_eq!(last_word, []);
        let restarting = checks(
            |e| {
                upgrade(e).on(0).exit(166).status(IsLeader);
                e.seen(StatusSeen::Unreachable).restarted();
            },
            &[],
        );
        assert_eq!(restarting, []);
    }

    #[test]
    fn an_old_leader_that_has_not_noticed_yet_is_no_second_one() {
        let still = checks(
            |e| {
                upgrade(e).on(0).status(IsLeader);
                e.seen(StatusSeen::Unreachable).status(IsLeader).exit(0);
            },
            &[],
        );
        assert_eq!(still, []);
        // Restarted before the promotion, asked for the first time after it.
        let restarted = checks(
            |e| {
                e.step(0).on(0).status(IsLeader).exit(101).restarted();
                e.step(1).on(1).promote().status(IsLeader);
                e.on(0).status(IsLeader);
            },
            &[],
        );
        assert_eq!(restarted, []);
    }
}
