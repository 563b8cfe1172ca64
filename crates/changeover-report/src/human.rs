//! The end of a run for people: steps, reasons, findings, budgets, and one sentence.

use crate::look::Look;
use crate::numbers::{count, time};
use crate::probe;
use crate::series;
use crate::summary;
use crate::table;
use changeover_model::check::Severity;
use changeover_model::plan::BUDGETS;
use changeover_model::text::{harmless, harmless_cut};
use changeover_model::verdict::{
    BudgetReport, CallOffReport, FaultOutcome, FaultReport, Finding, OperationCounts,
    PointOfNoReturn, Verdict, VerdictOutcome,
};
use owo_colors::AnsiColors;
use serde_json::Value;

/// Evidence is cut to so many characters; the verdict file has all of it.
const EVIDENCE: usize = 400;

/// The whole report: text with a newline at the end of every line, colour codes only where `look` allows them.
pub fn render(verdict: &Verdict, look: Look) -> String {
    let mut out = String::new();
    if let Some(report) = &verdict.probe {
        out.push_str(&probe::lanes(verdict, report, look));
        out.push('\n');
        out.push_str(&probe::what_happened(report));
    } else if !verdict.steps.is_empty() {
        out.push_str(&several(verdict, look));
        out.push_str("Steps (times in ms; a gap is the longest span without a success, ± its resolution; stale: the largest freshness lag)\n");
        out.push_str(&table::steps(verdict, look));
        out.push('\n');
    }
    section(&mut out, "Reasons", &other_reasons(verdict), |reason| {
        format!("- {}\n", harmless(reason))
    });
    section(&mut out, "Findings", &verdict.findings, |finding| {
        render_finding(finding, look)
    });
    section(&mut out, "Faults", &verdict.faults, |fault| {
        render_fault(fault, look)
    });
    section(
        &mut out,
        "Called off",
        &call_offs(verdict),
        |(step, report)| render_call_off(*step, report, look),
    );
    section(
        &mut out,
        "Point of no return",
        &verdict.point_of_no_return,
        |point| format!("- {}\n", harmless(&point.sentence)),
    );
    section(&mut out, "Budgets", &budgets(verdict), |budget| {
        render_budget(budget, look)
    });
    section(&mut out, "Skipped", &verdict.skipped, |skipped| {
        format!("- {}\n", harmless(skipped))
    });
    out.push_str(&operations(&verdict.operations));
    out.push('\n');
    out.push_str(&look.paint(&summary::sentence(verdict), colour(verdict.outcome)));
    out.push('\n');
    out
}

/// The runs of a series, before what is of the one alone that decides.
fn several(verdict: &Verdict, look: Look) -> String {
    let Some(repeat) = &verdict.repeat else {
        return String::new();
    };
    let noise = series::noise_floor(verdict);
    format!(
        "Runs (longest gaps in ms, ± their resolution; * decides)\n{}\nSteps of all runs ({})\n{}{}\nRun {}, which decides:\n\n",
        table::runs(verdict, look),
        series::MEDIANS,
        table::medians(verdict, look),
        noise.map_or(String::new(), |noise| format!("{noise}\n")),
        repeat.decides,
    )
}

/// The reasons that no finding tells as well.
pub(crate) fn other_reasons(verdict: &Verdict) -> Vec<&str> {
    let told = |reason: &str| {
        verdict
            .findings
            .iter()
            .any(|finding| reason.ends_with(&finding.message))
    };
    let reasons = verdict.reasons.iter().map(String::as_str);
    reasons.filter(|reason| !told(reason)).collect()
}

/// The budgets in the order of the table's columns; what is not in it comes last.
pub(crate) fn budgets(verdict: &Verdict) -> Vec<&BudgetReport> {
    let mut budgets: Vec<&BudgetReport> = verdict.budgets.iter().collect();
    budgets.sort_by_key(|budget| {
        let place = BUDGETS.iter().position(|name| *name == budget.name);
        place.unwrap_or(BUDGETS.len())
    });
    budgets
}

pub(crate) fn section<T>(out: &mut String, title: &str, items: &[T], line: impl Fn(&T) -> String) {
    if items.is_empty() {
        return;
    }
    out.push_str(title);
    out.push('\n');
    for item in items {
        out.push_str(&line(item));
    }
    out.push('\n');
}

pub(crate) fn render_finding(finding: &Finding, look: Look) -> String {
    let severity = match finding.severity {
        Severity::Error => look.paint("error", AnsiColors::Red),
        Severity::Warning => look.paint("warning", AnsiColors::Yellow),
    };
    let place = match finding.step {
        Some(step) => format!(" at step {step}"),
        None => String::new(),
    };
    let mut out = format!(
        "- {severity}: {}{place}: {}\n",
        finding.check,
        harmless(&finding.message)
    );
    for line in evidence(&finding.evidence) {
        out.push_str(&format!("    {line}\n"));
    }
    out
}

