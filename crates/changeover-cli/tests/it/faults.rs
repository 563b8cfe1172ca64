//! Faults between the steps and upgrades that are called off, end to end: real processes, sockets and stores.

use crate::harness::{BUDGETS, Rehearsal, told};
use crate::postgres_server::Server;
use changeover_model::event::{Event, EventKind};
use changeover_model::fault::Point;
use changeover_model::verdict::{FaultOutcome, Verdict, VerdictOutcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Rehearses one step with these options; the run has passed, or was doubtful because the machine was busy.
fn rehearse(options: &[&str]) -> (Rehearsal, Verdict) {
    rehearse_path("v0.1.0,v0.2.0", options)
}

fn rehearse_path(versions: &str, options: &[&str]) -> (Rehearsal, Verdict) {
    let path = ["--versions", versions];
    let mut run = Rehearsal::start(&[&path[..], &BUDGETS, options].concat());
    let output = run.finish();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{options:?}: {}",
        told(&output)
    );
    run.assert_no_orphans();
    let verdict = run.verdict();
    assert_ne!(verdict.outcome, VerdictOutcome::Fail);
    (run, verdict)
}

fn assert_held(verdict: &Verdict) {
    assert!(!verdict.faults.is_empty());
    for fault in &verdict.faults {
        assert_eq!(fault.outcome, FaultOutcome::Held, "{fault:?}");
        assert!(!fault.evidence.is_empty(), "{fault:?}");
    }
}

#[test]
fn rehearses_faults_on_instances_and_calls_with_evidence() {
    let (run, verdict) = rehearse(&[
        "--fault",
        "upgrade:promote-early@catching-up",
        "--fault",
        "old:kill@catching-up+20writes",
        "--fault",
        "new:kill:2@ready",
        "--fault",
        "old:pause:100ms@promote-sent",
        "--fault",
        "new:restart@fence-written",
    ]);
    assert_eq!(verdict.faults.len(), 5);
    assert_held(&verdict);
    let early = &verdict.faults[0];
    assert!(early.evidence[0].contains("400"), "{early:?}");
    assert_eq!(early.before, early.after);
    assert_eq!(verdict.faults[2].evidence.len(), 2, "killed twice");
    // Each was announced before it was done, at its point.
    let kinds: Vec<EventKind> = run.events().into_iter().map(|event| event.kind).collect();
    for fault in &verdict.faults {
        let place = |wanted: &dyn Fn(&EventKind) -> bool| kinds.iter().position(wanted).unwrap();
        let reached = place(
            &|kind| matches!(kind, EventKind::PointReached { point, held: true } if *point == fault.fault.point),
        );
        let intent = place(
            &|kind| matches!(kind, EventKind::FaultIntent { fault: of, .. } if *of == fault.fault),
        );
        let done = place(
            &|kind| matches!(kind, EventKind::FaultDone { fault: of, .. } if *of == fault.fault),
        );
        assert!(reached < intent && intent < done, "{}", fault.fault);
    }
}

#[test]
fn rehearses_faults_of_the_store_and_of_links_with_evidence() {
    if Server::shared().is_none() {
        return;
    }
    let (_run, verdict) = rehearse(&[
        "--metadata-store",
        "postgres",
        "--fault",
        "metadata-store:kill@booting",
        "--fault",
        "link(new,metadata-store):cut:200ms@catching-up",
        "--fault",
        "link(clients,front-door):reset@ready",
        "--fault",
        "link(old,metadata-store):black-hole:200ms@promote-sent",
        "--fault",
        "metadata-store:pause:200ms@leader",
    ]);
    assert_eq!(verdict.faults.len(), 5);
    assert_held(&verdict);
}

#[test]
fn rehearses_upgrades_that_overlap_and_one_of_them_leads() {
    for (fault, slot) in [
        ("upgrade:rival@ready", "mz_2"),
        ("upgrade:next@ready", "mz_3"),
        ("upgrade:race@ready", "mz_3"),
    ] {
        let (run, verdict) = rehearse(&["--fault", fault]);
        assert_held(&verdict);
        let switched =
            |event: &Event| event.step == Some(1) && matches!(event.kind, EventKind::SwitchDone);
        let last = run.events().into_iter().rev().find(switched);
        let last = last.and_then(|event| event.slot);
        assert_eq!(last.as_deref(), Some(slot), "{fault}");
    }
}

#[test]
fn rehearses_upgrades_that_are_called_off_until_there_is_no_way_back() {
    let (run, verdict) = rehearse(&["--find-point-of-no-return"]);
    let points: Vec<(Point, bool)> = verdict
        .steps
        .iter()
        .filter_map(|step| step.called_off.as_ref())
        .map(|report| (report.point, report.worked))
        .collect();
    assert_eq!(
        points,
        [
            (Point::BeforeBoot, true),
            (Point::Booting, true),
            (Point::CatchingUp, true),
            (Point::Ready, true),
            (Point::PromoteSent, true),
            (Point::FenceWritten, false),
        ]
    );
    let [found] = verdict.point_of_no_return.as_slice() else {
        panic!("{:?}", verdict.point_of_no_return)
    };
    assert_eq!(
        (found.point, found.fails_at),
        (Some(Point::PromoteSent), Some(Point::FenceWritten))
    );
    // Each attempt has a higher generation, and the slot of the one before; the last one leads.
    let last = verdict.steps.last().unwrap();
    assert_eq!(
        (last.service.as_str(), last.deploy_generation),
        ("mz_2", 12)
    );
    let slots = run.events().into_iter().filter_map(|event| event.slot);
    assert!(
        slots
            .into_iter()
            .all(|slot| slot == "mz_1" || slot == "mz_2")
    );
}

#[test]
fn rehearses_a_hop_that_is_called_off_and_goes_on_with_the_next_version() {
    let (_run, verdict) = rehearse_path(
        "v0.1.0,v0.2.0,v0.3.0",
        &["--abort-at", "1:catching-up", "--after-abort", "go-on"],
    );
    let hops: Vec<String> = verdict
        .steps
        .iter()
        .map(|step| format!("{} {} {}", step.from, step.to, step.called_off.is_some()))
        .collect();
    assert_eq!(hops, ["v0.1.0 v0.2.0 true", "v0.1.0 v0.3.0 false"]);
}

#[test]
fn rehearses_and_is_interrupted_while_something_is_broken_and_leaves_nothing() {
    // Each lasts far longer than anybody would wait: one in a step that goes on, one where a step ends.
    for (fault, stays) in [
        ("old:pause:50m@catching-up", Point::CatchingUp),
        (
            "link(clients,front-door):delay:10ms:50m@serving",
            Point::Serving,
        ),
    ] {
        let options = [
            &["--versions", "v0.1.0,v0.2.0"],
            &BUDGETS[..],
            &["--fault", fault],
        ];
        let mut run = Rehearsal::start(&options.concat());
        run.until(
            "the fault",
            |kind| matches!(kind, EventKind::FaultDone { fault, .. } if fault.point == stays),
        );
        kill(Pid::from_raw(run.pid() as i32), Signal::SIGINT).unwrap();
        let output = run.finish();
        assert_eq!(output.status.code(), Some(130), "{}", told(&output));
        run.assert_no_orphans();
        assert!(!run.dir().join("work").exists());
    }
}
