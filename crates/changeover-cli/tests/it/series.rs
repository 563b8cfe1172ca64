//! `rehearse --repeat` and `--control`: several runs of a plan, and one verdict.

use crate::harness::{Rehearsal, changeover, poll, processes_of, told};
use changeover_model::check::Check;
use changeover_model::verdict::VerdictOutcome;
use changeover_model::{Plan, Verdict};
use changeover_reference::bugs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;

const PATH: [&str; 4] = ["--versions", "v0.5.0,v0.6.0", "--probe-interval", "100ms"];

/// Another command on what a series left.
fn ask(arguments: &[&str], directory: &Path) -> String {
    let output = changeover()
        .args(arguments)
        .arg(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn rehearses_a_plan_twice_with_a_control_and_gives_one_verdict() {
    let mut run = Rehearsal::start(
        &[
            PATH.as_slice(),
            &["--repeat", "2", "--control", "--max-write-gap", "1m"],
        ]
        .concat(),
    );
    let output = run.finish();
    let verdict = run.verdict();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));

    // Each run is a run like any other, with a plan that runs it alone.
    let repeat = verdict.repeat.as_ref().unwrap();
    let control = verdict.control.as_ref().unwrap();
    let names = |runs: &[changeover_model::verdict::RunReport]| -> Vec<String> {
        runs.iter().map(|run| run.run.clone()).collect()
    };
    assert_eq!(names(&repeat.runs), ["1", "2"]);
    assert_eq!(names(&control.runs), ["control-1", "control-2"]);
    for (name, path) in [
        ("1", ["v0.5.0", "v0.6.0"]),
        ("2", ["v0.5.0", "v0.6.0"]),
        ("control-1", ["v0.6.0", "v0.6.0"]),
        ("control-2", ["v0.6.0", "v0.6.0"]),
    ] {
        let plan = Plan::parse(&run.read(&format!("{name}/plan.json"))).unwrap();
        let versions: Vec<String> = plan.path.iter().map(ToString::to_string).collect();
        assert_eq!(versions, path);
        assert!(!plan.is_series());
        let of_run = Verdict::parse(&run.read(&format!("{name}/verdict.json"))).unwrap();
        assert_eq!(of_run.outcome, VerdictOutcome::Pass);
        assert!(run.read(&format!("{name}/report.html")).contains("</html>"));
    }

    // The longest gap is the longest of the runs, and the sum of operations is theirs.
    let gaps = repeat
        .runs
        .iter()
        .map(|run| run.write_gap.as_ref().unwrap().ms);
    let longest = gaps.max_by(f64::total_cmp).unwrap();
    assert_eq!(
        verdict
            .longest_gap(changeover_model::history::Class::Write)
            .unwrap()
            .1,
        longest
    );
    let operations: u64 = repeat.runs.iter().map(|run| run.operations.total).sum();
    assert_eq!(verdict.operations.total, operations);
    assert_eq!(control.version.to_string(), "v0.6.0");

    // All forms tell of all runs, also when the verdict must be given anew.
    let text = told(&output);
    assert!(text.contains("passed 2 times"), "{text}");
    assert!(text.contains("when v0.6.0 was restarted instead"), "{text}");
    let report = ask(&["report", "--format", "human"], &run.dir());
    assert!(text.contains(&report), "{report}");
    assert!(run.read("report.html").contains("<h2 id=\"runs-heading\">"));
    assert!(run.read("junit.xml").contains("name=\"run control-2\""));
    fs::remove_file(run.dir().join("verdict.json")).unwrap();
    let anew: Value =
        serde_json::from_str(&ask(&["report", "--format", "json"], &run.dir())).unwrap();
    let given = serde_json::to_value(&verdict).unwrap();
    assert_eq!(anew["repeat"], given["repeat"]);
    assert_eq!(anew["control"], given["control"]);
    let third = run.dir().join("2");
    assert!(ask(&["report", "--format", "markdown"], &third).contains("v0.5.0 → v0.6.0: passed."));
}

#[test]
fn rehearses_a_series_that_is_interrupted_and_ends_it_in_good_order() {
    let mut run = Rehearsal::start(&[PATH.as_slice(), &["--repeat", "3"]].concat());
    let second = run.dir().join("2").join("events.jsonl");
    poll("the second run's first instance leads", || {
        let text = fs::read_to_string(&second).unwrap_or_default();
        text.contains("quiet-window-started")
    });
    kill(Pid::from_raw(run.pid() as i32), Signal::SIGINT).unwrap();
    let output = run.finish();
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    let verdict = run.verdict();
    let runs = verdict.repeat.unwrap().runs;
    let outcomes: Vec<VerdictOutcome> = runs.iter().map(|run| run.outcome).collect();
    assert_eq!(
        outcomes,
        [VerdictOutcome::Pass, VerdictOutcome::Inconclusive]
    );
    assert_eq!(verdict.outcome, VerdictOutcome::Inconclusive);
    assert!(!run.dir().join("3").exists());
    assert_eq!(processes_of(&run.dir().join("2")), [0_u32; 0]);
}

#[test]
fn rehearses_a_series_that_is_killed_and_cleanup_finds_its_runs() {
    let mut run = Rehearsal::start(&[PATH.as_slice(), &["--repeat", "3"]].concat());
    let second = run.dir().join("2").join("events.jsonl");
    poll("the second run's first instance leads", || {
        let text = fs::read_to_string(&second).unwrap_or_default();
        text.contains("quiet-window-started")
    });
    kill(Pid::from_raw(run.pid() as i32), Signal::SIGKILL).unwrap();
    run.finish();
    let cleaned = ask(&["cleanup"], &run.dir());
    assert!(cleaned.contains("2: removed"), "{cleaned}");
    assert_eq!(processes_of(&run.dir().join("2")), [0_u32; 0]);
    assert!(!run.dir().join("2").join("work").exists());
    let report = changeover().arg("report").arg(run.dir()).output().unwrap();
    let text = told(&report);
    assert!(
        text.contains("the series was ended before its verdict"),
        "{text}"
    );
    assert!(text.contains("inconclusive in 1 of 2 runs"), "{text}");
}

#[test]
fn rehearses_a_series_that_fails_and_names_what_each_run_found() {
    let wanted = Check::ReadOnlyWrite;
    let bug = bugs().find(|bug| bug.check == wanted.name()).unwrap();
    let options = bug.options();
    let mut arguments: Vec<&str> = options.iter().map(String::as_str).collect();
    arguments.extend(["--repeat", "2"]);
    let mut run = Rehearsal::start(&arguments);
    let output = run.finish();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("failed (read-only-write"), "{text}");
    assert!(text.contains("in 2 of 2 runs"), "{text}");
    let repeat = run.verdict().repeat.unwrap();
    assert!(repeat.runs.iter().all(|run| run.checks.contains(&wanted)));
    let reasons = run.verdict().reasons;
    assert!(
        reasons[0].starts_with("run 1: read-only-write"),
        "{reasons:?}"
    );
}
