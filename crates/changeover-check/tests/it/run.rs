//! Whole runs: a clean one passes with the figures that were put into it, and each thing that spoils it is told.

use crate::testing::{
    Events, MS, add, ended, events, full_read, in_lane, observed, operation, plan, read,
};
use changeover_check::Judge;
use changeover_check::lanes::LANES;
use changeover_model::Verdict;
use changeover_model::check::{Check, Severity};
use changeover_model::event::{Event, EventKind, Phase};
use changeover_model::history::{
    Class, Connection, ErrorKind, Op, OpError, Operation, Outcome, Source,
};
use changeover_model::plan::{Plan, PlanFinding};
use changeover_model::status::DeploymentStatus::{Initializing, IsLeader, ReadyToPromote};
use changeover_model::verdict::{VerdictOutcome, When};
use std::collections::BTreeMap;

/// A run under construction.
struct Run {
    plan: Plan,
    events: Vec<Event>,
    operations: Vec<Operation>,
}

/// Step 1 begins at 700 ms, step 2 at 1420 ms; in each, nobody is served from 160 to 200 ms after its beginning.
const STEPS: [(u32, u64); 2] = [(1, 700), (2, 1420)];
const LOAD: (u64, u64) = (110, 2640);

fn out_of_service(at: u64) -> bool {
    STEPS
        .iter()
        .any(|(_, begin)| (begin + 160..begin + 200).contains(&at))
}

fn clean() -> Run {
    Run {
        plan: plan(2),
        events: clean_events().list,
        operations: clean_operations(),
    }
}

fn clean_events() -> Events {
    let mut e = events();
    e.at_ms(0).step(0).on(0).started().phase(Phase::Boot);
    e.at_ms(50).status(Initializing).at_ms(60).status(IsLeader);
    e.phase(Phase::Bootstrap).at_ms(100).ended(true);
    e.run_wide().push(EventKind::LoadIntent);
    e.at_ms(LOAD.0).push(EventKind::LoadDone);
    e.at_ms(200).quiet(true).at_ms(700).quiet(false);
    for (number, begin) in STEPS {
        let new = u64::from(number);
        e.step(number).on(new);
        e.at_ms(begin).started().phase(Phase::Boot);
        e.at_ms(begin + 50)
            .status(Initializing)
            .phase(Phase::CatchUp);
        e.at_ms(begin + 150).status(ReadyToPromote);
        e.phase(Phase::Promote).promote();
        e.at_ms(begin + 155).on(new - 1).exit(0);
        e.at_ms(begin + 160).on(new).exit(166);
        e.at_ms(begin + 180)
            .status(IsLeader)
            .phase(Phase::Bootstrap);
        e.at_ms(begin + 199).phase(Phase::Retire);
        e.at_ms(begin + 205).ended(true);
        e.run_wide().at_ms(begin + 215).quiet(true);
        e.at_ms(begin + 220)
            .push(EventKind::FullReadIntent { keys: 4 });
        e.at_ms(begin + 225)
            .push(EventKind::FullReadDone { unread: 0 });
        e.at_ms(begin + 715).quiet(false);
    }
    e.at_ms(LOAD.1).push(EventKind::LoadEndIntent);
    e.at_ms(2650).push(EventKind::LoadEndDone);
    e.push(EventKind::FullReadIntent { keys: 4 });
    e.at_ms(2660).push(EventKind::FullReadDone { unread: 0 });
    e.push(EventKind::RunEnded);
    e
}

