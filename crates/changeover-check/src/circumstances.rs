//! What broke around an upgrade by itself. What follows from that is not the upgrade's to answer for, and nobody knows
//! what it would have done without: the run is inconclusive.
//!
//! Two things count. The metadata store went away, and no planned fault did it. And the kernel's table of tracked
//! connections was nearly full: then it drops packets of new connections, whoever they are for, and tells nobody.

use crate::stats::seconds;
use crate::timeline::Timeline;
use changeover_model::check::{Check, Severity};
use changeover_model::event::{Event, EventKind};
use changeover_model::fault::{Fault, Subject};
use changeover_model::verdict::Finding;

/// From so many tenths on, a table of connections is nearly full. It is looked at once a second, or more often, and a
/// rehearsal cannot open a tenth of the smallest table that is usual (65,536) in that time.
const NEARLY_FULL: u64 = 9;

/// What a database may do that lost its metadata store, or that cannot be reached, without being to blame. What it
/// lost, doubled or made up is not among it, and neither are two leaders.
const EXCUSED: [Check; 12] = [
    Check::OldLeaderLingered,
    Check::CrashLoop,
    Check::PromotionLost,
    Check::NeverReady,
    Check::FreshnessStall,
    Check::LatencyCliff,
    Check::ClientHang,
    Check::IllegalTransition,
    Check::FaultBroken,
    Check::AbortNoticed,
    Check::Budget,
    // What it made in a store cannot be removed when that is gone.
    Check::Leftovers,
];

/// Something that broke by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    /// When it was last known to be well.
    since: u64,
    /// When it was well again.
    until: Option<u64>,
    /// What it is called in a finding that is excused.
    name: &'static str,
    /// Why the run is in doubt.
    doubt: String,
}

/// All that broke by itself in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Circumstances(Vec<Trouble>);

impl Circumstances {
    /// Those that the events tell of, which must be in their order.
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut troubles = lost_stores(events);
        troubles.extend(full_tables(events));
        Circumstances(troubles)
    }

    /// Why the run is in doubt.
    pub(crate) fn doubts(&self) -> Vec<String> {
        self.0.iter().map(|one| one.doubt.clone()).collect()
    }

    /// Makes warnings of errors for which the trouble may be the reason: those of steps that it fell into, and those
    /// that belong to no step.
    pub(crate) fn excuse<'a>(
        &self,
        findings: impl Iterator<Item = &'a mut Finding>,
        timeline: &Timeline,
    ) {
        let mut errors: Vec<&mut Finding> = findings
            .filter(|finding| {
                finding.severity == Severity::Error && EXCUSED.contains(&finding.check)
            })
            .collect();
        for trouble in &self.0 {
            let first = timeline.step_at(trouble.since).unwrap_or(0);
            let last = match trouble.until {
                Some(until) => timeline.step_at(until).unwrap_or(first),
                None => u32::MAX,
            };
            let within = |finding: &Finding| {
                finding
                    .step
                    .is_none_or(|step| (first..=last).contains(&step))
            };
            for finding in errors.extract_if(.., |finding| within(finding)) {
                finding.severity = Severity::Warning;
                finding.message = format!(
                    "{}; {}, so it is not held against the upgrade",
                    finding.message, trouble.name
                );
            }
        }
    }
}

/// The times at which the metadata store was away and no fault explains it.
fn lost_stores(events: &[Event]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let EventKind::MetadataStoreLost {
            addr,
            since,
            reason,
        } = &event.kind
        else {
            continue;
        };
        if broken_on_purpose(events, *since, event.at) {
            continue;
        }
        let back = events[index..]
            .iter()
            .find(|later| matches!(later.kind, EventKind::MetadataStoreBack { .. }));
        troubles.push(Trouble {
            since: *since,
            until: back.map(|event| event.at),
            name: "the metadata store had gone away by itself",
            doubt: format!(
                "the metadata store at {addr} went away by itself between {:.3} s and {:.3} s of the run ({reason}), so what followed says nothing about the upgrade",
                seconds(*since),
                seconds(event.at)
            ),
        });
    }
    troubles
}

/// Whether a fault on the metadata store lasted at any time between these moments.
fn broken_on_purpose(events: &[Event], since: u64, at: u64) -> bool {
    let over = |wanted: &Fault| {
        events.iter().find_map(|event| match &event.kind {
            EventKind::FaultOver { fault, .. } if fault == wanted => Some(event.at),
            _ => None,
        })
    };
    events.iter().any(|event| match &event.kind {
        EventKind::FaultIntent { fault, .. } if fault.subject == Subject::MetadataStore => {
            event.at <= at && over(fault).is_none_or(|over| since <= over)
        }
        _ => false,
    })
}

