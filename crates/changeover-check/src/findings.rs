//! Findings of the same check in the same step are one finding: what matters first is that it happened, then how
//! often, then a few cases in full.

use crate::subhistory::SubHistory;
use changeover_model::check::{Check, Severity};
use changeover_model::verdict::Finding;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many cases a finding lists. The count in its message is of all.
pub const LISTED: usize = 5;

/// A case: a few words, and what shows it.
#[derive(Debug)]
pub(crate) struct Case {
    /// A few words that name it, for the message.
    pub(crate) words: String,
    /// The operations or events that show it.
    pub(crate) evidence: Value,
}

/// A finding, and a small history that shows the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The finding.
    pub finding: Finding,
    /// What is left of the history when everything is taken away that does not matter.
    pub history: Option<SubHistory>,
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        Found {
            finding,
            history: None,
        }
    }
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    listed: Vec<Case>,
    history: Option<SubHistory>,
}

/// Collects cases by check, step and headline.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    groups: BTreeMap<(Check, Option<u32>, &'static str), Group>,
}

impl Cases {
    /// Adds a case. `headline` completes the sentence "N …"; `case` is only called if the case will be listed.
    pub(crate) fn add(
        &mut self,
        check: Check,
        step: Option<u32>,
        headline: &'static str,
        case: impl FnOnce() -> Case,
    ) {
        let group = self.groups.entry((check, step, headline)).or_default();
        group.count += 1;
        if group.listed.len() < LISTED {
            group.listed.push(case());
        }
    }

    /// The same, with a small history that shows it; only the first case of a group needs one.
    pub(crate) fn add_shown(
        &mut self,
        check: Check,
        step: Option<u32>,
        headline: &'static str,
        case: impl FnOnce() -> Case,
        history: impl FnOnce() -> Option<SubHistory>,
    ) {
        self.add(check, step, headline, case);
        if let Some(group) = self.groups.get_mut(&(check, step, headline))
            && group.count == 1
        {
            group.history = history();
        }
    }

    /// One finding of severity error for each group.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.into_found().into_iter().map(|f| f.finding).collect()
    }

    /// The same, with the small histories.
    pub(crate) fn into_found(self) -> Vec<Found> {
        self.groups
            .into_iter()
            .map(|((check, step, headline), group)| {
                let more = group.count.saturating_sub(group.listed.len() as u64);
                let mut words: Vec<String> = group.listed.iter().map(|c| c.words.clone()).collect();
                if more > 0 {
                    words.push(format!("and {more} more"));
                }
                let cases: Vec<Value> = group.listed.into_iter().map(|c| c.evidence).collect();
                let finding = Finding {
                    check,
                    severity: Severity::Error,
                    step,
                    message: format!("{}× {headline}: {}", group.count, words.join("; ")),
                    evidence: json!({ "count": group.count, "cases": cases }),
                };
                Found {
                    finding,
                    history: group.history,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_cases_are_counted_and_a_few_are_listed() {
        let mut cases = Cases::default();
        for n in 0..8 {
            cases.add(Check::LostWrite, Some(1), "lost", || Case {
                words: format!("case {n}"),
                evidence: json!(n),
            });
        }
        cases.add(Check::LostWrite, Some(2), "lost", || Case {
            words: "other".to_owned(),
            evidence: json!(null),
        });
        let findings = cases.into_findings();
        assert_eq!(findings.len(), 2);
        assert_eq!(
            findings[0].message,
            "8× lost: case 0; case 1; case 2; case 3; case 4; and 3 more"
        );
        assert_eq!(
            findings[0].evidence,
            json!({"count": 8, "cases": [0, 1, 2, 3, 4]})
        );
        assert_eq!(findings[1].message, "1× lost: other");
    }
}