/// Every operation takes 1 ms. Adds of a moment come before its reads.
fn clean_operations() -> Vec<Operation> {
    let mut sets: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut operations = Vec::new();
    let full = |sets: &BTreeMap<String, Vec<i64>>, at: u64, out: &mut Vec<Operation>| {
        for (key, set) in sets {
            out.push(full_read(key, set, (at * MS + 1, (at + 1) * MS + 1)));
        }
    };
    for at in (LOAD.0..LOAD.1).step_by(5) {
        let times = (at * MS, (at + 1) * MS);
        let n = ((at - LOAD.0) / 10) as i64;
        let mut at_once = Vec::new();
        if at % 10 == 0 {
            for (client, lane) in (10..).zip(LANES) {
                let key = format!("lane.{}.{}", lane.connection.name(), n / 100);
                let operation = match lane.class {
                    Class::Write => add(client, &key, n, times),
                    Class::Read => read(client, &key, &[], times),
                    Class::Connect => Operation {
                        key: None,
                        ..operation(Op::Connect, client, "", times)
                    },
                };
                at_once.push(in_lane(operation, lane.class, lane.connection));
            }
            at_once.push(add(1, &format!("w1.{}", n / 100), n, times));
        } else {
            at_once.push(read(2, &format!("w1.{}", n / 100), &[], times));
        }
        at_once.sort_by_key(|o| o.op == Op::Read);
        for mut operation in at_once {
            if out_of_service(at) {
                operations.push(ended(operation, Outcome::Fail));
                continue;
            }
            let set = sets.entry(operation.key.clone().unwrap_or_default());
            match operation.op {
                Op::Add => set.or_default().push(operation.value.as_i64().unwrap()),
                _ => operation.result = serde_json::json!(set.or_default()),
            }
            operations.push(operation);
        }
        sets.remove("");
        if STEPS.iter().any(|(_, begin)| at == begin + 220) {
            full(&sets, at, &mut operations);
        }
    }
    full(&sets, 2650, &mut operations);
    operations
}

impl Run {
    fn verdict(&self) -> Verdict {
        let mut judge = Judge::new(&self.plan, "a-run", "changeover rehearse".to_owned());
        for event in &self.events {
            judge.event(event);
        }
        for operation in &self.operations {
            judge.operation(operation);
        }
        judge.finish()
    }

    fn without(mut self, drop: impl Fn(&EventKind, u64) -> bool) -> Run {
        self.events.retain(|e| !drop(&e.kind, e.at / MS));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Run)) -> Run {
        change(&mut self);
        self
    }

    /// The operations of a lane that are due in a stretch of milliseconds.
    fn lane(
        &mut self,
        class: Class,
        connection: Connection,
        due: std::ops::Range<u64>,
    ) -> impl Iterator<Item = &mut Operation> {
        self.operations.iter_mut().filter(move |o| {
            (o.class, o.connection) == (Some(class), Some(connection))
                && due.contains(&(o.intended.unwrap() / MS))
        })
    }
}

/// Expects an inconclusive verdict for exactly this one reason.
#[track_caller]
fn doubted(run: Run, part: &str) {
    let verdict = run.verdict();
    assert_eq!(
        verdict.outcome,
        VerdictOutcome::Inconclusive,
        "{:#?}",
        verdict.reasons
    );
    assert_eq!(verdict.reasons.len(), 1, "{:#?}", verdict.reasons);
    assert!(verdict.reasons[0].contains(part), "{}", verdict.reasons[0]);
}

/// Expects a failed verdict with this finding of severity error.
#[track_caller]
fn failed(run: Run, check: Check, step: Option<u32>) -> Verdict {
    let verdict = run.verdict();
    assert_eq!(verdict.outcome, VerdictOutcome::Fail);
    let found: Vec<_> = verdict
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .map(|f| (f.check, f.step))
        .collect();
    assert_eq!(found, [(check, step)]);
    assert!(verdict.reasons[0].starts_with(check.name()));
    verdict
}

#[test]
fn a_clean_run_passes_with_its_figures() {
    let run = clean();
    let verdict = run.verdict();
    assert_eq!(
        (verdict.outcome, &verdict.reasons),
        (VerdictOutcome::Pass, &Vec::new())
    );
    assert!(verdict.findings.is_empty());
    assert_eq!(verdict.run, "a-run");
    assert_eq!(verdict.steps.len(), 2);
    let step = &verdict.steps[0];
    assert_eq!((step.number, step.service.as_str()), (1, "mz_2"));
    let phases: Vec<_> = step.phases.iter().map(|p| p.ms.unwrap()).collect();
    assert_eq!(phases, [50.0, 100.0, 30.0, 19.0, 6.0]);
    assert_eq!(step.gaps.len(), 5);
    for gap in &step.gaps {
        // From the send at 850 to the success that is due at 900 and takes 1 ms.
        assert_eq!(gap.longest_ms, Some(51.0));
        assert_eq!(
            (gap.count, gap.total_ms, gap.resolution_ms),
            (1, 51.0, 10.0)
        );
    }
    assert_eq!(step.freshness.max_ms, Some(0.0));
    assert_eq!(step.freshness.p50_ms, Some(0.0));
    let before = step
        .latency
        .iter()
        .find(|l| (l.class, l.when) == (Class::Read, When::Before))
        .unwrap();
    assert_eq!((before.p50_ms, before.p99_ms), (Some(1.0), None));
    let names: Vec<_> = verdict.budgets.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["connect-gap", "read-gap", "write-gap"]);
    assert!(verdict.budgets.iter().all(|b| b.measured_ms == Some(51.0)));
    let counted = run
        .operations
        .iter()
        .filter(|o| o.source != Some(Source::FullRead));
    assert_eq!(verdict.operations.total, counted.clone().count() as u64);
    assert_eq!(
        verdict.operations.fail,
        counted.filter(|o| o.outcome == Outcome::Fail).count() as u64
    );
    assert!(verdict.operations.acknowledged_writes.unwrap() > 600);
}

