//! Promotions that are refused, lost, or sent too early if nobody looks.

use super::bench::{Bench, names};
use super::scripted::{Http, IS_LEADER, PROMOTING, Process, Promote, READY, honest};
use changeover_model::check::Severity;
use changeover_model::event::{Event, EventKind, Phase, ProcessEnd, PromoteResult};
use changeover_rehearse::driver::BETWEEN_PROMOTIONS;
use std::sync::Arc;

fn promotions(bench: &Bench) -> Vec<PromoteResult> {
    bench
        .of(1)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::PromoteDone { result } => Some(result),
            _ => None,
        })
        .collect()
}

fn losses(bench: &Bench) -> usize {
    bench.count(1, |kind| *kind == EventKind::PromotionLost)
}

fn severity(bench: &Bench) -> Severity {
    let findings = bench.findings();
    let finding = findings.iter().find(|f| f.check.name() == "promotion-lost");
    finding.unwrap().severity
}

/// Ready, and what happens to its `n`th promotion is up to the test; the last is taken.
async fn ready_with(p: &Process, fates: &[Promote]) -> ProcessEnd {
    p.on_promote(fates[0].clone());
    p.catch_up().await;
    for (n, next) in (1..).zip(&fates[1..]) {
        p.promotions(n).await;
        p.on_promote(next.clone());
    }
    p.promotions(u32::try_from(fates.len()).unwrap()).await;
    p.fence();
    ProcessEnd::Code(166)
}

#[tokio::test]
async fn a_promotion_lost_to_a_crash_after_the_reply_is_sent_again() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.life > 1 {
            return honest(p).await;
        }
        p.catch_up().await;
        p.promotions(1).await;
        // Killed between the reply and the fence: the next process is read-only again.
        ProcessEnd::Signal(9)
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names(["promotion-lost"]));
    assert_eq!(severity(&bench), Severity::Warning, "the second one led");
    assert_eq!(losses(&bench), 1);
    assert_eq!(
        promotions(&bench),
        [PromoteResult::Acknowledged, PromoteResult::Acknowledged]
    );
    assert_eq!(bench.world.figures(1).promotions, [READY, READY]);
    assert_eq!(bench.world.figures(1).starts, 3);
}

#[tokio::test]
async fn a_crash_after_the_promotion_gives_it_time_to_catch_up_again() {
    // Longer than a promotion may take, shorter than catching up may.
    let bench = Bench::with(&[("promote", 150)]).await;
    bench.world.script(1, |p| async move {
        match p.life {
            1 => {
                p.catch_up().await;
                p.promotions(1).await;
                ProcessEnd::Signal(9)
            }
            2 => {
                p.listen().await;
                p.status("Initializing");
                p.ms(400).await;
                p.status(READY);
                p.take_over().await
            }
            _ => honest(p).await,
        }
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.missing(), []);
    assert_eq!(losses(&bench), 1);
}

#[tokio::test]
async fn a_lost_connection_is_cleared_up_by_the_status_not_taken() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        ready_with(&p, &[Promote::Lose, Promote::Take]).await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(
        promotions(&bench),
        [PromoteResult::Lost, PromoteResult::Acknowledged]
    );
    assert_eq!(losses(&bench), 1);
    assert_eq!(bench.found(), names(["promotion-lost"]));
}

#[tokio::test]
async fn a_lost_connection_is_cleared_up_by_the_status_taken() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        p.on_promote(Promote::TakeSilently);
        p.catch_up().await;
        p.promotions(1).await;
        // Long enough to be asked: `Promoting` is done, and nothing is sent again.
        p.polls(3).await;
        p.fence();
        ProcessEnd::Code(166)
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(promotions(&bench), [PromoteResult::Lost]);
    assert_eq!(losses(&bench), 0);
    assert_eq!(bench.found(), names([]));
}

#[tokio::test]
async fn promotions_that_are_all_lost_are_given_up_after_five() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        p.on_promote(Promote::OnlyAcknowledge);
        p.catch_up().await;
        std::future::pending().await
    });
    let (_old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(!failed.called_off, "it may have been taken");
    assert!(failed.reason.contains("promoted 5 times"), "{failed}");
    assert_eq!(bench.world.figures(1).promotions.len(), 5);
    assert_eq!(losses(&bench), 4, "told when the next one is sent");
    assert_eq!(severity(&bench), Severity::Error);
    // Promotions are sent apart, and the last one gets its time too.
    let mut answered: Option<u64> = None;
    let mut pauses = Vec::new();
    for event in bench.events().iter().filter(|e| e.generation == Some(1)) {
        match event.kind {
            EventKind::PromoteDone { .. } => answered = Some(event.at),
            EventKind::PromoteIntent { .. } | EventKind::StepFailed { .. } => {
                pauses.extend(answered.map(|at| event.at - at));
            }
            _ => {}
        }
    }
    assert_eq!(pauses.len(), 5);
    let apart = |&pause: &u64| u128::from(pause) >= BETWEEN_PROMOTIONS.as_nanos();
    assert!(pauses.iter().all(apart), "{pauses:?}");
    assert_eq!(bench.world.running().len(), 1, "the new one was stopped");
}

