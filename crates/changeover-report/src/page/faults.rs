//! What was broken on purpose, and until when upgrades could be called off.

use super::html::{section, table, text};
use crate::human::{call_offs, came_of};
use crate::record::Record;
use changeover_model::verdict::{FaultOutcome, FaultReport};

/// A table of the faults, one of the steps that were called off, and the points of no return.
pub(super) fn faults(record: &Record) -> String {
    let verdict = &record.verdict;
    let mut body = String::new();
    if !verdict.faults.is_empty() {
        let rows: Vec<Vec<String>> = verdict.faults.iter().map(row).collect();
        let headings = ["fault", "came", "before", "after", "evidence", "expected"];
        body.push_str(&table("Faults", &headings, &rows));
    }
    let call_offs = call_offs(verdict);
    if !call_offs.is_empty() {
        let rows: Vec<Vec<String>> = call_offs
            .iter()
            .map(|(step, report)| {
                let mark = if report.worked { "✓" } else { "✗" };
                let what = words("came", &format!("{mark} {}", came_of(report)));
                vec![step.to_string(), report.point.to_string(), what]
            })
            .collect();
        let headings = ["step", "called off at", "what came of it"];
        body.push_str(&table("Called off", &headings, &rows));
    }
    for point in &verdict.point_of_no_return {
        body.push_str(&format!("<p>{}.</p>\n", text(&point.sentence)));
    }
    section("faults", "Broken on purpose, and called off", &body)
}

fn row(fault: &FaultReport) -> Vec<String> {
    let came = match fault.outcome {
        FaultOutcome::Held => "✓ held".to_owned(),
        other => format!("✗ {other}: {}", fault.reason),
    };
    vec![
        format!(
            "<code class=\"words\">{}</code>",
            text(&fault.fault.to_string())
        ),
        words("came", &came),
        words("before", &fault.before),
        words("after", &fault.after),
        words("evidence", &fault.evidence.join("; ")),
        words("expected", fault.expected.words()),
    ]
}

/// A sentence in a cell: it wraps. On a phone cells stand below one another, each with what it is.
fn words(heading: &str, sentence: &str) -> String {
    format!(
        "<span class=\"words\"><span class=\"label\">{heading}: </span>{}</span>",
        text(sentence)
    )
}
