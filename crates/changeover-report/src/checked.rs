//! The judgement of histories for people.

use crate::human::{colour, operations, render_finding, section};
use crate::look::Look;
use changeover_model::checked::{Checked, CheckedModel};
use changeover_model::text::harmless;
use changeover_model::verdict::VerdictOutcome;

/// The whole report: text with a newline at the end of every line, colour codes only where `look` allows them.
pub fn render(checked: &Checked, look: Look) -> String {
    let mut out = String::new();
    section(&mut out, "Findings", &checked.findings, |finding| {
        render_finding(finding, look)
    });
    section(&mut out, "Models", &checked.models, |model| {
        line(model, look)
    });
    out.push_str(&operations(&checked.operations));
    out.push('\n');
    let sentence = match checked.outcome {
        VerdictOutcome::Pass => "Passed: the history contradicts nothing.",
        VerdictOutcome::Fail => "Failed: the history contradicts what its models promise.",
        VerdictOutcome::Inconclusive => "Inconclusive: not everything could be decided.",
    };
    out.push_str(&look.paint(sentence, colour(checked.outcome)));
    out.push('\n');
    out
}

fn line(model: &CheckedModel, look: Look) -> String {
    let outcome = look.paint(&model.outcome.to_string(), colour(model.outcome));
    let file = model
        .file
        .as_deref()
        .map_or(String::new(), |file| format!("{}: ", harmless(file)));
    let reason = model
        .reason
        .as_deref()
        .map_or(String::new(), |reason| format!(": {}", harmless(reason)));
    format!("- {file}{}: {outcome}{reason}\n", model.model)
}