/// Log lines one by one, as a crash is read from them; everything else in one line.
pub(crate) fn evidence(evidence: &Value) -> Vec<String> {
    let mut rest = evidence.clone();
    let mut lines = Vec::new();
    if let Some(object) = rest.as_object_mut()
        && let Some(Value::String(file)) = object.remove("history")
    {
        lines.push(format!("the history that shows it: {}", harmless(&file)));
    }
    if let Some(object) = rest.as_object_mut()
        && let Some(Value::Array(log)) = object.remove("log")
    {
        lines.extend(log.iter().map(|line| match line {
            Value::String(text) => format!("| {}", harmless_cut(text, EVIDENCE)),
            other => format!("| {}", harmless_cut(&other.to_string(), EVIDENCE)),
        }));
    }
    let empty = match &rest {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    if !empty {
        lines.insert(0, harmless_cut(&rest.to_string(), EVIDENCE));
    }
    lines
}

/// What was broken and what came of it, in a line each: the fault, its subject before and after, what shows it.
fn render_fault(fault: &FaultReport, look: Look) -> String {
    let outcome = look.paint(
        &fault.outcome.to_string(),
        match fault.outcome {
            FaultOutcome::Held => AnsiColors::Green,
            FaultOutcome::Missed | FaultOutcome::Broken => AnsiColors::Red,
        },
    );
    let mut out = format!("- {outcome}: {}\n", fault.fault);
    let mut line = |text: String| out.push_str(&format!("    {}\n", harmless_cut(&text, EVIDENCE)));
    if !fault.before.is_empty() {
        line(format!("before: {}; after: {}", fault.before, fault.after));
    }
    for evidence in &fault.evidence {
        line(format!("evidence: {evidence}"));
    }
    if !fault.reason.is_empty() {
        line(format!(
            "expected: {}; {}",
            fault.expected.words(),
            fault.reason
        ));
    }
    out
}

/// The steps that were called off.
pub(crate) fn call_offs(verdict: &Verdict) -> Vec<(u32, &CallOffReport)> {
    let steps = verdict.steps.iter();
    steps
        .filter_map(|step| Some((step.number, step.called_off.as_ref()?)))
        .collect()
}

fn render_call_off(step: u32, report: &CallOffReport, look: Look) -> String {
    let colour = match report.worked {
        true => AnsiColors::Green,
        false => AnsiColors::Yellow,
    };
    let what = look.paint(&harmless(came_of(report)), colour);
    format!("- step {step} at point {}: {what}\n", report.point)
}

/// What came of calling a step off, in words of a target.
pub(crate) fn came_of(report: &CallOffReport) -> &str {
    match report.worked {
        true => "nobody noticed",
        false => &report.reason,
    }
}

/// The last point at which calling a step off worked.
pub(crate) fn last_point(point: &PointOfNoReturn) -> String {
    match point.point {
        Some(last) => format!("after {last}"),
        None => "before the first point that was tried".to_owned(),
    }
}

fn render_budget(budget: &BudgetReport, look: Look) -> String {
    format!(
        "- {}: {} of {}: {}\n",
        harmless(&budget.name),
        measured(budget),
        time(budget.limit_ms),
        look.paint(kept(budget), colour(budget.outcome))
    )
}

/// What became of a budget, in words.
pub(crate) fn kept(budget: &BudgetReport) -> &'static str {
    match budget.outcome {
        VerdictOutcome::Pass => "kept",
        VerdictOutcome::Fail => "exceeded",
        VerdictOutcome::Inconclusive => "cannot be told",
    }
}

/// What was measured against a budget.
pub(crate) fn measured(budget: &BudgetReport) -> String {
    match budget.measured_ms {
        Some(ms) => time(ms),
        None => "nothing measured".to_owned(),
    }
}

pub(crate) fn operations(counts: &OperationCounts) -> String {
    format!(
        "Operations: {} in all: {} acknowledged, {} failed, {} unknown\n",
        count(counts.total),
        count(counts.ok),
        count(counts.fail),
        count(counts.unknown)
    )
}

pub(crate) fn colour(outcome: VerdictOutcome) -> AnsiColors {
    match outcome {
        VerdictOutcome::Pass => AnsiColors::Green,
        VerdictOutcome::Fail => AnsiColors::Red,
        VerdictOutcome::Inconclusive => AnsiColors::Yellow,
    }
}
