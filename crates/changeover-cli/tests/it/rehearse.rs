//! The main job, end to end: real processes, real sockets, a real metadata store.

use crate::harness::{Rehearsal, changeover, poll, processes_of};
use changeover_model::check::Check;
use changeover_model::event::{EventKind, Phase};
use changeover_model::history::{Class, Operation, Outcome};
use changeover_model::verdict::VerdictOutcome;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Output, Stdio};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_exit(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

#[test]
fn rehearses_the_default_ladder_and_says_with_evidence_that_nobody_noticed() {
    let mut run = Rehearsal::start(&["--seed", "7"]);
    let output = run.finish();
    assert_exit(&output, 0);
    let verdict = run.verdict();
    assert_eq!(
        verdict.outcome,
        VerdictOutcome::Pass,
        "{:?}",
        verdict.reasons
    );
    assert_eq!(verdict.seed, "7");

    // Every usable release, then current; each step went through all phases and was measured on all lanes.
    let steps: Vec<String> = verdict
        .steps
        .iter()
        .map(|s| format!("{} {}", s.from, s.to))
        .collect();
    let ladder: Vec<_> = changeover_reference::releases()
        .iter()
        .filter(|release| release.withdrawn.is_none())
        .collect();
    let versions: Vec<&str> = ladder.iter().map(|release| release.version).collect();
    let neighbours: Vec<String> = versions.windows(2).map(|pair| pair.join(" ")).collect();
    assert_eq!(steps, neighbours);
    assert!(steps.len() >= 6, "{steps:?}");
    for step in &verdict.steps {
        let phases: Vec<Phase> = step.phases.iter().map(|p| p.name).collect();
        assert_eq!(phases, Phase::ALL);
        assert_eq!(step.gaps.len(), 5);
    }
    assert!(verdict.operations.ok > 1000, "{:?}", verdict.operations);

    // Slots in turn, generations counting up; who is promoted asks for a restart or goes on in place, and every old
    // leader left by itself with 0.
    let ends: Vec<String> = run
        .events()
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::ProcessEnded {
                end, by_us: false, ..
            } => Some(format!(
                "{}.{} {end}",
                event.slot.as_deref().unwrap_or("-"),
                event.generation.unwrap_or(99)
            )),
            _ => None,
        })
        .collect();
    for (generation, release) in ladder.iter().enumerate().take(steps.len()) {
        let instance = format!("mz_{}.{generation}", generation % 2 + 1);
        assert!(ends.contains(&format!("{instance} exit 0")), "{ends:?}");
        assert_eq!(
            ends.contains(&format!("{instance} exit 166")),
            generation > 0 && !release.promotes_in_place,
            "{instance}: {ends:?}"
        );
    }

    // The table, and the sentence with the command that runs it again.
    let printed = text(&output.stdout);
    assert!(
        printed.contains(&format!("{}: passed", versions.join(" → "))),
        "{printed}"
    );
    assert!(printed.contains(&format!("--plan {}", run.dir().join("plan.json").display())));

    // The run's plan is the plan that `plan` shows, to the byte.
    let plan = changeover()
        .args(["plan", "--seed", "7", "--format", "json"])
        .output()
        .unwrap();
    assert_eq!(run.read("plan.json"), text(&plan.stdout));

    // Nothing is left but the evidence.
    run.assert_no_orphans();
    let mut files: Vec<String> = fs::read_dir(run.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "events.jsonl",
            "history.jsonl",
            "junit.xml",
            "logs",
            "plan.json",
            "processes.jsonl",
            "report.html",
            "verdict.json"
        ]
    );
    let logs = fs::read_dir(run.dir().join("logs")).unwrap().count();
    assert_eq!(logs, versions.len());
}

