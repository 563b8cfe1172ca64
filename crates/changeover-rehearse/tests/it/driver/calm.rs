//! What goes well, and how a run that is cancelled ends.

use super::bench::{Bench, names, slot};
use super::scripted::{IS_LEADER, PROMOTING, Sql, honest};
use changeover_model::event::{EndMeaning, EventKind, Phase, ProcessEnd, StatusSeen, StopReason};
use changeover_model::status::DeploymentStatus::{Initializing, IsLeader, ReadyToPromote};
use changeover_rehearse::driver::STOP_GRACE;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::test]
async fn a_promotion_in_place_needs_no_restart() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        p.catch_up().await;
        p.promotions(1).await;
        p.status(PROMOTING);
        p.ms(3).await;
        p.fence();
        p.sql(Sql::Writes);
        p.status(IS_LEADER);
        p.fenced().await;
        p.sql(Sql::ReadOnly);
        ProcessEnd::Code(0)
    });
    let (first, second) = bench.upgrade().await;
    drop(first);
    let mut second = second.unwrap();
    // The next one restarts again.
    let third = bench.step(2, &mut second).await.unwrap();
    assert_eq!(bench.found(), names([]), "{:#?}", bench.findings());
    assert_eq!(bench.phases(1), Phase::ALL);
    assert_eq!(bench.ends(1), [(ProcessEnd::Code(0), false)]);
    assert_eq!(bench.world.figures(1).starts, 1);
    assert_eq!(bench.ends(2), [(ProcessEnd::Code(166), false)]);
    third.stop(StopReason::RunOver, STOP_GRACE).await;
}

#[tokio::test]
async fn two_steps_one_after_the_other() {
    let bench = Bench::new().await;
    let (first, second) = bench.upgrade().await;
    drop(first);
    let mut second = second.unwrap();
    let third = bench.step(2, &mut second).await.unwrap();
    assert_eq!(bench.found(), names([]), "{:#?}", bench.findings());
    assert_eq!(bench.phases(0), [Phase::Boot, Phase::Bootstrap]);
    assert_eq!(bench.phases(1), Phase::ALL);
    assert_eq!(bench.phases(2), Phase::ALL);
    assert_eq!(bench.ends(0), [(ProcessEnd::Code(0), false)]);
    assert_eq!(
        bench.ends(1),
        [(ProcessEnd::Code(166), false), (ProcessEnd::Code(0), false)]
    );
    for generation in 1..3 {
        // Polling may miss what is shown only briefly.
        let statuses = bench.statuses(generation);
        assert!(statuses.contains(&ReadyToPromote), "{statuses:?}");
        assert_eq!(statuses.last(), Some(&IsLeader), "{statuses:?}");
        assert_eq!(
            bench.world.figures(generation).promotions,
            ["ReadyToPromote"]
        );
    }
    // The end of generation 1 belongs to the step that retired it.
    let last = bench.events().into_iter().rfind(|event| {
        event.generation == Some(1) && matches!(event.kind, EventKind::ProcessEnded { .. })
    });
    assert_eq!(last.unwrap().step, Some(2));

    third.stop(StopReason::RunOver, STOP_GRACE).await;
    assert_eq!(bench.world.running(), []);
    let events = bench.of(2);
    assert!(events.ends_with(&[
        EventKind::StopIntent {
            reason: StopReason::RunOver
        },
        EventKind::ProcessEnded {
            end: ProcessEnd::Signal(15),
            meaning: EndMeaning::Crash,
            by_us: true,
            by_fault: false,
        },
        EventKind::StopDone,
    ]));
    // A second stop has nothing to tell.
    third.stop(StopReason::RunOver, STOP_GRACE).await;
    assert_eq!(bench.of(2), events);
}

#[tokio::test]
async fn every_action_is_announced_and_every_change_of_status_told_with_its_polls() {
    let bench = Bench::new().await;
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    let mut polls = 0;
    let events = bench.of(1);
    for pair in events.windows(2) {
        match &pair[0] {
            EventKind::SpawnIntent { .. } => {
                assert!(matches!(pair[1], EventKind::SpawnDone { .. }))
            }
            EventKind::RestartIntent { .. } => {
                assert!(matches!(pair[1], EventKind::RestartDone { .. }));
            }
            EventKind::SwitchIntent { .. } => assert_eq!(pair[1], EventKind::SwitchDone),
            EventKind::Serving => assert!(matches!(pair[1], EventKind::SwitchIntent { .. })),
            EventKind::StatusSeen { polls: n, .. } => {
                assert!(*n > 0);
                polls += n;
            }
            _ => {}
        }
    }
    let asked = u64::from(bench.world.figures(1).polls);
    // A poll that was refused never arrived.
    assert!(polls >= asked, "{polls} told, {asked} arrived");
    assert!(events.contains(&EventKind::VersionSeen {
        expected: "v0.2.0".to_owned(),
        found: "v0.2.0".to_owned(),
    }));
}

