//! Write gaps of the reference database at defaults, on both stores, by how a release is promoted.

use crate::instances::{Run, rehearse};
use crate::report::{Bar, Figure, spread};
use changeover_model::event::{Event, EventKind, ProcessEnd};
use changeover_model::history::Class;
use changeover_runtime::postgres::Programs;

const RUNS: usize = 20;

/// The code that asks for a restart in place of the process.
const RESTART: ProcessEnd = ProcessEnd::Code(166);

/// The longest write gaps of steps, in milliseconds.
#[derive(Default)]
struct Gaps {
    restart: Vec<f64>,
    in_place: Vec<f64>,
}

/// Measures all of them.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let sqlite = gaps("sqlite")?;
    let mut figures = vec![
        figure(
            "write gap with a restart, SQLite (ms)",
            &sqlite.restart,
            100.0,
        ),
        figure("write gap in place, SQLite (ms)", &sqlite.in_place, 25.0),
    ];
    if Programs::find().is_some() {
        let postgres = gaps("postgres")?;
        figures.extend([
            figure(
                "write gap with a restart, PostgreSQL (ms)",
                &postgres.restart,
                100.0,
            ),
            figure(
                "write gap in place, PostgreSQL (ms)",
                &postgres.in_place,
                25.0,
            ),
        ]);
    }
    Ok(figures)
}

fn figure(what: &'static str, gaps: &[f64], bar: f64) -> Figure {
    let (value, range) = spread(gaps);
    Figure {
        what,
        how: format!(
            "the median of {} steps in {RUNS} runs of the default ladder, the longer of both write lanes; 10 ms of it \
             is the lane's interval",
            gaps.len()
        ),
        value,
        range,
        bar: Bar::AtMost(bar),
    }
}

fn gaps(store: &str) -> Result<Gaps, String> {
    let mut gaps = Gaps::default();
    for _ in 0..RUNS {
        let run = rehearse(&["--metadata-store", store])?;
        let restarted = restarted(&run)?;
        for step in &run.verdict.steps {
            let longest = step
                .gaps
                .iter()
                .filter(|gap| gap.class == Class::Write)
                .filter_map(|gap| gap.longest_ms)
                .reduce(f64::max)
                .ok_or("a step without a write gap")?;
            match restarted.contains(&step.deploy_generation) {
                true => gaps.restart.push(longest),
                false => gaps.in_place.push(longest),
            }
        }
    }
    match gaps.restart.is_empty() || gaps.in_place.is_empty() {
        true => Err("the ladder promotes in one way only".to_owned()),
        false => Ok(gaps),
    }
}

/// The generations that asked for a restart when they were promoted.
fn restarted(run: &Run) -> Result<Vec<u64>, String> {
    let mut restarted = Vec::new();
    for line in run.read("events.jsonl")?.lines().skip(1) {
        let event = Event::parse(line).map_err(|e| e.to_string())?;
        if matches!(event.kind, EventKind::ProcessEnded { end: RESTART, .. }) {
            restarted.extend(event.generation);
        }
    }
    Ok(restarted)
}
