//! `changeover runs`: the past of a directory of runs.

use crate::harness::changeover;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory with runs of early builds: `a-pass`, `b-fail` and `c-pass`.
fn past() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let runs = place.path().join("runs");
    for (name, fixture) in [
        ("a-pass", "v1-pass"),
        ("b-fail", "v1-fail"),
        ("c-pass", "v1-pass"),
    ] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../changeover-report/tests/it/fixtures")
            .join(fixture);
        let to = runs.join(name);
        fs::create_dir_all(&to).unwrap();
        for file in ["plan.json", "events.jsonl", "history.jsonl", "verdict.json"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
    (place, runs)
}

fn runs(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = changeover()
        .arg("runs")
        .args(arguments)
        .arg("--dir")
        .arg(dir)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn listed(dir: &Path, arguments: &[&str]) -> Vec<String> {
    let (code, text) = runs(dir, &[arguments, &["--format", "json"]].concat());
    assert_eq!(code, 0, "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["format"], "changeover.runs/1");
    let runs = document["runs"].as_array().unwrap();
    runs.iter()
        .map(|run| run["run"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn runs_are_listed_and_filtered() {
    let (_place, dir) = past();
    assert_eq!(listed(&dir, &[]), ["a-pass", "c-pass", "b-fail"]);
    assert_eq!(listed(&dir, &["--outcome", "fail"]), ["b-fail"]);
    assert_eq!(listed(&dir, &["--check", "budget"]), ["b-fail"]);
    assert_eq!(listed(&dir, &["--last", "1"]), ["b-fail"]);
    assert_eq!(
        listed(&dir, &["--version", "v0.2.0", "--target", "reference"]).len(),
        3
    );
    assert_eq!(listed(&dir, &["--version", "v0.9.0"]).len(), 0);
    assert_eq!(listed(&dir, &["--since", "2026-11"]).len(), 3);
    assert_eq!(listed(&dir, &["--since", "2100"]).len(), 0);
    let (_, text) = runs(&dir, &[]);
    assert!(
        text.contains("b-fail  reference  v0.1.0 → v0.2.0 (1)  fail"),
        "{text}"
    );
}

#[test]
fn figures_outlive_their_runs_until_the_file_is_removed() {
    let (_place, dir) = past();
    assert_eq!(listed(&dir, &[]).len(), 3);
    let (code, text) = runs(&dir, &["prune", "--keep", "1", "--dry-run"]);
    assert!(
        code == 0 && text.matches("would remove").count() == 2,
        "{text}"
    );
    assert!(dir.join("a-pass").exists());
    let (code, text) = runs(&dir, &["prune", "--keep", "1"]);
    assert!(code == 0 && text.matches("removed").count() == 2, "{text}");
    assert!(!dir.join("a-pass").exists() && dir.join("b-fail").exists());
    // Known still, and comparable.
    assert_eq!(listed(&dir, &[]).len(), 3);
    let (code, text) = runs(&dir, &["diff", "a-pass", "latest"]);
    assert_eq!(code, 0, "{text}");
    // Without the file, what is there is all that is known.
    fs::remove_file(dir.join("history.sqlite")).unwrap();
    assert_eq!(listed(&dir, &[]), ["b-fail"]);
}

#[test]
fn a_run_that_may_still_run_is_left_alone() {
    let (_place, dir) = past();
    fs::create_dir(dir.join("a-pass/work")).unwrap();
    let (code, text) = runs(&dir, &["prune", "--keep", "0"]);
    assert_eq!(code, 1);
    assert!(
        text.contains("left alone") && dir.join("a-pass").exists(),
        "{text}"
    );
    assert!(!dir.join("b-fail").exists());
}

#[test]
fn a_run_compared_with_itself_does_not_differ() {
    let (_place, dir) = past();
    let (code, text) = runs(&dir, &["diff", "a-pass", "c-pass", "--format", "json"]);
    assert_eq!(code, 0, "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["format"], "changeover.diff/1");
    let differences = document["differences"].as_array().unwrap();
    assert!(differences.len() > 10);
    assert!(differences.iter().all(|d| d["exceeds_noise"] != true));
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let (place, dir) = past();
    let (code, text) = runs(&place.path().join("nowhere"), &[]);
    assert!(code == 2 && text.contains("there are no runs in"), "{text}");
    let (code, text) = runs(&dir, &["prune"]);
    assert!(
        code == 2 && text.contains("--keep N, or --before DATE"),
        "{text}"
    );
    let (code, text) = runs(&dir, &["diff", "a-pass", "nothing"]);
    assert!(code == 2 && text.contains("nothing is no run"), "{text}");
    // One damaged run hides none of the others.
    fs::write(dir.join("a-pass/verdict.json"), "{").unwrap();
    let (code, text) = runs(&dir, &[]);
    assert!(
        code == 0 && text.contains("warning: ") && text.contains("b-fail"),
        "{text}"
    );
    fs::write(
        dir.join("history.sqlite"),
        "no database, and longer than a page's header",
    )
    .unwrap();
    let (code, text) = runs(&dir, &[]);
    assert!(
        code == 2 && text.contains("it is made anew from the runs"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}
