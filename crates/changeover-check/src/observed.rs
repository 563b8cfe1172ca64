//! What workloads saw at moments of a step: answers that must stay the same, a view and its table that must agree,
//! sessions that must not fall silent, statements of a script, and identifiers that must be issued once.

use crate::findings::{Case, Cases};
use crate::stats::ms;
use changeover_model::check::Check;
use changeover_model::event::{Event, EventKind};
use changeover_model::history::{Op, Operation, Outcome, Source};
use changeover_model::observation::{Answered, Moment, Observation};
use changeover_model::plan::Plan;
use changeover_model::verdict::Finding;
use changeover_model::workload::WorkloadKind;
use serde_json::json;
use std::collections::BTreeMap;

/// All findings about what was observed. `events` must be in their order.
pub(crate) fn judge(plan: &Plan, events: &[Event]) -> Vec<Finding> {
    let mut cases = Cases::default();
    let mut known: BTreeMap<(WorkloadKind, &str), &Answered> = BTreeMap::new();
    let mut told: BTreeMap<usize, u64> = BTreeMap::new();
    for event in events {
        let EventKind::WorkloadSeen { seen } = &event.kind else {
            continue;
        };
        let by_generation = || {
            let steps = plan.steps.iter();
            let mut of = steps.filter(|s| Some(s.deploy_generation) == event.generation);
            of.next().map(|s| s.number)
        };
        let step = event.step.or_else(by_generation);
        match &**seen {
            Observation::Query {
                workload,
                query,
                moment,
                answered,
                ..
            } => {
                let before = *known.entry((*workload, query)).or_insert(answered);
                if let Some(words) = differs(before, answered) {
                    let what = format!("{workload} {query} {}: {words}", moment.words());
                    cases.add(
                        Check::ObjectChanged,
                        step,
                        "answer that was another before",
                        || case(what, event),
                    );
                }
            }
            Observation::Agreement {
                moment,
                view,
                table,
            } if view != table => cases.add(
                Check::InvariantBroken,
                step,
                "view that disagrees with its table",
                || {
                    let (view, table) = (row(view), row(table));
                    let what =
                        format!("the view says {view}, the table {table} {}", moment.words());
                    case(what, event)
                },
            ),
            Observation::SessionSilent { state, waited_ms } => cases.add(
                Check::SessionState,
                step,
                "held session that fell silent",
                || case(format!("{state}: no answer in {waited_ms} ms"), event),
            ),
            Observation::ScriptWrong {
                line,
                expected,
                found,
                ..
            } => {
                *told.entry(*line).or_default() += 1;
                let what = format!("line {line}: {found:?}, expected {expected:?}");
                cases.add(
                    Check::InvariantBroken,
                    step,
                    "wrong answer to the script",
                    || case(what, event),
                );
            }
            // Those beyond the first few are only counted.
            Observation::ScriptDone { line, wrong, .. } => {
                let more = wrong.saturating_sub(told.get(line).copied().unwrap_or(0));
                if more > 0 {
                    let what = format!("line {line}: {more} more");
                    cases.add(
                        Check::InvariantBroken,
                        step,
                        "wrong answer to the script",
                        || case(what, event),
                    );
                }
            }
            _ => {}
        }
    }
    cases.into_findings()
}

/// Reasons for doubt: what was planned and never looked at.
pub(crate) fn doubts(plan: &Plan, events: &[Event]) -> Vec<String> {
    let observed = || {
        events.iter().filter_map(|event| match &event.kind {
            EventKind::WorkloadSeen { seen } => Some((event, &**seen)),
            _ => None,
        })
    };
    let mut doubts = Vec::new();
    for kind in [WorkloadKind::Objects, WorkloadKind::Aged] {
        if !plan.workload.has(kind) {
            continue;
        }
        let asked = |step: u32, wanted: Moment| {
            observed().any(|(event, seen)| {
                event.step == Some(step)
                    && matches!(seen, Observation::Query { workload, moment, .. }
                        if *workload == kind && *moment == wanted)
            })
        };
        for step in completed(events) {
            if !asked(step, Moment::After) {
                doubts.push(format!(
                    "workload {kind} did not ask its queries after step {step}"
                ));
            }
        }
    }
    if plan.workload.has(WorkloadKind::Session) && !completed(events).is_empty() {
        let session = |event: &Event| matches!(event.kind, EventKind::SessionSeen { .. });
        let silent = |seen: &Observation| matches!(seen, Observation::SessionSilent { .. });
        if !events.iter().any(session) && !observed().any(|(_, seen)| silent(seen)) {
            doubts.push("workload session held no session over a promotion".to_owned());
        }
    }
    if plan.workload.has(WorkloadKind::Ddl) && !completed(events).is_empty() {
        let acknowledged = |event: &Event| matches!(&event.kind, EventKind::DdlDone { outcome } if *outcome == Outcome::Ok);
        if !events.iter().any(acknowledged) {
            doubts.push("workload ddl changed no definition".to_owned());
        }
        if !events
            .iter()
            .any(|e| matches!(e.kind, EventKind::CatalogSeen { .. }))
        {
            doubts.push(
                "the target does not say how its catalog is read, so workload ddl compared answers alone; give client.catalog"
                    .to_owned(),
            );
        }
    }
    if plan.workload.has(WorkloadKind::Script) {
        let mut right = 0;
        for (_, seen) in observed() {
            if let Observation::ScriptDone { right: n, .. } = seen {
                right += n;
            }
        }
        if right == 0 {
            doubts.push("no statement of the script was answered as expected".to_owned());
        }
    }
    doubts
}

