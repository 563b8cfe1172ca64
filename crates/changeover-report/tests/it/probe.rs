//! What people read of a probe.

use crate::golden;
use changeover_model::event::{Event, EventKind, StatusSeen};
use changeover_model::format::Kind;
use changeover_model::history::{Class, Connection};
use changeover_model::probe::{LaneReport, Moment, ProbeReport, SeenGap};
use changeover_model::status::DeploymentStatus;
use changeover_model::verdict::{
    FreshnessReport, GapReport, OperationCounts, StepReport, Verdict, VerdictOutcome,
};
use changeover_model::version::PathVersion;
use changeover_report::{Look, human, plain, summary};
use std::collections::BTreeMap;

fn errors() -> BTreeMap<String, u64> {
    [("other 57P03".to_owned(), 2), ("refused".to_owned(), 5)].into()
}

fn lane(lane: &str) -> LaneReport {
    LaneReport {
        lane: lane.to_owned(),
        total: 2400,
        ok: 2391,
        fail: 7,
        unknown: 2,
        errors: errors(),
        p50_ms: Some(1.2),
        p99_ms: Some(17.25),
        max_ms: Some(1630.0),
    }
}

fn gap(lane: Option<&str>, class: Class, connection: Connection) -> GapReport {
    GapReport {
        class,
        connection,
        longest_ms: Some(1830.0),
        total_ms: 1830.0,
        count: 1,
        unexplained_ms: None,
        resolution_ms: 251.0,
        lane: lane.map(str::to_owned),
        spans: Vec::new(),
    }
}

fn seen(lane: &str, from_s: f64, ended: bool) -> SeenGap {
    SeenGap {
        lane: lane.to_owned(),
        from_s,
        ms: 1830.0,
        resolution_ms: 251.0,
        ended,
        errors: errors(),
    }
}

fn moment(at_s: f64, who: &str, what: &str) -> Moment {
    Moment {
        at_s,
        who: who.to_owned(),
        what: what.to_owned(),
    }
}

fn probed() -> Verdict {
    Verdict {
        format: Kind::Verdict.mark(),
        outcome: VerdictOutcome::Pass,
        reasons: Vec::new(),
        run: "20261122T120000Z-0a1b2c".to_owned(),
        seed: String::new(),
        target: "probe".to_owned(),
        runtime: "attached".to_owned(),
        path: Vec::new(),
        steps: vec![StepReport {
            number: 1,
            from: PathVersion::Current,
            to: PathVersion::Current,
            service: "postgres://me@h:5432/d".to_owned(),
            deploy_generation: 0,
            called_off: None,
            phases: Vec::new(),
            gaps: vec![
                gap(None, Class::Write, Connection::Held),
                gap(Some("sql-1"), Class::Read, Connection::Held),
            ],
            freshness: FreshnessReport {
                p50_ms: None,
                max_ms: None,
            },
            latency: Vec::new(),
        }],
        findings: Vec::new(),
        budgets: Vec::new(),
        operations: OperationCounts {
            total: 4800,
            ok: 4782,
            fail: 14,
            unknown: 4,
            acknowledged_writes: Some(2391),
        },
        faults: Vec::new(),
        point_of_no_return: Vec::new(),
        repeat: None,
        control: None,
        skipped: Vec::new(),
        reproduce: "changeover probe postgres://me@h:5432/d".to_owned(),
        probe: Some(ProbeReport {
            endpoint: "postgres://me@h:5432/d".to_owned(),
            began_s: 0.05,
            lasted_ms: 600_000.0,
            probe_interval_ms: 250,
            lanes: vec![lane("write/held"), lane("sql-1/held")],
            gaps: vec![
                seen("write/held", 301.25, true),
                seen("sql-1/held", 598.2, false),
            ],
            gaps_not_listed: 0,
            moments: vec![
                moment(0.1, "h:6878", "ReadyToPromote"),
                moment(301.0, "marker", "promoted \u{1b}[31m"),
                moment(302.0, "h:6878", "IsLeader"),
            ],
            moments_not_listed: 3,
        }),
    }
}

#[test]
fn a_probe_with_all_that_happened_beside_it() {
    golden("probe.txt", &human::render(&probed(), Look::PLAIN));
    golden("probe.md", &changeover_report::markdown::render(&probed()));
}

#[test]
fn one_that_writes_nothing_claims_nothing_about_writes() {
    let mut verdict = probed();
    verdict.steps[0].gaps.remove(0);
    assert_eq!(
        summary::sentence(&verdict),
        "postgres://me@h:5432/d: passed. Nothing written, reads 1.83 s; 4,782 operations acknowledged. Reproduce: \
         changeover probe postgres://me@h:5432/d"
    );
}

#[test]
fn its_lines_tell_when_a_gap_opens_and_closes() {
    let event = |at_ms: u64, slot: Option<&str>, kind| Event {
        seq: 1,
        at: at_ms * 1_000_000,
        kind,
        step: None,
        slot: slot.map(str::to_owned),
        generation: None,
    };
    let lane = "write/held".to_owned();
    let since = 301_250_000_000;
    let status = |seen| EventKind::StatusSeen { seen, polls: 1 };
    let events = [
        event(
            1,
            None,
            EventKind::ProbeStarted {
                endpoint: "postgres://me@h:5432/d".to_owned(),
                cost: "5 lanes".to_owned(),
            },
        ),
        event(5, Some("h:6878"), status(StatusSeen::Unreachable)),
        event(
            300_000,
            Some("h:6878"),
            status(StatusSeen::Status(DeploymentStatus::IsLeader)),
        ),
        event(
            301_760,
            None,
            EventKind::GapOpened {
                lane: lane.clone(),
                since,
            },
        ),
        event(
            303_085,
            None,
            EventKind::GapClosed {
                lane,
                since,
                until: since + 1_830_000_000,
                errors: errors(),
            },
        ),
        event(
            304_000,
            None,
            EventKind::Marker {
                name: "promoted \u{1b}[31m".to_owned(),
            },
        ),
        event(
            599_000,
            None,
            EventKind::ProbeEnding {
                reason: "SIGINT".to_owned(),
            },
        ),
        event(599_500, None, EventKind::CleanUpDone { left: None }),
        event(
            600_000,
            None,
            EventKind::CleanUpDone {
                left: Some("what the probe wrote could not be removed".to_owned()),
            },
        ),
    ];
    let lines: Vec<String> = events.iter().filter_map(plain::line).collect();
    golden("probe-lines.txt", &(lines.join("\n") + "\n"));
}
