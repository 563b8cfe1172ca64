//! Builders of synthetic events, operations and plans, shared by the unit tests and `tests/it`.

// Each of the two uses its own part.
#![allow(dead_code)]

use changeover_model::event::{EndMeaning, Event, EventKind, Phase, ProcessEnd, StatusSeen};
use changeover_model::history::{Class, Connection, Op, Operation, Outcome, Source};
use changeover_model::plan::{Plan, StepPlan, WorkloadPlan};
use changeover_model::status::DeploymentStatus;
use changeover_model::{PathVersion, ServiceArgs};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;

/// A list of events under construction; `at`, `step` and `on` set what the next ones carry.
#[derive(Default)]
pub(crate) struct Events {
    pub(crate) list: Vec<Event>,
    at: u64,
    step: Option<u32>,
    generation: Option<u64>,
}

pub(crate) fn events() -> Events {
    Events::default()
}

impl Events {
    pub(crate) fn at(&mut self, at: u64) -> &mut Self {
        self.at = at;
        self
    }

    /// A moment in milliseconds.
    pub(crate) fn at_ms(&mut self, at: u64) -> &mut Self {
        self.at(at * MS)
    }

    pub(crate) fn step(&mut self, step: u32) -> &mut Self {
        self.step = Some(step);
        self
    }

    pub(crate) fn run_wide(&mut self) -> &mut Self {
        (self.step, self.generation) = (None, None);
        self
    }

    /// The instance of a generation; slots alternate.
    pub(crate) fn on(&mut self, generation: u64) -> &mut Self {
        self.generation = Some(generation);
        self
    }

    pub(crate) fn push(&mut self, kind: EventKind) -> &mut Self {
        self.list.push(Event {
            seq: self.list.len() as u64 + 1,
            at: self.at,
            kind,
            step: self.step,
            slot: self.generation.map(slot),
            generation: self.generation,
        });
        self
    }

    pub(crate) fn started(&mut self) -> &mut Self {
        self.push(EventKind::StepStarted {
            from: None,
            to: PathVersion::Current,
        })
    }

    pub(crate) fn ended(&mut self, completed: bool) -> &mut Self {
        self.push(EventKind::StepEnded { completed })
    }

    pub(crate) fn phase(&mut self, phase: Phase) -> &mut Self {
        self.push(EventKind::PhaseStarted { phase })
    }

    pub(crate) fn quiet(&mut self, starts: bool) -> &mut Self {
        self.push(if starts {
            EventKind::QuietWindowStarted
        } else {
            EventKind::QuietWindowEnded
        })
    }

    pub(crate) fn status(&mut self, status: DeploymentStatus) -> &mut Self {
        self.seen(StatusSeen::Status(status))
    }

    pub(crate) fn seen(&mut self, seen: StatusSeen) -> &mut Self {
        self.push(EventKind::StatusSeen { seen, polls: 1 })
    }

    /// An exit, by the codes of the reference target.
    pub(crate) fn exit(&mut self, code: i32) -> &mut Self {
        let meaning = match code {
            0 => EndMeaning::Fenced,
            166 => EndMeaning::Restart,
            _ => EndMeaning::Crash,
        };
        self.end(ProcessEnd::Code(code), meaning)
    }

    pub(crate) fn end(&mut self, end: ProcessEnd, meaning: EndMeaning) -> &mut Self {
        self.push(EventKind::ProcessEnded {
            end,
            meaning,
            by_us: false,
            by_fault: false,
        })
    }

    pub(crate) fn restarted(&mut self) -> &mut Self {
        self.push(EventKind::RestartDone { pid: 7 })
    }

    pub(crate) fn promote(&mut self) -> &mut Self {
        self.push(EventKind::PromoteIntent { attempt: 1 })
    }
}

pub(crate) fn slot(generation: u64) -> String {
    format!("mz_{}", generation % 2 + 1)
}

