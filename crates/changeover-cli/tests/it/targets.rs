//! Services that share no code with us, described in files: the examples are rehearsed as their READMEs say.

use crate::harness::{Rehearsal, poll};
use changeover_model::check::Check;
use changeover_model::event::EventKind;
use changeover_model::verdict::{Verdict, VerdictOutcome};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

fn examples() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    crates
        .expect("the crate lies two levels below")
        .join("examples")
}

/// Whether a program is there; says in a line that the test is skipped if not.
fn there(what: &str, probe: &[&str]) -> bool {
    let mut command = Command::new(probe[0]);
    command
        .args(&probe[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return true;
    }
    let provisioned = std::env::var_os("CHANGEOVER_PROVISIONED").is_some_and(|v| v == "1");
    assert!(!provisioned, "{what} should be here");
    println!("skipped: {what} not found");
    false
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_exit(output: &Output, code: i32) {
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
}

fn assert_passed(verdict: &Verdict) {
    assert_eq!(
        verdict.outcome,
        VerdictOutcome::Pass,
        "{:?}",
        verdict.reasons
    );
    assert_eq!(verdict.findings, []);
    assert!(
        verdict.operations.acknowledged_writes > Some(50),
        "{:?}",
        verdict.operations
    );
}

#[test]
fn rehearses_a_service_in_python_that_knows_nothing_of_us() {
    if !there("python3", &["python3", "--version"]) {
        return;
    }
    let example = examples().join("python-service");
    let target = example.join("target.toml");
    let lines = |file: &Path| fs::read_to_string(file).unwrap().lines().count();
    assert!(lines(&target) < 30 && lines(&example.join("service.py")) <= 80);

    let mut run = Rehearsal::start(&["--target", target.to_str().unwrap()]);
    assert_exit(&run.finish(), 0);
    let verdict = run.verdict();
    assert_passed(&verdict);
    assert_eq!(
        (verdict.target.as_str(), verdict.steps.len()),
        ("python-service", 2)
    );
    let versions: Vec<String> = run
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::VersionSeen { found, .. } => Some(found),
            _ => None,
        })
        .collect();
    assert_eq!(versions, ["v1.0.0", "v1.1.0", "v2.0.0"]);
    run.assert_no_orphans();
    // A plan has no machine's paths; the command that runs it again has.
    assert!(!run.read("plan.json").contains("target.toml"));
    assert!(
        verdict
            .reproduce
            .ends_with(&format!("--target {}", target.display()))
    );
}

/// A copy of the Python service's description with this replaced by that.
fn python_service(place: &Path, from: &str, to: &str) -> String {
    for name in ["target.toml", "service.py"] {
        let text = fs::read_to_string(examples().join("python-service").join(name)).unwrap();
        assert!(name != "target.toml" || text.contains(from));
        fs::write(place.join(name), text.replace(from, to)).unwrap();
    }
    place.join("target.toml").display().to_string()
}

#[test]
fn rehearses_no_further_when_a_status_is_not_described() {
    if !there("python3", &["python3", "--version"]) {
        return;
    }
    let status = "[status]\nurl = \"http://{http_addr}/api/leader/status\"\n";
    let cases = [
        (
            "json_pointer = \"/state\"",
            "status.json_pointer \"/state\" finds nothing in the answer {\"status\": \"IsLeader\"}",
        ),
        (
            "map = { Leading = \"IsLeader\" }",
            "status.map has no \"IsLeader\", which the answer {\"status\": \"IsLeader\"} has at \"/status\"",
        ),
    ];
    for (key, sentence) in cases {
        let place = tempfile::tempdir().unwrap();
        let target = python_service(
            place.path(),
            "[client]",
            &format!("{status}{key}\n[client]"),
        );
        let mut run = Rehearsal::start(&["--target", &target]);
        let output = run.finish();
        assert_exit(&output, 1);
        assert!(
            text(&output.stdout).contains(sentence),
            "{}",
            text(&output.stdout)
        );
        run.assert_no_orphans();
        assert!(!run.dir().join("work").exists());
    }
}

#[test]
fn rehearses_a_service_that_is_promoted_by_a_command_and_says_when_that_fails() {
    if !there("python3", &["python3", "--version"]) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let program = "import sys, urllib.request as u; u.urlopen(u.Request('http://' + sys.argv[1] + '/api/leader/promote', method='POST')).read()";
    let promote = |program: &str| {
        format!(
            "[promote]\ncommand = [\"python3\", \"-c\", \"{program}\", \"{{http_addr}}\"]\n[client]"
        )
    };
    let target = python_service(place.path(), "[client]", &promote(program));
    let mut run = Rehearsal::start(&["--target", &target, "--versions", "v1.0.0,v2.0.0"]);
    assert_exit(&run.finish(), 0);
    assert_passed(&run.verdict());

    let target = python_service(
        place.path(),
        "[client]",
        &promote("import sys; sys.exit('not today')"),
    );
    let mut run = Rehearsal::start(&["--target", &target, "--versions", "v1.0.0,v2.0.0"]);
    let output = run.finish();
    assert_exit(&output, 1);
    let said = text(&output.stdout);
    assert!(said.contains("exit 1: not today"), "{said}");
    run.assert_no_orphans();
}

