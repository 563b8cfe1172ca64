//! Running rehearsals with the real binary, and looking at what they leave.

use changeover_model::Verdict;
use changeover_model::event::{Event, EventKind};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A wait that takes longer than this has failed: a bound, not a measurement.
const DEADLINE: Duration = Duration::from_secs(60);

/// Budgets that no machine exceeds, for tests that look at what happens and not at how fast.
pub(crate) const BUDGETS: [&str; 6] = [
    "--max-write-gap",
    "1m",
    "--max-read-gap",
    "1m",
    "--max-connect-gap",
    "1m",
];

/// These options and [`BUDGETS`]: a constant of `N + 6`.
pub(crate) const fn with_budgets<const N: usize, const ALL: usize>(
    own: [&'static str; N],
) -> [&'static str; ALL] {
    assert!(ALL == N + BUDGETS.len());
    let mut all = [""; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < N { own[at] } else { BUDGETS[at - N] };
        at += 1;
    }
    all
}

/// The binary under test.
pub(crate) fn changeover() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_changeover"));
    command.stdin(Stdio::null());
    command
}

/// A rehearsal that has been started. Dropping it ends it the hard way, and whatever it started.
pub(crate) struct Rehearsal {
    place: tempfile::TempDir,
    child: Option<Child>,
}

impl Rehearsal {
    /// Starts `changeover rehearse` with these arguments, and a directory of its own.
    pub(crate) fn start(args: &[&str]) -> Self {
        Rehearsal::of(changeover().arg("rehearse").args(args))
    }

    /// Starts that command with a directory of its own.
    pub(crate) fn of(command: &mut Command) -> Self {
        let place = tempfile::tempdir().unwrap();
        let child = command
            .arg("--out")
            .arg(place.path().join("run"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Rehearsal {
            place,
            child: Some(child),
        }
    }

    /// The run's directory.
    pub(crate) fn dir(&self) -> PathBuf {
        // The instances' mark names the real path.
        let place = fs::canonicalize(self.place.path()).unwrap();
        place.join("run")
    }

    /// The harness's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Waits until an event has been written for which `wanted` holds.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&EventKind) -> bool) {
        poll(what, || {
            let text = fs::read_to_string(self.dir().join("events.jsonl")).unwrap_or_default();
            // The last line may be half written.
            text.lines()
                .skip(1)
                .filter_map(|line| Event::parse(line).ok())
                .any(|event| wanted(&event.kind))
        });
    }

    /// Kills the harness when it has printed so many lines. Whether it did not end before.
    pub(crate) fn kill_after(&mut self, lines: u64) -> bool {
        let child = self.child.as_mut().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let over = |line: &String| line.ends_with("the run is over");
        let printed = stdout
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !over(line));
        let printed = printed.take(lines as usize).count() as u64;
        // Between its last line and its end it may be killed in vain.
        let killed = printed == lines && child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        self.child = None;
        killed && status.signal().is_some()
    }

    /// Whether the harness has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().unwrap();
        child.try_wait().unwrap().is_some()
    }

    /// Waits for the end.
    pub(crate) fn finish(&mut self) -> Output {
        let child = self.child.take().unwrap();
        child.wait_with_output().unwrap()
    }

    /// The verdict.
    pub(crate) fn verdict(&self) -> Verdict {
        serde_json::from_str(&self.read("verdict.json")).unwrap()
    }

    /// The events.
    pub(crate) fn events(&self) -> Vec<Event> {
        let text = self.read("events.jsonl");
        let lines = text.lines().skip(1);
        lines.map(|line| Event::parse(line).unwrap()).collect()
    }

    /// The events that are on record by now.
    pub(crate) fn events_so_far(&self) -> Vec<Event> {
        let text = self.read("events.jsonl");
        let lines = text.lines().skip(1);
        // The last one may be half written.
        lines.filter_map(|line| Event::parse(line).ok()).collect()
    }

    /// A file of the run.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.dir().join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Fails when a process of this run is still there.
    pub(crate) fn assert_no_orphans(&self) {
        let orphans = processes_of(&self.dir());
        assert!(orphans.is_empty(), "still there: {orphans:?}");
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

/// The processes that carry the mark of the run in that directory, by number.
pub(crate) fn processes_of(run_dir: &Path) -> Vec<u32> {
    let mark = format!("CHANGEOVER_RUN_DIR={}", run_dir.display()).into_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        // A zombie has no environment; it runs nothing either.
        if environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark)
        {
            found.push(pid);
        }
    }
    found
}

/// What a command said, on both streams.
pub(crate) fn told(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b).into_owned());
    format!("{out}{err}")
}

/// Everything in a directory.
pub(crate) fn everything(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            text.push_str(&everything(&entry.path()));
        } else {
            text.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap()));
        }
    }
    text
}

/// Looks again and again until `condition` holds.
pub(crate) fn poll(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "{what} did not come true");
        thread::sleep(Duration::from_millis(10));
    }
}
