//! The data of a page: what the script draws, and what other programs may read from the file.

use super::evidence;
use super::html;
use crate::record::{MICRO, Record};
use changeover_model::format::Kind;
use changeover_model::text::harmless;
use serde_json::{Value, json};

/// Evidence of more text than this is left to the verdict's own file.
const EVIDENCE: usize = 20_000;

/// A plan of more text than this leaves out the parameters of all services but the first; they are the same.
const PLAN: usize = 60_000;

/// The data, as JSON that can stand in the page.
pub(super) fn json(record: &Record) -> String {
    let story = &record.story;
    let us = |nanos: u64| nanos / MICRO;
    let end = record.end();
    let instances: Vec<Value> = story
        .instances
        .iter()
        .map(|i| {
            json!({
                "slot": harmless(&i.slot),
                "generation": i.generation,
                "version": i.version,
                "from": us(i.from),
                "to": i.to.map(us),
                "end": i.end,
                "said": i.said.iter().map(|(at, text)| json!([us(*at), text])).collect::<Vec<_>>(),
            })
        })
        .collect();
    let steps: Vec<Value> = story
        .steps
        .iter()
        .map(|step| {
            let ends = step
                .phases
                .iter()
                .skip(1)
                .map(|(_, at)| *at)
                .chain([step.span.to]);
            let phases = step.phases.iter().zip(ends);
            json!({
                "number": step.number,
                "title": match &step.from {
                    Some(from) => format!("{from} → {}", step.to),
                    None => format!("start {}", step.to),
                },
                "from": us(step.span.from),
                "to": us(step.span.to),
                "phases": phases
                    .map(|((phase, from), to)| json!([phase.name(), us(*from), us(to)]))
                    .collect::<Vec<_>>(),
            })
        })
        .collect();
    let moments: Vec<Value> = story
        .moments()
        .into_iter()
        .map(|m| {
            json!({
                "at": us(m.at), "step": m.step, "slot": m.slot.as_deref().map(harmless), "text": m.text, "log": m.log, "bad": m.bad, "kind": m.kind,
            })
        })
        .collect();
    let logs: Vec<Value> = record
        .logs
        .lines
        .iter()
        .map(|l| {
            json!({"at": us(l.at), "slot": harmless(&l.slot), "generation": l.generation, "bad": l.bad, "text": l.text})
        })
        .collect();
    let findings: Vec<Value> = record
        .verdict
        .findings
        .iter()
        .map(|finding| {
            let when = evidence::when(record, finding);
            json!({
                "check": finding.check,
                "severity": finding.severity,
                "from": when.map(|w| us(w.from)),
                "to": when.map(|w| us(w.to)),
                "history": record.small.of(finding).map(|(file, small)| json!({
                    "file": harmless(file),
                    "operations": small.operations,
                    "left_out": small.left_out,
                })),
            })
        })
        .collect();
    html::json(&json!({
        "format": Kind::Report.mark(),
        "clock_zero": record.clock_zero,
        "end": us(end),
        "changeover": story.changeover,
        "instances": instances,
        "door": story.door.iter().map(|(at, slot, generation)| json!([us(*at), harmless(slot), generation])).collect::<Vec<_>>(),
        "store": json!({
            "kind": record.plan.as_ref().map(|plan| &plan.metadata_store),
            "from": story.store.map_or(0, |(from, _)| us(from)),
            "to": us(story.store.and_then(|(_, to)| to).unwrap_or(end)),
        }),
        "steps": steps,
        "asides": story.asides.iter().map(|(name, from, to)| json!([name, us(*from), us(to.unwrap_or(end))])).collect::<Vec<_>>(),
        "moments": moments,
        "logs": logs,
        "gaps": gaps(record),
        "findings": findings,
        "cloud": record.cloud.as_ref().map(|cloud| cloud.to_json()),
        "verdict": verdict(record),
        "plan": plan(record),
    }))
}

fn gaps(record: &Record) -> Vec<Value> {
    // A probe tells its gaps as they close.
    let closed = record.story.gaps.iter().map(|(lane, since, until)| {
        json!({
            "lane": harmless(lane),
            "class": match lane.split('/').next() {
                Some("write") => "write",
                Some("connect") => "connect",
                _ => "read",
            },
            "step": null,
            "from": since / MICRO,
            "to": until / MICRO,
            "gap": true,
            "resolution": null,
        })
    });
    let mut out: Vec<Value> = closed.collect();
    for step in &record.verdict.steps {
        for gap in &step.gaps {
            for span in &gap.spans {
                let us = |ms: f64| (ms * 1000.0).round();
                out.push(json!({
                    "lane": format!("{}/{}", gap.class.name(), gap.connection.name()),
                    "class": gap.class,
                    "step": step.number,
                    "from": us(span.from_ms),
                    "to": us(span.to_ms),
                    // The longest span of a lane without gaps.
                    "gap": gap.count > 0,
                    "resolution": us(gap.resolution_ms),
                }));
            }
        }
    }
    out
}

fn verdict(record: &Record) -> Value {
    let mut verdict = record.verdict.clone();
    for finding in &mut verdict.findings {
        let length = finding.evidence.to_string().len();
        if length > EVIDENCE {
            finding.evidence =
                json!({"left_out": format!("{length} bytes; verdict.json has them")});
        }
    }
    json!(verdict)
}

fn plan(record: &Record) -> Value {
    let Some(plan) = &record.plan else {
        return Value::Null;
    };
    let whole = json!(plan);
    if whole.to_string().len() <= PLAN {
        return whole;
    }
    let mut plan = plan.clone();
    for service in plan.services.iter_mut().skip(1) {
        service.system_parameter_defaults.clear();
    }
    json!(plan)
}