#[test]
fn an_early_end_is_inconclusive() {
    doubted(
        clean().without(|kind, _| *kind == EventKind::RunEnded),
        "its events stop before its end",
    );
    doubted(
        clean().with(|run| {
            let mut interrupted = run.events.last().unwrap().clone();
            interrupted.kind = EventKind::Interrupted {
                signal: "SIGINT".to_owned(),
            };
            run.events.insert(run.events.len() - 1, interrupted);
        }),
        "interrupted by SIGINT",
    );
}

#[test]
fn a_step_that_did_not_take_place_is_inconclusive() {
    let run = clean().with(|run| run.plan = plan(3));
    doubted(run, "step 3 did not begin");
    let run = clean().with(|run| {
        for event in &mut run.events {
            if event.step == Some(2) && matches!(event.kind, EventKind::StepEnded { .. }) {
                event.kind = EventKind::StepEnded { completed: false };
            }
        }
    });
    doubted(run, "step 2 was not completed");
}

#[test]
fn full_reads_are_required_and_must_be_complete() {
    let full_read = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::FullReadIntent { .. } | EventKind::FullReadDone { .. }
        )
    };
    doubted(
        clean().without(|kind, at| full_read(kind) && at < 1000),
        "no full read after the promotion of step 1",
    );
    doubted(
        clean().without(|kind, at| full_read(kind) && at > 2640),
        "no full read at the end",
    );
    // The one at the end is the last promotion's too.
    let run = clean().without(|kind, at| full_read(kind) && (1500..2640).contains(&at));
    assert_eq!(run.verdict().outcome, VerdictOutcome::Pass);
    // Announced, never done.
    doubted(
        clean().without(|kind, at| matches!(kind, EventKind::FullReadDone { .. }) && at < 1000),
        "no full read after the promotion of step 1",
    );
    let run = clean().with(|run| {
        let mut done = run.events.iter_mut().filter(|e| e.at == 925 * MS);
        done.next().unwrap().kind = EventKind::FullReadDone { unread: 2 };
    });
    doubted(run, "left 2 key(s) unread");
}

#[test]
fn what_full_reads_did_not_cover_is_inconclusive() {
    let run = clean().with(|run| {
        run.operations.retain(|o| {
            o.source != Some(Source::FullRead)
                || o.invoke < 2640 * MS
                || o.key.as_deref() != Some("w1.2")
        });
    });
    doubted(run, "1 key(s) were never compared");
}

#[test]
fn a_load_that_did_not_end_is_one_reason_for_doubt() {
    let run = clean()
        .without(|kind, at| at >= 2640 && !matches!(kind, EventKind::RunEnded))
        .with(|run| {
            run.operations
                .retain(|o| o.source != Some(Source::FullRead) || o.invoke < 2640 * MS);
        });
    doubted(run, "the load did not end");
}

