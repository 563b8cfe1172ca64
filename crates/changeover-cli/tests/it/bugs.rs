//! The planted bugs: each is written down with what catches it, nobody else knows them, and a few are caught here. The
//! rest is in `cargo xtask bugs`.

use crate::harness::{Rehearsal, changeover};
use changeover_model::check::{Check, Severity};
use changeover_model::verdict::VerdictOutcome;
use changeover_reference::{Facts, bugs};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = include_str!("../../../../docs/planted-bugs.md");

/// The cells of the rows of all tables with so many columns.
fn rows(columns: usize) -> Vec<Vec<&'static str>> {
    DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'))
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == columns && !["bug", ""].contains(&cells[0]))
        .collect()
}

fn classes(bug: &Facts) -> String {
    let numbers: Vec<String> = bug.classes.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

#[test]
fn every_bug_is_in_the_table_with_what_catches_it() {
    let mut table: BTreeMap<&str, Vec<&str>> = rows(6)
        .into_iter()
        .map(|cells| (cells[0].trim_matches('`'), cells))
        .collect();
    for bug in bugs() {
        let Some(row) = table.remove(bug.name) else {
            panic!(
                "{} is not in docs/planted-bugs.md; run cargo xtask bugs",
                bug.name
            );
        };
        let check = format!("`{}`", bug.check);
        assert_eq!(
            row[1..4],
            [&classes(bug), bug.symptom, &check],
            "{}",
            bug.name
        );
        let seconds = row[5].strip_suffix(" s").unwrap_or_default();
        let soon = seconds.parse::<u32>().is_ok_and(|seconds| seconds <= 60);
        assert!(row[4].parse::<u32>().is_ok() && soon, "{row:?}");
    }
    assert!(table.is_empty(), "no longer there: {:?}", table.keys());
}

#[test]
fn every_class_has_the_bugs_that_stand_for_it() {
    let table = rows(3);
    let numbers: Vec<String> = table.iter().map(|row| row[0].to_owned()).collect();
    let all: Vec<String> = (1..=36).map(|n: u8| n.to_string()).collect();
    assert_eq!(numbers, all);
    for (row, class) in table.iter().zip(1..) {
        let written: BTreeSet<&str> = row[2].split('`').skip(1).step_by(2).collect();
        let meant: BTreeSet<&str> = bugs()
            .filter(|bug| bug.classes.contains(&class))
            .map(|bug| bug.name)
            .collect();
        assert_eq!(written, meant, "class {class}");
        assert!(
            !written.is_empty() || row[2].starts_with("none: "),
            "class {class}"
        );
    }
}

#[test]
fn every_bug_names_a_check() {
    for bug in bugs() {
        assert!(check(bug).is_some(), "{}: {}", bug.name, bug.check);
    }
}

fn check(bug: &Facts) -> Option<Check> {
    let mut all = Check::ALL.iter().copied();
    all.find(|check| check.name() == bug.check)
}

/// Who judges must not know what there is to be found.
#[test]
fn nobody_else_knows_a_bug() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut places: Vec<PathBuf> = fs::read_dir(root.join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("changeover-reference"))
        .collect();
    places.extend([root.join("xtask"), root.join("targets")]);
    let mut read = 0;
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(
                fs::read_dir(place)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let Ok(text) = fs::read_to_string(&place) else {
            continue;
        };
        read += 1;
        for bug in bugs() {
            assert!(
                !text.contains(bug.name),
                "{} in {}",
                bug.name,
                place.display()
            );
        }
    }
    assert!(read > 100, "{read}");
}

#[test]
fn rehearses_planted_bugs_and_names_their_causes() {
    let sample = [
        Check::CrashLoop,
        Check::LostWrite,
        Check::DuplicatedEffect,
        Check::ReadOnlyWrite,
        Check::WrongVersion,
        Check::IllegalTransition,
        Check::PromotionLost,
        Check::ObjectChanged,
        Check::AbortNoticed,
    ];
    let caught_by = |wanted: &Check| {
        bugs()
            .find(|bug| check(bug) == Some(*wanted))
            .unwrap_or_else(|| panic!("no planted bug is caught by {wanted}"))
    };
    // And all that only a workload of its own sees.
    let by_workload = |bug: &&Facts| bug.options().iter().any(|option| option == "--workload");
    let planted = sample.iter().map(caught_by);
    let mut linked = 0;
    for bug in planted.chain(bugs().filter(by_workload)) {
        let Some(wanted) = check(bug) else {
            panic!("{}: {}", bug.name, bug.check);
        };
        let options = bug.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let mut run = Rehearsal::start(&options);
        let output = run.finish();
        assert_eq!(output.status.code(), Some(1), "{}: {output:?}", bug.name);
        let verdict = run.verdict();
        assert_eq!(verdict.outcome, VerdictOutcome::Fail);
        let found = verdict
            .findings
            .iter()
            .any(|finding| finding.check == wanted && finding.severity == Severity::Error);
        assert!(found, "{}: {:?}", bug.name, verdict.reasons);
        run.assert_no_orphans();
        let mut files = verdict
            .findings
            .iter()
            .filter_map(|finding| finding.evidence.get("history"));
        if let Some(file) = files.find_map(|file| file.as_str()) {
            let link = format!("<a href=\"{file}\">");
            assert!(run.read("report.html").contains(&link), "{}", bug.name);
            linked += 1;
        }
    }
    assert!(linked > 0);
}

#[test]
fn the_list_is_for_people_and_for_programs() {
    let listed = |arguments: &[&str]| {
        let output = changeover()
            .args(["reference", "bugs"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = listed(&[]);
    assert_eq!(lines.lines().count(), bugs().count());
    let text = listed(&["--format", "json"]);
    assert!(
        text.starts_with("{\n\"format\": \"changeover.bugs/1\","),
        "{text}"
    );
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (listed, bug) in document["bugs"].as_array().unwrap().iter().zip(bugs()) {
        assert_eq!(listed["name"], bug.name);
        assert_eq!(listed["options"], serde_json::json!(bug.options()));
        assert!(lines.contains(bug.symptom));
    }
}
