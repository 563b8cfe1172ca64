use super::*;
use crate::judge::Judge;
use crate::testing::{Events, MS, events, in_lane, plan};
use changeover_model::check::{Check, Severity};
use changeover_model::event::{EndMeaning, Phase, ProcessEnd, RestartReason};
use changeover_model::history::{Class, Connection, Op, Outcome};
use changeover_model::status::DeploymentStatus::{Initializing, IsLeader, ReadyToPromote};
use changeover_model::verdict::{FaultOutcome, Verdict};

/// A run of one step with its quiet windows, in milliseconds: the step goes from 1000 to 2000.
fn run(during: impl FnOnce(&mut Events)) -> Events {
    let mut e = events();
    e.run_wide().at_ms(0).push(EventKind::RunStarted {
        run: "run".to_owned(),
        changeover: "0".to_owned(),
        cores: 2,
    });
    e.step(0).on(0).started().status(IsLeader).ended(true);
    e.run_wide().push(EventKind::LoadIntent);
    e.push(EventKind::LoadDone);
    e.step(1).at_ms(500).quiet(true).at_ms(1000).quiet(false);
    e.on(1).started().phase(Phase::Boot);
    e.at_ms(1010).status(Initializing).phase(Phase::CatchUp);
    e.at_ms(1100).status(ReadyToPromote);
    during(&mut e);
    e.step(1).on(1).at_ms(1900).phase(Phase::Promote).promote();
    e.at_ms(1910).status(IsLeader).phase(Phase::Bootstrap);
    e.at_ms(1920)
        .phase(Phase::Retire)
        .push(EventKind::SwitchDone);
    e.on(0).at_ms(1950).exit(0);
    e.on(1).at_ms(2000).ended(true);
    e.run_wide().step(1).quiet(true).at_ms(2500).quiet(false);
    e.push(EventKind::FullReadIntent { keys: 0 });
    e.push(EventKind::FullReadDone { unread: 0 });
    e.run_wide().at_ms(2600).push(EventKind::LoadEndIntent);
    e.push(EventKind::LoadEndDone);
    e.push(EventKind::FullReadIntent { keys: 0 });
    e.push(EventKind::FullReadDone { unread: 0 });
    e.push(EventKind::RunEnded);
    e
}

/// The verdict on a run with this fault. No operation succeeds that is due in one of `outages`, in milliseconds.
fn verdict(text: &str, during: impl FnOnce(&mut Events), outages: &[(u64, u64)]) -> Verdict {
    let fault: Fault = text.parse().unwrap();
    let mut plan = plan(1);
    plan.faults = vec![fault.in_step(1)];
    // A late operation is not what these are about.
    plan.timeouts_ms.insert("operation".to_owned(), 20);
    let mut judge = Judge::new(&plan, "run", String::new());
    for event in &run(during).list {
        judge.event(event);
    }
    for class in [Class::Read, Class::Write, Class::Connect] {
        for connection in [Connection::Held, Connection::New] {
            for at in (0..2600).step_by(10) {
                let lost = outages.iter().any(|(from, to)| (*from..*to).contains(&at));
                let op = match class {
                    Class::Connect => Op::Connect,
                    _ => Op::Read,
                };
                let times = (at * MS, at * MS + MS);
                let mut operation = in_lane(
                    crate::testing::operation(op, 1, "lane.held.0", times),
                    class,
                    connection,
                );
                operation.intended = Some(at * MS);
                operation.result = serde_json::json!([]);
                if lost {
                    operation.outcome = Outcome::Fail;
                    operation.returned = None;
                }
                judge.operation(&operation);
            }
        }
    }
    judge.finish()
}

fn intent(e: &mut Events, at: u64, fault: &str) {
    let fault: Fault = fault.parse().unwrap();
    e.at_ms(at).push(EventKind::FaultIntent {
        fault: fault.in_step(1),
        before: "process 7 runs".to_owned(),
    });
}

fn done(e: &mut Events, at: u64, fault: &str, evidence: Option<&str>) {
    let fault: Fault = fault.parse().unwrap();
    e.at_ms(at).push(EventKind::FaultDone {
        fault: fault.in_step(1),
        after: "process 7 is stopped".to_owned(),
        evidence: evidence.map(str::to_owned),
    });
}