#[test]
fn a_late_harness_is_inconclusive() {
    let late = |by: u64, share: usize| {
        clean().with(|run| {
            let in_step = run.lane(Class::Write, Connection::New, 200..1406);
            for operation in in_step.step_by(share) {
                operation.lateness = Some(by);
            }
        })
    };
    // The step and its quiet windows: a twentieth of the sends is not too many, one more is.
    assert_eq!(late(11 * MS, 21).verdict().outcome, VerdictOutcome::Pass);
    assert_eq!(late(10 * MS, 11).verdict().outcome, VerdictOutcome::Pass);
    let run = late(11 * MS, 11);
    let verdict = run.verdict();
    assert_eq!(verdict.budgets[2].outcome, VerdictOutcome::Inconclusive);
    doubted(
        run,
        "lane write/new left more than one interval late in 11 of 122 sends of step 1",
    );
    // A full lane is the target's outage.
    let run = late(11 * MS, 11).with(|run| {
        for operation in run.lane(Class::Write, Connection::New, 200..1406) {
            if operation.lateness == Some(11 * MS) {
                operation.outcome = Outcome::Fail;
                operation.error = Some(OpError {
                    kind: ErrorKind::NotSent,
                    sqlstate: None,
                });
                let value = operation.value.clone();
                operation.value = serde_json::json!(value.as_i64().unwrap() + 10_000);
            }
        }
    });
    let verdict = run.verdict();
    let late = |reason: &String| reason.contains("interval late");
    assert!(!verdict.reasons.iter().any(late), "{:?}", verdict.reasons);
}

#[test]
fn too_coarse_a_resolution_is_inconclusive() {
    let with_lateness = |lateness: u64| {
        clean().with(|run| {
            let mut lane = run.lane(Class::Connect, Connection::New, 1000..1010);
            lane.next().unwrap().lateness = Some(lateness * MS);
        })
    };
    assert_eq!(with_lateness(190).verdict().outcome, VerdictOutcome::Pass);
    let verdict = with_lateness(191).verdict();
    // It lies within a second of both steps' gaps.
    assert_eq!(verdict.outcome, VerdictOutcome::Inconclusive);
    assert_eq!(verdict.reasons.len(), 2);
    assert!(verdict.reasons[0].contains("resolution of 201 ms"));
    assert_eq!(verdict.steps[0].gaps[4].resolution_ms, 201.0);
}

#[test]
fn too_little_load_is_inconclusive() {
    let held = |o: &Operation, from: u64, to: u64| {
        (o.class, o.connection) == (Some(Class::Read), Some(Connection::Held))
            && (from..to).contains(&(o.invoke / MS))
    };
    doubted(
        clean().with(|run| run.operations.retain(|o| !held(o, 0, 9999))),
        "lane read/held has no operations",
    );
    // The second half and a little more of a quiet window.
    doubted(
        clean().with(|run| run.operations.retain(|o| !held(o, 430, 700))),
        "sent only 24 of about 50 operations in the quiet window before step 1",
    );
    doubted(
        clean().with(|run| run.operations.retain(|o| !held(o, 1850, 2640))),
        "in the quiet window after step 2",
    );
    doubted(
        clean().with(|run| run.operations.retain(|o| !held(o, 770, 906))),
        "in the time of step 1",
    );
    let run = clean().with(|run| {
        for operation in run.lane(Class::Read, Connection::Held, 430..700) {
            operation.outcome = Outcome::Fail;
        }
    });
    doubted(run, "on a target that was not well");
}

#[test]
fn the_workload_must_have_worked() {
    let workload = |o: &Operation| o.source == Some(Source::Workload);
    let half = clean().with(|run| {
        let mut n = 0;
        run.operations.retain(|o| {
            n += u32::from(workload(o) && o.op == Op::Read);
            !workload(o) || o.op == Op::Add || n % 50 == 0
        });
    });
    // Adds alone are half of the rate, and full reads come on top.
    assert_eq!(half.verdict().outcome, VerdictOutcome::Pass);
    doubted(
        clean().with(|run| {
            let mut n = 0;
            run.operations.retain(|o| {
                n += u32::from(workload(o) && o.op == Op::Read);
                !workload(o) || (o.op == Op::Read && n % 2 == 0) || n % 4 == 0
            });
            // What was dropped is still in the answers.
            for operation in &mut run.operations {
                if operation.key.as_deref().is_some_and(|k| k.starts_with('w'))
                    && operation.op == Op::Read
                {
                    operation.result = serde_json::Value::Null;
                }
            }
            run.operations
                .retain(|o| !(workload(o) && o.op == Op::Add && o.invoke > 115 * MS));
            let mut first = add(1, "w1.0", 0, (110 * MS, 111 * MS));
            first.outcome = Outcome::Ok;
            run.operations.retain(|o| o.key != first.key);
            run.operations.push(first.clone());
            run.operations
                .push(full_read("w1.0", &[0], (2650 * MS, 2651 * MS)));
        }),
        "the workload sent only",
    );
    doubted(
        clean().with(|run| {
            run.operations
                .retain(|o| !(workload(o) && o.op == Op::Read))
        }),
        "no answered read",
    );
    doubted(
        clean()
            .with(|run| {
                for operation in &mut run.operations {
                    if workload(operation) && operation.op == Op::Add {
                        operation.outcome = Outcome::Unknown;
                    }
                }
            })
            .with(|run| {
                // Those that were refused stay refused.
                for operation in &mut run.operations {
                    if out_of_service(operation.invoke / MS) {
                        operation.outcome = Outcome::Fail;
                    }
                }
            }),
        "no acknowledged write",
    );
}

