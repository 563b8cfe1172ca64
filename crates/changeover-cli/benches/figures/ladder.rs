//! The README's first command, timed as a whole process.

use crate::instances::rehearse;
use crate::report::{Bar, Figure, spread};
use std::time::Instant;

const RUNS: usize = 5;

/// Measures the whole default ladder.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let mut seconds = Vec::new();
    let mut gaps = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        let run = rehearse(&[])?;
        seconds.push(started.elapsed().as_secs_f64());
        gaps.extend(
            run.verdict
                .budgets
                .iter()
                .filter(|b| b.name == "write-gap")
                .filter_map(|b| b.measured_ms),
        );
    }
    let (value, range) = spread(&seconds);
    let ladder = Figure {
        what: "whole default ladder (s)",
        how: format!("{RUNS} runs of `changeover rehearse`, quiet windows and judging included"),
        value,
        range,
        bar: Bar::AtMost(10.0),
    };
    let (value, range) = spread(&gaps);
    let gap = Figure {
        what: "longest write gap of the default ladder (ms)",
        how: "of the same runs, as their verdicts say; 10 ms of it is the lane's interval"
            .to_owned(),
        value,
        range,
        bar: Bar::AtMost(1000.0),
    };
    Ok(vec![ladder, gap])
}
