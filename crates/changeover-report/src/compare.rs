//! Two runs, figure by figure, and whether they differ by more than noise.
//!
//! Two figures differ when they are further apart than both were measured with, and, where other runs of the same kind
//! are known, further than those differ among themselves. A series has its medians compared. Where neither is known, nothing is claimed.

use crate::numbers::time;
use crate::summary;
use changeover_model::figure::{ENOUGH, Figure, Spread, figures};
use changeover_model::format::Kind;
use changeover_model::text::harmless;
use changeover_model::verdict::{FigureReport, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// A figure in both runs, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The hop, such as `v0.1.0 → v0.2.0`.
    pub hop: String,
    /// What of it, as [`Figure::what`] has it.
    pub what: String,
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

/// Compares two runs; `others` are further runs of the same kind, from which is taken how much figures vary.
pub fn compare(a: &Verdict, b: &Verdict, others: &[Verdict]) -> Comparison {
    let (of_a, of_b) = (by_name(a), by_name(b));
    let others: Vec<BTreeMap<Name, Known>> = others.iter().map(by_name).collect();
    let differences = of_a
        .iter()
        .filter_map(|(name, a)| {
            let b = of_b.get(name)?;
            let noise_ms = noise(name, a, b, &others);
            Some(Difference {
                hop: name.0.clone(),
                what: name.1.clone(),
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

/// A hop, and what of it.
type Name = (String, String);

/// A figure, and how much it is known to vary by itself.
struct Known {
    ms: f64,
    resolution_ms: Option<f64>,
    noise_ms: Option<f64>,
}

/// The figures of a verdict, of a series their medians; of hops that are the same the first.
fn by_name(verdict: &Verdict) -> BTreeMap<Name, Known> {
    let of_one = |figure: Figure| {
        let known = Known {
            ms: figure.ms,
            resolution_ms: figure.resolution_ms,
            noise_ms: None,
        };
        ((figure.hop, figure.what), known)
    };
    let of_several = |report: &FigureReport| {
        let known = Known {
            ms: report.spread.median_ms,
            resolution_ms: report.resolution_ms,
            noise_ms: report.noise_ms,
        };
        ((report.hop.clone(), report.what.clone()), known)
    };
    let known: Vec<(Name, Known)> = match &verdict.repeat {
        None => figures(verdict).into_iter().map(of_one).collect(),
        Some(repeat) => repeat.figures.iter().map(of_several).collect(),
    };
    let mut out = BTreeMap::new();
    for (name, one) in known {
        out.entry(name).or_insert(one);
    }
    out
}

fn noise(name: &Name, a: &Known, b: &Known, others: &[BTreeMap<Name, Known>]) -> Option<f64> {
    let resolutions = a.resolution_ms.zip(b.resolution_ms);
    let values: Vec<f64> = others
        .iter()
        .filter_map(|other| Some(other.get(name)?.ms))
        .collect();
    let known = [
        resolutions.map(|(a, b)| a + b),
        Spread::of(&values).and_then(|spread| spread.noise_ms()),
        a.noise_ms,
        b.noise_ms,
    ];
    known.into_iter().flatten().max_by(f64::total_cmp)
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
            if difference.hop != hop {
                hop = &difference.hop;
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
                n if n < ENOUGH => format!(" and {n} other runs of this path, which are too few to tell"),
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
        difference.what,
        time(difference.a_ms),
        time(difference.b_ms),
        time(by.abs()),
    )
}
