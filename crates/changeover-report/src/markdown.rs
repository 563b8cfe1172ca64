//! A run for a pull request: GitHub's Markdown.

use crate::human::{budgets, call_offs, came_of, kept, last_point, measured, other_reasons};
use crate::numbers::{cell, time};
use crate::series::{self, MEDIAN_HEADER, RUN_HEADER};
use crate::summary;
use crate::table::{LANE_HEADER, lane_rows};
use changeover_model::check::Severity;
use changeover_model::event::Phase;
use changeover_model::history::Class;
use changeover_model::probe::ProbeReport;
use changeover_model::text::harmless;
use changeover_model::verdict::{StepReport, Verdict, VerdictOutcome};

/// So many findings are shown; the rest is counted.
const FINDINGS: usize = 20;

/// The run as Markdown: a heading, the sentence, findings, steps, budgets and the command.
pub fn render(verdict: &Verdict) -> String {
    let mark = match verdict.outcome {
        VerdictOutcome::Pass => "✅",
        VerdictOutcome::Fail => "❌",
        VerdictOutcome::Inconclusive => "❔",
    };
    let mut out = format!("### {mark} {}\n\n", text(&summary::claim(verdict)));
    for reason in other_reasons(verdict) {
        out.push_str(&format!("- {}\n", text(reason)));
    }
    for finding in verdict.findings.iter().take(FINDINGS) {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let place = match finding.step {
            Some(step) => format!(" at step {step}"),
            None => String::new(),
        };
        out.push_str(&format!(
            "- **{severity}: {}**{place}: {}\n",
            finding.check,
            text(&finding.message)
        ));
    }
    if verdict.findings.len() > FINDINGS {
        out.push_str(&format!(
            "- and {} more findings\n",
            verdict.findings.len() - FINDINGS
        ));
    }
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    match &verdict.probe {
        Some(probe) => out.push_str(&lanes(verdict, probe)),
        None if verdict.steps.is_empty() => {}
        None => {
            out.push_str(&several(verdict));
            out.push_str(&steps(&verdict.steps));
        }
    }
    out.push_str(&faults(verdict));
    let budgets = budgets(verdict);
    if !budgets.is_empty() {
        out.push_str("| budget | measured | limit | outcome |\n|---|---:|---:|---|\n");
        for budget in budgets {
            out.push_str(&format!(
                "| {} | {} | {} | {} |\n",
                text(&budget.name),
                measured(budget),
                time(budget.limit_ms),
                kept(budget)
            ));
        }
        out.push('\n');
    }
    out.push_str(&format!("Reproduce: {}\n", code(&verdict.reproduce)));
    out
}

/// The runs of a series, and their medians.
fn several(verdict: &Verdict) -> String {
    if verdict.repeat.is_none() {
        return String::new();
    }
    let noise = series::noise_floor(verdict);
    format!(
        "{}<details><summary>Steps of all runs ({})</summary>\n\n{}{}</details>\n\n",
        rows(&RUN_HEADER, series::run_rows(verdict)),
        text(series::MEDIANS),
        rows(&MEDIAN_HEADER, series::median_rows(verdict)),
        noise.map_or(String::new(), |noise| format!("{}\n\n", text(&noise))),
    )
}

/// A table.
fn rows<const N: usize>(header: &[&str; N], rows: Vec<[String; N]>) -> String {
    let mut out = format!("| {} |\n|{}\n", header.join(" | "), "---|".repeat(N));
    for row in rows {
        let cells = row.map(|cell| text(&cell));
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push('\n');
    out
}

/// What was broken on purpose, what was called off, and until when that could be done.
fn faults(verdict: &Verdict) -> String {
    let mut rows: Vec<[String; 3]> = verdict
        .faults
        .iter()
        .map(|fault| {
            let shown = match fault.reason.as_str() {
                "" => fault.evidence.join("; "),
                reason => reason.to_owned(),
            };
            [fault.fault.to_string(), fault.outcome.to_string(), shown]
        })
        .collect();
    rows.extend(call_offs(verdict).into_iter().map(|(step, report)| {
        let what = format!("step {step} called off at {}", report.point);
        [what, came_of(report).to_owned(), String::new()]
    }));
    rows.extend(verdict.point_of_no_return.iter().map(|point| {
        let what = format!("point of no return of step {}", point.step);
        [what, last_point(point), point.sentence.clone()]
    }));
    if rows.is_empty() {
        return String::new();
    }
    let mut out = "| broken or called off | came | evidence |\n|---|---|---|\n".to_owned();
    for row in rows {
        let cells = row.map(|cell| text(&cell));
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push('\n');
    out
}

fn lanes(verdict: &Verdict, probe: &ProbeReport) -> String {
    let mut out = format!(
        "<details><summary>Lanes (ms)</summary>\n\n| {} |\n|---|{}\n",
        LANE_HEADER.join(" | "),
        "---:|".repeat(LANE_HEADER.len() - 1)
    );
    for row in lane_rows(verdict, probe) {
        let cells: Vec<String> = row.iter().map(|cell| text(cell)).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push_str("\n</details>\n\n");
    out
}

fn steps(steps: &[StepReport]) -> String {
    let mut headings = vec!["step", "from → to"];
    headings.extend(Phase::ALL.map(Phase::name));
    headings.extend(["write gap", "read gap", "connect gap"]);
    let mut out = format!(
        "<details><summary>Steps (ms)</summary>\n\n| {} |\n|---:|---|{}\n",
        headings.join(" | "),
        "---:|".repeat(headings.len() - 2)
    );
    for step in steps {
        let mut cells = vec![
            step.number.to_string(),
            text(&format!("{} → {}", step.from, step.to)),
        ];
        cells.extend(Phase::ALL.map(|phase| {
            let report = step.phases.iter().find(|report| report.name == phase);
            cell(report.and_then(|report| report.ms))
        }));
        cells.extend(
            [Class::Write, Class::Read, Class::Connect].map(|class| crate::table::gap(step, class)),
        );
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push_str("\n</details>\n\n");
    out
}

/// Text in which nothing is markup: not Markdown's, not HTML's, no mention and no reference.
fn text(text: &str) -> String {
    let mut out = String::new();
    for c in harmless(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A mention calls somebody, and a number links to something else.
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    // A link needs no markup to become one.
    out.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// Text as code, with as many backticks as it needs.
fn code(text: &str) -> String {
    let text = harmless(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    match longest {
        0 => format!("{fence}{text}{fence}"),
        _ => format!("{fence} {text} {fence}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(
            text("**@all** <b>[x](https://a)|#1`"),
            "\\*\\*&#64;all\\*\\* &lt;b&gt;\\[x\\](https&#58;//a)\\|&#35;1\\`"
        );
        assert_eq!(code("a `b` ``c``"), "``` a `b` ``c`` ```");
    }
}
