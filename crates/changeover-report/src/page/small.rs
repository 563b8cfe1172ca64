//! The small history that shows a finding: a table, folded away but for that of the first.

use super::html::{table, text};
use crate::numbers::{count, time};
use crate::record::{Record, SmallHistory};
use changeover_model::history::{Operation, Outcome};
use changeover_model::text::harmless_cut;
use changeover_model::verdict::Finding;
use serde_json::Value;

/// A value is cut to so many characters; the data of the page has all of it.
const VALUE: usize = 120;

/// The small history of the finding with that index; nothing if there is none.
pub(super) fn history(record: &Record, index: usize, finding: &Finding) -> String {
    let Some((file, small)) = record.small.of(finding) else {
        return String::new();
    };
    let all = small.operations.len() as u64 + small.left_out;
    let operations = match all {
        1 => "1 operation".to_owned(),
        n => format!("{} operations", count(n)),
    };
    let left_out = match small.left_out {
        0 => String::new(),
        n => format!(" {} more are in the file.", count(n)),
    };
    let of_key = only_key(small).map_or(String::new(), |key| format!(", of key {key}"));
    // The run that decides has a directory of its own in that of its series.
    let place = match &record.verdict.repeat {
        Some(repeat) => format!("{}/{file}", repeat.decides),
        None => file.to_owned(),
    };
    let open = if index == 0 { " open" } else { "" };
    format!(
        "<details class=\"history\"{open}><summary>The smallest history found that still fails: {operations}</summary>\n{}\
         <p class=\"note\">{left_out} Beside this page: <a href=\"{1}\">{1}</a>, for <code>changeover check</code>.</p></details>",
        table(
            &format!("History that shows finding {}{of_key}", index + 1),
            &headings(small),
            &rows(small),
        ),
        text(&place),
    )
}

/// The key that all operations are of, if it is one.
fn only_key(small: &SmallHistory) -> Option<&str> {
    let first = small.operations.first()?.key.as_deref()?;
    let same = |operation: &Operation| operation.key.as_deref() == Some(first);
    small.operations.iter().all(same).then_some(first)
}

/// Whether a column says which key an operation is of.
fn has_keys(small: &SmallHistory) -> bool {
    let any = small
        .operations
        .iter()
        .any(|operation| operation.key.is_some());
    any && only_key(small).is_none()
}

fn headings(small: &SmallHistory) -> Vec<&'static str> {
    let mut headings = vec!["sent", "took", "client", "operation"];
    headings.extend(has_keys(small).then_some("key"));
    headings.extend(["value", "answer", "outcome"]);
    headings
}

fn rows(small: &SmallHistory) -> Vec<Vec<String>> {
    let keys = has_keys(small);
    let operations = small.operations.iter();
    operations.map(|operation| row(operation, keys)).collect()
}

fn row(operation: &Operation, keys: bool) -> Vec<String> {
    let took = operation.returned.or(operation.ended);
    let took = took.map(|at| time(at.saturating_sub(operation.invoke) as f64 / 1e6));
    let mut row = vec![
        format!("{:.4} s", operation.invoke as f64 / 1e9),
        took.unwrap_or_else(|| "–".to_owned()),
        match operation.client {
            Some(client) => client.to_string(),
            None => format!("process {}", operation.process),
        },
        name(operation.op),
    ];
    row.extend(keys.then(|| text(operation.key.as_deref().unwrap_or("–"))));
    row.extend([
        value(&operation.value),
        value(&operation.result),
        match operation.outcome {
            Outcome::Ok => "✓ acknowledged".to_owned(),
            Outcome::Fail => "✗ failed".to_owned(),
            Outcome::Unknown => "? unknown".to_owned(),
        },
    ]);
    row
}

/// The name that files give it.
fn name(op: impl serde::Serialize) -> String {
    let name = serde_json::json!(op);
    text(name.as_str().unwrap_or_default())
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        value => format!(
            "<code>{}</code>",
            text(&harmless_cut(&value.to_string(), VALUE))
        ),
    }
}
