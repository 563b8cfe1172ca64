//! Ends of processes: asked for, crashed, fenced.

use super::bench::{Bench, names};
use super::scripted::honest;
use changeover_model::event::{EventKind, ProcessEnd, RestartReason, StopReason};
use changeover_rehearse::driver::STOP_GRACE;
use changeover_rehearse::supervisor::{CRASH_PAUSE, Gone, Now};
use tokio_util::sync::CancellationToken;

fn restarts(bench: &Bench, generation: u64) -> Vec<RestartReason> {
    bench
        .of(generation)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::RestartIntent { reason } => Some(reason),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_restart_is_granted_at_once_any_number_of_times() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        // DDL, again and again.
        if p.life <= 7 {
            p.listen().await;
            p.status("Initializing");
            p.polls(1).await;
            return ProcessEnd::Code(166);
        }
        honest(p).await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names([]));
    assert_eq!(restarts(&bench, 1), vec![RestartReason::Asked; 8]);
}

#[tokio::test]
async fn three_crashes_without_progress_are_a_crash_loop_told_when_it_starts() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        p.listen().await;
        p.status("Initializing");
        p.polls(2).await;
        ProcessEnd::Code(101)
    });
    let (old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    bench.assert_called_off(&failed, &old);
    assert!(
        failed
            .reason
            .contains("crash loop (exit 101, exit 101, exit 101)"),
        "{failed}"
    );
    assert_eq!(bench.found(), names(["crash-loop"]));
    assert_eq!(bench.world.figures(1).starts, 3);
    assert_eq!(bench.missing(), [], "no deadline had to pass");
    assert!(bench.of(1).contains(&EventKind::CrashLoop {
        ends: vec![ProcessEnd::Code(101); 3],
        log: vec!["life 3".to_owned(), "the last words".to_owned()],
    }));
    assert_eq!(
        bench.count(1, |kind| matches!(kind, EventKind::StopIntent { .. })),
        0
    );
}