/// A plan of this many steps on the reference target, with an interval of 10 ms and budgets of 1 s.
pub(crate) fn plan(steps: u32) -> Plan {
    let version = |n: u32| -> PathVersion { format!("v0.{}.0", n + 1).parse().unwrap() };
    let service = |generation: u64| ServiceArgs {
        name: slot(generation),
        image: None,
        deploy_generation: generation,
        system_parameter_defaults: BTreeMap::new(),
        external_metadata_store: true,
        restart: "on-failure".to_owned(),
    };
    let timeouts = [
        "boot",
        "catch-up",
        "promote",
        "bootstrap",
        "retire",
        "operation",
    ];
    let plan = Plan {
        format: "changeover.plan/1".to_owned(),
        target: "reference".to_owned(),
        runtime: "process".to_owned(),
        strategy: "linear".to_owned(),
        seed: "42".to_owned(),
        rng: "chacha".to_owned(),
        path: (0..=steps).map(version).collect(),
        services: (0..=u64::from(steps)).map(service).collect(),
        steps: (1..=steps)
            .map(|number| StepPlan {
                number,
                from: version(number - 1),
                to: version(number),
                service: slot(u64::from(number)),
                previous_service: slot(u64::from(number) - 1),
                deploy_generation: u64::from(number),
                called_off_at: None,
            })
            .collect(),
        workload: WorkloadPlan {
            models: vec!["set".to_owned()],
            details: Default::default(),
            rate: 200,
            clients: 8,
            probe_interval_ms: 10,
            seed: "7".to_owned(),
        },
        timeouts_ms: timeouts.map(|name| (name.to_owned(), 2000)).into(),
        budgets: ["write-gap", "read-gap", "connect-gap"]
            .map(|name| (name.to_owned(), 1000.0))
            .into(),
        metadata_store: "sqlite".to_owned(),
        instance_args: Vec::new(),
        upgraded_args: Vec::new(),
        rules: Vec::new(),
        faults: Vec::new(),
        abort_at: None,
        repeat: 1,
        control: false,
        scenario: None,
        findings: Vec::new(),
    };
    plan.validate().unwrap();
    plan
}

/// A workload operation of client `process`, acknowledged.
pub(crate) fn operation(op: Op, process: u64, key: &str, times: (u64, u64)) -> Operation {
    Operation {
        process,
        op,
        model: None,
        key: Some(key.to_owned()),
        value: Value::Null,
        result: Value::Null,
        invoke: times.0,
        returned: Some(times.1),
        outcome: Outcome::Ok,
        client: Some(process),
        source: Some(Source::Workload),
        class: None,
        connection: None,
        intended: Some(times.0),
        lateness: None,
        slot: None,
        generation: None,
        error: None,
        ended: Some(times.1),
    }
}

pub(crate) fn add(process: u64, key: &str, value: i64, times: (u64, u64)) -> Operation {
    Operation {
        value: json!(value),
        ..operation(Op::Add, process, key, times)
    }
}

pub(crate) fn read(process: u64, key: &str, answer: &[i64], times: (u64, u64)) -> Operation {
    Operation {
        result: json!(answer),
        ..operation(Op::Read, process, key, times)
    }
}

pub(crate) fn full_read(key: &str, answer: &[i64], times: (u64, u64)) -> Operation {
    Operation {
        source: Some(Source::FullRead),
        client: Some(9000),
        ..read(9000, key, answer, times)
    }
}

/// The same operation, not acknowledged.
pub(crate) fn ended(operation: Operation, outcome: Outcome) -> Operation {
    Operation {
        outcome,
        returned: match outcome {
            Outcome::Unknown => None,
            _ => operation.returned,
        },
        ..operation
    }
}

/// The same operation, by a direct observer of a generation.
pub(crate) fn observed(operation: Operation, generation: u64) -> Operation {
    Operation {
        source: Some(Source::Observer),
        connection: Some(Connection::Direct),
        slot: Some(slot(generation)),
        generation: Some(generation),
        ..operation
    }
}

/// The same operation, by a lane.
pub(crate) fn in_lane(operation: Operation, class: Class, connection: Connection) -> Operation {
    Operation {
        source: Some(Source::Lane),
        class: Some(class),
        connection: Some(connection),
        lateness: Some(0),
        ..operation
    }
}
