//! The table of steps. The only module that knows the table crate.

use crate::look::Look;
use crate::numbers::{cell, count};
use crate::series::{self, MEDIAN_HEADER, RUN_HEADER};
use changeover_model::event::Phase;
use changeover_model::history::Class;
use changeover_model::probe::ProbeReport;
use changeover_model::text::harmless;
use changeover_model::verdict::{GapReport, StepReport, Verdict};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// The columns of a probe's lanes.
pub(crate) const LANE_HEADER: [&str; 8] = [
    "lane", "ok", "failed", "unknown", "p50", "p99", "gap", "gaps",
];

/// The cells of each lane of a probe.
pub(crate) fn lane_rows<'a>(
    verdict: &'a Verdict,
    probe: &'a ProbeReport,
) -> impl Iterator<Item = [String; LANE_HEADER.len()]> + 'a {
    let gaps = verdict.steps.first().map_or(&[][..], |step| &step.gaps);
    probe.lanes.iter().zip(gaps).map(|(lane, gap)| {
        [
            harmless(&lane.lane),
            count(lane.ok),
            count(lane.fail),
            count(lane.unknown),
            cell(lane.p50_ms),
            cell(lane.p99_ms),
            gap_cell(Some(gap)),
            count(gap.count),
        ]
    })
}

/// A row a lane of a probe, narrow enough for 80 columns; the verdict's file has more.
pub(crate) fn lanes(verdict: &Verdict, probe: &ProbeReport, look: Look) -> String {
    let mut table = Table::new();
    style(&mut table, look);
    table.set_header(LANE_HEADER);
    for row in lane_rows(verdict, probe) {
        table.add_row(row);
    }
    finish(table, LANE_HEADER.len(), 0)
}

/// A row a step, all times in milliseconds. A gap is the longest of its class, `±` what it was measured with.
pub(crate) fn steps(verdict: &Verdict, look: Look) -> String {
    let mut table = Table::new();
    style(&mut table, look);
    let mut header = vec!["step".to_owned(), "from → to".to_owned()];
    header.extend(Phase::ALL.map(|phase| phase.name().to_owned()));
    header.extend(["write gap", "read gap", "connect gap", "stale"].map(str::to_owned));
    let columns = header.len();
    table.set_header(header);
    for step in &verdict.steps {
        table.add_row(row(step));
    }
    finish(table, columns, 1)
}

/// The runs of a series, a row each.
pub(crate) fn runs(verdict: &Verdict, look: Look) -> String {
    of_rows(&RUN_HEADER, series::run_rows(verdict), look)
}

/// The medians of a series, a row a step.
pub(crate) fn medians(verdict: &Verdict, look: Look) -> String {
    of_rows(&MEDIAN_HEADER, series::median_rows(verdict), look)
}

/// A table whose second column is words.
fn of_rows<const N: usize>(header: &[&str; N], rows: Vec<[String; N]>, look: Look) -> String {
    let mut table = Table::new();
    style(&mut table, look);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    finish(table, N, 1)
}

fn style(table: &mut Table, look: Look) {
    table
        .load_style(if look.borders {
            presets::UTF8_FULL_CONDENSED
        } else {
            presets::NOTHING
        })
        // The width of the terminal is not ours to know; what is too wide is the terminal's to wrap.
        .set_content_arrangement(ContentArrangement::Disabled);
}

/// The table's text; all columns but one are figures.
fn finish(mut table: Table, columns: usize, words: usize) -> String {
    for index in (0..columns).filter(|index| *index != words) {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn row(step: &StepReport) -> Vec<String> {
    let mut row = vec![
        step.number.to_string(),
        format!("{} → {}", step.from, step.to),
    ];
    row.extend(Phase::ALL.map(|phase| {
        let report = step.phases.iter().find(|report| report.name == phase);
        cell(report.and_then(|report| report.ms))
    }));
    row.extend([Class::Write, Class::Read, Class::Connect].map(|class| gap(step, class)));
    row.push(cell(step.freshness.max_ms));
    row
}

pub(crate) fn gap(step: &StepReport, class: Class) -> String {
    let lanes = || step.gaps.iter().filter(|gap| gap.class == class);
    // A lane that never succeeded has no longest gap, and is worse than any that has.
    let unmeasured = lanes().find(|gap| gap.longest_ms.is_none());
    let worst = unmeasured.or_else(|| {
        lanes().max_by(|a, b| {
            a.longest_ms
                .unwrap_or_default()
                .total_cmp(&b.longest_ms.unwrap_or_default())
        })
    });
    gap_cell(worst)
}

fn gap_cell(gap: Option<&GapReport>) -> String {
    match gap {
        None => cell(None),
        Some(gap) => match gap.longest_ms {
            None => "no success".to_owned(),
            Some(ms) => format!("{ms:.1} ±{:.1}", gap.resolution_ms),
        },
    }
}
