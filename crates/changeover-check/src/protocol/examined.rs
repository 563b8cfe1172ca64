//! Findings of what was examined around a hand-over besides what clients see, and of users' checks.

use super::{Steps, instance, shown};
use changeover_model::check::{Check, Severity};
use changeover_model::event::{Event, EventKind, Examination};
use changeover_model::text::harmless_cut;
use changeover_model::verdict::Finding;

/// Answers of targets are cut to so many characters.
const ANSWER: usize = 200;

/// A finding for every answer that is not what the target describes.
pub(super) fn judge(steps: &Steps<'_>, events: &[Event]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for event in events {
        if let EventKind::UserCheckDone {
            check,
            action,
            problem: Some(problem),
        } = &event.kind
        {
            findings.push(Finding {
                check: Check::InvariantBroken,
                severity: Severity::Error,
                step: steps.of_event(event),
                message: format!(
                    "check {check}: {action} is not as it should be: {}",
                    harmless_cut(problem, ANSWER)
                ),
                evidence: shown(&[event]),
            });
        }
        let EventKind::Examined {
            what,
            expected,
            found,
            doubt,
            took_ms,
        } = &event.kind
        else {
            continue;
        };
        if found == expected {
            continue;
        }
        let (check, severity) = match what {
            Examination::EarlyPromotion | Examination::SecondPromotion => {
                (Check::IllegalTransition, Severity::Error)
            }
            Examination::ReadOnlyWrite => (Check::ReadOnlyWrite, Severity::Error),
            // Known of Materialize: an indexed read of a generation that is not promoted may hang.
            Examination::ReadOnlyRead => (Check::ClientHang, Severity::Warning),
            Examination::CatalogQuery => (Check::LatencyCliff, Severity::Warning),
            // Whoever writes it knows what it means.
            Examination::Unknown => continue,
        };
        // What may be somebody else's doing is held against nobody.
        let (severity, why) = match doubt {
            None => (severity, String::new()),
            Some(doubt) => (
                Severity::Warning,
                format!(", which proves nothing: {}", harmless_cut(doubt, ANSWER)),
            ),
        };
        findings.push(Finding {
            check,
            severity,
            step: steps.of_event(event),
            message: format!(
                "{}: {what}: {} after {took_ms} ms; expected was {}{why}",
                instance(event),
                harmless_cut(found, ANSWER),
                harmless_cut(expected, ANSWER)
            ),
            evidence: shown(&[event]),
        });
    }
    findings
}
