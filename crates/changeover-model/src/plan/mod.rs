//! `plan.json`: everything that is decided about a rehearsal before it starts.

mod series;

use crate::check::{Check, Severity};
use crate::fault::{Fault, Point};
use crate::format::Kind;
use crate::scenario::ScenarioPlan;
use crate::service::{ServiceArgs, check_generations};
use crate::version::PathVersion;
use crate::workload::{Capability, WorkloadKind};
use crate::{nearest, workload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A plan. The executor makes no choices: what is not in here does not vary, save where secrets and machine paths
/// keep out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `changeover.plan/1`.
    pub format: String,
    /// The target's name.
    pub target: String,
    /// The runtime's name.
    pub runtime: String,
    /// How the path was made: `linear`, `direct`, `versions`, `random` or `route`.
    pub strategy: String,
    /// The seed of everything random, an integer or `str:TEXT`.
    pub seed: String,
    /// The generator behind the seed.
    pub rng: String,
    /// The upgrade path, oldest first.
    pub path: Vec<PathVersion>,
    /// The services, one for each version of the path.
    pub services: Vec<ServiceArgs>,
    /// The steps, one less than the services.
    pub steps: Vec<StepPlan>,
    /// What clients do.
    pub workload: WorkloadPlan,
    /// Deadlines in milliseconds, by the names in [`Timeout::ALL`].
    pub timeouts_ms: BTreeMap<String, u64>,
    /// Limits in milliseconds, by the names in [`BUDGETS`].
    pub budgets: BTreeMap<String, f64>,
    /// The kind of metadata store; its address is no part of the plan.
    pub metadata_store: String,
    /// Arguments that every instance gets besides its own. `{run_dir}`, `{slot}` and `{generation}` stand for what
    /// they say.
    pub instance_args: Vec<String>,
    /// Arguments that the current version gets besides where it is upgraded to, which is every generation but the first;
    /// with the same placeholders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upgraded_args: Vec<String>,
    /// The rule sets that allowed the hops.
    pub rules: Vec<String>,
    /// What is broken on purpose.
    pub faults: Vec<Fault>,
    /// The point at which upgrades are called off, or [`EVERY_POINT`]: what was asked for. The steps say which are.
    pub abort_at: Option<String>,
    /// How many times the plan is run, 1 to [`MAX_REPEAT`].
    pub repeat: u32,
    /// Whether it is run as often with restarts of its last version instead of upgrades, as a control.
    pub control: bool,
    /// What is done before, during and after the upgrades, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<ScenarioPlan>,
    /// What planning found, for instance a hop that a rule set refuses.
    pub findings: Vec<PlanFinding>,
}

/// One step: one hop of the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepPlan {
    /// 1 for the first.
    pub number: u32,
    /// The version that leads before.
    pub from: PathVersion,
    /// The version that leads after.
    pub to: PathVersion,
    /// The new service's slot.
    pub service: String,
    /// The previous service's slot.
    pub previous_service: String,
    /// The new service's deploy generation.
    pub deploy_generation: u64,
    /// Where it is called off; the version that leads before it leads after it, too. `None` for a step that is gone
    /// through. A step that is called off after the point of no return leaves nobody leading: the steps up to the next
    /// one that is gone through are then left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_off_at: Option<Point>,
}

/// What [`Plan::abort_at`] says where a step is called off at each point in turn, to find the last at which it can be.
pub const EVERY_POINT: &str = "every-point";

/// What clients do during the rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadPlan {
    /// The workloads, for instance `set`; see [`WorkloadKind`].
    pub models: Vec<String>,
    /// Operations a second over all clients, at least 1; the lanes come on top.
    pub rate: u32,
    /// How many clients share the rate, at least 1.
    pub clients: u32,
    /// The lanes' interval in milliseconds, at least 1.
    pub probe_interval_ms: u64,
    /// The seed that makes operation n of client c a pure function.
    pub seed: String,
    /// What some workloads need to be told.
    #[serde(default, skip_serializing_if = "WorkloadDetails::is_empty")]
    pub details: WorkloadDetails,
}

/// What some workloads need to be told, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadDetails {
    /// The statements of `objects`, as its file has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<String>,
    /// The statements of `script`, as its file has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The versions that make the data of `aged`, oldest first; the path goes on from the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aged: Vec<PathVersion>,
    /// What was asked for and cannot be had of this target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// A workload that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Which.
    pub workload: WorkloadKind,
    /// What the target would need for it.
    pub lacks: Capability,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "workload {} is skipped: it needs {}, which the target does not have",
            self.workload, self.lacks
        )
    }
}

impl WorkloadDetails {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == WorkloadDetails::default()
    }
}

