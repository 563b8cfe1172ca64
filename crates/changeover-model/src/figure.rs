//! The figures of a verdict, each by itself, so that runs can be compared.

use crate::verdict::{StepReport, Verdict, When};
use serde::{Deserialize, Serialize};

/// So many values at least say how much a figure varies by itself.
pub const ENOUGH: usize = 3;

/// A figure of a step, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The step's number.
    pub step: u32,
    /// Its hop, such as `v0.1.0 → v0.2.0`.
    pub hop: String,
    /// What of it, such as `phase promote`, `gap write/new` or `latency read after p50`.
    pub what: String,
    /// Its value.
    pub ms: f64,
    /// How finely it was measured, if that is known.
    pub resolution_ms: Option<f64>,
}

/// All figures of a verdict that have a value, in the order of the verdict.
pub fn figures(verdict: &Verdict) -> Vec<Figure> {
    verdict.steps.iter().flat_map(of_step).collect()
}

fn of_step(step: &StepReport) -> Vec<Figure> {
    let mut out = Vec::new();
    let hop = format!("{} → {}", step.from, step.to);
    let mut add = |what: String, ms: Option<f64>, resolution_ms: Option<f64>| {
        if let Some(ms) = ms {
            out.push(Figure {
                step: step.number,
                hop: hop.clone(),
                what,
                ms,
                resolution_ms,
            });
        }
    };
    for phase in &step.phases {
        let resolution = phase.ms.map(polled);
        add(format!("phase {}", phase.name), phase.ms, resolution);
    }
    for gap in &step.gaps {
        let what = format!("gap {}/{}", gap.class.name(), gap.connection.name());
        add(what, gap.longest_ms, Some(gap.resolution_ms));
    }
    for latency in &step.latency {
        let when = match latency.when {
            When::Before => "before",
            When::During => "during",
            When::After => "after",
        };
        let what = |q: &str| format!("latency {} {when} {q}", latency.class.name());
        add(what("p50"), latency.p50_ms, None);
        add(what("p99"), latency.p99_ms, None);
    }
    out
}

/// How finely a phase of this length is known: both its ends are seen by polls, which are 5 ms apart in the first
/// second, then 20 ms, and after 30 s up to 250 ms.
fn polled(ms: f64) -> f64 {
    2.0 * match ms {
        ms if ms < 1_000.0 => 5.0,
        ms if ms < 30_000.0 => 20.0,
        _ => 250.0,
    }
}

/// Values of one figure, summed up; in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many there are, at least 1.
    pub values: u64,
    /// The one in the middle; of an even number the mean of the two there.
    pub median_ms: f64,
    /// The smallest.
    pub min_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Spread {
    /// Sums up these values; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        Some(Spread {
            values: sorted.len() as u64,
            median_ms: match sorted.len() % 2 {
                1 => sorted[middle],
                _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
            },
            min_ms: first,
            max_ms: last,
        })
    }

    /// How far the values lie apart.
    pub fn range_ms(&self) -> f64 {
        self.max_ms - self.min_ms
    }

    /// The same, if there are [`ENOUGH`] of them to say how much a figure varies.
    pub fn noise_ms(&self) -> Option<f64> {
        (self.values >= ENOUGH as u64).then_some(self.range_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_both_ends() {
        let spread = |values: &[f64]| {
            let spread = Spread::of(values)?;
            Some((spread.median_ms, spread.min_ms, spread.max_ms))
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(spread(&[4.0, 1.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn two_values_say_nothing_about_noise() {
        assert_eq!(Spread::of(&[1.0, 4.0]).unwrap().noise_ms(), None);
        assert_eq!(Spread::of(&[1.0, 4.0, 2.0]).unwrap().noise_ms(), Some(3.0));
    }
}
