//! What the harness runs on gives way: the disk, the reader of its output, the clock, the metadata store.

use crate::harness::{Rehearsal, changeover, everything, processes_of, told, with_budgets};
use crate::postgres_server::Server;
use changeover_model::Verdict;
use changeover_model::check::{Check, Severity};
use changeover_model::event::EventKind;
use changeover_model::verdict::VerdictOutcome;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// A short path with budgets that no machine exceeds.
const PATH: [&str; 10] = with_budgets(["--versions", "v0.2.0,v0.3.0", "--probe-interval", "50ms"]);

/// Two runs that are long enough to lose something meanwhile.
const LONG: [&str; 4] = ["--probe-interval", "100ms", "--rate", "50"];

fn assert_inconclusive_because_of_the_store(run: &mut Rehearsal, addr: &str) {
    let output = run.finish();
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let verdict = run.verdict();
    assert_eq!(
        verdict.outcome,
        VerdictOutcome::Inconclusive,
        "{:?}",
        verdict.findings
    );
    // The first reason: it is the one that the sentence has.
    let reason = format!("the metadata store at {addr} went away by itself between ");
    assert!(
        verdict.reasons[0].starts_with(&reason),
        "{:?}",
        verdict.reasons
    );
    assert!(told(&output).contains(&format!("the metadata store at {addr} does not answer: ")));
    run.assert_no_orphans();
}

#[test]
fn rehearses_on_a_store_of_its_own_that_dies_and_blames_the_store() {
    if Server::shared().is_none() {
        return;
    }
    let mut run = Rehearsal::start(&[&LONG[..], &["--metadata-store", "postgres"]].concat());
    run.until("a step", |kind| {
        matches!(kind, EventKind::StepStarted { from: Some(_), .. })
    });
    let addr = run
        .events_so_far()
        .into_iter()
        .find_map(|event| match event.kind {
            EventKind::MetadataStoreDone { addr } => Some(addr),
            _ => None,
        })
        .unwrap();
    let state = run.read("work/postgres/data/postmaster.pid");
    let server: i32 = state.lines().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
    assert_inconclusive_because_of_the_store(&mut run, &addr);
}

#[test]
fn rehearses_on_somebodys_store_that_goes_away_and_blames_the_store() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let addr = format!("127.0.0.1:{}", server.port());
    let store = format!("postgres://changeover@{addr}/postgres");
    let mut run = Rehearsal::start(&[&LONG[..], &["--metadata-store", &store]].concat());
    run.until("a step", |kind| {
        matches!(kind, EventKind::StepStarted { from: Some(_), .. })
    });
    server.stop();
    assert_inconclusive_because_of_the_store(&mut run, &addr);
    // What it made there cannot be removed now: that is said, and is not held against the upgrade.
    let verdict = run.verdict();
    let left = verdict
        .findings
        .iter()
        .find(|f| f.check == Check::Leftovers);
    assert_eq!(left.unwrap().severity, Severity::Warning);
    server.start_again();
    let cleaned = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
    assert_eq!(cleaned.status.code(), Some(0), "{}", told(&cleaned));
    assert!(
        told(&cleaned).contains("removed: schema changeover_"),
        "{}",
        told(&cleaned)
    );
}

#[test]
fn rehearses_for_a_reader_that_goes_away_and_comes_to_its_verdict() {
    for both in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let mut child = changeover()
            .arg("rehearse")
            .args(PATH)
            .arg("--out")
            .arg(place.path().join("run"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // As `| head -1` does; and as everything that is written to a terminal that was closed.
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        drop(stdout);
        if both {
            drop(child.stderr.take());
        }
        let output = child.wait_with_output().unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 3)),
            "{}",
            told(&output)
        );
        assert_eq!(told(&output), "", "nothing is wrong");
        let verdict = fs::read_to_string(place.path().join("run/verdict.json")).unwrap();
        assert_ne!(
            Verdict::parse(&verdict).unwrap().outcome,
            VerdictOutcome::Fail
        );
    }
}