fn over(e: &mut Events, at: u64, fault: &str) {
    let fault: Fault = fault.parse().unwrap();
    e.at_ms(at).push(EventKind::FaultOver {
        fault: fault.in_step(1),
        after: "process 7 runs".to_owned(),
        evidence: None,
    });
}

/// What was found, by check.
fn errors(verdict: &Verdict) -> Vec<Check> {
    let errors = verdict.findings.iter();
    errors
        .filter(|f| f.severity == Severity::Error)
        .map(|f| f.check)
        .collect()
}

const PAUSE: &str = "old:pause:500ms@ready";

/// The old instance stands still from 1200 to 1700.
fn paused(e: &mut Events) {
    e.on(0);
    intent(e, 1200, PAUSE);
    done(e, 1201, PAUSE, Some("process 7 is stopped"));
    over(e, 1700, PAUSE);
    e.on(1);
}

#[test]
fn a_fault_with_evidence_and_recovery_held() {
    let verdict = verdict(PAUSE, paused, &[(1200, 1720)]);
    let [report] = verdict.faults.as_slice() else {
        panic!("{:?}", verdict.faults)
    };
    assert_eq!(report.outcome, FaultOutcome::Held, "{}", report.reason);
    assert_eq!(report.evidence, ["process 7 is stopped"]);
    assert_eq!(
        (report.before.as_str(), report.after.as_str()),
        ("process 7 runs", "process 7 runs")
    );
    assert_eq!(errors(&verdict), []);
}

#[test]
fn a_gap_that_a_fault_explains_is_none_of_the_budget() {
    // Longer than the budget of a second, with the fault; half as long without it.
    let long = verdict(PAUSE, paused, &[(1150, 2200)]);
    let gap = &long.steps[0].gaps[0];
    assert!(gap.longest_ms.is_some_and(|ms| ms > 1000.0));
    assert!(gap.unexplained_ms.is_some_and(|ms| ms < 100.0), "{gap:?}");
    assert_eq!(
        gap.spans[0]
            .fault
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("1:old:pause:500ms@ready")
    );
    let write = long.budgets.iter().find(|b| b.name == "write-gap").unwrap();
    assert!(write.measured_ms.is_some_and(|ms| ms < 100.0));

    // What began when it was over is the upgrade's.
    let own = verdict(PAUSE, paused, &[(1200, 1600), (1760, 1950)]);
    let gap = &own.steps[0].gaps[0];
    assert!(gap.unexplained_ms.is_some_and(|ms| ms > 190.0), "{gap:?}");
    let unexplained: Vec<bool> = gap.spans.iter().map(|s| s.fault.is_none()).collect();
    assert_eq!(unexplained, [false, true]);
}

#[test]
fn an_outage_that_lasts_on_after_its_fault_breaks_what_was_expected() {
    // A second more is what the budget allows anyhow.
    let allowed = verdict(PAUSE, paused, &[(1200, 2500)]);
    assert_eq!(allowed.faults[0].outcome, FaultOutcome::Held);

    const EARLY: &str = "old:pause:50ms@ready";
    let short = |e: &mut Events| {
        e.on(0);
        intent(e, 1200, EARLY);
        done(e, 1201, EARLY, Some("stopped"));
        over(e, 1250, EARLY);
        e.on(1);
    };
    let lasting = verdict(EARLY, short, &[(1200, 2400)]);
    assert_eq!(lasting.faults[0].outcome, FaultOutcome::Broken);
    assert!(errors(&lasting).contains(&Check::FaultBroken));
    assert!(
        lasting.faults[0]
            .reason
            .contains("after the fault was over")
    );
}

