//! What is left on the engine when the harness is interrupted or killed.

use crate::engine::{BUDGETS, Rehearsal, changeover, engine_with_images};
use changeover_model::Verdict;
use changeover_model::check::Check;
use changeover_model::event::EventKind;
use changeover_model::verdict::VerdictOutcome;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;

const ARGUMENTS: [&str; 6] = [
    "--runtime",
    "docker",
    "--versions",
    "v0.2.0,v0.3.0",
    "--probe-interval",
    "50ms",
];

fn runs(kind: &EventKind) -> bool {
    matches!(kind, EventKind::LoadDone)
}

#[test]
fn rehearses_and_is_killed_and_cleanup_removes_its_containers_and_no_others() {
    if !engine_with_images() {
        return;
    }
    // It has more to do than the other's start takes, and some instance all the while.
    let long = ["--runtime", "docker", "--probe-interval", "100ms"];
    let mut run = Rehearsal::start(&long, &[]);
    run.until("the load ran", runs);
    // Another run's, which lives.
    let mut other = Rehearsal::start(&ARGUMENTS, &[]);
    other.until("the other load ran", runs);
    let refused = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "its harness lives");
    assert!(run.left().iter().any(|it| it.contains("mz_")));
    run.child().kill().unwrap();
    run.finish();
    let left = run.left();
    assert!(left.iter().any(|it| it.contains("mz_")), "{left:?}");
    // Another engine has nothing of it, and is not believed to.
    let elsewhere = changeover()
        .arg("cleanup")
        .arg(run.dir())
        .env("DOCKER_HOST", "unix:///another.sock")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&elsewhere.stdout).into_owned();
    assert_eq!(elsewhere.status.code(), Some(1), "{text}");
    assert!(
        text.contains("and DOCKER_HOST is unix:///another.sock; run changeover cleanup again with DOCKER_HOST=unix:///"),
        "{text}"
    );
    assert!(run.dir().join("containers.json").exists());
    let cleaned = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
    let text = String::from_utf8_lossy(&cleaned.stdout).into_owned();
    assert_eq!(cleaned.status.code(), Some(0), "{text}");
    assert!(text.contains("removed: container changeover-"), "{text}");
    assert!(text.contains("removed: network changeover-"), "{text}");
    assert_eq!(run.left(), [""; 0]);
    assert!(!other.left().is_empty());
    other.finish();
    assert_eq!(other.left(), [""; 0]);
}

/// How often it is killed at any moment; `soak` wants more.
const KILLS: &str = "CHANGEOVER_SOAK_DOCKER_KILLS";

/// A run that is killed has about so many events, and prints a line for each.
const LINES: u64 = 70;

/// After how many lines the n-th run is killed: drawn from a seed, so that a failure can be had again.
fn moment(n: u64) -> u64 {
    // SplitMix64.
    let mut x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % LINES + 1
}

