//! The runs of a plan that was run several times.

use super::html::{section, table, text};
use crate::record::Record;
use crate::series::{
    self, FIGURE_HEADER, MEDIAN_HEADER, MEDIANS, RUN_HEADER, figure_rows, median_rows, run_rows,
};

/// Each run, the medians, and all figures folded away; nothing for a single run.
pub(super) fn series(record: &Record) -> String {
    let verdict = &record.verdict;
    let Some(repeat) = &verdict.repeat else {
        return String::new();
    };
    let mut body = table(
        "Longest gaps of each run in ms, ± their resolution; * decides",
        &RUN_HEADER,
        &cells(run_rows(verdict)),
    );
    body.push_str(&table(
        &format!("Steps of all runs: {MEDIANS}"),
        &MEDIAN_HEADER,
        &cells(median_rows(verdict)),
    ));
    if let Some(noise) = series::noise_floor(verdict) {
        body.push_str(&format!("<p>{}</p>\n", text(&noise)));
    }
    body.push_str(&format!(
        "<details class=\"more\"><summary>All figures</summary>\n{}</details>\n",
        table(
            "All figures of all runs in ms",
            &FIGURE_HEADER,
            &cells(figure_rows(verdict))
        )
    ));
    body.push_str(&format!(
        "<p>What follows is of run {}, which decides; the others have reports of their own in their directories.</p>\n",
        text(&repeat.decides)
    ));
    section("runs", "Several runs", &body)
}

fn cells<const N: usize>(rows: Vec<[String; N]>) -> Vec<Vec<String>> {
    let rows = rows.into_iter();
    rows.map(|row| row.iter().map(|cell| text(cell)).collect())
        .collect()
}
