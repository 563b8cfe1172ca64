//! Servers that answer nonsense, do not get on, do not leave, or write when they must not.

use super::bench::{Bench, names};
use super::scripted::{Http, Process, Sql, honest};
use changeover_model::event::{EventKind, Phase, ProcessEnd, StatusSeen, StopReason};
use changeover_model::history::Outcome;
use changeover_model::status::DeploymentStatus::IsLeader;

fn raw(text: &str) -> Http {
    Http::Raw(text.as_bytes().to_vec())
}

fn with_body(code: &str, body: &str) -> Http {
    raw(&format!(
        "HTTP/1.1 {code}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[tokio::test]
async fn one_that_never_gets_ready_is_called_off_at_the_deadline() {
    let bench = Bench::with(&[("catch-up", 200)]).await;
    bench.world.script(1, |p| async move {
        p.listen().await;
        p.status("Initializing");
        std::future::pending().await
    });
    let (old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    bench.assert_called_off(&failed, &old);
    assert_eq!(bench.found(), names(["never-ready"]));
    let [(Phase::CatchUp, missing)] = &bench.missing()[..] else {
        panic!("{:?}", bench.missing());
    };
    assert!(
        missing.starts_with(
            "status ReadyToPromote of mz_2 (generation 1) (last status Initializing, process "
        ),
        "{missing}"
    );
    assert_eq!(bench.phases(1), [Phase::Boot, Phase::CatchUp]);
    // 200 ms, one poll every 5 ms and the last look.
    assert!(bench.world.figures(1).polls <= 43);
    assert!(bench.of(1).contains(&EventKind::StopIntent {
        reason: StopReason::StepFailed
    }));
}

#[tokio::test]
async fn one_that_never_answers_is_missed_in_the_boot_phase() {
    let bench = Bench::with(&[("boot", 150)]).await;
    // Bound early, and silent for ever.
    bench.world.script(1, |p| async move {
        p.listen().await;
        std::future::pending().await
    });
    let (old, new) = bench.upgrade().await;
    bench.assert_called_off(&new.unwrap_err(), &old);
    assert_eq!(bench.found(), names(["never-ready"]));
    assert_eq!(bench.said(1).last(), Some(&StatusSeen::Silent));
    assert!(
        bench.missing()[0].1.contains("last status silent"),
        "{:?}",
        bench.missing()
    );
    assert!(bench.world.figures(1).polls <= 32);
}

#[tokio::test]
async fn every_kind_of_nonsense_is_waited_out_and_never_promoted() {
    let bench = Bench::new().await;
    let nonsense = [
        with_body("200 OK", "garbage"),
        Http::Close,
        with_body(
            "500 Internal Server Error",
            r#"{"status":"ReadyToPromote"}"#,
        ),
        with_body("200 OK", ""),
        with_body("200 OK", r#"{"status":"CaughtUp"}"#),
        Http::Reset,
        raw("SSH-2.0-OpenSSH_9.2\r\n"),
        with_body(
            "200 OK",
            &format!("{{\"status\":\"{}\"}}", "R".repeat(100_000)),
        ),
    ];
    bench.world.script(1, move |p| {
        let nonsense = nonsense.clone();
        async move {
            if p.leads() {
                return honest(p).await;
            }
            p.listen().await;
            for http in nonsense {
                p.http(http);
                p.polls(3).await;
            }
            // Slow, but not too slow.
            p.http(Http::Stall);
            p.ms(50).await;
            p.status("ReadyToPromote");
            p.take_over().await
        }
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names([]));
    assert_eq!(bench.world.figures(1).promotions, ["ReadyToPromote"]);
    let said = bench.said(1);
    let quoted = |text: &str| said.contains(&StatusSeen::Nonsense(text.to_owned()));
    assert!(quoted("garbage"), "{said:?}");
    assert!(quoted(r#"500: {"status":"ReadyToPromote"}"#), "{said:?}");
    assert!(quoted(r#"{"status":"CaughtUp"}"#), "{said:?}");
    assert!(said.contains(&StatusSeen::Unreachable), "{said:?}");
    assert!(
        said.iter()
            .any(|s| matches!(s, StatusSeen::Nonsense(text) if text.contains("no HTTP"))),
        "{said:?}"
    );
    // One event a kind in a row, however many polls.
    assert!(said.len() < 20, "{said:?}");
}

#[tokio::test]
async fn nonsense_for_ever_is_never_ready_and_says_what_was_answered() {
    let bench = Bench::with(&[("boot", 150)]).await;
    bench.world.script(1, |p| async move {
        p.listen().await;
        p.http(with_body("500 Internal Server Error", "out of cheese"));
        std::future::pending().await
    });
    let (old, new) = bench.upgrade().await;
    bench.assert_called_off(&new.unwrap_err(), &old);
    assert_eq!(bench.found(), names(["never-ready"]));
    assert!(
        bench.missing()[0].1.contains("500: out of cheese"),
        "{:?}",
        bench.missing()
    );
}

#[tokio::test]
async fn a_server_that_answers_too_slowly_is_silent_and_not_gone() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        p.listen().await;
        p.status("Initializing");
        p.polls(2).await;
        // For longer than a request may take.
        p.http(Http::Stall);
        p.polls(2).await;
        p.status("ReadyToPromote");
        p.take_over().await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names([]));
    assert_eq!(
        bench
            .said(1)
            .iter()
            .filter(|seen| **seen == StatusSeen::Silent)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_leader_that_never_serves_is_never_ready_and_clients_stay() {
    let bench = Bench::with(&[("bootstrap", 200), ("operation", 50)]).await;
    bench.world.script(1, |p| async move {
        if !p.leads() {
            return honest(p).await;
        }
        p.listen().await;
        p.status("IsLeader");
        std::future::pending().await
    });
    let (_old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(!failed.called_off && failed.new.is_none());
    assert_eq!(bench.found(), names(["never-ready"]));
    let [(Phase::Bootstrap, missing)] = &bench.missing()[..] else {
        panic!("{:?}", bench.missing());
    };
    assert!(missing.contains("no answer in"), "{missing}");
    assert_eq!(
        bench.count(1, |kind| matches!(kind, EventKind::SwitchIntent { .. })),
        0
    );
}

/// Leads, and does not notice that it was fenced.
async fn stays(p: Process) -> ProcessEnd {
    p.lead().await;
    p.fenced().await;
    p.sql(Sql::ReadOnly);
    std::future::pending().await
}

#[tokio::test]
async fn an_old_leader_that_lingers_is_stopped_at_the_deadline() {
    let bench = Bench::with(&[("retire", 150)]).await;
    bench.world.script(0, stays);
    let mut old = bench.start_first().await.unwrap();
    let polls_before = bench.world.figures(0).polls;
    let new = bench.step(1, &mut old).await;
    // The step is complete all the same: the new one serves, and the old one is gone.
    let _new = new.unwrap();
    assert_eq!(bench.found(), names(["old-leader-lingered"]));
    assert_eq!(bench.ends(0), [(ProcessEnd::Signal(15), true)]);
    assert_eq!(bench.world.running().len(), 1);
    let [(Phase::Retire, missing)] = &bench.missing()[..] else {
        panic!("{:?}", bench.missing());
    };
    assert!(missing.contains("mz_1 (generation 0)"), "{missing}");
    let events = bench.of(0);
    assert!(events.contains(&EventKind::StopIntent {
        reason: StopReason::Lingered
    }));
    // Observed to the last: from the new leader's first word on.
    assert!(bench.world.figures(0).polls > polls_before);
}

#[tokio::test]
async fn an_old_leader_that_goes_on_writing_is_the_second_of_two() {
    let bench = Bench::with(&[("retire", 300)]).await;
    bench.world.script(0, |p| async move {
        p.lead().await;
        std::future::pending().await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(
        bench.found(),
        names(["old-leader-lingered", "two-leaders"]),
        "{:#?}",
        bench.findings()
    );
}

#[tokio::test]
async fn a_fenced_leader_that_leads_again_is_the_second_of_two() {
    let bench = Bench::with(&[("retire", 300)]).await;
    bench.world.script(0, |p| async move {
        if p.life == 1 {
            p.lead().await;
            p.fenced().await;
            // Until the new one leads, so that what follows is seen after it.
            while p.world.figures(1).starts < 2 {
                p.ms(1).await;
            }
            p.polls(3).await;
            return ProcessEnd::Code(166);
        }
        p.listen().await;
        p.status("IsLeader");
        std::future::pending().await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(
        bench.found(),
        names(["old-leader-lingered", "two-leaders"]),
        "{:#?}",
        bench.findings()
    );
    // Seen although it says what its process before said.
    assert!(bench.statuses(0).ends_with(&[IsLeader, IsLeader]));
}

#[tokio::test]
async fn a_write_before_the_promotion_is_found() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        p.listen().await;
        p.status("Initializing");
        p.sql(Sql::Writes);
        while p.world.figures(1).writes.is_empty() {
            p.ms(1).await;
        }
        // Its answer has arrived when the next one is asked.
        while p.world.figures(1).writes.len() < 4 {
            p.ms(1).await;
        }
        p.status("ReadyToPromote");
        p.take_over().await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(
        bench.found(),
        names(["read-only-write"]),
        "{:#?}",
        bench.findings()
    );
}

#[tokio::test]
async fn a_read_only_one_is_asked_to_write_and_refuses() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        if p.leads() {
            return honest(p).await;
        }
        p.listen().await;
        p.status("Initializing");
        p.sql(Sql::ReadOnly);
        p.ms(150).await;
        p.status("ReadyToPromote");
        p.take_over().await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names([]));
    let log = bench.log.lock().unwrap();
    let refused =
        |o: &&changeover_model::Operation| o.generation == Some(1) && o.outcome == Outcome::Fail;
    assert!(
        log.operations.iter().any(|o| refused(&o)),
        "{:?}",
        log.operations
    );
}

#[tokio::test]
async fn a_wrong_version_is_found() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        p.version("v0.1.0");
        honest(p).await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert_eq!(bench.found(), names(["wrong-version"]));
}

#[tokio::test]
async fn one_that_leads_without_a_promotion_is_illegal() {
    let bench = Bench::new().await;
    bench.world.script(1, |p| async move {
        p.listen().await;
        p.status("Initializing");
        p.polls(2).await;
        p.fence();
        p.status("IsLeader");
        p.sql(Sql::Writes);
        std::future::pending().await
    });
    let (_old, new) = bench.upgrade().await;
    let _new = new.unwrap();
    assert!(
        bench.found().contains("illegal-transition"),
        "{:?}",
        bench.found()
    );
    assert_eq!(bench.world.figures(1).promotions, Vec::<String>::new());
}

#[tokio::test]
async fn one_that_serves_and_cannot_tell_its_version_is_handed_back_alive() {
    let bench = Bench::with(&[("bootstrap", 300)]).await;
    bench.world.script(1, |p| async move {
        p.version("");
        honest(p).await
    });
    let (_old, new) = bench.upgrade().await;
    let failed = new.unwrap_err();
    assert!(
        failed.reason.contains("a version through the front door"),
        "{failed}"
    );
    assert_eq!(bench.found(), names(["never-ready"]));
    // Clients are there already: what they were acknowledged can still be read.
    let new = failed.new.unwrap();
    assert_eq!(new.spec().generation, 1);
    assert_eq!(bench.world.running(), [(new.spec().slot.clone(), 1)]);
}