/// The times at which the table of connections was nearly full.
fn full_tables(events: &[Event]) -> Vec<Trouble> {
    let mut troubles: Vec<Trouble> = Vec::new();
    let mut open = false;
    for event in events {
        let EventKind::ConnectionsTracked { count, most } = event.kind else {
            continue;
        };
        let full = count.saturating_mul(10) >= most.saturating_mul(NEARLY_FULL);
        match (open, full) {
            (false, true) => troubles.push(Trouble {
                since: event.at,
                until: None,
                name: "the kernel's table of connections was nearly full",
                doubt: format!(
                    "the kernel's table of connections was nearly full at {:.3} s of the run ({count} of {most}), and drops new connections then, whoever they are for; raise net.netfilter.nf_conntrack_max",
                    seconds(event.at)
                ),
            }),
            (true, false) => {
                if let Some(trouble) = troubles.last_mut() {
                    trouble.until = Some(event.at);
                }
            }
            _ => {}
        }
        open = full;
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Events, events};

    const S: u64 = 1_000_000_000;

    fn lost(since: u64) -> EventKind {
        EventKind::MetadataStoreLost {
            addr: "h:1".to_owned(),
            since,
            reason: "refused".to_owned(),
        }
    }

    fn back() -> EventKind {
        EventKind::MetadataStoreBack {
            addr: "h:1".to_owned(),
        }
    }

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    fn intent(text: &str) -> EventKind {
        EventKind::FaultIntent {
            fault: fault(text),
            before: "well".to_owned(),
        }
    }

    fn over(text: &str) -> EventKind {
        EventKind::FaultOver {
            fault: fault(text),
            after: "well".to_owned(),
            evidence: None,
        }
    }

    fn doubts(build: impl FnOnce(&mut Events)) -> Vec<String> {
        let mut e = events();
        build(&mut e);
        Circumstances::of(&e.list).doubts()
    }

    #[test]
    fn a_store_that_goes_away_by_itself_is_named_with_its_time() {
        let doubts = doubts(|e| {
            e.at(4 * S).push(lost(3 * S));
        });
        assert_eq!(
            doubts,
            [
                "the metadata store at h:1 went away by itself between 3.000 s and 4.000 s of the run (refused), so what followed says nothing about the upgrade"
            ]
        );
    }

    #[test]
    fn a_store_that_a_fault_took_away_is_no_doubt() {
        let kill = "1:metadata-store:kill@ready";
        assert!(
            doubts(|e| {
                e.at(3 * S).push(intent(kill)).at(4 * S).push(lost(2 * S));
                e.at(5 * S).push(over(kill)).push(back());
            })
            .is_empty()
        );
        // The same fault, long over; a fault that came later; and one on somebody else.
        assert_eq!(
            doubts(|e| {
                e.at(3 * S).push(intent(kill)).at(4 * S).push(over(kill));
                e.at(9 * S).push(lost(8 * S));
            })
            .len(),
            1
        );
        assert_eq!(
            doubts(|e| {
                e.at(3 * S).push(lost(2 * S)).at(4 * S).push(intent(kill));
            })
            .len(),
            1
        );
        assert_eq!(
            doubts(|e| {
                e.at(3 * S).push(intent("1:new:kill@ready"));
                e.at(4 * S).push(lost(2 * S));
            })
            .len(),
            1
        );
    }

    #[test]
    fn a_table_of_connections_is_nearly_full_from_nine_tenths_on() {
        let tracked = |count| EventKind::ConnectionsTracked { count, most: 100 };
        assert!(
            doubts(|e| {
                e.at(S).push(tracked(50)).push(tracked(89));
            })
            .is_empty()
        );
        let doubts = doubts(|e| {
            e.at(S).push(tracked(90)).at(2 * S).push(tracked(100));
        });
        assert_eq!(doubts.len(), 1);
        assert!(
            doubts[0].contains("at 1.000 s of the run (90 of 100)"),
            "{doubts:?}"
        );
    }

    #[test]
    fn only_what_may_follow_from_the_trouble_is_excused() {
        let mut e = events();
        e.step(1).at(S).started().at(2 * S).ended(true);
        e.step(2).at(3 * S).started().at(4 * S).push(lost(3 * S));
        e.at(5 * S).push(back()).at(6 * S).ended(true);
        e.step(3).at(7 * S).started().at(8 * S).ended(true);
        let timeline = Timeline::new(&e.list);
        let finding = |check, step| Finding {
            check,
            severity: Severity::Error,
            step,
            message: "so".to_owned(),
            evidence: serde_json::Value::Null,
        };
        let mut findings = [
            finding(Check::NeverReady, Some(2)),
            finding(Check::Budget, None),
            finding(Check::LostWrite, Some(2)),
            finding(Check::TwoLeaders, Some(2)),
            finding(Check::Budget, Some(1)),
            finding(Check::Budget, Some(3)),
        ];
        Circumstances::of(&e.list).excuse(findings.iter_mut(), &timeline);
        let excused: Vec<bool> = findings
            .iter()
            .map(|finding| finding.severity == Severity::Warning)
            .collect();
        assert_eq!(excused, [true, true, false, false, false, false]);
        assert_eq!(
            findings[0].message,
            "so; the metadata store had gone away by itself, so it is not held against the upgrade"
        );
    }
}