/// The two servers of the example, started by hand. They end with the test, however it ends.
pub(crate) struct Servers {
    place: TempDir,
    pub(crate) ports: [u16; 2],
}

impl Servers {
    /// The servers. `None`, and a line that says so, where there is no PostgreSQL.
    pub(crate) fn start_here() -> Option<Self> {
        postgres_is_there().then(Servers::start)
    }

    /// Shuts the primary down and makes the standby the primary.
    pub(crate) fn promote(&self) {
        let standby = format!("127.0.0.1:{}", self.ports[1]);
        let promote = self.place.path().join("promote.sh");
        let status = Command::new("sh")
            .arg(promote)
            .args(["127.0.0.1", &standby])
            .current_dir(self.place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    /// From now on a promotion takes so much longer, with nobody to write to.
    pub(crate) fn promote_slowly(&self, by: Duration) {
        let promote = self.place.path().join("promote.sh");
        let script = fs::read_to_string(&promote).unwrap();
        let stopped = "\"$@\" > /dev/null\n";
        assert!(script.contains(stopped));
        let slower = format!("{stopped}sleep {}\n", by.as_secs_f64());
        fs::write(&promote, script.replace(stopped, &slower)).unwrap();
    }

    /// The log of one of the two, `primary` or `standby`.
    pub(crate) fn log(&self, server: &str) -> String {
        let log = self
            .place
            .path()
            .join("servers")
            .join(format!("{server}.log"));
        fs::read_to_string(log).unwrap()
    }

    pub(crate) fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        // They run as another user where this is root.
        for directory in [place.path().to_owned(), place.path().join("servers")] {
            fs::create_dir_all(&directory).unwrap();
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let ports = free_ports();
        for entry in fs::read_dir(examples().join("attached-postgres")).unwrap() {
            let file = entry.unwrap().path();
            fs::copy(&file, place.path().join(file.file_name().unwrap())).unwrap();
        }
        let target = place.path().join("target.toml");
        let text = fs::read_to_string(&target).unwrap();
        let text = text.replace("5441", &ports[0].to_string());
        fs::write(&target, text.replace("5442", &ports[1].to_string())).unwrap();
        let servers = Servers { place, ports };
        let [primary, standby] = servers.ports.map(|port| port.to_string());
        servers.script("start.sh", &[&primary, &standby]);
        servers
    }

    fn script(&self, name: &str, arguments: &[&str]) {
        let output = Command::new("sh")
            .arg(self.place.path().join(name))
            .arg(self.place.path().join("servers"))
            .args(arguments)
            // From where the other user may be.
            .current_dir(self.place.path())
            // A daemon that inherited our pipe would keep it open.
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.place.path().join("said")).unwrap())
            .stdin(Stdio::null())
            .status()
            .unwrap();
        let said = fs::read_to_string(self.place.path().join("said")).unwrap();
        assert!(output.success(), "{name}: {said}");
    }

    pub(crate) fn target(&self) -> String {
        self.place.path().join("target.toml").display().to_string()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let stop = Command::new("sh")
            .arg(self.place.path().join("stop.sh"))
            .arg(self.place.path().join("servers"))
            .current_dir(self.place.path())
            .status();
        if !thread::panicking() {
            assert!(stop.unwrap().success());
        }
    }
}

/// Two ports that nobody listens on.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Whether there is all that the PostgreSQL example needs.
pub(crate) fn postgres_is_there() -> bool {
    let server = "for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done; \
                  for name in initdb psql pg_ctl pg_basebackup runuser; do command -v $name || exit 1; done";
    let user = "[ \"$(id -u)\" != 0 ] || id postgres";
    there(
        "postgresql",
        &["sh", "-c", &format!("{server} && ({user})")],
    )
}

#[test]
fn rehearses_a_pair_of_postgres_servers_that_run_already() {
    if !postgres_is_there() {
        return;
    }
    let servers = Servers::start();
    let mut run = Rehearsal::start(&["--target", &servers.target()]);
    assert_exit(&run.finish(), 0);
    let verdict = run.verdict();
    assert_passed(&verdict);
    assert_eq!(verdict.steps.len(), 1);
    run.assert_no_orphans();
    // What was not started is not ended: the new primary is still there.
    let events = run.events();
    let touched = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::SpawnIntent { .. } | EventKind::StopIntent { .. }
        )
    };
    assert!(!events.iter().any(|event| touched(&event.kind)));
    let port = servers.ports[1];
    let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    poll("the new primary", answers);
}

#[test]
fn rehearses_a_pair_whose_old_primary_nobody_fences_and_finds_two_leaders() {
    if !postgres_is_there() {
        return;
    }
    let servers = Servers::start();
    let script = servers.place.path().join("promote.sh");
    let text = fs::read_to_string(&script).unwrap();
    let fence = "\"$@\" > /dev/null\n";
    assert_eq!(text.matches(fence).count(), 1);
    fs::write(&script, text.replace(fence, "")).unwrap();
    let mut run = Rehearsal::start(&["--target", &servers.target()]);
    assert_exit(&run.finish(), 1);
    let checks: Vec<Check> = run.verdict().findings.iter().map(|f| f.check).collect();
    assert!(checks.contains(&Check::TwoLeaders), "{checks:?}");
    // Held clients went on writing to the old one.
    assert!(checks.contains(&Check::LostWrite), "{checks:?}");
}
