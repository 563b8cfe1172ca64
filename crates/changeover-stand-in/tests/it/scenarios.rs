//! Scenarios with users' checks: placed where the scenario says, and judged.

use crate::engine::{Rehearsal, changeover};
use changeover_model::event::EventKind;
use changeover_model::scenario::Action;
use changeover_model::verdict::VerdictOutcome;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn write(directory: &Path, name: &str, text: &str) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join(name), text).unwrap();
}

fn checks(expected: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let table = place.path().join("table");
    write(
        &table,
        "initialize.sql",
        "CREATE TABLE mine (id BIGINT NOT NULL);\nINSERT INTO mine VALUES (1);\n",
    );
    write(&table, "manipulate-1.sql", "INSERT INTO mine VALUES (2);\n");
    write(
        &table,
        "manipulate-2.sql",
        "-- below: v0.1.0\nSELECT nothing FROM nowhere;\n",
    );
    write(
        &table,
        "validate.sql",
        &format!(
            "SELECT id FROM mine ORDER BY id;\n-- 1\n-- {expected}\nSELECT id FROM absent;\n-- error: 42P01\n"
        ),
    );
    let program = place.path().join("program");
    write(
        &program,
        "validate",
        "#!/bin/sh\n[ -n \"$PGPORT\" ] && [ \"$CHANGEOVER_ACTION\" = validate ]\n",
    );
    fs::set_permissions(program.join("validate"), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

fn run(checks: &Path) -> Rehearsal {
    run_scenario("restarts", "v0.5.0", checks)
}

fn run_scenario(name: &str, versions: &str, checks: &Path) -> Rehearsal {
    let checks = checks.to_string_lossy();
    Rehearsal::start(
        &[
            "--scenario",
            name,
            "--versions",
            versions,
            "--rate",
            "50",
            "--probe-interval",
            "50ms",
            "--checks",
            &checks,
        ],
        &[],
    )
}

#[test]
fn rehearses_a_scenario_with_checks_where_it_says() {
    let place = checks("2");
    let mut run = run(place.path());
    let verdict = run.pass();
    assert_eq!(verdict.findings, []);
    let done: Vec<String> = run
        .events()
        .iter()
        .filter_map(|kind| match kind {
            EventKind::UserCheckDone {
                check,
                action,
                problem,
            } => Some(format!("{check} {action} {problem:?}")),
            _ => None,
        })
        .collect();
    assert_eq!(
        done[..3],
        [
            "table initialize None",
            "table manipulate-1 None",
            "table manipulate-2 None"
        ]
    );
    assert_eq!(done.len(), 3 + 3 * 2, "{done:?}");
}

#[test]
fn rehearses_a_scenario_whose_check_fails_and_says_where() {
    let place = checks("3");
    let mut run = run(place.path());
    assert_eq!(run.finish().status.code(), Some(1));
    let verdict: changeover_model::Verdict =
        serde_json::from_str(&run.read("verdict.json")).unwrap();
    assert_eq!(verdict.outcome, VerdictOutcome::Fail);
    let finding = &verdict.findings[0];
    assert_eq!(finding.check.name(), "invariant-broken");
    assert!(
        finding.message.contains(
            "check table: validate is not as it should be: validate.sql, line 1: the rows are"
        ),
        "{}",
        finding.message
    );
}

#[test]
fn rehearses_an_upgrade_that_is_rolled_back_and_looks_at_the_old_leader() {
    let place = checks("2");
    let mut run = run_scenario("preflight-rollback", "v0.5.0,v0.6.0", place.path());
    let verdict = run.pass();
    let worked = |step: usize| verdict.steps[step].called_off.as_ref().map(|it| it.worked);
    assert_eq!((worked(0), worked(1)), (Some(true), None));
    // Looked at on the old leader, and again when the next attempt had gone through.
    let looked = run
        .events()
        .iter()
        .filter(|kind| {
            matches!(kind, EventKind::UserCheckDone { check, action: Action::Validate, problem: None }
                if check == "table")
        })
        .count();
    assert_eq!(looked, 2);
}

#[test]
fn rehearses_until_it_is_killed_and_cleanup_ends_the_programs_of_checks() {
    let place = tempfile::tempdir().unwrap();
    let check = place.path().join("slow");
    let told = place.path().join("told");
    write(
        &check,
        "initialize",
        &format!(
            "#!/bin/sh\nsleep 1000 &\necho $$ $! $CHANGEOVER_ACTION > {0}.part\nmv {0}.part {0}\nwait\n",
            told.display()
        ),
    );
    fs::set_permissions(check.join("initialize"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = run(place.path());
    run.until("the check's program ran", |_| told.exists());
    let text = fs::read_to_string(&told).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words[2], "initialize");
    let lives = |pid: &str| Path::new("/proc").join(pid).join("exe").exists();
    assert!(lives(words[0]) && lives(words[1]));
    run.child().kill().unwrap();
    run.finish();
    assert!(lives(words[1]), "it goes on when its harness was killed");
    let cleaned = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
    let text = String::from_utf8_lossy(&cleaned.stdout).into_owned();
    assert_eq!(cleaned.status.code(), Some(0), "{text}");
    assert!(text.contains("sleep 1000"), "{text}");
    assert!(!lives(words[0]) && !lives(words[1]));
}