/// Rehearses on a terminal that is closed when a promotion is announced.
const ON_A_TERMINAL: &str = r#"
import os, pty, sys
out, command = sys.argv[1], sys.argv[2:]
os.environ.pop("CI", None)
os.environ["TERM"] = "xterm"
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
def promotes():
    try:
        return '"promote-intent"' in open(out + "/events.jsonl").read()
    except OSError:
        return False
while not promotes():
    os.read(terminal, 4096)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn rehearses_on_a_terminal_that_is_closed_and_ends_in_good_order() {
    let place = tempfile::tempdir().unwrap();
    let run = fs::canonicalize(place.path()).unwrap().join("run");
    let python = Command::new("python3")
        .args(["-c", ON_A_TERMINAL])
        .arg(&run)
        .arg(env!("CARGO_BIN_EXE_changeover"))
        .args(["rehearse", "--probe-interval", "50ms", "--out"])
        .arg(&run)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = python else {
        println!("skipped: python3 not found");
        return;
    };
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    let verdict = fs::read_to_string(run.join("verdict.json")).unwrap();
    let verdict = Verdict::parse(&verdict).unwrap();
    assert_eq!(verdict.outcome, VerdictOutcome::Inconclusive);
    assert_eq!(verdict.reasons[0], "the run was interrupted by SIGHUP");
    assert_eq!(processes_of(&run), [0; 0]);
    assert!(!run.join("work").exists());
}

/// What runs where the run's directory is on a small disk of its own, which somebody fills while clients write.
const ON_A_SMALL_DISK: &str = r#"
program=$1; disk=$2; out=$3; shift 3
mount -t tmpfs -o size=8m none "$disk"
"$program" rehearse "$@" --out "$disk/run" >"$out/stdout" 2>"$out/stderr" &
until grep -q '"load-intent"' "$disk/run/events.jsonl" 2>/dev/null; do kill -0 $! || break; done
cat /dev/zero >"$disk/filler" 2>/dev/null
wait $!
echo $? >"$out/code"
ls "$disk/run" >"$out/files"
rm "$disk/filler"
"$program" cleanup "$disk/run" >"$out/cleanup" 2>&1
"$program" report "$disk/run" --format json >"$out/verdict" 2>"$out/note"
echo $? >"$out/report-code"
"#;