/// The steps that were completed; 0 is none.
fn completed(events: &[Event]) -> Vec<u32> {
    let ended = |event: &Event| match event.kind {
        EventKind::StepEnded { completed: true } => event.step.filter(|step| *step > 0),
        _ => None,
    };
    events.iter().filter_map(ended).collect()
}

fn case(words: String, event: &Event) -> Case {
    Case {
        words,
        evidence: json!(event),
    }
}

fn row(values: &[Option<String>]) -> String {
    let values = values.iter().map(|v| v.as_deref().unwrap_or("null"));
    values.collect::<Vec<_>>().join(", ")
}

/// What is different, if anything. Who never had an answer had none to lose.
fn differs(before: &Answered, now: &Answered) -> Option<String> {
    match (before, now) {
        (
            Answered::Rows {
                rows: had,
                digest: was,
                sample: saw,
            },
            Answered::Rows {
                rows,
                digest,
                sample,
            },
        ) => (was != digest).then(|| match had == rows {
            true => format!("{rows} rows with other values, such as {sample:?} for {saw:?}"),
            false => format!("{rows} rows where there were {had}"),
        }),
        (Answered::Rows { rows, .. }, Answered::Error(error)) => {
            Some(format!("{error}, where there were {rows} rows"))
        }
        (Answered::Error(_), Answered::Error(_)) => None,
        (Answered::Error(error), Answered::Rows { rows, .. }) => {
            Some(format!("{rows} rows, where there was an error: {error}"))
        }
    }
}

/// Identifiers that a database has issued, and to whom.
#[derive(Debug, Default)]
pub(crate) struct Issued {
    /// Counters of the same name before the point share a table, and so a sequence.
    first: BTreeMap<(String, i64), u64>,
    twice: Vec<(i64, u64, u64)>,
}

impl Issued {
    /// Takes an operation. What adds to a counter and answers with a number was issued it.
    pub(crate) fn operation(&mut self, operation: &Operation) {
        let counter = operation.model.as_deref() == Some(WorkloadKind::Counter.name());
        let own = operation.source == Some(Source::Workload);
        if !(counter && own && operation.op == Op::Add && operation.outcome == Outcome::Ok) {
            return;
        }
        if let Some(id) = operation.result.as_i64() {
            let at = operation.invoke;
            let key = operation.key.as_deref().unwrap_or_default();
            let series = key.split('.').next().unwrap_or_default().to_owned();
            if let Some(first) = self.first.insert((series, id), at) {
                self.twice.push((id, first, at));
            }
        }
    }

    /// Those that were issued twice; `step_at` says in which step a moment lies.
    pub(crate) fn judge(self, step_at: impl Fn(u64) -> Option<u32>) -> Vec<Finding> {
        let mut cases = Cases::default();
        for (id, first, again) in self.twice {
            cases.add(
                Check::DuplicatedEffect,
                step_at(again),
                "identifier issued twice",
                || Case {
                    words: format!("{id}, sent for at {} ms and at {} ms", ms(first), ms(again)),
                    evidence: json!({ "identifier": id, "sent_ns": [first, again] }),
                },
            );
        }
        cases.into_findings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Events, events, plan};

    fn rows(digest: &str) -> Answered {
        Answered::Rows {
            rows: 2,
            digest: digest.to_owned(),
            sample: vec!["1".to_owned()],
        }
    }