#[tokio::test]
async fn a_status_that_lags_behind_the_reply_costs_no_second_promotion() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        p.on_promote(Promote::OnlyAcknowledge);
        p.catch_up().await;
        p.promotions(1).await;
        // Still ready when it is asked after the reply.
        p.http(Http::Once(READY, PROMOTING));
        p.polls(3).await;
        p.fence();
        ProcessEnd::Code(166)
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(promotions(&bench), [PromoteResult::Acknowledged]);
    assert_eq!(losses(&bench), 0);
    assert_eq!(bench.found(), names([]));
}

#[tokio::test]
async fn a_promotion_with_an_answer_that_is_none_may_have_been_taken() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        p.on_promote(Promote::Break);
        p.catch_up().await;
        p.promotions(1).await;
        // Whatever comes then cannot undo it.
        p.on_promote(Promote::Refuse);
        std::future::pending().await
    });
    let (_old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(!failed.called_off);
    let results = promotions(&bench);
    assert_eq!(
        results[0],
        PromoteResult::Unclear("500: out of cheese".to_owned())
    );
    assert_eq!(losses(&bench), 0, "nothing was acknowledged");
}

#[tokio::test]
async fn one_that_leads_without_a_promotion_cannot_be_called_off() {
    let bench = Bench::new().await;
    let log = Arc::clone(&bench.log);
    bench.world.script(1, move |p| {
        let log = Arc::clone(&log);
        async move {
            p.listen().await;
            p.status("Initializing");
            p.polls(2).await;
            p.status(IS_LEADER);
            let bootstraps = |event: &Event| {
                event.step == Some(1)
                    && event.kind
                        == EventKind::PhaseStarted {
                            phase: Phase::Bootstrap,
                        }
            };
            while !log.lock().unwrap().events.iter().any(bootstraps) {
                p.ms(1).await;
            }
            // Fenced, it says, and so the step fails before a promotion was sent.
            ProcessEnd::Code(0)
        }
    });
    let (_old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert_eq!(bench.world.figures(1).promotions, Vec::<String>::new());
    assert!(!failed.called_off, "{failed}");
}

#[tokio::test]
async fn a_refused_promotion_is_sent_again_and_is_not_lost() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        ready_with(&p, &[Promote::Refuse, Promote::Take]).await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    let results = promotions(&bench);
    assert!(
        matches!(&results[..], [PromoteResult::Refused(why), PromoteResult::Acknowledged] if why.starts_with("400: ")),
        "{results:?}"
    );
    assert_eq!(bench.found(), names([]));
}

#[tokio::test]
async fn promotions_that_are_all_refused_leave_the_old_one_leading() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        p.on_promote(Promote::Refuse);
        p.catch_up().await;
        std::future::pending().await
    });
    let (_old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(failed.called_off);
    assert!(failed.reason.contains("cannot promote leader"), "{failed}");
    assert_eq!(promotions(&bench).len(), 5);
    assert_eq!(bench.found(), names(["never-ready"]));
    assert_eq!(bench.ends(0), []);
}

#[tokio::test]
async fn readiness_is_looked_at_again_right_before_the_promotion() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        p.listen().await;
        p.status("Initializing");
        p.polls(2).await;
        // Seen once; the next look finds it catching up again.
        p.http(Http::Once(READY, "Initializing"));
        p.polls(5).await;
        p.status(READY);
        p.take_over().await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.world.figures(1).promotions, [READY]);
}

#[tokio::test]
async fn one_that_never_leads_after_its_promotion_is_never_ready() {
    let bench = Bench::with(&[("promote", 200)]).await;
    bench.world.script(1, |p| async move {
        p.catch_up().await;
        std::future::pending().await
    });
    let (_old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(!failed.called_off);
    assert!(failed.reason.contains("last status Promoting"), "{failed}");
    assert_eq!(bench.found(), names(["never-ready"]));
    assert_eq!(bench.world.figures(1).promotions.len(), 1);
    // 200 ms, one poll every 5 ms.
    assert!(bench.world.figures(1).polls < 100);
}