#[test]
fn a_fault_that_nobody_may_notice_excuses_no_gap() {
    const KILL: &str = "new:kill@ready";
    let kill = |e: &mut Events| {
        intent(e, 1200, KILL);
        e.push(EventKind::ProcessEnded {
            end: ProcessEnd::Signal(9),
            meaning: EndMeaning::Crash,
            by_us: false,
            by_fault: true,
        });
        done(e, 1201, KILL, Some("process 7 ended by signal 9"));
        e.push(EventKind::RestartIntent {
            reason: RestartReason::Fault,
        });
        e.at_ms(1300).restarted().status(Initializing);
        over(e, 1310, KILL);
        e.at_ms(1400).status(ReadyToPromote);
    };
    let calm = verdict(KILL, kill, &[]);
    assert_eq!(
        (errors(&calm), calm.faults[0].outcome),
        (vec![], FaultOutcome::Held)
    );
    let noticed = verdict(KILL, kill, &[(1200, 2350)]);
    assert!(errors(&noticed).contains(&Check::Budget));
    assert_eq!(noticed.faults[0].outcome, FaultOutcome::Broken);
    assert_eq!(noticed.steps[0].gaps[0].unexplained_ms, None);
}

#[test]
fn a_fault_without_evidence_or_without_its_point_is_missed() {
    let nothing = verdict(
        PAUSE,
        |e| {
            intent(e, 1200, PAUSE);
            done(e, 1201, PAUSE, None);
        },
        &[],
    );
    assert_eq!(nothing.faults[0].outcome, FaultOutcome::Missed);
    assert_eq!(errors(&nothing), [Check::FaultMissed]);

    let never = verdict(PAUSE, |_| {}, &[]);
    assert_eq!(never.faults[0].reason, "point ready was not reached");
    assert_eq!(errors(&never), [Check::FaultMissed]);

    let told = verdict(
        PAUSE,
        |e| {
            e.push(EventKind::FaultMissed {
                fault: PAUSE.parse::<Fault>().unwrap().in_step(1),
                reason: "the step failed before".to_owned(),
            });
        },
        &[],
    );
    assert_eq!(told.faults[0].reason, "the step failed before");
}

#[test]
fn an_end_by_a_fault_is_nobodys_fault_and_any_other_still_is() {
    let ends = |by_fault: bool| {
        move |e: &mut Events| {
            e.on(0);
            intent(e, 1200, PAUSE);
            done(e, 1201, PAUSE, Some("stopped"));
            over(e, 1250, PAUSE);
            let at = if by_fault { 1240 } else { 1890 };
            e.at_ms(at).push(EventKind::ProcessEnded {
                end: ProcessEnd::Code(101),
                meaning: EndMeaning::Crash,
                by_us: false,
                by_fault,
            });
            e.restarted();
            e.on(1);
        }
    };
    let excused = verdict(PAUSE, ends(true), &[]);
    assert_eq!(errors(&excused), []);
    let leader_crashed = verdict(
        "new:pause:50ms@ready",
        |e| {
            e.on(1).push(EventKind::SpawnDone { pid: 8 });
            e.on(0)
                .at_ms(1890)
                .end(ProcessEnd::Code(101), EndMeaning::Crash)
                .restarted();
            e.on(1);
        },
        &[],
    );
    assert!(errors(&leader_crashed).contains(&Check::IllegalTransition));
}

#[test]
fn a_rival_that_stays_breaks_what_was_expected() {
    const RIVAL: &str = "upgrade:rival@ready";
    let rival = |left: Option<&'static str>| {
        move |e: &mut Events| {
            intent(e, 1200, RIVAL);
            done(e, 1210, RIVAL, Some("mz_3 (generation 1) runs beside it"));
            e.at_ms(1990).push(EventKind::FaultOver {
                fault: RIVAL.parse::<Fault>().unwrap().in_step(1),
                after: "gone".to_owned(),
                evidence: left.map(str::to_owned),
            });
        }
    };
    let left = verdict(
        RIVAL,
        rival(Some("process 9 ended by itself (exit 1)")),
        &[],
    );
    assert_eq!(left.faults[0].outcome, FaultOutcome::Held);
    let stayed = verdict(RIVAL, rival(None), &[]);
    assert_eq!(stayed.faults[0].outcome, FaultOutcome::Broken);
    assert_eq!(errors(&stayed), [Check::FaultBroken]);
}