#[test]
fn quiet_windows_are_required() {
    let window = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::QuietWindowStarted | EventKind::QuietWindowEnded
        )
    };
    doubted(
        clean().without(|kind, at| window(kind) && at < 710),
        "no quiet window before step 1",
    );
    doubted(
        clean().without(|kind, at| window(kind) && at > 1600),
        "no quiet window after step 2",
    );
    let run = clean().with(|run| {
        let mut started = run.events.iter_mut().filter(|e| e.at == 200 * MS);
        started.next().unwrap().at = 251 * MS;
    });
    doubted(run, "was 449 ms long, shorter than 500 ms");
}

#[test]
fn a_load_that_did_not_begin_measured_nothing() {
    let run = clean()
        .without(|kind, _| {
            matches!(
                kind,
                EventKind::LoadIntent
                    | EventKind::LoadDone
                    | EventKind::LoadEndIntent
                    | EventKind::LoadEndDone
            )
        })
        .with(|run| run.operations.clear());
    let verdict = run.verdict();
    assert_eq!(verdict.outcome, VerdictOutcome::Inconclusive);
    assert_eq!(
        verdict.reasons,
        ["the load did not begin, so nothing was measured"]
    );
    assert_eq!(verdict.steps[0].gaps[0].longest_ms, None);
}

#[test]
fn a_gap_over_its_budget_fails() {
    let run = clean().with(|run| {
        run.plan.budgets.insert("connect-gap".to_owned(), 51.0);
        run.plan.budgets.insert("write-gap".to_owned(), 50.9);
    });
    let verdict = run.verdict();
    let over: Vec<_> = verdict.findings.iter().map(|f| (f.check, f.step)).collect();
    // Two lanes write.
    assert_eq!(
        over,
        [
            (Check::Budget, Some(1)),
            (Check::Budget, Some(1)),
            (Check::Budget, Some(2)),
            (Check::Budget, Some(2))
        ]
    );
    let outcomes: Vec<_> = verdict.budgets.iter().map(|b| b.outcome).collect();
    assert_eq!(
        outcomes,
        [
            VerdictOutcome::Pass,
            VerdictOutcome::Pass,
            VerdictOutcome::Fail
        ]
    );
}

#[test]
fn a_lane_without_a_success_fails_the_run() {
    let run = clean().with(|run| {
        for operation in run.lane(Class::Connect, Connection::New, 0..9999) {
            operation.outcome = Outcome::Fail;
        }
    });
    let verdict = failed(run, Check::Budget, None);
    assert!(verdict.reasons[0].contains("lane connect/new had no success"));
    assert_eq!(verdict.steps[0].gaps[4].longest_ms, None);
    assert_eq!(verdict.budgets[0].outcome, VerdictOutcome::Fail);
}