#[test]
fn rehearses_a_saved_plan_and_prints_one_json_document() {
    let place = tempfile::tempdir().unwrap();
    let plan = place.path().join("plan.json");
    let saved = changeover()
        .args([
            "plan",
            "--versions",
            "v0.2.0,current",
            "--rate",
            "50",
            "--save",
        ])
        .arg(&plan)
        .output()
        .unwrap();
    assert_exit(&saved, 0);
    let mut run = Rehearsal::start(&["--plan", plan.to_str().unwrap(), "--format", "json"]);
    let output = run.finish();
    assert_exit(&output, 0);
    assert_eq!(run.read("plan.json"), fs::read_to_string(&plan).unwrap());
    assert_eq!(text(&output.stdout), run.read("verdict.json"));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn rehearses_and_reports_the_write_gap_that_the_database_itself_saw() {
    // A machine that stood still in the middle of a step says so itself: the harness was late by an interval or more.
    // The two accounts then differ by what each of them was doing, and are compared in another run.
    let compared = (0..3).any(|_| {
        let paused = |step: &Compared| step.resolution > 2.0 * INTERVAL_MS;
        let steps = reported_and_true_gaps();
        for step in steps.iter().filter(|step| !paused(step)) {
            let Compared {
                number,
                reported,
                resolution,
                truth,
            } = step;
            assert!(
                (reported - truth).abs() <= 2.0 * resolution + 5.0,
                "step {number}: reported {reported} ms ± {resolution} ms, the database saw {truth} ms"
            );
        }
        !steps.iter().any(paused)
    });
    assert!(compared, "the machine stood still in each of three runs");
}

/// The interval of the reference target's lanes.
const INTERVAL_MS: f64 = 10.0;

/// A step's write gap by both accounts, in milliseconds.
struct Compared {
    number: u32,
    reported: f64,
    resolution: f64,
    truth: f64,
}

fn reported_and_true_gaps() -> Vec<Compared> {
    let mut run = Rehearsal::start(&[
        "--versions",
        "v0.1.0,v0.2.0,current",
        "--instance-arg=--ack-log={run_dir}/acks.{generation}",
    ]);
    assert_exit(&run.finish(), 0);
    let steps = run.verdict().steps;
    steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            // The database's own clock, in code that shares nothing with the judge.
            let old = acknowledged_writes(&run, index);
            let new = acknowledged_writes(&run, index + 1);
            // What a budget is held against: the longer of both lanes'.
            let write = step.gaps.iter().filter(|g| g.class == Class::Write);
            let (reported, resolution) = write
                .filter_map(|g| Some((g.longest_ms?, g.resolution_ms)))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .unwrap();
            Compared {
                number: step.number,
                reported,
                resolution,
                truth: (new.0 as f64 - old.1 as f64) / 1e6,
            }
        })
        .collect()
}

/// The first and last write that a generation acknowledged, over all its processes, in nanoseconds.
fn acknowledged_writes(run: &Rehearsal, generation: usize) -> (u64, u64) {
    let log = run.read(&format!("acks.{generation}"));
    let spans = log.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let time = |name: &str| line[name].as_u64().unwrap();
        (time("writes") > 0).then(|| (time("first_write"), time("last_write")))
    });
    spans
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .expect("it acknowledged a write")
}

#[test]
fn rehearses_until_a_signal_ends_it_and_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut run = Rehearsal::start(&[]);
        run.until("a promotion", |event| {
            matches!(event, EventKind::PromoteIntent { .. })
        });
        kill(Pid::from_raw(run.pid() as i32), signal).unwrap();
        let output = run.finish();
        assert_exit(&output, 130);
        run.assert_no_orphans();
        let verdict = run.verdict();
        assert_eq!(
            verdict.outcome,
            VerdictOutcome::Inconclusive,
            "{:?}",
            verdict.findings
        );
        assert!(
            verdict.reasons.iter().any(|r| r.contains(signal.as_str())),
            "{:?}",
            verdict.reasons
        );
        assert!(!run.dir().join("work").exists());
    }
}

#[test]
fn rehearses_until_it_is_killed_and_cleanup_removes_the_rest() {
    let mut run = Rehearsal::start(&[]);
    let mut other = Rehearsal::start(&["--versions", "v0.1.0,current"]);
    // Nothing happens in a quiet window; around a promotion, both instances may just have left by themselves.
    run.until("a quiet window", |event| {
        *event == EventKind::QuietWindowStarted
    });
    kill(Pid::from_raw(run.pid() as i32), Signal::SIGKILL).unwrap();
    run.finish();
    assert!(
        !processes_of(&run.dir()).is_empty(),
        "a killed harness cannot have tidied up"
    );

    let cleaned = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
    assert_exit(&cleaned, 0);
    run.assert_no_orphans();
    assert!(!run.dir().join("work").exists());
    // What is left of the record can be read.
    assert!(run.events().len() > 10);
    // Whoever else rehearses did not notice. Two runs on two cores may be too much for a budget, not for the data.
    other.finish();
    let verdict = other.verdict();
    let lost = verdict.findings.iter().filter(|f| f.check != Check::Budget);
    assert_eq!(lost.count(), 0, "{:?}", verdict.findings);
}

