//! `plan --format compose`: docker-compose accepts what is written.

use crate::harness::changeover;
use std::fs;
use std::process::Command;

/// Whether docker-compose is there; without it a test is skipped, and fails where everything was installed.
fn docker_compose() -> bool {
    let found = Command::new("docker-compose").arg("version").output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        assert!(
            std::env::var_os("CHANGEOVER_PROVISIONED").is_none_or(|it| it != "1"),
            "docker-compose is missing"
        );
        eprintln!("skipped: checking the compose files of plans (docker-compose is missing)");
    }
    there
}

#[test]
fn docker_compose_accepts_what_plan_writes() {
    if !docker_compose() {
        return;
    }
    for arguments in [
        &["--target", "materialize", "--versions", "v0.90.0,v0.91.0"][..],
        &[
            "--target",
            "materialize",
            "--versions",
            "v0.130.13,v0.147.20",
        ],
        &[
            "--target",
            "materialize",
            "--versions",
            "v0.147.20,v26.0.0,current",
        ],
        &["--runtime", "docker", "--versions", "v0.2.0,v0.3.0"],
    ] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("by-hand");
        let planned = changeover()
            .args(["plan", "--format", "compose", "--allow-illegal", "--save"])
            .arg(&directory)
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&planned.stderr).into_owned();
        assert!(planned.status.success(), "{arguments:?}: {told}");
        assert_eq!(
            planned.stdout,
            fs::read(directory.join("compose.yaml")).unwrap()
        );
        let config = Command::new("docker-compose")
            .args(["-f", "compose.yaml", "config", "--quiet"])
            .env("CURRENT_IMAGE", "mz:current")
            .current_dir(&directory)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&config.stderr).into_owned();
        assert!(config.status.success(), "{arguments:?}: {told}");
        let script = Command::new("sh")
            .arg("-n")
            .arg(directory.join("upgrade.sh"))
            .status();
        assert!(script.unwrap().success());
        // Once more: what is there stays.
        let again = changeover()
            .args(["plan", "--format", "compose", "--allow-illegal", "--save"])
            .arg(&directory)
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(again.status.code(), Some(2));
        let told = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(told.contains("is there already"), "{told}");
    }
}

#[test]
fn a_file_where_the_directory_should_be_stays_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("evidence");
    fs::write(&file, "of something").unwrap();
    let planned = changeover()
        .args(["plan", "--format", "compose", "--runtime", "docker"])
        .args(["--versions", "v0.2.0,v0.3.0", "--save"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(planned.status.code(), Some(2));
    let told = String::from_utf8_lossy(&planned.stderr).into_owned();
    assert_eq!(
        told,
        format!(
            "error: {} is there already: give --save another name, or remove it\n",
            file.display()
        )
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "of something");
}

#[test]
fn a_plan_for_processes_is_nothing_for_compose() {
    let planned = changeover()
        .args(["plan", "--format", "compose", "--versions", "v0.2.0,v0.3.0"])
        .output()
        .unwrap();
    assert_eq!(planned.status.code(), Some(2));
    let told = String::from_utf8_lossy(&planned.stderr).into_owned();
    assert!(told.ends_with("add --runtime docker\n"), "{told}");
}
