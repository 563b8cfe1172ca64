//! When a finding was: the times in its evidence.

use crate::record::{Record, Stretch};
use changeover_model::history::{Class, Connection};
use changeover_model::verdict::{Finding, GapSpan};
use serde_json::Value;

/// From the first to the last moment of a finding, in nanoseconds; `None` if nothing tells.
pub(super) fn when(record: &Record, finding: &Finding) -> Option<Stretch> {
    let mut times = Vec::new();
    gather(&finding.evidence, &mut times);
    if times.is_empty()
        && let Some(span) = gap(record, finding)
    {
        times.extend([span.from_ms, span.to_ms].map(|ms| nanos(ms * 1e6)));
    }
    match (times.iter().min(), times.iter().max()) {
        (Some(&from), Some(&to)) => Some(Stretch { from, to }),
        _ => {
            let step = record
                .story
                .steps
                .iter()
                .find(|s| Some(s.number) == finding.step)?;
            Some(step.span)
        }
    }
}

/// The gap that a budget was exceeded by: evidence names the lane, and the verdict has its times.
fn gap<'a>(record: &'a Record, finding: &Finding) -> Option<&'a GapSpan> {
    let field = |name: &str| finding.evidence.get(name).cloned();
    let class: Class = serde_json::from_value(field("class")?).ok()?;
    let connection: Connection = serde_json::from_value(field("connection")?).ok()?;
    let steps = record.verdict.steps.iter();
    steps
        .filter(|step| finding.step.is_none_or(|number| number == step.number))
        .flat_map(|step| &step.gaps)
        .filter(|gap| gap.class == class && gap.connection == connection)
        .find_map(|gap| gap.spans.first())
}

/// All times in evidence: events and operations have nanoseconds, what was written for people seconds.
fn gather(evidence: &Value, times: &mut Vec<u64>) {
    match evidence {
        Value::Array(items) => items.iter().for_each(|item| gather(item, times)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value.as_f64()) {
                    ("at" | "invoke" | "return" | "ended", Some(at)) => times.push(nanos(at)),
                    (name, Some(at)) if name.ends_with("_s") => times.push(nanos(at * 1e9)),
                    _ => gather(value, times),
                }
            }
        }
        _ => {}
    }
}

/// Saturating: what is out of range is at the edge.
fn nanos(at: f64) -> u64 {
    at.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_found_however_deep() {
        let mut times = Vec::new();
        gather(
            &json!({"events": [{"at": 5, "seq": 9}], "write": {"sent_s": 0.5, "returned_s": null, "value": 7}, "x": "at"}),
            &mut times,
        );
        assert_eq!(times, [5, 500_000_000]);
    }
}
