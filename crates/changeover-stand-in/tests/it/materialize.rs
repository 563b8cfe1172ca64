//! The materialize target against the stand-in: in containers, and from binaries.

use crate::engine::{Rehearsal, VERSIONS, engine_with_images};
use changeover_model::event::{EventKind, ProcessEnd};
use changeover_stand_in::images;
use std::os::unix::fs::symlink;

#[test]
fn rehearses_the_materialize_target_against_the_stand_in() {
    if !engine_with_images() {
        return;
    }
    let versions = VERSIONS[..3].join(",");
    let mut run = Rehearsal::start(
        &[
            "--target",
            "materialize",
            "--image-repository",
            images::STAND_IN,
            "--metadata-store-image",
            images::POSTGRES,
            "--versions",
            &versions,
        ],
        &[("MZ_LICENSE_KEY", "a-key-that-nobody-may-see")],
    );
    let verdict = run.pass();
    assert_eq!(
        (verdict.target.as_str(), verdict.steps.len()),
        ("materialize", 2)
    );
    let events = run.events();
    let ended = |code: i32| {
        let of = |kind: &&EventKind| {
            matches!(kind, EventKind::ProcessEnded { end, by_us: false, .. }
                if *end == ProcessEnd::Code(code))
        };
        events.iter().filter(of).count()
    };
    // Read from the loop's own lines: the containers themselves go on.
    assert_eq!((ended(166), ended(0)), (2, 2));
    // What Materialize's own suites look at, in each of the two steps.
    let examined: Vec<_> = events
        .iter()
        .filter_map(|kind| match kind {
            EventKind::Examined {
                what,
                expected,
                found,
                ..
            } => Some((what.to_string(), found == expected)),
            _ => None,
        })
        .collect();
    let one_step = [
        "a promotion before it is ready",
        "a write before the promotion",
        "a read before the promotion",
        "the first query to the catalog",
        "a promotion of the leader",
    ];
    let expected: Vec<_> = one_step
        .iter()
        .chain(&one_step)
        .map(|it| ((*it).to_owned(), true))
        .collect();
    assert_eq!(examined, expected);
    let versions: Vec<&str> = events
        .iter()
        .filter_map(|kind| match kind {
            EventKind::VersionSeen { found, .. } => Some(found.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        versions,
        [
            "v0.147.20 (stand-in)",
            "v26.0.0 (stand-in)",
            "v26.10.0 (stand-in)"
        ]
    );
    // A name may be another image's by tomorrow: what ran is on record, by its id, as it comes from no registry.
    let images: Vec<(&str, &str)> = events
        .iter()
        .filter_map(|kind| match kind {
            EventKind::ImageSeen { name, id, digest } => {
                assert_eq!(*digest, None);
                Some((name.as_str(), id.as_str()))
            }
            _ => None,
        })
        .collect();
    let names: Vec<String> = VERSIONS[..3]
        .iter()
        .map(|version| format!("{}:{version}", images::STAND_IN))
        .collect();
    let expected = [images::POSTGRES, &names[0], &names[1], &names[2]];
    let found: Vec<&str> = images.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, expected);
    for (name, id) in images {
        let output = std::process::Command::new("docker")
            .args(["image", "inspect", "--format", "{{.Id}}", name])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), id);
        assert!(run.read("report.html").contains(&format!("{name}: {id}")));
    }
    let log = run.read("logs/mz_2.1.log");
    assert!(
        log.contains("environmentd exited (code: 166); restarting in 5s..."),
        "{log}"
    );
    assert!(
        log.contains("environmentd exited gracefully; sleeping forever"),
        "{log}"
    );
    // What was observed of real processes, in the order in which this one came to it.
    let log = log.as_str();
    let mut from = 0;
    for line in [
        "this deployment is a new generation; booting in read only mode",
        "deployment caught up",
        "announced as ready to promote; waiting for promotion",
        "promoted; attempting takeover",
        "WARN halting process: fenced out old deployment; rebooting as leader",
        "environmentd exited (code: 166)",
        "this deployment is the current generation; booting with writes allowed",
        "INFO exiting process (0): unable to advance catalog upper: Catalog(Error { kind: Durable(Fence(DeployGeneration { current_generation: 1, fence_generation: 2 })) })",
        "environmentd exited gracefully",
    ] {
        let found = log[from..].find(line);
        from += found.unwrap_or_else(|| panic!("{line:?} does not come next in {log}"));
    }
    for file in ["plan.json", "events.jsonl", "verdict.json"] {
        assert!(
            !run.read(file).contains("a-key-that-nobody-may-see"),
            "{file}"
        );
    }
    assert_eq!(run.left(), [""; 0]);
}

/// A directory for each version, with the stand-in in it.
pub(crate) fn programs(versions: &[&str]) -> tempfile::TempDir {
    let programs = tempfile::tempdir().unwrap();
    for version in versions {
        let directory = programs.path().join(version);
        std::fs::create_dir(&directory).unwrap();
        symlink(
            env!("CARGO_BIN_EXE_materialized-stand-in"),
            directory.join("environmentd"),
        )
        .unwrap();
    }
    programs
}

#[test]
fn rehearses_the_materialize_target_from_binaries() {
    let versions = ["v26.0.0", "v26.10.0"];
    let programs = programs(&versions);
    if changeover_runtime::postgres::Programs::find().is_none() {
        assert!(
            std::env::var_os("CHANGEOVER_PROVISIONED").is_none_or(|it| it != "1"),
            "no PostgreSQL server is installed here"
        );
        eprintln!("skipped: materialize from binaries (no PostgreSQL server is installed here)");
        return;
    }
    let directory = programs.path().to_string_lossy().into_owned();
    let mut run = Rehearsal::start(
        &[
            "--target",
            "materialize",
            "--runtime",
            "process",
            "--binaries",
            &directory,
            "--versions",
            &versions.join(","),
        ],
        &[],
    );
    let verdict = run.pass();
    assert_eq!(
        (verdict.runtime.as_str(), verdict.steps.len()),
        ("process", 1)
    );
    let limits: Vec<f64> = verdict
        .budgets
        .iter()
        .map(|budget| budget.limit_ms)
        .collect();
    assert_eq!(limits, [30_000.0; 3]);
}

#[test]
fn rehearses_migrations_that_are_forced_on_the_current_version_alone() {
    if !engine_with_images() {
        return;
    }
    let current = format!("{}:v26.22.0", images::STAND_IN);
    let mut run = Rehearsal::start(
        &[
            "--target",
            "materialize",
            "--image-repository",
            images::STAND_IN,
            "--metadata-store-image",
            images::POSTGRES,
            "--scenario",
            "forced-migrations",
            "--versions",
            "v26.10.0,current",
            "--current-image",
            &current,
        ],
        &[("MZ_LICENSE_KEY", "a-key")],
    );
    run.pass();
    let forced: Vec<bool> = run
        .events()
        .iter()
        .filter_map(|kind| match kind {
            EventKind::SpawnIntent { command } => Some(
                command
                    .iter()
                    .any(|word| word == "--unsafe-force-builtin-schema-migration=replacement"),
            ),
            _ => None,
        })
        .collect();
    assert_eq!(forced, [false, true]);
    assert_eq!(run.left(), [""; 0]);
}
