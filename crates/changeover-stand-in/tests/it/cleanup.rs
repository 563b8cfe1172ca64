//! What is left on the engine when the harness is interrupted or killed.

use crate::engine::{Rehearsal, changeover, engine_with_images};
use changeover_model::event::EventKind;
use std::process::Command;

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
    let mut run = Rehearsal::start(&ARGUMENTS, &[]);
    run.until("the load ran", runs);
    // Another run's, which lives.
    let mut other = Rehearsal::start(&ARGUMENTS, &[]);
    other.until("the other load ran", runs);
    let refused = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "its harness lives");
    assert!(run.left().iter().any(|it| it.contains("mz_1")));
    run.child().kill().unwrap();
    run.finish();
    let left = run.left();
    assert!(left.iter().any(|it| it.contains("mz_1")), "{left:?}");
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