#[test]
fn rehearses_on_a_store_of_ones_own_and_keeps_what_was_there() {
    let place = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", place.path().join("store").display());
    for versions in ["v0.1.0,v0.2.0", "v0.2.0,v0.3.0"] {
        // The second run starts at generation 0 again, on a store that has seen generation 1.
        let mut run = Rehearsal::start(&["--versions", versions, "--metadata-store", &store]);
        let output = run.finish();
        if versions.starts_with("v0.1.0") {
            assert_exit(&output, 0);
            continue;
        }
        assert_exit(&output, 1);
        let verdict = run.verdict();
        assert!(
            verdict
                .reasons
                .iter()
                .chain(verdict.findings.iter().map(|f| &f.message))
                .any(|r| r.contains("fenced")),
            "{verdict:?}"
        );
    }
}

#[test]
fn rehearses_nothing_on_a_store_that_is_newer_or_damaged() {
    let place = tempfile::tempdir().unwrap();
    let newer = place.path().join("newer");
    let addresses = place.path().join("addresses");
    let mut server = changeover()
        .args([
            "reference",
            "serve",
            "--version",
            "current",
            "--deploy-generation",
            "0",
        ])
        .args([
            "--sql-addr",
            "127.0.0.1:0",
            "--http-addr",
            "127.0.0.1:0",
            "--metadata-store",
        ])
        .arg(format!("sqlite:{}", newer.display()))
        .arg("--address-file")
        .arg(&addresses)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Both addresses are there before the store is; it is made when the database leads.
    poll("a leader of the newest release", || leads(&addresses));
    server.kill().unwrap();
    server.wait().unwrap();
    let damaged = place.path().join("damaged");
    fs::write(
        &damaged,
        "this is no database at all, but it is long enough to look like a file",
    )
    .unwrap();
    for (store, why) in [(&newer, "row-runs"), (&damaged, "not")] {
        let store = format!("sqlite:{}", store.display());
        let mut run =
            Rehearsal::start(&["--versions", "v0.1.0,v0.2.0", "--metadata-store", &store]);
        let output = run.finish();
        assert_exit(&output, 1);
        let printed = text(&output.stdout);
        assert!(
            printed.contains("crash-loop") && printed.contains(why),
            "{printed}"
        );
        run.assert_no_orphans();
    }
}

/// Whether the instance whose addresses are in that file says that it leads.
fn leads(addresses: &Path) -> bool {
    let Ok(text) = fs::read_to_string(addresses) else {
        return false;
    };
    let addresses: serde_json::Value = serde_json::from_str(&text).unwrap();
    let Ok(mut stream) = TcpStream::connect(addresses["http"].as_str().unwrap()) else {
        return false;
    };
    let mut answer = String::new();
    let request = "GET /api/leader/status HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.contains("IsLeader")
}

#[test]
fn rehearses_nothing_when_it_cannot_and_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let below_a_file = file.join("run").display().to_string();
    let nowhere = format!("sqlite:{}", place.path().join("none/store").display());
    let full = place.path().display().to_string();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--listen", &taken], 4, &taken),
        (
            &["--out", &below_a_file],
            2,
            "cannot write the run's directory",
        ),
        (&["--out", &full], 2, "is not empty"),
        (&["--metadata-store", &nowhere], 4, "cannot be reached"),
        (&["--versions", "v0.1.0"], 2, "nothing to upgrade"),
        (&["--versions", ""], 2, "empty"),
    ];
    // The port must be taken while the first case runs.
    let _taken = std::net::TcpListener::bind(&taken);
    for (args, code, why) in cases {
        let output = changeover()
            .current_dir(place.path())
            .arg("rehearse")
            .args(args)
            .output()
            .unwrap();
        assert_exit(&output, code);
        let error = text(&output.stderr);
        assert!(
            error.starts_with("error: ") && error.contains(why),
            "{args:?}: {error}"
        );
        assert!(
            !place.path().join(".changeover").exists(),
            "{args:?} made something"
        );
    }
}

#[test]
fn rehearses_with_a_record_that_agrees_with_itself() {
    let mut run = Rehearsal::start(&["--versions", "v0.3.0,current"]);
    assert_exit(&run.finish(), 0);
    let events = run.events();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.seq, index as u64 + 1);
    }
    assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let (mut total, mut ok) = (0, 0);
    for line in run.read("history.jsonl").lines().skip(1) {
        let operation = Operation::parse(line).unwrap();
        assert_eq!(
            operation.returned.is_none(),
            operation.outcome == Outcome::Unknown
        );
        if matches!(
            operation.source,
            Some(
                changeover_model::history::Source::Lane
                    | changeover_model::history::Source::Workload
            )
        ) {
            total += 1;
            ok += u64::from(operation.outcome == Outcome::Ok);
        }
    }
    let counts = run.verdict().operations;
    assert_eq!((counts.total, counts.ok), (total, ok));
    poll("the end of every process", || {
        processes_of(&run.dir()).is_empty()
    });
}
