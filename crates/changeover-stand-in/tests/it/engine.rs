//! The engine that the tests run on, and what they look at.

use changeover_model::Verdict;
use changeover_model::event::{Event, EventKind};
use changeover_runtime::docker::Engine;
use changeover_stand_in::images;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A wait that takes longer than this has failed: a bound, not a measurement.
const DEADLINE: Duration = Duration::from_secs(120);

/// The versions that the stand-in plays here.
pub(crate) const VERSIONS: [&str; 4] = ["v0.147.20", "v26.0.0", "v26.10.0", "v26.22.0"];

/// Budgets that no machine exceeds, for tests that look at what happens and not at how fast.
pub(crate) const BUDGETS: [&str; 6] = [
    "--max-write-gap",
    "1m",
    "--max-read-gap",
    "1m",
    "--max-connect-gap",
    "1m",
];

/// Whether there is an engine. Without one a test is skipped, and says so; where everything was installed, it fails.
pub(crate) fn engine() -> bool {
    match block_on(Engine::connect()) {
        Ok(_) => true,
        Err(error) if std::env::var_os("CHANGEOVER_PROVISIONED").is_some_and(|it| it == "1") => {
            panic!("{error}")
        }
        Err(error) => {
            eprintln!("skipped: rehearsing on a Docker engine ({error})");
            false
        }
    }
}

/// The same, with all images made.
pub(crate) fn engine_with_images() -> bool {
    if !engine() {
        return false;
    }
    block_on(async {
        let engine = Engine::connect().await.unwrap();
        images::provide_postgres(&engine).await.unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_materialized-stand-in"));
        images::provide_stand_in(&engine, program, &VERSIONS)
            .await
            .unwrap();
    });
    true
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// The binary under test.
pub(crate) fn changeover() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_changeover-on-docker"));
    command.stdin(Stdio::null()).env_remove("MZ_LICENSE_KEY");
    command
}

/// A rehearsal in a directory of its own.
pub(crate) struct Rehearsal {
    place: tempfile::TempDir,
    child: Option<Child>,
}

impl Rehearsal {
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let child = changeover()
            .arg("rehearse")
            .args(args)
            .arg("--out")
            .arg(place.path().join("run"))
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Rehearsal {
            place,
            child: Some(child),
        }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        fs::canonicalize(self.place.path()).unwrap().join("run")
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    /// Kills the harness when it has printed so many lines. Whether it did not end before.
    pub(crate) fn kill_after(&mut self, lines: u64) -> bool {
        let mut child = self.child.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let over = |line: &String| line.ends_with("the run is over");
        let printed = stdout.lines().map_while(Result::ok);
        let printed = printed.take_while(|line| !over(line)).take(lines as usize);
        let enough = printed.count() as u64 == lines;
        child.kill().unwrap();
        enough && child.wait().unwrap().signal().is_some()
    }

    pub(crate) fn finish(&mut self) -> Output {
        self.child.take().unwrap().wait_with_output().unwrap()
    }

    /// Waits for an end that passed; whoever reads the failure sees what was printed.
    pub(crate) fn pass(&mut self) -> Verdict {
        let output = self.finish();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
        serde_json::from_str(&self.read("verdict.json")).unwrap()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.dir().join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Every file of the run's directory, one after the other.
    pub(crate) fn everything(&self) -> String {
        everything(&self.dir())
    }

    pub(crate) fn events(&self) -> Vec<EventKind> {
        let text = self.read("events.jsonl");
        let lines = text.lines().skip(1);
        lines.map(|line| Event::parse(line).unwrap().kind).collect()
    }

    /// Waits until an event has been written for which `wanted` holds.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&EventKind) -> bool) {
        let began = Instant::now();
        loop {
            let text = fs::read_to_string(self.dir().join("events.jsonl")).unwrap_or_default();
            // The last line may be half written.
            let mut events = text
                .lines()
                .skip(1)
                .filter_map(|line| Event::parse(line).ok());
            if events.any(|event| wanted(&event.kind)) {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "{what} did not come true");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the engine still has of this run: containers, networks and volumes.
    pub(crate) fn left(&self) -> Vec<String> {
        left_of(&self.dir())
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = changeover().arg("cleanup").arg(self.dir()).output();
    }
}

fn everything(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => text.push_str(&everything(&entry.path())),
            // What only served the instances may go meanwhile.
            false => text.push_str(&String::from_utf8_lossy(
                &fs::read(entry.path()).unwrap_or_default(),
            )),
        }
    }
    text
}

pub(crate) fn left_of(dir: &Path) -> Vec<String> {
    let label = format!("label=changeover.run-dir={}", dir.display());
    let mut left = Vec::new();
    for list in [
        &["container", "ls", "--all", "--format", "{{.Names}}"][..],
        &["network", "ls", "--format", "{{.Name}}"],
        &["volume", "ls", "--format", "{{.Name}}"],
    ] {
        let output = Command::new("docker")
            .args(list)
            .args(["--filter", &label])
            .output()
            .unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        left.extend(text.lines().map(str::to_owned));
    }
    left
}
