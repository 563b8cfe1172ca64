//! Secrets are planted wherever they can be given, and looked for wherever they could come out.

use crate::harness::{Rehearsal, changeover, everything, poll, processes_of, told};
use crate::postgres_server::Server;
use changeover_model::event::EventKind;
use std::fs;
use std::path::{Path, PathBuf};

/// What every planted secret has in it, and nothing else.
const PLANTED: &str = "PLANTED";

fn example() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    crates
        .expect("the crate lies two levels below")
        .join("examples/python-service")
}

/// What the list of processes shows of those of a run.
fn command_lines(dir: &Path) -> Vec<String> {
    let read = |pid: u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    processes_of(dir)
        .into_iter()
        .map(|pid| String::from_utf8_lossy(&read(pid)).replace('\0', " "))
        .collect()
}

/// Fails when a secret is in a process list while the run goes on, or afterwards in what it printed, in its directory,
/// or in what reports make of it.
fn assert_kept(mut run: Rehearsal, least: usize) {
    run.until("the new instance was promoted", |kind| {
        matches!(kind, EventKind::PromoteIntent { .. })
    });
    poll("the instances are there", || {
        command_lines(&run.dir()).len() >= least
    });
    for line in command_lines(&run.dir()) {
        assert!(!line.contains(PLANTED), "{line}");
    }
    let output = run.finish();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        told(&output)
    );
    assert!(!told(&output).contains(PLANTED), "{}", told(&output));
    assert!(!everything(&run.dir()).contains(PLANTED));
    for form in ["human", "json", "html", "junit", "markdown"] {
        let report = changeover()
            .arg("report")
            .arg(run.dir())
            .args(["--format", form])
            .output()
            .unwrap();
        assert_eq!(report.status.code(), Some(0), "{}", told(&report));
        assert!(!told(&report).contains(PLANTED), "{form}");
    }
}

#[test]
fn rehearses_with_secrets_in_the_stores_address_and_the_environment_and_shows_none() {
    let Some(server) = Server::shared() else {
        return;
    };
    let store = format!(
        "postgres://changeover:PLANTED-1@127.0.0.1:{}/postgres",
        server.port()
    );
    let run = Rehearsal::of(
        changeover()
            .args(["rehearse", "--verbose", "--probe-interval", "50ms"])
            .args(["--versions", "v0.2.0,v0.3.0", "--metadata-store", &store])
            .env("MZ_LICENSE_KEY", "PLANTED-2")
            .env("PGPASSWORD", "PLANTED-3"),
    );
    assert_kept(run, 1);
}

#[test]
fn rehearses_with_a_secret_in_the_targets_file_and_shows_none() {
    if std::process::Command::new("python3")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: python3 not found");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let service = fs::read_to_string(example().join("service.py")).unwrap();
    // It has got the secret, or does not start.
    let service = service.replacen(
        "args = parser.parse_args()\n",
        "args = parser.parse_args()\nassert os.environ['TOKEN'] == 'PLANTED-4'\n",
        1,
    );
    fs::write(place.path().join("service.py"), service).unwrap();
    let target = fs::read_to_string(example().join("target.toml")).unwrap();
    let target = target.replacen("[client]", "env = { TOKEN = \"PLANTED-4\" }\n\n[client]", 1);
    let file = place.path().join("target.toml");
    fs::write(&file, target).unwrap();
    let run = Rehearsal::of(
        changeover()
            .args([
                "rehearse",
                "--verbose",
                "--probe-interval",
                "50ms",
                "--target",
            ])
            .arg(&file),
    );
    assert_kept(run, 1);
}

#[test]
fn errors_about_secrets_show_none() {
    let place = tempfile::tempdir().unwrap();
    let at = |arguments: &[&str]| {
        let output = changeover()
            .args(arguments)
            .current_dir(place.path())
            .output()
            .unwrap();
        assert!(
            matches!(output.status.code(), Some(2 | 4)),
            "{}",
            told(&output)
        );
        assert!(!told(&output).contains(PLANTED), "{}", told(&output));
    };
    for address in [
        "postgres://me:PLANTED@127.0.0.1:1/d",
        "postgres://me:PLANTED@@127.0.0.1/d",
        "postgres://me:PL%ANTED-PLANTED@127.0.0.1/d",
        "postgres://me@127.0.0.1:1/d?password=PLANTED",
        "postgres://me:PLANTED@127.0.0.1:port/d",
        "mysql://me:PLANTED@127.0.0.1/d",
    ] {
        at(&["rehearse", "--metadata-store", address]);
        at(&["probe", address]);
    }
    at(&["probe", "--http", "http://me:PLANTED@127.0.0.1:1/"]);
}