#[test]
fn rehearses_and_is_killed_at_any_moment_and_leaves_what_can_be_removed_and_read() {
    if !engine_with_images() {
        return;
    }
    let kills = std::env::var(KILLS).ok();
    let kills: u64 = kills.map_or(3, |text| text.parse().unwrap());
    // Another run's, which lives, and has more to do than any that is killed.
    let long = ["--runtime", "docker", "--probe-interval", "100ms"];
    let mut beside = Rehearsal::start(&long, &[]);
    beside.until("the load beside ran", runs);
    // A gap that is proven fails a run that was killed as well.
    let doomed = [&ARGUMENTS[..], &["--verbose"], &BUDGETS].concat();
    let mut killed = 0;
    for n in 0..kills {
        if beside.child().try_wait().unwrap().is_some() {
            beside = Rehearsal::start(&long, &[]);
            beside.until("the load beside ran", runs);
        }
        let lines = moment(n);
        let mut run = Rehearsal::start(&doomed, &[]);
        if !run.kill_after(lines) {
            continue;
        }
        killed += 1;
        let cleaned = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
        let told = String::from_utf8_lossy(&cleaned.stdout).into_owned();
        assert_eq!(
            cleaned.status.code(),
            Some(0),
            "after {lines} lines: {told}"
        );
        assert_eq!(run.left(), [""; 0], "after {lines} lines: {told}");
        assert!(!run.dir().join("work").exists(), "after {lines} lines");
        assert!(!beside.left().is_empty(), "after {lines} lines: {told}");
        let report = changeover()
            .arg("report")
            .arg(run.dir())
            .args(["--format", "json"])
            .output()
            .unwrap();
        let verdict: Verdict = serde_json::from_slice(&report.stdout).unwrap();
        assert_eq!(
            verdict.outcome,
            VerdictOutcome::Inconclusive,
            "after {lines} lines: {:?}",
            verdict.findings
        );
        let interrupted = "the run was interrupted: its events stop before its end";
        assert!(
            verdict.reasons.iter().any(|reason| reason == interrupted),
            "after {lines} lines: {:?}",
            verdict.reasons
        );
    }
    assert!(killed * 10 >= kills * 6, "{killed} of {kills} were killed");
    // It goes on, as if nothing had been; two runs may be too much for a budget.
    let output = beside.finish();
    let verdict: Verdict = serde_json::from_str(&beside.read("verdict.json")).unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 3))
            || verdict.findings.iter().all(|f| f.check == Check::Budget),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(beside.left(), [""; 0]);
}

#[test]
fn rehearses_and_is_interrupted_and_leaves_nothing_on_the_engine() {
    if !engine_with_images() {
        return;
    }
    let mut run = Rehearsal::start(&ARGUMENTS, &[]);
    run.until("the load ran", runs);
    let pid = run.child().id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(run.finish().status.code(), Some(130));
    assert_eq!(run.left(), [""; 0]);
}

#[test]
fn rehearses_and_a_container_that_somebody_removes_is_a_crash_that_is_told() {
    if !engine_with_images() {
        return;
    }
    // A quiet window that is long enough to find its container in.
    let mut arguments = ARGUMENTS;
    arguments[5] = "500ms";
    let mut run = Rehearsal::start(&arguments, &[]);
    run.until("the load ran", runs);
    let container = run
        .left()
        .into_iter()
        .find(|it| it.contains("mz_1"))
        .unwrap();
    let removed = Command::new("docker")
        .args(["rm", "--force", &container])
        .output()
        .unwrap();
    assert!(removed.status.success());
    let output = run.finish();
    assert_eq!(output.status.code(), Some(1));
    let told = run.read("events.jsonl");
    assert!(told.contains("\"event\":\"process-ended\""), "{told}");
    assert_eq!(run.left(), [""; 0]);
}

#[test]
fn an_engine_that_does_not_say_what_it_has_is_not_taken_for_an_empty_one() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    // It knows of no container, and fails at everything else.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 4096];
            let length = stream.read(&mut asked).unwrap_or(0);
            let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
            let (code, body) = match asked.split(' ').nth(1).unwrap_or_default() {
                path if path.ends_with("/version") => (
                    "200 OK",
                    r#"{"Version":"24.0.0","ApiVersion":"1.43","MinAPIVersion":"1.12"}"#,
                ),
                path if path.contains("/containers/json") => ("200 OK", "[]"),
                _ => ("500 Internal Server Error", r#"{"message":"out of order"}"#),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {code}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let record = place.path().join("containers.json");
    let text = format!(
        r#"{{"format":"changeover.containers/1","run":"r","run_dir":"{}","engine":"unix://{}"}}"#,
        place.path().display(),
        socket.display()
    );
    fs::write(&record, text).unwrap();
    let told: Vec<String> = changeover_runtime::docker::cleanup(place.path())
        .into_iter()
        .map(|outcome| format!("{outcome:?}"))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for (told, what) in told.iter().zip(["networks", "volumes"]) {
        assert!(
            told.starts_with(&format!("Refused(\"{what} (")) && told.contains("out of order"),
            "{told}"
        );
    }
    // What may still be there is on record still.
    assert!(record.exists());
}
