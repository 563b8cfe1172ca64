//! The harness is killed at any moment: what it had started can be removed, and nothing else is, and what it had
//! recorded can be read.

use crate::harness::{Rehearsal, changeover, processes_of, told, with_budgets};
use crate::postgres_server::Server;
use changeover_model::Verdict;
use changeover_model::check::Check;
use changeover_model::event::EventKind;
use changeover_model::verdict::VerdictOutcome;
use std::fs;
use std::path::Path;

/// How often; `soak` wants more.
const KILLS: &str = "CHANGEOVER_SOAK_HARNESS_KILLS";

/// A run that is killed has about so many events, and prints a line for each.
const LINES: u64 = 76;

/// The run to kill: its two versions make it short, and no machine exceeds its budgets. A gap that is proven fails a run
/// that was killed as well.
const DOOMED: [&str; 11] = with_budgets([
    "--versions",
    "v0.2.0,v0.3.0",
    "--verbose",
    "--probe-interval",
    "50ms",
]);

/// A run beside it, with little load, so that the two have room on two cores.
const BESIDE: [&str; 6] = [
    "--versions",
    "v0.1.0,v0.2.0,v0.3.0,v0.5.0",
    "--probe-interval",
    "100ms",
    "--rate",
    "50",
];

/// After how many lines the n-th run is killed: drawn from a seed, so that a failure can be had again.
fn moment(n: u64) -> u64 {
    // SplitMix64.
    let mut x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % LINES + 1
}

#[test]
fn rehearses_until_it_is_killed_at_any_moment_and_leaves_what_can_be_removed_and_read() {
    let kills = std::env::var(KILLS).ok();
    let kills: u64 = kills.map_or(10, |text| text.parse().unwrap());
    let servers = Server::shared().is_some();
    let mut beside = Rehearsal::start(&BESIDE);
    let mut killed = 0;
    for n in 0..kills {
        if beside.has_ended() {
            assert_undisturbed(&mut beside);
            beside = Rehearsal::start(&BESIDE);
        }
        beside.until("the run beside has begun", |event| {
            matches!(event, EventKind::SpawnDone { .. })
        });
        let store = match servers && n % 2 == 1 {
            true => "postgres",
            false => "sqlite",
        };
        let lines = moment(n);
        let mut run = Rehearsal::start(&[&DOOMED[..], &["--metadata-store", store]].concat());
        if run.kill_after(lines) {
            killed += 1;
            assert_recoverable(&run.dir(), &format!("{store}, after {lines} lines"));
        }
    }
    // The other may have had fewer events than usual.
    assert!(killed * 10 >= kills * 8, "{killed} of {kills} were killed");
    assert_undisturbed(&mut beside);
}

fn assert_recoverable(dir: &Path, when: &str) {
    let elsewhere = fs::read_link(dir.join("work/postgres")).ok();
    let cleaned = changeover().arg("cleanup").arg(dir).output().unwrap();
    assert_eq!(cleaned.status.code(), Some(0), "{when}: {}", told(&cleaned));
    assert_eq!(processes_of(dir), [0; 0], "{when}: {}", told(&cleaned));
    assert!(!dir.join("work").exists(), "{when}");
    assert!(!elsewhere.is_some_and(|place| place.exists()), "{when}");
    let again = changeover().arg("cleanup").arg(dir).output().unwrap();
    assert_eq!(told(&again), "nothing to remove in 1 run\n", "{when}");

    let report = changeover()
        .arg("report")
        .arg(dir)
        .args(["--format", "json"])
        .output()
        .unwrap();
    assert_eq!(report.status.code(), Some(0), "{when}: {}", told(&report));
    let verdict: Verdict = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(
        verdict.outcome,
        VerdictOutcome::Inconclusive,
        "{when}: {:?}",
        verdict.findings
    );
    let interrupted = "the run was interrupted: its events stop before its end";
    assert!(
        verdict.reasons.iter().any(|reason| reason == interrupted),
        "{when}: {:?}",
        verdict.reasons
    );
    for form in ["human", "html", "junit", "markdown"] {
        let report = changeover()
            .arg("report")
            .arg(dir)
            .args(["--format", form])
            .output()
            .unwrap();
        assert_eq!(report.status.code(), Some(0), "{when}: {}", told(&report));
    }
}

/// Whoever else rehearses did not notice. Two runs on two cores may be too much for a budget, not for the data.
fn assert_undisturbed(beside: &mut Rehearsal) {
    let output = beside.finish();
    let verdict = beside.verdict();
    assert!(
        matches!(output.status.code(), Some(0 | 3))
            || verdict.findings.iter().all(|f| f.check == Check::Budget),
        "{}",
        told(&output)
    );
    assert_eq!(verdict.steps.len(), 3, "{}", told(&output));
    beside.assert_no_orphans();
}
