//! The small histories that show findings.

use changeover_model::history::Operation;
use changeover_model::verdict::Finding;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// So many operations of a small history are shown; what is small has fewer.
const OPERATIONS: usize = 60;

/// So much JSON of all small histories is shown, in bytes: a page is under 2 MB, whatever was found.
const BYTES: usize = 300_000;

/// The small histories of a run, by the names that evidence gives their files.
#[derive(Debug, Default)]
pub(crate) struct SmallHistories {
    by_file: BTreeMap<String, SmallHistory>,
    bytes: usize,
}

/// A history that fails for the reason of a finding, as far as it is shown.
#[derive(Debug, Default)]
pub(crate) struct SmallHistory {
    /// Its first operations.
    pub(crate) operations: Vec<Operation>,
    /// So many more are in its file.
    pub(crate) left_out: u64,
}

/// The file of the small history that shows a finding, relative to its run's directory; `None` if there is none, or if
/// it names a place outside.
pub(crate) fn file(finding: &Finding) -> Option<&str> {
    let file = finding.evidence.get("history")?.as_str()?;
    let mut parts = Path::new(file).components();
    let within = parts.next() == Some(Component::Normal("findings".as_ref()))
        && matches!(parts.next(), Some(Component::Normal(_)))
        && parts.next().is_none();
    within.then_some(file)
}

impl SmallHistories {
    /// Takes an operation of a file, in their order.
    pub(crate) fn operation(&mut self, file: &str, operation: &Operation) {
        let bytes = serde_json::to_string(operation).map_or(BYTES, |json| json.len());
        let known = self.by_file.entry(file.to_owned()).or_default();
        let fits = self.bytes.saturating_add(bytes) <= BYTES;
        if known.left_out == 0 && known.operations.len() < OPERATIONS && fits {
            self.bytes += bytes;
            known.operations.push(operation.clone());
        } else {
            known.left_out += 1;
        }
    }

    /// The one that shows a finding, with its file.
    pub(crate) fn of<'a>(&self, finding: &'a Finding) -> Option<(&'a str, &SmallHistory)> {
        let file = file(finding)?;
        Some((file, self.by_file.get(file)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use changeover_model::check::{Check, Severity};
    use serde_json::json;

    fn finding(file: &str) -> Finding {
        Finding {
            check: Check::LostWrite,
            severity: Severity::Error,
            step: None,
            message: String::new(),
            evidence: json!({ "history": file }),
        }
    }

    #[test]
    fn only_files_of_the_run_are_named() {
        assert!(file(&finding("findings/finding-1.jsonl")).is_some());
        for outside in [
            "/etc/passwd",
            "findings/../../secret",
            "findings",
            "findings/a/b",
            "history.jsonl",
            "./findings/a",
            "",
        ] {
            assert_eq!(file(&finding(outside)), None, "{outside}");
        }
    }

    #[test]
    fn what_is_kept_has_a_bound_and_the_rest_is_counted() {
        let line =
            r#"{"process":1,"op":"add","key":"k","value":1,"invoke":0,"return":1,"outcome":"ok"}"#;
        let mut operation = Operation::parse(line).unwrap();
        let mut all = SmallHistories::default();
        for _ in 0..1000 {
            all.operation("findings/finding-1.jsonl", &operation);
        }
        operation.value = json!("x".repeat(100_000));
        for _ in 0..5 {
            all.operation("findings/finding-2.jsonl", &operation);
        }
        let first = finding("findings/finding-1.jsonl");
        let (_, small) = all.of(&first).unwrap();
        assert_eq!((small.operations.len(), small.left_out), (60, 940));
        let second = finding("findings/finding-2.jsonl");
        let (_, large) = all.of(&second).unwrap();
        assert_eq!((large.operations.len(), large.left_out), (2, 3));
    }
}