#[tokio::test]
async fn crashes_that_get_further_each_time_are_no_loop() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        match p.life {
            1 => ProcessEnd::Code(1),
            2 => ProcessEnd::Code(1),
            3 => {
                p.listen().await;
                p.status("Initializing");
                p.polls(2).await;
                ProcessEnd::Signal(6)
            }
            4 => {
                p.listen().await;
                p.status("Initializing");
                p.polls(2).await;
                ProcessEnd::Signal(6)
            }
            _ => honest(p).await,
        }
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names([]));
    let restarts = restarts(&bench, 1);
    assert_eq!(restarts[..4], [RestartReason::Crashed; 4]);
    assert_eq!(restarts[4..], [RestartReason::Asked]);
    // After each crash there is a pause.
    let mut crashed_at = None;
    for event in bench.events().iter().filter(|e| e.generation == Some(1)) {
        match event.kind {
            EventKind::ProcessEnded { .. } => crashed_at = Some(event.at),
            EventKind::RestartIntent {
                reason: RestartReason::Crashed,
            } => {
                let pause = event.at - crashed_at.unwrap();
                assert!(u128::from(pause) >= CRASH_PAUSE.as_nanos(), "{pause} ns");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_is_stopped_between_two_processes_is_not_restarted() {
    let bench = Bench::new().await;
    let crash = CancellationToken::new();
    let told = crash.clone();
    bench.world.script(0, move |p| {
        let told = told.clone();
        async move {
            p.lead().await;
            told.cancelled().await;
            ProcessEnd::Signal(9)
        }
    });
    let leader = bench.start_first().await.unwrap();
    let mut state = leader.supervisor().watch();
    crash.cancel();
    state
        .wait_for(|state| state.now == Now::Restarting)
        .await
        .unwrap();
    leader.stop(StopReason::RunOver, STOP_GRACE).await;
    assert_eq!(bench.world.figures(0).starts, 1);
    assert_eq!(bench.ends(0), [(ProcessEnd::Signal(9), false)], "told once");
    assert_eq!(bench.of(0).last(), Some(&EventKind::StopDone));
    assert!(matches!(
        leader.supervisor().state().now,
        Now::Gone(Gone::Stopped(_))
    ));
}

#[tokio::test]
async fn a_leader_that_crashes_before_the_promotion_is_restarted() {
    let bench = Bench::new().await;
    let (crash, back) = (CancellationToken::new(), CancellationToken::new());
    let (told, leads_again) = (crash.clone(), back.clone());
    bench.world.script(0, move |p| {
        let (told, leads_again) = (told.clone(), leads_again.clone());
        async move {
            p.lead().await;
            if p.life == 1 {
                told.cancelled().await;
                return ProcessEnd::Signal(9);
            }
            leads_again.cancel();
            p.fenced().await;
            ProcessEnd::Code(0)
        }
    });
    bench.world.script(1, move |p| {
        let (crash, back) = (crash.clone(), back.clone());
        async move {
            if p.leads() {
                return honest(p).await;
            }
            p.listen().await;
            p.status("Initializing");
            crash.cancel();
            back.cancelled().await;
            p.status("ReadyToPromote");
            p.take_over().await
        }
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names([]));
    assert_eq!(restarts(&bench, 0), [RestartReason::Crashed]);
    assert_eq!(
        bench.ends(0),
        [(ProcessEnd::Signal(9), false), (ProcessEnd::Code(0), false)]
    );
}

#[tokio::test]
async fn a_leader_in_a_crash_loop_is_told_and_the_upgrade_goes_on() {
    let bench = Bench::new().await;
    let crash = CancellationToken::new();
    let told = crash.clone();
    bench.world.script(0, move |p| {
        let told = told.clone();
        async move {
            if p.life == 1 {
                p.lead().await;
                told.cancelled().await;
            }
            ProcessEnd::Code(101)
        }
    });
    bench.world.script(1, move |p| {
        let crash = crash.clone();
        async move {
            if p.leads() {
                return honest(p).await;
            }
            p.listen().await;
            p.status("Initializing");
            crash.cancel();
            while p.world.figures(0).starts < 3 || p.world.running().len() > 1 {
                p.ms(1).await;
            }
            p.status("ReadyToPromote");
            p.take_over().await
        }
    });
    let (old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    // Twice: it is in a loop, and it is so while the new one comes up, which it must not notice.
    assert_eq!(bench.found(), names(["crash-loop", "illegal-transition"]));
    assert_eq!(bench.world.figures(0).starts, 3);
    assert!(matches!(
        old.supervisor().state().now,
        Now::Gone(Gone::CrashLoop(_))
    ));
}

#[tokio::test]
async fn a_new_one_that_leaves_as_fenced_before_it_leads_fails_the_step_at_once() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        p.listen().await;
        p.status("Initializing");
        p.polls(2).await;
        ProcessEnd::Code(0)
    });
    let (old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    bench.assert_called_off(&failed, &old);
    assert!(
        failed.reason.contains("ended as fenced (exit 0)"),
        "{failed}"
    );
    assert_eq!(bench.found(), names(["never-ready"]));
    assert_eq!(bench.missing(), [], "no deadline had to pass");
    assert_eq!(bench.world.figures(1).starts, 1, "fenced: never restarted");
}

#[tokio::test]
async fn a_promoted_one_that_leaves_as_fenced_instead_of_serving_fails_the_step_at_once() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if !p.leads() {
            return honest(p).await;
        }
        p.listen().await;
        p.status("IsLeader");
        p.polls(1).await;
        p.ms(5).await;
        ProcessEnd::Code(0)
    });
    let (_old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(!failed.called_off && failed.new.is_none());
    assert!(
        failed.reason.contains("ended as fenced (exit 0)"),
        "{failed}"
    );
    assert!(
        bench.found().contains("illegal-transition"),
        "{:?}",
        bench.findings()
    );
    assert_eq!(bench.missing(), []);
}

#[tokio::test]
async fn a_leader_that_leaves_as_fenced_before_any_promotion_is_illegal_and_stays_away() {
    let bench = Bench::new().await;
    bench.world.script(0, |p| async move {
        p.lead().await;
        while p.world.figures(1).polls == 0 {
            p.ms(1).await;
        }
        ProcessEnd::Code(0)
    });
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        p.listen().await;
        p.status("Initializing");
        while p.world.running().len() > 1 {
            p.ms(1).await;
        }
        p.status("ReadyToPromote");
        p.take_over().await
    });
    let (_old, new) = bench.upgrade().await;
    // Nobody else can lead: going on is the way back to service.
    let _new = new.unwrap();
    assert_eq!(bench.found(), names(["illegal-transition"]));
    assert_eq!(bench.world.figures(0).starts, 1, "fenced: never restarted");
}

#[tokio::test]
async fn an_old_leader_may_restart_once_more_before_it_finds_itself_fenced() {
    let bench = Bench::new().await;
    bench.world.script(0, |p| async move {
        if p.life == 1 {
            p.lead().await;
            p.fenced().await;
            return ProcessEnd::Code(166);
        }
        p.listen().await;
        p.status("Initializing");
        p.ms(10).await;
        ProcessEnd::Code(0)
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names([]));
    assert_eq!(
        bench.ends(0),
        [(ProcessEnd::Code(166), false), (ProcessEnd::Code(0), false)]
    );
}
