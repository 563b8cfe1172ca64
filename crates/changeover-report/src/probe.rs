//! The end of a probe: its lanes, a picture of the whole time, and what happened.

use crate::describe::failures;
use crate::look::Look;
use crate::numbers::time;
use crate::strips::{BAD, GOOD, letter};
use crate::table;
use changeover_model::probe::ProbeReport;
use changeover_model::text::harmless;
use changeover_model::verdict::Verdict;
use std::fmt::Write;

/// So many lines of what happened are shown; the verdict's file has all.
const LINES: usize = 60;

/// Columns of the picture.
const COLUMNS: usize = 60;

/// A row a lane.
pub(crate) fn lanes(verdict: &Verdict, probe: &ProbeReport, look: Look) -> String {
    let lasted = time(probe.lasted_ms);
    format!(
        "Lanes over {lasted}, an operation each every {} ms\n(times in ms; a gap is the longest span without a success, \
         ± its resolution)\n{}",
        probe.probe_interval_ms,
        table::lanes(verdict, probe, look)
    )
}

/// Gaps, markers and statuses in the order of time, and a picture of them; empty if there are none.
pub(crate) fn what_happened(probe: &ProbeReport) -> String {
    let gaps = probe.gaps.iter().map(|gap| {
        let length = match gap.ended {
            true => format!("gap of {}", time(gap.ms)),
            false => format!("gap of at least {}, without an end", time(gap.ms)),
        };
        let what = format!(
            "{}: {length} (±{}){}",
            harmless(&gap.lane),
            time(gap.resolution_ms),
            failures(&gap.errors)
        );
        (gap.from_s, what)
    });
    let moments = probe.moments.iter().map(|moment| {
        let what = format!("{}: {}", harmless(&moment.who), harmless(&moment.what));
        (moment.at_s, what)
    });
    let mut lines: Vec<(f64, String)> = gaps.chain(moments).collect();
    if lines.is_empty() {
        return String::new();
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let more =
        lines.len().saturating_sub(LINES) as u64 + probe.gaps_not_listed + probe.moments_not_listed;
    let mut out = "What happened\n".to_owned();
    for (at, what) in lines.iter().take(LINES) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{at:>9.3} s  {what}");
    }
    if more > 0 {
        let _ = writeln!(out, "            and {more} more; verdict.json has them");
    }
    out.push('\n');
    out.push_str(&picture(probe));
    out
}

/// A strip a lane and a leader API over the whole time.
fn picture(probe: &ProbeReport) -> String {
    let cell = probe.lasted_ms / 1000.0 / COLUMNS as f64;
    if cell <= 0.0 {
        return String::new();
    }
    let column = |at_s: f64| {
        let column = (at_s - probe.began_s) / cell;
        (column.max(0.0) as usize).min(COLUMNS - 1)
    };
    let mut rows: Vec<(String, Vec<char>)> = Vec::new();
    for lane in &probe.lanes {
        let mut strip = vec![GOOD; COLUMNS];
        for gap in probe.gaps.iter().filter(|gap| gap.lane == lane.lane) {
            strip[column(gap.from_s)..=column(gap.from_s + gap.ms / 1000.0)].fill(BAD);
        }
        rows.push((lane.lane.clone(), strip));
    }
    for moment in &probe.moments {
        let at = column(moment.at_s);
        let row = rows.iter().position(|(name, _)| *name == moment.who);
        let row = row.unwrap_or_else(|| {
            rows.push((moment.who.clone(), vec![' '; COLUMNS]));
            rows.len() - 1
        });
        match moment.who.as_str() {
            "marker" => rows[row].1[at] = '^',
            // Until it says something else.
            _ => rows[row].1[at..].fill(letter(&moment.what)),
        }
    }
    let width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    let says = match probe.moments.iter().any(|moment| moment.who != "marker") {
        true => ";\nI Initializing, R ReadyToPromote, P Promoting, L IsLeader, · away",
        false => "",
    };
    let mut out = format!(
        "The whole time, {} a column ({BAD} a gap{says})\n",
        time(cell * 1000.0)
    );
    for (name, strip) in rows {
        let strip: String = strip.into_iter().collect();
        let _ = writeln!(out, "{:<width$}  {}", harmless(&name), strip.trim_end());
    }
    out.push('\n');
    out
}
