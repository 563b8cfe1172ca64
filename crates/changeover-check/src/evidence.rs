//! What a case of a model shows as evidence.

use crate::findings::Found;
use changeover_model::event::Phase;
use changeover_model::history::Model;
use serde_json::{Value, json};

/// How many operations a case shows at most; its small history has all of them.
pub(crate) const OPERATIONS: usize = 20;

/// The operations that show a case.
pub(crate) fn of(
    model: Model,
    phase: Option<Phase>,
    operations: impl Iterator<Item = Value>,
) -> Value {
    let operations: Vec<Value> = operations.collect();
    let mut value = json!({ "model": model.name(), "operations": operations });
    if let (Some(phase), Some(fields)) = (phase, value.as_object_mut()) {
        fields.insert("phase".to_owned(), json!(phase));
    }
    value
}

/// What a client may rely on from one operation to the next (Terry and others, 1994).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Guarantees {
    pub(crate) monotonic_reads: bool,
    pub(crate) read_your_writes: bool,
    pub(crate) monotonic_writes: bool,
    pub(crate) writes_follow_reads: bool,
}

impl Guarantees {
    /// Those that are broken, as the end of a sentence; empty if none is.
    pub(crate) fn broken(self) -> String {
        let all = [
            (self.monotonic_reads, "monotonic reads"),
            (self.read_your_writes, "read your writes"),
            (self.monotonic_writes, "monotonic writes"),
            (self.writes_follow_reads, "writes follow reads"),
        ];
        let broken: Vec<&str> = all
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| *name)
            .collect();
        match broken.as_slice() {
            [] => String::new(),
            broken => format!(" (not {})", broken.join(", not ")),
        }
    }
}

/// Says in each finding's evidence where its small history is: `finding-1.jsonl` and so on, behind `directory`, which
/// ends with a slash unless it is empty.
pub fn name_histories(findings: &mut [Found], directory: &str) {
    let shown = findings.iter_mut().filter(|f| f.history.is_some());
    for (index, found) in shown.enumerate() {
        if let Some(fields) = found.finding.evidence.as_object_mut() {
            let name = format!("{directory}{}", history_name(index + 1));
            fields.insert("history".to_owned(), name.into());
        }
    }
}

/// The file name of the n-th small history, 1 for the first.
pub fn history_name(number: usize) -> String {
    format!("finding-{number}.jsonl")
}
