//! How a figure is written down.

use crate::machine;
use std::fmt::Write as _;

/// What a figure must be to meet its bar.
pub(crate) enum Bar {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

/// One measured figure.
pub(crate) struct Figure {
    /// What was measured, with its unit.
    pub(crate) what: &'static str,
    /// How it was measured, against what, how often.
    pub(crate) how: String,
    /// The figure.
    pub(crate) value: f64,
    /// Smallest and largest of the runs behind it, where there were several.
    pub(crate) range: Option<(f64, f64)>,
    /// Its bar.
    pub(crate) bar: Bar,
}

impl Figure {
    /// Whether the bar is met.
    pub(crate) fn is_met(&self) -> bool {
        match self.bar {
            Bar::AtMost(bar) => self.value <= bar,
            Bar::AtLeast(bar) => self.value >= bar,
        }
    }
}

/// The median, smallest and largest of some runs.
///
/// # Panics
///
/// Without any.
pub(crate) fn spread(values: &[f64]) -> (f64, Option<(f64, f64)>) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted[sorted.len() / 2];
    (middle, Some((sorted[0], sorted[sorted.len() - 1])))
}

/// The value below which the share `q` of the samples lies.
///
/// # Panics
///
/// Without any samples.
pub(crate) fn percentile(samples: &mut [f64], q: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let rank = (samples.len() as f64 * q).ceil() as usize;
    samples[rank.clamp(1, samples.len()) - 1]
}

/// The document.
pub(crate) fn render(figures: &[Figure]) -> String {
    let mut text = String::from(
        "# Benchmarks\n\nWritten by `cargo xtask bench`. Run it on your machine: the bars are meant for any two cores, the \
         absolute figures are not.\n\n",
    );
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let _ = writeln!(text, "- machine: {}", machine::describe());
    let _ = writeln!(text, "- date: {today}");
    let _ = writeln!(text, "- command: `cargo xtask bench`\n");
    text.push_str("| figure | measured (min – max) | bar | met |\n|---|---|---|---|\n");
    for figure in figures {
        let bar = match figure.bar {
            Bar::AtMost(bar) => format!("≤ {}", number(bar)),
            Bar::AtLeast(bar) => format!("≥ {}", number(bar)),
        };
        let range = match figure.range {
            Some((low, high)) => format!(" ({} – {})", number(low), number(high)),
            None => String::new(),
        };
        let met = if figure.is_met() { "yes" } else { "**no**" };
        let _ = writeln!(
            text,
            "| {} | {}{range} | {bar} | {met} |",
            figure.what,
            number(figure.value)
        );
    }
    text.push_str("\n## How each was measured\n\n");
    for figure in figures {
        let _ = writeln!(text, "- **{}**: {}", figure.what, figure.how);
    }
    text
}

fn number(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}
