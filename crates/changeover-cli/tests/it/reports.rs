//! Reports of stored runs, and those beside a verdict.

use crate::harness::{Rehearsal, changeover};
use changeover_model::event::{Event, EventKind};
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../changeover-report/tests/it/fixtures")
        .join(name)
}

fn report(run: &Path, arguments: &[&str]) -> String {
    let output = changeover()
        .arg("report")
        .arg(run)
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// A copy of a stored run, as a kill in its middle would have left it.
fn killed(place: &Path) -> PathBuf {
    let (from, to) = (fixture("v1-pass"), place.join("killed"));
    fs::create_dir(&to).unwrap();
    fs::copy(from.join("plan.json"), to.join("plan.json")).unwrap();
    for file in ["events.jsonl", "history.jsonl"] {
        let text = fs::read(from.join(file)).unwrap();
        // In the middle of a line.
        let mut cut = text.len() / 2;
        while [text[cut - 1], text[cut]].contains(&b'\n') {
            cut -= 1;
        }
        fs::write(to.join(file), &text[..cut]).unwrap();
    }
    to
}

#[test]
fn a_stored_run_of_the_first_format_is_shown_in_every_form() {
    for (name, word) in [("v1-pass", "passed"), ("v1-fail", "failed")] {
        let run = fixture(name);
        let human = report(&run, &[]);
        assert!(human.contains(&format!("v0.2.0: {word}")), "{human}");
        let json = report(&run, &["--format", "json"]);
        let verdict: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(verdict["format"], "changeover.verdict/1");
        assert!(report(&run, &["--format", "junit"]).starts_with("<?xml"));
        assert!(report(&run, &["--format", "markdown"]).starts_with("### "));
        assert!(report(&run, &["--format", "html"]).starts_with("<!doctype html>"));
    }
}

#[test]
fn a_report_goes_to_a_file_on_request() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("report.md");
    let out = file.to_str().unwrap();
    let printed = report(&fixture("v1-pass"), &["--format", "markdown", "--out", out]);
    assert_eq!(printed, "");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        report(&fixture("v1-pass"), &["--format", "markdown"])
    );
}

#[test]
fn a_run_that_was_killed_is_judged_by_what_there_is() {
    let place = tempfile::tempdir().unwrap();
    let run = killed(place.path());
    let json = report(&run, &["--format", "json"]);
    let verdict: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(verdict["outcome"], "inconclusive", "{json}");
    let html = report(&run, &["--format", "html"]);
    assert!(html.contains("? inconclusive"));
    // Killed before anything left its buffer.
    fs::write(run.join("history.jsonl"), "").unwrap();
    assert!(report(&run, &["--format", "html"]).contains("The run has no operations."));
}

#[test]
fn damage_in_the_middle_is_told_with_its_line() {
    let place = tempfile::tempdir().unwrap();
    let run = killed(place.path());
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    fs::write(
        run.join("events.jsonl"),
        events.replacen("\"seq\":3", "\"seq\":", 1),
    )
    .unwrap();
    let output = changeover().arg("report").arg(&run).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("events.jsonl, line 4: "), "{stderr}");
}

#[test]
fn rehearses_and_leaves_a_page_and_a_case_list_beside_the_verdict() {
    let mut rehearsal = Rehearsal::start(&["--versions", "v0.1.0,v0.2.0", "--verbose"]);
    let output = rehearsal.finish();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let page = rehearsal.read("report.html");
    assert!(stdout.contains(&format!(
        "Report: {}/report.html",
        rehearsal.dir().display()
    )));
    assert!(rehearsal.read("junit.xml").starts_with("<?xml"));
    // Asked for every event, it shows also those that need no line.
    assert!(stdout.contains("\"event\":\"phase-started\""), "{stdout}");
    // Both instances were looked at while they overlapped.
    assert!(page.contains("The cost of overlap"), "{stdout}");
    for instance in ["mz_1, generation 0", "mz_2, generation 1"] {
        assert!(page.contains(instance));
    }
    assert!(page.contains("most connections"));
    let connected = |event: Event| matches!(event.kind, EventKind::Sampled { connections: Some(n), .. } if n > 0);
    assert!(rehearsal.events().into_iter().any(connected));
    // The same from the stored run.
    assert_eq!(report(&rehearsal.dir(), &["--format", "html"]), page);
}