    fn query(moment: Moment, answered: Answered) -> Observation {
        Observation::Query {
            workload: WorkloadKind::Objects,
            query: "line 3".to_owned(),
            moment,
            ms: 1.0,
            answered,
        }
    }

    fn seen(seen: Observation) -> EventKind {
        EventKind::WorkloadSeen {
            seen: Box::new(seen),
        }
    }

    fn checks(build: impl FnOnce(&mut Events)) -> Vec<(Check, Option<u32>)> {
        let mut e = events();
        build(&mut e);
        let found = judge(&plan(2), &e.list);
        found.into_iter().map(|f| (f.check, f.step)).collect()
    }

    #[test]
    fn an_answer_stays_what_it_was() {
        let after = |answered: Answered| {
            checks(|e| {
                e.step(0).push(seen(query(Moment::Start, rows("a"))));
                e.step(1).push(seen(query(Moment::After, answered)));
            })
        };
        assert_eq!(after(rows("a")), []);
        assert_eq!(after(rows("b")), [(Check::ObjectChanged, Some(1))]);
        let error = || Answered::Error("no such table".to_owned());
        assert_eq!(after(error()), [(Check::ObjectChanged, Some(1))]);
        // Another query of the same words is another question.
        let never = checks(|e| {
            e.step(0).push(seen(query(Moment::Start, error())));
            e.step(1).push(seen(query(Moment::After, error())));
        });
        assert_eq!(never, []);
    }

    #[test]
    fn a_view_agrees_with_its_table() {
        let agreement = |table: &str| Observation::Agreement {
            moment: Moment::Ready,
            view: vec![Some("1".to_owned())],
            table: vec![Some(table.to_owned())],
        };
        let found = |table: &str| {
            checks(|e| {
                e.step(2).push(seen(agreement(table)));
            })
        };
        assert_eq!(found("1"), []);
        assert_eq!(found("2"), [(Check::InvariantBroken, Some(2))]);
    }

    #[test]
    fn wrong_answers_to_a_script_are_found_also_those_that_were_only_counted() {
        let done = |wrong| Observation::ScriptDone {
            line: 4,
            right: 1,
            wrong,
            failed: 3,
        };
        let found = |wrong| {
            checks(|e| {
                e.push(seen(done(wrong)));
            })
        };
        assert_eq!(found(0), []);
        assert_eq!(found(1).len(), 1);
    }

    #[test]
    fn a_session_that_falls_silent_is_found() {
        let found = checks(|e| {
            e.step(1).push(seen(Observation::SessionSilent {
                state: "a setting".to_owned(),
                waited_ms: 2000,
            }));
        });
        assert_eq!(found, [(Check::SessionState, Some(1))]);
    }

    #[test]
    fn an_identifier_is_issued_once() {
        let add = |invoke: u64, id: Option<i64>, outcome: &str| {
            let id = id.map_or("null".to_owned(), |id| id.to_string());
            let line = format!(
                r#"{{"process":1,"op":"add","model":"counter","source":"workload","key":"ids.0","value":1,"result":{id},"invoke":{invoke},"return":{invoke},"outcome":"{outcome}"}}"#
            );
            Operation::parse(&line).unwrap()
        };
        let found = |operations: &[Operation]| {
            let mut issued = Issued::default();
            operations.iter().for_each(|o| issued.operation(o));
            issued.judge(|at| (at > 4).then_some(1))
        };
        assert_eq!(found(&[add(1, Some(7), "ok"), add(2, Some(8), "ok")]), []);
        assert_eq!(found(&[add(1, None, "ok"), add(2, None, "ok")]), []);
        let twice = found(&[add(1, Some(7), "ok"), add(5, Some(7), "ok")]);
        assert_eq!(
            (twice[0].check, twice[0].step),
            (Check::DuplicatedEffect, Some(1))
        );
    }

    #[test]
    fn what_was_planned_and_not_looked_at_is_a_doubt() {
        let mut plan = plan(1);
        let models = ["set", "session", "ddl", "objects", "script", "aged"];
        plan.workload.models = models.map(str::to_owned).to_vec();
        let mut e = events();
        e.step(1).started().ended(true);
        assert_eq!(doubts(&plan, &e.list).len(), 6);
        plan.workload.models = vec!["set".to_owned()];
        assert_eq!(doubts(&plan, &e.list).len(), 0);
    }
}
