//! The reference database in containers.

use crate::engine::{BUDGETS, Rehearsal, engine_with_images};
use changeover_model::event::EventKind;
use changeover_model::verdict::FaultOutcome;
use changeover_stand_in::images;

#[test]
fn rehearses_the_reference_database_over_a_postgresql_container() {
    if !engine_with_images() {
        return;
    }
    let mut run = Rehearsal::start(
        &[
            "--runtime",
            "docker",
            "--metadata-store",
            "postgres",
            "--metadata-store-image",
            images::POSTGRES,
            "--versions",
            "v0.2.0,v0.3.0,v0.5.0",
            "--rate",
            "50",
            "--probe-interval",
            "50ms",
        ],
        &[],
    );
    let verdict = run.pass();
    assert_eq!(verdict.runtime, "docker");
    assert_eq!(verdict.steps.len(), 2);
    assert!(verdict.operations.ok > 0);
    // Each promotion is a restart, and each old leader says that it was fenced.
    let ended = |code: i32| {
        let of = |kind: &EventKind| {
            matches!(kind, EventKind::ProcessEnded { end, by_us: false, .. }
                if *end == changeover_model::event::ProcessEnd::Code(code))
        };
        run.events().iter().filter(|kind| of(kind)).count()
    };
    assert_eq!((ended(166), ended(0)), (2, 2));
    assert!(
        run.read("logs/metadata-store.log")
            .contains("ready to accept")
    );
    assert!(run.read("logs/mz_2.1.log").contains("v0.3.0"));
    assert_eq!(run.left(), [""; 0]);
    assert!(!run.dir().join("containers.json").exists());
}

#[test]
fn rehearses_the_reference_database_over_a_file_in_a_shared_volume() {
    if !engine_with_images() {
        return;
    }
    let mut run = Rehearsal::start(
        &[
            "--runtime",
            "docker",
            "--versions",
            "v0.5.0,v0.6.0",
            "--rate",
            "50",
            "--probe-interval",
            "50ms",
        ],
        &[],
    );
    assert_eq!(run.pass().steps.len(), 1);
    assert_eq!(run.left(), [""; 0]);
}

#[test]
fn rehearses_faults_on_containers_with_evidence() {
    if !engine_with_images() {
        return;
    }
    let mut run = Rehearsal::start(
        &[
            &[
                "--runtime",
                "docker",
                "--metadata-store",
                "postgres",
                "--metadata-store-image",
                images::POSTGRES,
                "--versions",
                "v0.2.0,v0.3.0",
                "--rate",
                "50",
                "--probe-interval",
                "50ms",
                "--fault",
                "metadata-store:kill@booting",
                "--fault",
                "new:kill@ready",
                "--fault",
                "old:pause:500ms@catching-up",
                "--fault",
                "new:restart@serving",
            ][..],
            &BUDGETS,
        ]
        .concat(),
        &[],
    );
    let verdict = run.pass();
    assert_eq!(verdict.faults.len(), 4);
    for fault in &verdict.faults {
        assert_eq!(fault.outcome, FaultOutcome::Held, "{fault:?}");
    }
    assert_eq!(run.left(), [""; 0]);
}

#[test]
fn rehearses_an_upgrade_in_containers_that_is_called_off_and_nobody_notices() {
    if !engine_with_images() {
        return;
    }
    let mut run = Rehearsal::start(
        &[
            &[
                "--runtime",
                "docker",
                "--versions",
                "v0.5.0,v0.6.0",
                "--rate",
                "50",
                "--probe-interval",
                "50ms",
                "--abort-at",
                "ready",
            ][..],
            &BUDGETS,
        ]
        .concat(),
        &[],
    );
    let verdict = run.pass();
    let worked: Vec<bool> = verdict
        .steps
        .iter()
        .filter_map(|step| Some(step.called_off.as_ref()?.worked))
        .collect();
    assert_eq!(worked, [true]);
    assert_eq!(run.left(), [""; 0]);
}