#[tokio::test]
async fn clients_are_sent_to_the_new_one_only_when_a_query_answers() {
    let bench = Bench::new().await;
    let served = Arc::new(AtomicU64::new(u64::MAX));
    let (clock, at) = (bench.driver.recorder.clock(), Arc::clone(&served));
    bench.world.script(1, move |p| {
        let at = Arc::clone(&at);
        async move {
            if !p.leads() {
                return honest(p).await;
            }
            // Leads, and accepts connections, long before it answers.
            p.listen().await;
            p.status("IsLeader");
            p.ms(60).await;
            at.store(clock.now(), Ordering::SeqCst);
            p.sql(Sql::Writes);
            p.fenced().await;
            ProcessEnd::Code(0)
        }
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names([]));
    let switched = bench.events().into_iter().find(|event| {
        event.generation == Some(1) && matches!(event.kind, EventKind::SwitchIntent { .. })
    });
    assert!(switched.unwrap().at >= served.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_cancelled_step_stops_the_new_one_and_is_no_failure() {
    let bench = Bench::new().await;
    let cancel = bench.driver.cancel.clone();
    bench.world.script(1, move |p| {
        let cancel = cancel.clone();
        async move {
            p.listen().await;
            p.status("Initializing");
            p.polls(3).await;
            cancel.cancel();
            std::future::pending().await
        }
    });
    let (old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(failed.interrupted && failed.called_off && failed.new.is_none());
    assert_eq!(bench.world.running(), [(slot(0), 0)]);
    assert_eq!(bench.found(), names([]));
    assert_eq!(
        bench.count(1, |kind| matches!(kind, EventKind::StepFailed { .. })),
        0
    );
    assert_eq!(
        bench.of(1).last(),
        Some(&EventKind::StepEnded { completed: false })
    );
    old.stop(StopReason::RunOver, STOP_GRACE).await;
    assert_eq!(bench.world.running(), []);
}

#[tokio::test]
async fn a_run_cancelled_after_the_promotion_stops_the_new_one_too() {
    let bench = Bench::new().await;
    let cancel = bench.driver.cancel.clone();
    bench.world.script(1, move |p| {
        let cancel = cancel.clone();
        async move {
            if !p.leads() {
                return honest(p).await;
            }
            p.listen().await;
            p.status("IsLeader");
            p.polls(1).await;
            cancel.cancel();
            std::future::pending().await
        }
    });
    let (old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(failed.interrupted && !failed.called_off && failed.new.is_none());
    old.stop(StopReason::RunOver, STOP_GRACE).await;
    assert_eq!(bench.world.running(), []);
}

#[tokio::test]
async fn dropping_everything_ends_everything() {
    let bench = Bench::new().await;
    let (old, new) = bench.upgrade().await;
    drop((old, new));
    while !bench.world.running().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_instance_that_cannot_be_started_fails_the_step() {
    let bench = Bench::new().await;
    let mut old = bench.start_first().await.unwrap();
    let launch = changeover_rehearse::driver::Launch {
        spec: changeover_runtime::InstanceSpec {
            generation: 77,
            slot: "mz_2".to_owned(),
            ..old.spec().clone()
        },
        expected_version: String::new(),
        control: changeover_rehearse::control::Control::leader_api(old.spec().http_addr),
    };
    let failed = bench
        .driver
        .upgrade(&bench.plan.steps[0], &mut old, launch)
        .await
        .unwrap_err();
    assert_eq!(failed.reason, "there is no script for generation 77");
    assert!(failed.called_off && failed.new.is_none());
    assert_eq!(bench.found(), names(["never-ready"]));
}

#[tokio::test]
async fn a_first_service_that_never_leads_is_stopped() {
    let bench = Bench::with(&[("boot", 120)]).await;
    bench.world.script(0, |p| async move {
        p.listen().await;
        p.status("Initializing");
        std::future::pending().await
    });
    let failed = bench.start_first().await.unwrap_err();
    assert!(
        failed
            .reason
            .contains("status IsLeader of mz_1 (generation 0)"),
        "{failed}"
    );
    assert_eq!(bench.world.running(), []);
    assert_eq!(bench.found(), names(["never-ready"]));
    assert_eq!(
        bench.said(0).last(),
        Some(&StatusSeen::Status(Initializing)),
        "the last word is known"
    );
}

#[tokio::test]
async fn each_generation_is_observed_only_while_it_must_not_lead() {
    let bench = Bench::new().await;
    bench.world.script(0, |p| async move {
        p.lead().await;
        p.fenced().await;
        p.sql(Sql::ReadOnly);
        // Stays for a while after the new one has led.
        while p.world.figures(1).starts < 2 {
            p.ms(1).await;
        }
        p.ms(120).await;
        ProcessEnd::Code(0)
    });
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        p.listen().await;
        p.status("Initializing");
        p.sql(Sql::ReadOnly);
        p.ms(80).await;
        p.status("ReadyToPromote");
        p.promotions(1).await;
        p.ms(80).await;
        p.fence();
        ProcessEnd::Code(166)
    });
    let (_old, new) = bench.upgrade().await;
    let mut new = new.unwrap();
    let _third = bench.step(2, &mut new).await.unwrap();
    assert_eq!(bench.found(), names([]));

    let at = |generation, such: &dyn Fn(&EventKind) -> bool| {
        let events = bench.events().into_iter();
        let mut of = events.filter(|e| e.generation == Some(generation));
        of.find(|e| such(&e.kind)).unwrap().at
    };
    let sent = at(1, &|kind| matches!(kind, EventKind::PromoteIntent { .. }));
    let leads = at(1, &|kind| {
        matches!(
            kind,
            EventKind::StatusSeen {
                seen: StatusSeen::Status(IsLeader),
                ..
            }
        )
    });
    let over = at(1, &|kind| matches!(kind, EventKind::StepEnded { .. }));
    let log = bench.log.lock().unwrap();
    let invoked = |generation| {
        let operations = log.operations.iter();
        operations
            .filter(move |o| o.generation == Some(generation))
            .map(|o| o.invoke)
            .collect::<Vec<u64>>()
    };
    let before: Vec<u64> = invoked(1).into_iter().filter(|&at| at < leads).collect();
    assert!(
        !before.is_empty() && before.iter().all(|&at| at < sent),
        "{before:?}, {sent}"
    );
    let after = invoked(0);
    assert!(!after.is_empty(), "the old one was observed");
    assert!(
        after.iter().all(|&at| leads <= at && at <= over),
        "{after:?}, {leads}, {over}"
    );
}
