//! What `changeover check` prints: the judgement of histories.

use crate::format::Kind;
use crate::verdict::{Finding, OperationCounts, VerdictOutcome};
use serde::{Deserialize, Serialize};

/// The judgement of one or more histories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// `changeover.check/1`.
    pub format: String,
    /// Fail with a finding, inconclusive if something could not be decided, else pass.
    pub outcome: VerdictOutcome,
    /// What came out for each model, file by file.
    pub models: Vec<CheckedModel>,
    /// How many operations were judged.
    pub operations: OperationCounts,
    /// What was found, most severe first.
    pub findings: Vec<Finding>,
}

/// What came out for one model of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedModel {
    /// The file, where there is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The model's name.
    pub model: String,
    /// Its outcome.
    pub outcome: VerdictOutcome,
    /// Why it is no pass.
    pub reason: Option<String>,
}

impl Checked {
    /// The judgement of nothing, which passes.
    pub fn new() -> Self {
        Checked {
            format: Kind::Check.mark(),
            outcome: VerdictOutcome::Pass,
            models: Vec::new(),
            operations: OperationCounts {
                acknowledged_writes: Some(0),
                ..OperationCounts::default()
            },
            findings: Vec::new(),
        }
    }
}

impl Default for Checked {
    fn default() -> Self {
        Checked::new()
    }
}