impl WorkloadPlan {
    /// The workloads of a plan that was validated, each once.
    pub fn kinds(&self) -> Vec<WorkloadKind> {
        let kinds = self.models.iter();
        kinds.filter_map(|name| WorkloadKind::named(name)).collect()
    }

    /// Whether it has this workload.
    pub fn has(&self, kind: WorkloadKind) -> bool {
        self.models.iter().any(|name| name == kind.name())
    }

    /// Whether its history has operations of other models than `set`, which the lanes' are of.
    pub fn is_mixed(&self) -> bool {
        self.kinds()
            .iter()
            .any(|kind| kind.is_model() && *kind != WorkloadKind::Set)
    }

    /// How long a quiet window is, in milliseconds: 500, or 20 intervals of the lanes if that is longer.
    pub fn quiet_window_ms(&self) -> u64 {
        self.probe_interval_ms.saturating_mul(20).max(500)
    }
}

/// Something planning found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFinding {
    /// The check.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// The step it is about.
    pub step: Option<u32>,
    /// What was found, in a sentence.
    pub message: String,
}

/// The budgets there are: the longest gap of a class, in milliseconds.
pub const BUDGETS: [&str; 3] = ["write-gap", "read-gap", "connect-gap"];

/// The most runs of one plan.
pub const MAX_REPEAT: u32 = 1000;

/// Operations a second at most: far beyond what one machine carries, and times of it still fit.
pub const MAX_RATE: u32 = 1_000_000;

/// Clients of the workload at most: each holds a connection.
pub const MAX_CLIENTS: u32 = 10_000;

/// The longest interval of the lanes, in milliseconds: an hour.
pub const MAX_PROBE_INTERVAL_MS: u64 = 3_600_000;

/// The longest deadline, in milliseconds: a week. Materialize catches up for three days by default.
pub const MAX_TIMEOUT_MS: u64 = 7 * 24 * 3_600_000;

/// A deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// From the spawn to the first status answer.
    Boot,
    /// From there to `ReadyToPromote`.
    CatchUp,
    /// From the promotion to `IsLeader`.
    Promote,
    /// From there to an answered query.
    Bootstrap,
    /// From there to the old process's own end.
    Retire,
    /// One client operation.
    Operation,
}

impl Timeout {
    /// All deadlines, with the names they have in a plan.
    pub const ALL: [(Timeout, &'static str); 6] = [
        (Timeout::Boot, "boot"),
        (Timeout::CatchUp, "catch-up"),
        (Timeout::Promote, "promote"),
        (Timeout::Bootstrap, "bootstrap"),
        (Timeout::Retire, "retire"),
        (Timeout::Operation, "operation"),
    ];

    /// The name in a plan.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// Where: a key of the plan, such as `services[1].deploy_generation`, or a line of the file.
    pub at: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.problem)
    }
}

impl std::error::Error for PlanError {}

/// What instances are started with besides what their target says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    of_all: Vec<String>,
    of_upgraded: Vec<String>,
}

impl Arguments {
    /// Those of the instance of this generation and version.
    pub fn of(&self, generation: u64, version: &PathVersion) -> impl Iterator<Item = &String> {
        let is_upgraded = generation > 0 && *version == PathVersion::Current;
        let more = is_upgraded.then_some(&self.of_upgraded);
        self.of_all.iter().chain(more.into_iter().flatten())
    }
}

impl Plan {
    /// What its instances are started with besides what their target says.
    pub fn arguments(&self) -> Arguments {
        Arguments {
            of_all: self.instance_args.clone(),
            of_upgraded: self.upgraded_args.clone(),
        }
    }

