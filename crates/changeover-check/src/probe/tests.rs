use super::*;
use crate::testing::{MS, add, ended, events, full_read, in_lane, operation, read};
use changeover_model::check::Check;
use changeover_model::event::StatusSeen;
use changeover_model::history::{Connection, OpError};
use changeover_model::status::DeploymentStatus;
use changeover_model::verdict::VerdictOutcome;
use std::collections::BTreeMap;

const END_MS: u64 = 10_000;

/// An endpoint with a table and one query of the user's own, asked every 100 ms.
fn probe() -> Probe {
    Probe {
        format: Kind::Probe.mark(),
        endpoint: Some("postgres://me@h:5432/d".to_owned()),
        probe_interval_ms: 100,
        timeout_ms: 2000,
        write_table: Some("changeover_probe".to_owned()),
        sql: vec!["SELECT 1".to_owned()],
        http: Vec::new(),
        leader_apis: Vec::new(),
        budgets: BTreeMap::new(),
        lasts_ms: None,
        reproduce: "changeover probe".to_owned(),
    }
}

fn of(lane: LaneId, n: u64) -> Operation {
    let key = format!("p.lane.{}.{}", lane.connection.name(), n / 100);
    let times = (n * 100 * MS, (n * 100 + 3) * MS);
    let element = n as i64;
    let operation = match (lane.own, lane.class) {
        (Some(own), _) => operation(Op::Query, 1, &own.to_string(), times),
        (_, Class::Write) => add(1, &key, element, times),
        (_, Class::Read) => read(
            2,
            &key,
            &(element / 100 * 100..element).collect::<Vec<_>>(),
            times,
        ),
        (_, Class::Connect) => Operation {
            key: None,
            ..operation(Op::Connect, 3, "", times)
        },
    };
    in_lane(operation, lane.class, lane.connection)
}

/// What every probe has: the lanes up to the end, and everything read back.
fn judged(probe: &Probe, change: impl Fn(LaneId, u64, Operation) -> Operation) -> Verdict {
    let mut judge = ProbeJudge::new(probe, "r1");
    let mut e = events();
    e.at_ms(0)
        .push(EventKind::LoadIntent)
        .push(EventKind::LoadDone);
    e.at_ms(4000).push(EventKind::Marker {
        name: "promoted".to_owned(),
    });
    e.at_ms(4100).push(EventKind::StatusSeen {
        seen: StatusSeen::Status(DeploymentStatus::IsLeader),
        polls: 1,
    });
    e.at_ms(END_MS)
        .push(EventKind::LoadEndIntent)
        .push(EventKind::LoadEndDone);
    e.push(EventKind::FullReadIntent { keys: 2 });
    e.push(EventKind::FullReadDone { unread: 0 })
        .push(EventKind::RunEnded);
    for event in &e.list {
        judge.event(event);
    }
    let count = END_MS / 100;
    for lane in probe.lanes() {
        let mut all: Vec<_> = (0..count).map(|n| change(lane, n, of(lane, n))).collect();
        all.sort_by_key(|o| o.ended);
        for operation in &all {
            judge.operation(operation);
        }
    }
    for connection in ["held", "new"] {
        let all: Vec<i64> = (0..count as i64).collect();
        let times = (END_MS * MS + 1, END_MS * MS + 2);
        judge.operation(&full_read(&format!("p.lane.{connection}.0"), &all, times));
    }
    judge.finish()
}

fn unchanged(_: LaneId, _: u64, operation: Operation) -> Operation {
    operation
}

fn refused(operation: Operation) -> Operation {
    Operation {
        error: Some(OpError {
            kind: ErrorKind::Refused,
            sqlstate: None,
        }),
        ..ended(operation, Outcome::Fail)
    }
}

/// All lanes refused in these operations; of the writes nobody knows, as the full read shows them all.
fn outage(from: u64, to: u64) -> impl Fn(LaneId, u64, Operation) -> Operation {
    move |lane, n, operation| match ((from..to).contains(&n), lane.class) {
        (false, _) => operation,
        (true, Class::Write) => ended(refused(operation), Outcome::Unknown),
        (true, _) => refused(operation),
    }
}

#[test]
fn a_healthy_endpoint_passes_with_a_row_a_lane() {
    let verdict = judged(&probe(), unchanged);
    assert_eq!(
        verdict.outcome,
        VerdictOutcome::Pass,
        "{:?}",
        verdict.reasons
    );
    assert_eq!((verdict.target.as_str(), verdict.path.len()), ("probe", 0));
    assert_eq!(verdict.operations.total, 600);
    assert_eq!(verdict.operations.acknowledged_writes, Some(200));
    let step = &verdict.steps[0];
    assert_eq!(step.gaps.len(), 6);
    assert_eq!(step.gaps[5].lane.as_deref(), Some("sql-1"));
    assert_eq!(
        (step.gaps[0].longest_ms, step.gaps[0].count),
        (Some(103.0), 0)
    );
    let read = &step.latency[0];
    assert_eq!(
        (read.p50_ms, read.p99_ms, read.max_ms),
        (Some(3.0), None, Some(3.0))
    );
    let report = verdict.probe.unwrap();
    assert_eq!(report.lanes[5].lane, "sql-1/held");
    assert_eq!((report.lanes[5].ok, report.lasted_ms), (100, 10_000.0));
    let moments: Vec<&str> = report.moments.iter().map(|m| m.what.as_str()).collect();
    assert_eq!(moments, ["promoted", "IsLeader"]);
}

