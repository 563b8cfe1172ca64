//! `changeover probe` against real servers, and what it refuses.

mod access;
mod beside;
mod gaps;
mod idle;
mod refusals;
mod tables;

use crate::harness::{Rehearsal, changeover, everything, poll, told};
use crate::postgres_server::Server;
use changeover_model::Verdict;
use changeover_model::event::EventKind;
use changeover_model::probe::SeenGap;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::Command;
use tokio_postgres::{Client, NoTls};

/// Often enough that a test is short.
const OFTEN: [&str; 2] = ["--probe-interval", "50ms"];

/// A probe, apart from what a developer's environment says about databases.
fn command(args: &[&str]) -> Command {
    let mut command = changeover();
    command.arg("probe").args(args);
    for name in ["PGPASSWORD", "PGUSER", "PGPASSFILE"] {
        command.env_remove(name);
    }
    command.env("PGPASSFILE", "/nowhere");
    command
}

fn start(args: &[&str]) -> Rehearsal {
    Rehearsal::of(&mut command(args))
}

/// A probe with an interval that makes tests short.
fn often(url: &str, args: &[&str]) -> Rehearsal {
    start(&[&[url], &OFTEN[..], args].concat())
}

fn url(server: &Server) -> String {
    format!("postgres://changeover@127.0.0.1:{}/postgres", server.port())
}

fn signal(run: &Rehearsal, signal: Signal) {
    kill(Pid::from_raw(run.pid() as i32), signal).unwrap();
}

/// Waits until so many operations are on record. A marker brings the files up to date.
fn until_operations(run: &Rehearsal, count: usize) {
    run.until("lanes", |kind| matches!(kind, EventKind::LoadIntent));
    poll("operations", || {
        signal(run, Signal::SIGUSR1);
        let history = fs::read(run.dir().join("history.jsonl")).unwrap_or_default();
        history.iter().filter(|byte| **byte == b'\n').count() > count
    });
}

/// Waits until so many gaps have closed.
fn until_closed(run: &Rehearsal, count: usize) {
    poll("the end of gaps", || {
        signal(run, Signal::SIGUSR1);
        let events = fs::read_to_string(run.dir().join("events.jsonl")).unwrap_or_default();
        events.matches("\"gap-closed\"").count() >= count
    });
}

/// Ends it as Ctrl-C does.
fn end(run: &mut Rehearsal) -> (i32, String, Verdict) {
    signal(run, Signal::SIGINT);
    finish(run)
}

fn finish(run: &mut Rehearsal) -> (i32, String, Verdict) {
    let output = run.finish();
    let told = told(&output);
    assert!(run.dir().join("verdict.json").exists(), "{told}");
    (output.status.code().unwrap(), told, run.verdict())
}

/// What a probe with these arguments says, and its exit code. Nothing may be left behind.
fn refusal(args: &[&str]) -> (i32, String) {
    refusal_of(&mut command(args))
}

fn refusal_of(command: &mut Command) -> (i32, String) {
    let place = tempfile::tempdir().unwrap();
    let output = command.current_dir(place.path()).output().unwrap();
    let told = told(&output);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    (output.status.code().unwrap(), told)
}

fn gaps_of<'a>(verdict: &'a Verdict, lane: &str) -> Vec<&'a SeenGap> {
    let probe = verdict.probe.as_ref().unwrap();
    probe.gaps.iter().filter(|gap| gap.lane == lane).collect()
}

/// A session of the test's own.
struct Session {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Session {
    fn to(server: &Server) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url(server), NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Session { runtime, client }
    }

    fn run(&self, sql: &str) {
        let done = self.client.batch_execute(sql);
        self.runtime.block_on(done).unwrap();
    }

    fn number(&self, sql: &str) -> i64 {
        let row = self.runtime.block_on(self.client.query_one(sql, &[]));
        row.unwrap().get(0)
    }
}