    /// Reads a plan and checks that it can be run.
    ///
    /// # Errors
    ///
    /// When the text is no plan of a known major version, or one that makes no sense.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let error = |at: &str, problem: String| PlanError {
            at: at.to_owned(),
            problem,
        };
        // The mark first: a newer plan may have keys this build does not know, and should be told apart by its age.
        #[derive(Deserialize)]
        struct Mark {
            format: String,
        }
        // Cut behind the point of `1000.0`, the file ends in what the parser calls an invalid number.
        let ends_in_a_point = text.ends_with('.');
        let at_line = |e: serde_json::Error| {
            let what = if e.is_eof() || (e.is_syntax() && ends_in_a_point) {
                "the file ends too early: it is truncated".to_owned()
            } else {
                strip_position(&e.to_string())
            };
            error(&format!("line {}, column {}", e.line(), e.column()), what)
        };
        let mark: Mark = serde_json::from_str(text).map_err(at_line)?;
        Kind::Plan
            .accept(&mark.format)
            .map_err(|e| error("format", e.to_string()))?;
        let plan: Plan = serde_json::from_str(text).map_err(at_line)?;
        plan.validate()?;
        Ok(plan)
    }

    /// The plan as the file holds it: pretty-printed JSON and a newline.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a plan holds nothing that JSON cannot");
        text.push('\n');
        text
    }

    /// The version of a service, by its place in [`Plan::services`].
    ///
    /// # Panics
    ///
    /// If there is no such service.
    pub fn version_of_service(&self, index: usize) -> &PathVersion {
        match index.checked_sub(1) {
            None => &self.path[0],
            Some(step) => &self.steps[step].to,
        }
    }

    /// The service that leads before a step, if all goes as planned.
    pub fn leader_before(&self, step: u32) -> &ServiceArgs {
        let gone_through = |one: &&StepPlan| one.number < step && one.called_off_at.is_none();
        let last = self.steps.iter().rev().find(gone_through);
        let index = last.map_or(0, |one| one.number as usize);
        &self.services[index]
    }

    /// A deadline, in milliseconds.
    pub fn timeout_ms(&self, timeout: Timeout) -> u64 {
        self.timeouts_ms[timeout.name()]
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    ///
    /// The first thing that makes no sense.
    pub fn validate(&self) -> Result<(), PlanError> {
        let refuse = |at: String, problem: String| Err(PlanError { at, problem });
        if self.path.is_empty() {
            return refuse("path".into(), "the upgrade path is empty".into());
        }
        if self.steps.len() + 1 != self.services.len() {
            // What there is too little of is what is wrong.
            let short = match self.services.len() > self.steps.len() {
                true => "steps",
                false => "services",
            };
            return refuse(
                short.into(),
                format!(
                    "{} steps for {} services; each step has a service of its own, and one comes before them",
                    self.steps.len(),
                    self.services.len()
                ),
            );
        }
        check_generations(&self.services).map_err(|error| PlanError {
            at: format!("services[{}].{}", error.index, error.field),
            problem: error.problem,
        })?;
        let hops = self.validate_steps()?;
        if hops != self.path {
            return refuse(
                "path".into(),
                format!(
                    "the steps go by {} versions, the path has {}; they must be the same",
                    hops.len(),
                    self.path.len()
                ),
            );
        }
        self.validate_faults()?;
        self.validate_load()
    }

    /// Checks the steps against the services. Returns the versions that they go by: a hop that is called off and tried
    /// again is one.
    fn validate_steps(&self) -> Result<Vec<PathVersion>, PlanError> {
        let mut hops = vec![self.path[0].clone()];
        // Who leads, and whether the step before was called off.
        let (mut leads, mut leader, mut again) = (&self.path[0], &self.services[0], false);
        for (index, step) in self.steps.iter().enumerate() {
            let new = &self.services[index + 1];
            let next = match again && hops.last() == Some(&step.to) {
                true => &step.to,
                false => self.path.get(hops.len()).unwrap_or(&step.to),
            };
            let expected = StepPlan {
                number: u32::try_from(index + 1).unwrap_or(u32::MAX),
                from: leads.clone(),
                to: next.clone(),
                service: new.name.clone(),
                previous_service: leader.name.clone(),
                deploy_generation: new.deploy_generation,
                called_off_at: step.called_off_at,
            };
            if *step != expected {
                return Err(PlanError {
                    at: format!("steps[{index}]"),
                    problem: format!(
                        "does not agree with path and services; expected {}",
                        serde_json::to_string(&expected).unwrap_or_default()
                    ),
                });
            }
            if new.name == leader.name {
                return Err(PlanError {
                    at: format!("services[{}].name", index + 1),
                    problem: format!(
                        "slot {} is that of the leader; a new service takes another one",
                        new.name
                    ),
                });
            }
            if !again || hops.last() != Some(&step.to) {
                hops.push(step.to.clone());
            }
            again = step.called_off_at.is_some();
            if !again {
                (leads, leader) = (&step.to, new);
            }
        }
        Ok(hops)
    }

    /// Faults are checked against a target where one is known ([`check_faults`](crate::fault::check_faults)); here, what
    /// no target could do.
    fn validate_faults(&self) -> Result<(), PlanError> {
        let refuse = |at: String, problem: String| Err(PlanError { at, problem });
        for (index, fault) in self.faults.iter().enumerate() {
            let known = |step: u32| self.steps.iter().any(|one| one.number == step);
            match fault.step {
                Some(step) if known(step) => {}
                Some(step) => {
                    return refuse(
                        format!("faults[{index}]"),
                        format!("there is no step {step}; the plan has {}", self.steps.len()),
                    );
                }
                None => {
                    return refuse(
                        format!("faults[{index}]"),
                        format!("names no step; write it in front, as in 1:{fault}"),
                    );
                }
            }
        }
        let called_off = self.steps.iter().any(|step| step.called_off_at.is_some());
        match &self.abort_at {
            None if called_off => refuse(
                "abort_at".into(),
                "is null, and a step is called off; name the point".into(),
            ),
            Some(_) if !called_off => refuse(
                "abort_at".into(),
                "names a point, and no step is called off; set it to null".into(),
            ),
            Some(point) if point != EVERY_POINT => match point.parse::<Point>() {
                Ok(_) => Ok(()),
                Err(problem) => refuse("abort_at".into(), problem),
            },
            _ => Ok(()),
        }
    }

    fn validate_load(&self) -> Result<(), PlanError> {
        let refuse = |at: String, problem: String| Err(PlanError { at, problem });
        let workload = &self.workload;
        let numbers = [
            ("workload.rate", u64::from(workload.rate), MAX_RATE.into()),
            (
                "workload.clients",
                u64::from(workload.clients),
                MAX_CLIENTS.into(),
            ),
            (
                "workload.probe_interval_ms",
                workload.probe_interval_ms,
                MAX_PROBE_INTERVAL_MS,
            ),
            ("repeat", u64::from(self.repeat), u32::MAX.into()),
        ];
        for (at, value, most) in numbers {
            if value == 0 || value > most {
                let problem = format!("is {value}; it must be from 1 to {most}");
                return refuse(at.into(), problem);
            }
        }
        validate_workloads(workload)?;
        for (_, name) in Timeout::ALL {
            match self.timeouts_ms.get(name) {
                None => {
                    return refuse("timeouts_ms".into(), format!("{name:?} is missing"));
                }
                Some(&ms) if ms == 0 || ms > MAX_TIMEOUT_MS => {
                    return refuse(
                        format!("timeouts_ms.{name}"),
                        format!("is {ms}; it must be from 1 to {MAX_TIMEOUT_MS}"),
                    );
                }
                Some(_) => {}
            }
        }
        let known_timeout = |name: &String| Timeout::ALL.iter().any(|(_, n)| n == name);
        if let Some(name) = self.timeouts_ms.keys().find(|n| !known_timeout(n)) {
            return refuse("timeouts_ms".into(), format!("unknown timeout {name:?}"));
        }
        for (name, limit) in &self.budgets {
            if !BUDGETS.contains(&name.as_str()) {
                return refuse(
                    "budgets".into(),
                    format!("unknown budget {name:?}; known: {}", BUDGETS.join(", ")),
                );
            }
            if !limit.is_finite() || *limit <= 0.0 {
                return refuse(
                    format!("budgets.{name}"),
                    format!("{limit} is no limit; it must be more than 0 ms"),
                );
            }
        }
        if self.repeat == 0 || self.repeat > MAX_REPEAT {
            return refuse(
                "repeat".into(),
                format!("is {}; a plan is run 1 to {MAX_REPEAT} times", self.repeat),
            );
        }
        Ok(())
    }
}