#[test]
fn a_lane_that_never_recovers_fails_the_run() {
    // Within every budget, but without an end: after the last step and its quiet window, as far as is known for good.
    let outage = |from: u64| {
        clean().with(|run| {
            for operation in run.lane(Class::Connect, Connection::New, from..9999) {
                operation.outcome = Outcome::Fail;
            }
        })
    };
    let verdict = failed(outage(2200), Check::Budget, Some(2));
    assert_eq!(
        verdict.findings[0].message,
        "lane connect/new had no success from 2.19 s until the load ended 440 ms later, so the outage has no measured end"
    );
    assert_eq!(verdict.findings[0].evidence["at_least_ms"], 440.0);
    let outcomes: Vec<_> = verdict.budgets.iter().map(|b| b.outcome).collect();
    assert_eq!(
        outcomes,
        [
            VerdictOutcome::Fail,
            VerdictOutcome::Pass,
            VerdictOutcome::Pass
        ]
    );
    // The last two sends of the load, which ends with the one at 2630 ms.
    assert_eq!(outage(2620).verdict().outcome, VerdictOutcome::Pass);
    failed(outage(2610), Check::Budget, Some(2));
    // Broken off, it might have ended in time.
    let run = outage(2200).with(|run| {
        let mut interrupted = run.events.last().unwrap().clone();
        interrupted.kind = EventKind::Interrupted {
            signal: "SIGINT".to_owned(),
        };
        run.events.insert(run.events.len() - 1, interrupted);
    });
    doubted(run, "interrupted by SIGINT");
}

#[test]
fn a_lost_write_is_told_at_the_step_whose_full_read_missed_it() {
    let run = clean().with(|run| {
        for operation in &mut run.operations {
            let in_step_2 = (1420 * MS..2600 * MS).contains(&operation.invoke);
            if operation.source == Some(Source::FullRead)
                && in_step_2
                && operation.key.as_deref() == Some("w1.0")
            {
                // Added at 1060 ms, so the full read of step 1 does not know it.
                let list = operation.result.as_array_mut().unwrap();
                list.retain(|element| *element != 95);
            }
        }
    });
    let verdict = failed(run, Check::LostWrite, Some(2));
    assert!(verdict.reasons[0].contains("95 of key w1.0"));
}

#[test]
fn observers_are_judged_but_count_nowhere() {
    let write = |generation, at: u64, outcome| {
        let write = add(77, "observer", at as i64, (at * MS, (at + 1) * MS));
        observed(ended(write, outcome), generation)
    };
    let run = clean().with(|run| {
        run.operations.push(write(1, 800, Outcome::Fail));
        run.operations.push(write(0, 881, Outcome::Unknown));
        run.operations.push(write(0, 700, Outcome::Ok));
        let mut lagging = observed(read(78, "w1.0", &[0], (800 * MS, 801 * MS)), 1);
        lagging.result = serde_json::json!([0, 1, 2]);
        run.operations.push(lagging);
    });
    let (verdict, before) = (run.verdict(), clean().verdict());
    assert_eq!(verdict, before);

    let run = clean().with(|run| run.operations.push(write(1, 800, Outcome::Ok)));
    failed(run, Check::ReadOnlyWrite, Some(1));
    let run = clean().with(|run| run.operations.push(write(0, 881, Outcome::Ok)));
    failed(run, Check::TwoLeaders, Some(1));
}

#[test]
fn what_planning_found_is_in_the_verdict() {
    let with = |severity| {
        clean().with(|run| {
            run.plan.findings.push(PlanFinding {
                check: Check::IllegalHop,
                severity,
                step: Some(2),
                message: "two versions at once".to_owned(),
            });
        })
    };
    let verdict = with(Severity::Warning).verdict();
    assert_eq!(verdict.outcome, VerdictOutcome::Pass);
    assert_eq!(verdict.findings[0].check, Check::IllegalHop);
    assert!(verdict.reasons.is_empty());
    failed(with(Severity::Error), Check::IllegalHop, Some(2));
}

#[test]
fn stale_reads_are_found_and_show_in_the_freshness_lag() {
    let run = clean().with(|run| {
        let stale = run
            .operations
            .iter_mut()
            .filter(|o| o.client == Some(2) && o.invoke == 735 * MS);
        for operation in stale {
            // The last three adds are missing: due at 710, 720 and 730, acknowledged a millisecond later.
            let list = operation.result.as_array_mut().unwrap();
            list.truncate(list.len() - 3);
            operation.client = Some(3);
        }
    });
    let verdict = run.verdict();
    assert_eq!(verdict.outcome, VerdictOutcome::Fail);
    assert_eq!(verdict.findings.len(), 1, "{:?}", verdict.findings);
    assert_eq!(verdict.findings[0].check, Check::StaleRead);
    assert_eq!(verdict.findings[0].evidence["count"], 3);
    assert_eq!(verdict.steps[0].freshness.max_ms, Some(24.0));
    assert_eq!(verdict.steps[1].freshness.max_ms, Some(0.0));
}
