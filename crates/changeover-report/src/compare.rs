//! Two runs, figure by figure, and whether they differ by more than noise.
//!
//! Two figures differ when they are further apart than both were measured with, and, where other runs of the same kind
//! are known, further than those differ among themselves. Where neither is known, nothing is claimed.

use crate::numbers::time;
use crate::summary;
use changeover_model::format::Kind;
use changeover_model::text::harmless;
use changeover_model::verdict::{StepReport, Verdict, When};
use serde::Serialize;
use std::collections::BTreeMap;

/// So many other runs at least say how much a figure varies by itself.
const OTHERS: usize = 3;

/// What a figure is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Figure {
    /// The hop, such as `v0.1.0 → v0.2.0`.
    pub hop: String,
    /// What of it, such as `phase promote`, `gap write/new` or `latency read after p50`.
    pub what: String,
}

/// A figure in both runs, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What it is.
    #[serde(flatten)]
    pub figure: Figure,
    /// In the first run.
    pub a_ms: f64,
    /// In the second run.
    pub b_ms: f64,
    /// How far they may be apart without a meaning; `None` if nothing is known about that.
    pub noise_ms: Option<f64>,
    /// Whether they are further apart than that; `None` if nothing is known.
    pub exceeds_noise: Option<bool>,
}

/// What two runs have in common, compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// `changeover.diff/1`.
    pub format: String,
    /// The first run.
    pub a: String,
    /// The second run.
    pub b: String,
    /// How many other runs of the same target, runtime and path the noise was taken from.
    pub others: usize,
    /// Every figure that both have.
    pub differences: Vec<Difference>,
}

/// A figure with what it was measured with, if that is known.
#[derive(Debug, Clone, Copy)]
struct Measured {
    ms: f64,
    resolution: Option<f64>,
}

/// Compares two runs; `others` are further runs of the same kind, from which is taken how much figures vary.
pub fn compare(a: &Verdict, b: &Verdict, others: &[Verdict]) -> Comparison {
    let (of_a, of_b) = (figures(a), figures(b));
    let others: Vec<BTreeMap<Figure, Measured>> = others.iter().map(figures).collect();
    let differences = of_a
        .iter()
        .filter_map(|(figure, a)| {
            let b = of_b.get(figure)?;
            let noise_ms = noise(figure, *a, *b, &others);
            Some(Difference {
                figure: figure.clone(),
                a_ms: a.ms,
                b_ms: b.ms,
                noise_ms,
                exceeds_noise: noise_ms.map(|noise| (a.ms - b.ms).abs() > noise),
            })
        })
        .collect();
    Comparison {
        format: Kind::Diff.mark(),
        a: a.run.clone(),
        b: b.run.clone(),
        others: others.len(),
        differences,
    }
}

fn noise(
    figure: &Figure,
    a: Measured,
    b: Measured,
    others: &[BTreeMap<Figure, Measured>],
) -> Option<f64> {
    let measured = a.resolution.zip(b.resolution).map(|(a, b)| a + b);
    let values: Vec<f64> = others
        .iter()
        .filter_map(|other| Some(other.get(figure)?.ms))
        .collect();
    let spread = (values.len() >= OTHERS).then(|| {
        let most = values.iter().copied().fold(f64::MIN, f64::max);
        most - values.iter().copied().fold(f64::MAX, f64::min)
    });
    match (measured, spread) {
        (Some(measured), Some(spread)) => Some(measured.max(spread)),
        (one, other) => one.or(other),
    }
}

fn figures(verdict: &Verdict) -> BTreeMap<Figure, Measured> {
    let mut out = BTreeMap::new();
    for step in &verdict.steps {
        of_step(step, &mut out);
    }
    out
}

fn of_step(step: &StepReport, out: &mut BTreeMap<Figure, Measured>) {
    let hop = format!("{} → {}", step.from, step.to);
    let mut add = |what: String, ms: Option<f64>, resolution: Option<f64>| {
        if let Some(ms) = ms {
            let figure = Figure {
                hop: hop.clone(),
                what,
            };
            out.entry(figure).or_insert(Measured { ms, resolution });
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

impl Comparison {
    /// For people: what differs by more than noise, or `all` figures; a newline at the end of every line.
    pub fn render(&self, a: &Verdict, b: &Verdict, all: bool) -> String {
        let mut out = format!(
            "A  {}\nB  {}\n\n",
            harmless(&summary::claim(a)),
            harmless(&summary::claim(b))
        );
        let shown: Vec<&Difference> = self
            .differences
            .iter()
            .filter(|d| all || d.exceeds_noise == Some(true))
            .collect();
        let mut hop = "";
        for difference in &shown {
            if difference.figure.hop != hop {
                hop = &difference.figure.hop;
                out.push_str(&format!("{}\n", harmless(hop)));
            }
            out.push_str(&line(difference));
        }
        if !shown.is_empty() {
            out.push('\n');
        }
        let count = |wanted: Option<bool>| {
            let with = self
                .differences
                .iter()
                .filter(|d| d.exceeds_noise == wanted);
            with.count()
        };
        out.push_str(&format!(
            "{} of {} figures differ by more than noise, {} do not, of {} nothing is known; noise is taken from their resolution{}.\n",
            count(Some(true)),
            self.differences.len(),
            count(Some(false)),
            count(None),
            match self.others {
                0 => " alone: there are no other runs of this path".to_owned(),
                1 => " and 1 other run of this path, which is too few to tell".to_owned(),
                n if n < OTHERS => format!(" and {n} other runs of this path, which are too few to tell"),
                n => format!(" and {n} other runs of this path"),
            }
        ));
        if self.differences.is_empty() {
            out.push_str("The runs have no hop in common.\n");
        }
        out
    }
}

fn line(difference: &Difference) -> String {
    let by = difference.b_ms - difference.a_ms;
    let sign = if by < 0.0 { "−" } else { "+" };
    let (mark, noise) = match (difference.exceeds_noise, difference.noise_ms) {
        (Some(true), Some(noise)) => ("≠", format!("noise {}", time(noise))),
        (_, Some(noise)) => ("≈", format!("noise {}", time(noise))),
        (_, None) => ("?", "noise unknown".to_owned()),
    };
    format!(
        "  {mark} {:<28} {:>9} → {:>9}  {sign}{} ({noise})\n",
        difference.figure.what,
        time(difference.a_ms),
        time(difference.b_ms),
        time(by.abs()),
    )
}

/// The median of values, and the smallest and largest; `None` of none.
pub fn median_and_range(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = match sorted.len() % 2 {
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    };
    Some((median, first, last))
}
