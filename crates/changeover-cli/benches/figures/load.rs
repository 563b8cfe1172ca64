//! What the harness itself can carry.

use crate::instances::{Run, read, rehearse, start};
use crate::report::{Bar, Figure, spread};
use changeover_model::event::{Event, EventKind};
use changeover_model::history::{Operation, Source};
use changeover_model::verdict::VerdictOutcome;
use std::time::Duration;

const RUNS: usize = 3;
/// The five lanes add 500 operations a second at the default interval.
const RATE: &str = "1500";

/// Measures whether 2,000 operations a second are held together with two instances on the same cores.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let mut rates = Vec::new();
    let mut punctual = Vec::new();
    for _ in 0..RUNS {
        let run = rehearse(&["--rate", RATE])?;
        if run.verdict.outcome != VerdictOutcome::Pass {
            return Err(format!(
                "the run at 2,000 operations a second ended {}: {}",
                run.verdict.outcome,
                run.verdict.reasons.join("; ")
            ));
        }
        let (rate, share) = held(&run)?;
        rates.push(rate);
        punctual.push(share);
    }
    let (value, range) = spread(&rates);
    let held = Figure {
        what: "operations a second held together with two instances",
        how: format!(
            "{RUNS} runs of `changeover rehearse --rate {RATE}` (the lanes send 500 more); sends in the history over \
             the time the load ran; each run must pass"
        ),
        value,
        range,
        bar: Bar::AtLeast(1_980.0),
    };
    let (value, range) = spread(&punctual);
    let punctual = Figure {
        what: "of these, sent within one interval of the schedule (share)",
        how: "lateness of the harness itself, at most 10 ms".to_owned(),
        value,
        range,
        bar: Bar::AtLeast(0.95),
    };
    Ok(vec![held, punctual])
}

/// Sends a second, and the share that left on time.
fn held(run: &Run) -> Result<(f64, f64), String> {
    let mut started = 0;
    let mut ended = 0;
    for line in run.read("events.jsonl")?.lines().skip(1) {
        let event = Event::parse(line).map_err(|e| e.to_string())?;
        match event.kind {
            EventKind::LoadDone => started = event.at,
            EventKind::LoadEndIntent => ended = event.at,
            _ => {}
        }
    }
    let (mut sent, mut on_time) = (0_u64, 0_u64);
    for line in run.read("history.jsonl")?.lines().skip(1) {
        let operation = Operation::parse(line).map_err(|e| e.to_string())?;
        if matches!(operation.source, Some(Source::Lane | Source::Workload)) {
            sent += 1;
            on_time += u64::from(operation.lateness.unwrap_or(0) <= 10_000_000);
        }
    }
    let seconds = Duration::from_nanos(ended.saturating_sub(started)).as_secs_f64();
    Ok((sent as f64 / seconds, on_time as f64 / sent as f64))
}

/// Measures the harness's memory over a million operations.
///
/// A long probe interval makes long quiet windows: two of them, 20 intervals each, hold the load for 340 s.
pub(crate) fn measure_memory() -> Result<Vec<Figure>, String> {
    let started = start(&[
        "--versions",
        "v0.1.0,v0.2.0",
        "--rate",
        "3000",
        "--probe-interval",
        "8500ms",
    ])?;
    let status = format!("/proc/{}/status", started.child.id());
    let events = started.path().join("events.jsonl");
    let mut peak_kib = 0.0_f64;
    // The peak up to the end of the load: judging reads the history back and is another matter.
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let Ok(text) = std::fs::read_to_string(&status) else {
            break;
        };
        let peak = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|value| value.trim().strip_suffix(" kB"))
            .and_then(|value| value.trim().parse().ok());
        let over = read(&events).is_ok_and(|text| text.contains("\"load-end-intent\""));
        match peak {
            Some(peak) if !over => peak_kib = peak_kib.max(peak),
            _ => break,
        }
    }
    let run = started.finish()?;
    let total = run.verdict.operations.total;
    if total < 1_000_000 {
        return Err(format!("only {total} operations were sent"));
    }
    Ok(vec![Figure {
        what: "the harness's memory over a million operations (MiB)",
        how: format!(
            "peak resident memory of `changeover rehearse --rate 3000 --probe-interval 8500ms` up to the end of its \
             load of {total} operations, from /proc; judging left out"
        ),
        value: peak_kib / 1024.0,
        range: None,
        bar: Bar::AtMost(100.0),
    }])
}