#[test]
fn rehearses_on_a_disk_that_is_full_and_says_so() {
    let namespace = Command::new("unshare").args(["-m", "true"]).output();
    if !namespace.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: a mount namespace of one's own is not permitted");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (disk, out) = (place.path().join("disk"), place.path().join("out"));
    fs::create_dir(&disk).unwrap();
    fs::create_dir(&out).unwrap();
    let shell = Command::new("unshare")
        .args(["-m", "sh", "-c", ON_A_SMALL_DISK, "sh"])
        .arg(env!("CARGO_BIN_EXE_changeover"))
        .args([&disk, &out])
        .args(PATH)
        .args(["--rate", "2000"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(shell.status.success(), "{}", told(&shell));
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let stderr = read("stderr");
    assert_eq!(read("code"), "2\n", "{}\n{stderr}", read("stdout"));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("error: cannot write ")
            && stderr.contains(": No space left on device")
            && stderr.contains("free some space"),
        "{stderr}"
    );
    // Half a verdict would be worse than none.
    assert!(!read("files").contains("verdict"), "{}", read("files"));
    assert_eq!(read("cleanup"), "nothing to remove in 1 run\n");
    assert_eq!(read("report-code"), "0\n", "{}", read("note"));
    let verdict = Verdict::parse(&read("verdict")).unwrap();
    assert_eq!(
        verdict.outcome,
        VerdictOutcome::Inconclusive,
        "{:?}",
        verdict.findings
    );
    assert!(
        verdict.reasons.iter().any(|r| r.contains("interrupted")),
        "{:?}",
        verdict.reasons
    );
}

/// The wall clock of every process is an hour earlier from half a second of its life on.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long began;

static long now(void) {
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((constructor)) static void begin(void) { began = now(); }

int clock_gettime(clockid_t clock, struct timespec *t) {
    int failed = syscall(SYS_clock_gettime, clock, t);
    if (!failed && clock == CLOCK_REALTIME && now() - began > 500) t->tv_sec -= 3600;
    return failed;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec s;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &s);
    t->tv_sec = s.tv_sec;
    t->tv_usec = s.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *t) {
    struct timespec s;
    clock_gettime(CLOCK_REALTIME, &s);
    if (t) *t = s.tv_sec;
    return s.tv_sec;
}
"#;

/// That clock as a library to be loaded before others; `None`, and a line, where there is no compiler.
fn clock(place: &Path) -> Option<String> {
    let (source, library) = (place.join("clock.c"), place.join("clock.so"));
    fs::write(&source, CLOCK).unwrap();
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .output();
    match compiler {
        Ok(compiled) => {
            assert!(compiled.status.success(), "{}", told(&compiled));
            Some(library.display().to_string())
        }
        Err(error) => {
            println!("skipped: no C compiler ({error})");
            None
        }
    }
}

#[test]
fn rehearses_while_the_wall_clock_steps_backwards_and_measures_as_ever() {
    let place = tempfile::tempdir().unwrap();
    let Some(clock) = clock(place.path()) else {
        return;
    };
    // It does step.
    let dates = Command::new("bash")
        .args([
            "-c",
            "printf '%(%s)T\n' -1; sleep 0.6; printf '%(%s)T\n' -1",
        ])
        .env("LD_PRELOAD", &clock)
        .output()
        .unwrap();
    let dates = told(&dates);
    let dates: Vec<i64> = dates.lines().map(|line| line.parse().unwrap()).collect();
    assert!(dates[1] < dates[0], "{dates:?}");

    let mut run = Rehearsal::of(
        changeover()
            .arg("rehearse")
            .args(PATH)
            .env("LD_PRELOAD", &clock),
    );
    let output = run.finish();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        told(&output)
    );
    let verdict = run.verdict();
    assert_eq!(verdict.findings, []);
    assert_eq!(verdict.steps.len(), 1);
    let times: Vec<u64> = run.events().iter().map(|event| event.at).collect();
    assert!(times.is_sorted(), "{times:?}");
    // Nobody waited for an hour, and none went by.
    assert!(times.last().unwrap() / 1_000_000_000 < 600);
    run.assert_no_orphans();
}

#[test]
fn rehearses_after_the_clock_was_set_back_and_says_that_latest_is_another_run() {
    let place = tempfile::tempdir().unwrap();
    let later = "29991231T235959Z-000000";
    fs::create_dir_all(place.path().join(".changeover/runs").join(later)).unwrap();
    let output = changeover()
        .arg("rehearse")
        .args(PATH)
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        told(&output)
    );
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains(&format!("note: the run {later} began later than now")),
        "{stderr}"
    );
}

#[test]
fn rehearses_twice_at_once_and_neither_disturbs_the_other() {
    let servers = Server::shared().is_some();
    let store = match servers {
        true => "postgres",
        false => "sqlite",
    };
    let arguments = [&PATH[..], &["--rate", "20", "--metadata-store", store]].concat();
    let mut runs = [Rehearsal::start(&arguments), Rehearsal::start(&arguments)];
    let mut texts = Vec::new();
    for run in &mut runs {
        let output = run.finish();
        assert!(
            matches!(output.status.code(), Some(0 | 3)),
            "{}",
            told(&output)
        );
        assert_eq!(run.verdict().findings, []);
        run.assert_no_orphans();
        texts.push(everything(&run.dir()));
    }
    // Neither knows of the other.
    let [one, other] = &runs;
    assert!(!texts[0].contains(&other.dir().display().to_string()));
    assert!(!texts[1].contains(&one.dir().display().to_string()));
}