fn validate_workloads(plan: &WorkloadPlan) -> Result<(), PlanError> {
    let refuse = |at: String, problem: String| Err(PlanError { at, problem });
    let names = || WorkloadKind::ALL.iter().map(|kind| kind.name());
    if plan.models.is_empty() {
        return refuse("workload.models".into(), "is empty; name set".into());
    }
    for (index, model) in plan.models.iter().enumerate() {
        let at = format!("workload.models[{index}]");
        if WorkloadKind::named(model).is_none() {
            let suggestion = nearest::suggestion(model, names());
            return refuse(at, format!("unknown workload {model:?}: {suggestion}"));
        }
        if plan.models[..index].contains(model) {
            return refuse(at, format!("{model} is there twice; name it once"));
        }
    }
    let details = &plan.details;
    let told = [
        (WorkloadKind::Objects, details.objects.is_some()),
        (WorkloadKind::Script, details.script.is_some()),
        (WorkloadKind::Aged, !details.aged.is_empty()),
    ];
    for (kind, told) in told {
        let at = format!("workload.details.{kind}");
        match (plan.has(kind), told) {
            (true, false) => {
                return refuse(at, format!("is missing, and workload {kind} needs it"));
            }
            (false, true) => {
                let problem = format!("is given, and workload.models has no {kind}; add it there");
                return refuse(at, problem);
            }
            _ => {}
        }
    }
    let in_file = |kind: WorkloadKind, error: workload::FileError| PlanError {
        at: format!("workload.details.{kind}"),
        problem: error.to_string(),
    };
    if let Some(text) = &details.objects {
        workload::Objects::parse(text).map_err(|e| in_file(WorkloadKind::Objects, e))?;
    }
    if let Some(text) = &details.script {
        workload::Script::parse(text).map_err(|e| in_file(WorkloadKind::Script, e))?;
    }
    Ok(())
}

/// serde_json ends its messages with ` at line L column C`, which we say first.
fn strip_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message.to_owned(),
    }
}