#[test]
fn a_gap_is_told_and_only_a_budget_makes_it_a_failure() {
    let mut probe = probe();
    let verdict = judged(&probe, outage(40, 50));
    assert_eq!(
        verdict.outcome,
        VerdictOutcome::Pass,
        "{:?}",
        verdict.reasons
    );
    let report = verdict.probe.unwrap();
    assert_eq!(report.gaps.len(), 6);
    let gap = &report.gaps[0];
    assert_eq!(
        (gap.from_s, gap.ms, gap.resolution_ms),
        (3.9, 1103.0, 100.0)
    );
    assert_eq!(gap.errors, [("refused".to_owned(), 10)].into());

    probe.budgets = [
        ("read-gap".to_owned(), 1000.0),
        ("write-gap".to_owned(), 2000.0),
    ]
    .into();
    let verdict = judged(&probe, outage(40, 50));
    assert_eq!(verdict.outcome, VerdictOutcome::Fail);
    let outcomes: Vec<_> = verdict.budgets.iter().map(|b| b.outcome).collect();
    assert_eq!(outcomes, [VerdictOutcome::Fail, VerdictOutcome::Pass]);
    // Both lanes that read, and the user's own.
    let lanes: Vec<&str> = verdict
        .findings
        .iter()
        .map(|f| f.message.as_str())
        .collect();
    assert_eq!(lanes.len(), 3, "{lanes:?}");
    assert!(
        lanes
            .iter()
            .any(|m| m.starts_with("lane sql-1/held had no success for 1103 ms"))
    );
    assert!(verdict.findings.iter().all(|f| f.step.is_none()));
}

#[test]
fn a_lane_that_did_not_recover_or_never_was_served_fails_without_a_budget() {
    let verdict = judged(&probe(), outage(40, 1000));
    assert_eq!(verdict.outcome, VerdictOutcome::Fail);
    assert!(
        verdict.reasons[0].contains("the outage has no measured end"),
        "{:?}",
        verdict.reasons
    );
    assert!(verdict.probe.unwrap().gaps.iter().all(|gap| !gap.ended));
    let never = judged(&probe(), |lane, _, operation| match lane.class {
        Class::Connect => refused(operation),
        _ => operation,
    });
    assert_eq!(never.outcome, VerdictOutcome::Fail);
    assert_eq!(
        never.reasons,
        ["budget: lane connect/new had no success at all in 100 operations"]
    );
    assert_eq!(never.steps[0].gaps[4].longest_ms, None);
}

#[test]
fn a_machine_that_is_late_makes_it_doubtful() {
    let late = |often: u64| {
        judged(&probe(), move |lane, n, operation| Operation {
            lateness: Some(match lane.connection == Connection::New && n % often == 0 {
                true => 150 * MS,
                false => 0,
            }),
            ..operation
        })
    };
    assert_eq!(late(25).outcome, VerdictOutcome::Pass);
    let verdict = late(10);
    assert_eq!(verdict.outcome, VerdictOutcome::Inconclusive);
    assert!(
        verdict.reasons[0]
            .contains("10 of 100 operations of lane read/new left more than one interval late")
    );
}

#[test]
fn what_is_missing_on_record_is_a_doubt() {
    let judge = ProbeJudge::new(&probe(), "r1");
    let verdict = judge.finish();
    assert_eq!(verdict.outcome, VerdictOutcome::Inconclusive);
    assert!(verdict.reasons[0].contains("its events stop before its end"));
    assert!(verdict.reasons[1].contains("nothing was measured"));

    let half = judged(&probe(), |lane, n, operation| match (lane.own, n % 3) {
        // As if another lane had sent them.
        (Some(_), 0 | 1) => Operation {
            source: Some(Source::Workload),
            ..operation
        },
        _ => operation,
    });
    assert!(
        half.reasons
            .iter()
            .any(|r| r.contains("lane sql-1/held sent only 33 of about 100")),
        "{:?}",
        half.reasons
    );
}

#[test]
fn a_write_that_was_acknowledged_and_is_gone_fails() {
    let mut judge = ProbeJudge::new(&probe(), "r1");
    let lane = LaneId::new(Class::Write, Connection::Held);
    judge.operation(&of(lane, 7));
    judge.operation(&full_read(
        "p.lane.held.0",
        &[],
        (9 * END_MS * MS, 9 * END_MS * MS + 1),
    ));
    let verdict = judge.finish();
    assert_eq!(verdict.outcome, VerdictOutcome::Fail);
    assert_eq!(verdict.findings[0].check, Check::LostWrite);
}
