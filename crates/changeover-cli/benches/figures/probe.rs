//! What a probe can carry, on one core, and what it needs.

use crate::instances::{CHANGEOVER, Started, read};
use crate::report::{Bar, Figure, spread};
use changeover_model::probe::LaneReport;
use changeover_runtime::postgres::{Programs, Server};
use changeover_runtime::process::ProcessRuntime;
use std::process::{Command, Stdio};
use std::time::Duration;

const RUNS: usize = 3;
/// Nine lanes every 9 ms are 1,000 operations a second, of which the server gets 333 new connections to make.
const INTERVAL: &str = "9ms";
/// What makes nine of five lanes.
const QUERIES: [&str; 8] = [
    "--sql", "SELECT 1", "--sql", "SELECT 2", "--sql", "SELECT 3", "--sql", "SELECT 4",
];
/// How long each run lasts.
const SECONDS: u64 = 20;
/// The run whose memory is looked at: from its tenth second on it has as many operations as 40 minutes at the default
/// pace.
const LONG_SECONDS: u64 = 60;

/// Measures both where there is a PostgreSQL server.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(on_a_server())
}

async fn on_a_server() -> Result<Vec<Figure>, String> {
    let Some(programs) = Programs::find() else {
        return Ok(Vec::new());
    };
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let directory = place.path().join("run");
    std::fs::create_dir(&directory).map_err(|e| e.to_string())?;
    let processes = ProcessRuntime::new("bench", &directory).map_err(|e| e.to_string())?;
    let (log, never) = (directory.join("log"), std::future::pending());
    let server = Server::start(
        &programs,
        &processes,
        &directory.join("postgres"),
        &log,
        never,
    )
    .await
    .map_err(|e| e.to_string())?;
    let url = format!(
        "postgres://changeover@{}/postgres?sslmode=disable",
        server.addr()
    );
    let password = server.password().to_owned();
    let figures = tokio::task::spawn_blocking(move || figures(&url, password.reveal()))
        .await
        .map_err(|e| e.to_string())?;
    server.stop(Duration::from_secs(3)).await;
    figures
}

fn figures(url: &str, password: &str) -> Result<Vec<Figure>, String> {
    let mut rates = Vec::new();
    let mut cores = Vec::new();
    for _ in 0..RUNS {
        let ran = probe(url, password, SECONDS)?;
        rates.push(ran.sent as f64 / SECONDS as f64);
        cores.push(ran.cpu_seconds / SECONDS as f64);
    }
    let long = probe(url, password, LONG_SECONDS)?;
    let (rate, rate_range) = spread(&rates);
    let (core, core_range) = spread(&cores);
    Ok(vec![
        Figure {
            what: "a probe's operations a second, from one core",
            how: format!(
                "{RUNS} runs of `changeover probe --probe-interval {INTERVAL} --for {SECONDS}s`, with four queries besides, of a \
                 private PostgreSQL server, the probe kept on one core by taskset; operations sent, by its verdict"
            ),
            value: rate,
            range: rate_range,
            bar: Bar::AtLeast(990.0),
        },
        Figure {
            what: "processors that it takes for that",
            how: "user and system time of the same processes, from /proc, over the time they ran; a third of the \
                  operations have a new connection"
                .to_owned(),
            value: core,
            range: core_range,
            bar: Bar::AtMost(1.0),
        },
        Figure {
            what: "what a probe's memory grows by in 50,000 operations (MiB)",
            how: format!(
                "one such run of {LONG_SECONDS} s: resident memory at its end less that after 10 s, from /proc, judging \
                 left out; it peaked at {:.1} MiB",
                long.peak_mib
            ),
            value: long.grown_mib,
            range: None,
            bar: Bar::AtMost(4.0),
        },
    ])
}

struct Ran {
    sent: u64,
    cpu_seconds: f64,
    grown_mib: f64,
    peak_mib: f64,
}

/// A probe on one core, looked at until its time is over.
fn probe(url: &str, password: &str, seconds: u64) -> Result<Ran, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let child = Command::new("taskset")
        .args(["--cpu-list", "0", CHANGEOVER, "probe", url])
        .args(QUERIES)
        .args([
            "--probe-interval",
            INTERVAL,
            "--for",
            &format!("{seconds}s"),
            "--out",
        ])
        .arg(dir.path().join("run"))
        .env("PGPASSWORD", password)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start taskset: {e}"))?;
    let started = Started { dir, child };
    let (pid, events) = (started.child.id(), started.path().join("events.jsonl"));
    let (mut first_mib, mut last_mib, mut peak_mib, mut cpu_seconds) = (None, 0.0, 0.0_f64, 0.0);
    let began = std::time::Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let over = read(&events).is_ok_and(|text| text.contains("load-end-intent"));
        let (Some(mib), Some(cpu), false) = (resident_mib(pid), cpu(pid), over) else {
            break;
        };
        (last_mib, cpu_seconds) = (mib, cpu);
        peak_mib = peak_mib.max(mib);
        if began.elapsed() > Duration::from_secs(10) {
            first_mib.get_or_insert(mib);
        }
    }
    let run = started.finish()?;
    // What the server makes of them is the server's: a busy one refuses connections.
    let lanes = run.verdict.probe.map_or_else(Vec::new, |probe| probe.lanes);
    let sent = |lane: &LaneReport| lane.total - lane.errors.get("not-sent").copied().unwrap_or(0);
    let sent: u64 = lanes.iter().map(sent).sum();
    Ok(Ran {
        sent,
        cpu_seconds,
        grown_mib: last_mib - first_mib.unwrap_or(last_mib),
        peak_mib,
    })
}

fn resident_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Processor seconds so far; the system counts in hundredths.
fn cpu(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
