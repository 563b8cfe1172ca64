//! A plan as a numbered tree of what will happen, for people.

use crate::route::joined;
use changeover_model::fault::{Fault, Point};
use changeover_model::plan::{BUDGETS, Plan, StepPlan, Timeout};
use changeover_model::target::Instances;
use changeover_model::text::harmless;

/// The tree of a plan for a target whose instances are these: plain text, a newline at the end of every line.
pub fn render(plan: &Plan, instances: &Instances) -> String {
    let manner = match instances {
        Instances::Attached(_) => Manner::Attached,
        _ => Manner::Started,
    };
    let mut out = format!(
        "{} on {}: {}\n",
        plan.target,
        plan.runtime,
        joined(&plan.path)
    );
    let workload = &plan.workload;
    let rng = match plan.rng.as_str() {
        "chacha" => String::new(),
        other => format!(" of {other}"),
    };
    let mut header = vec![
        format!(
            "strategy {}, seed {}{rng}, metadata store {}",
            plan.strategy, plan.seed, plan.metadata_store
        ),
        format!(
            "load: {} operations a second by {}; each lane once in {}",
            workload.rate,
            counted(u64::from(workload.clients), "client"),
            duration(workload.probe_interval_ms)
        ),
        format!("budgets: {}", budgets(plan)),
    ];
    // The default goes without saying.
    if workload.models != ["set"] {
        header.insert(2, format!("workloads: {}", workload.models.join(", ")));
    }
    if !workload.details.aged.is_empty() {
        header.push(format!(
            "begins with data made by {}",
            joined(&workload.details.aged)
        ));
    }
    header.extend(workload.details.skipped.iter().map(ToString::to_string));
    if !plan.rules.is_empty() {
        header.push(format!("rules: {}", plan.rules.join(", ")));
    }
    header.extend(series(plan));
    let parameters = plan.services[0].system_parameter_defaults.len();
    if parameters > 0 {
        header.push(format!(
            "every service with {}, by the first version",
            counted(parameters as u64, "system parameter")
        ));
    }
    header.extend(
        plan.findings
            .iter()
            .map(|finding| format!("{}: {}", finding.check, harmless(&finding.message))),
    );
    for line in header {
        out.push_str(&format!("  {line}\n"));
    }
    if plan.steps.is_empty() {
        out.push_str("  no steps: a path of one version has nothing to upgrade\n");
        return out;
    }
    let mut branches = vec![start(plan, manner)];
    branches.extend(plan.steps.iter().map(|step| upgrade(plan, step, manner)));
    branches.push(end(plan, manner));
    let last = branches.len() - 1;
    for (number, branch) in branches.into_iter().enumerate() {
        branch.render(number, number == last, &mut out);
    }
    out
}

/// How often it is run, if that is more than once.
fn series(plan: &Plan) -> Option<String> {
    let times = counted(u64::from(plan.repeat), "time");
    match (plan.control, plan.path.last()) {
        (true, Some(last)) => Some(format!(
            "run {times}, and {times} with restarts of {last} alone, as a control"
        )),
        _ => (plan.repeat > 1).then(|| format!("run {times}")),
    }
}

/// How a run comes by its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Started,
    Attached,
}

/// A numbered heading with numbered leaves.
struct Branch {
    title: String,
    leaves: Vec<String>,
}

impl Branch {
    fn render(&self, number: usize, last: bool, out: &mut String) {
        let (fork, stem) = if last {
            ("└─", "  ")
        } else {
            ("├─", "│ ")
        };
        out.push_str(&format!("{fork} {number}. {}\n", self.title));
        for (index, leaf) in self.leaves.iter().enumerate() {
            let fork = if index + 1 == self.leaves.len() {
                "└─"
            } else {
                "├─"
            };
            out.push_str(&format!("{stem} {fork} {number}.{} {leaf}\n", index + 1));
        }
    }
}

fn start(plan: &Plan, manner: Manner) -> Branch {
    let service = &plan.services[0];
    Branch {
        title: format!("start {}", plan.path[0]),
        leaves: vec![
            match manner {
                Manner::Started => format!(
                    "start service {}, generation {}, over the metadata store",
                    service.name, service.deploy_generation
                ),
                Manner::Attached => attach(&service.name, service.deploy_generation),
            },
            format!(
                "wait for its first status answer ({})",
                at_most(plan, Timeout::Boot)
            ),
            format!("wait until it leads ({})", at_most(plan, Timeout::Promote)),
            format!(
                "wait until it answers a query ({})",
                at_most(plan, Timeout::Bootstrap)
            ),
            format!("point the front door at {}", service.name),
            "create the clients' tables, start lanes and workload".to_owned(),
            format!("quiet window of {}", quiet_window(plan)),
        ],
    }
}

fn attach(service: &str, generation: u64) -> String {
    format!("attach to {service}, generation {generation}, which runs already")
}

/// What is done in a step, each with the point that the step has reached by then at the latest. A fault at that point
/// comes after it.
fn course(plan: &Plan, step: &StepPlan, previous: u64, manner: Manner) -> Vec<(Point, String)> {
    let StepPlan {
        service,
        previous_service,
        deploy_generation,
        ..
    } = step;
    vec![
        (
            Point::Booting,
            match manner {
                Manner::Started => format!(
                    "start service {service}, generation {deploy_generation}, read-only, over the same metadata store"
                ),
                Manner::Attached => attach(service, *deploy_generation),
            },
        ),
        (
            Point::CatchingUp,
            format!(
                "wait for its first status answer ({})",
                at_most(plan, Timeout::Boot)
            ),
        ),
        (
            Point::Ready,
            format!(
                "wait until it is ready to promote ({})",
                at_most(plan, Timeout::CatchUp)
            ),
        ),
        (Point::PromoteSent, format!("promote {service}")),
        (
            Point::Leader,
            format!("wait until it leads ({})", at_most(plan, Timeout::Promote)),
        ),
        (
            Point::Serving,
            format!(
                "wait until it answers a query ({})",
                at_most(plan, Timeout::Bootstrap)
            ),
        ),
        (
            Point::Serving,
            format!("point the front door at {service}, check its version"),
        ),
        (
            Point::Retiring,
            match manner {
                Manner::Started => format!(
                    "wait until {previous_service}, generation {previous}, has fenced itself and is gone ({})",
                    at_most(plan, Timeout::Retire)
                ),
                // Nobody sees its process.
                Manner::Attached => format!(
                    "meanwhile watch {previous_service}, generation {previous}: it must take no write any more"
                ),
            },
        ),
    ]
}

fn upgrade(plan: &Plan, step: &StepPlan, manner: Manner) -> Branch {
    let previous = plan.leader_before(step.number).deploy_generation;
    let mut course = course(plan, step, previous, manner);
    if let Some(point) = step.called_off_at {
        course.retain(|(reached, _)| *reached <= point);
    }
    let mut faults: Vec<_> = plan
        .faults
        .iter()
        .filter(|fault| fault.is_in(step.number))
        .collect();
    faults.sort_by_key(|fault| fault.point);
    let mut faults = faults.into_iter().peekable();
    let mut leaves = Vec::new();
    for (reached, leaf) in course {
        while let Some(fault) = faults.next_if(|fault| fault.point < reached) {
            leaves.push(broken(fault));
        }
        leaves.push(leaf);
    }
    leaves.extend(faults.map(broken));
    let StepPlan {
        from,
        to,
        service,
        previous_service,
        ..
    } = step;
    if let Some(point) = step.called_off_at {
        leaves.push(format!("call it off at point {point}: stop {service}"));
        leaves.push(format!(
            "see that {previous_service}, generation {previous}, still leads, and start it again in place"
        ));
    }
    // Nothing else goes on in a quiet window: reading everything back comes after it.
    leaves.push(format!("quiet window of {}", quiet_window(plan)));
    leaves.push("read back everything acknowledged, through the front door".to_owned());
    Branch {
        title: match step.called_off_at {
            None => format!("upgrade {from} → {to}"),
            Some(point) => format!("upgrade {from} → {to}, called off at point {point}"),
        },
        leaves,
    }
}

/// A fault, and what must come of it.
fn broken(fault: &Fault) -> String {
    format!("fault {fault}: {}", fault.expectation().words())
}

fn end(plan: &Plan, manner: Manner) -> Branch {
    let last = u32::try_from(plan.steps.len()).unwrap_or(u32::MAX);
    let leader = plan.leader_before(last.saturating_add(1));
    Branch {
        title: "end".to_owned(),
        leaves: vec![
            "stop lanes and workload".to_owned(),
            "read back everything acknowledged, through the front door".to_owned(),
            match manner {
                Manner::Started => format!(
                    "stop {}, generation {}; nothing of the run is left",
                    leader.name, leader.deploy_generation
                ),
                Manner::Attached => "leave the endpoints to who started them".to_owned(),
            },
            "judge".to_owned(),
        ],
    }
}

fn budgets(plan: &Plan) -> String {
    let budgets: Vec<String> = BUDGETS
        .iter()
        .filter_map(|name| {
            let limit = plan.budgets.get(*name)?;
            Some(format!("{name} {}", milliseconds(*limit)))
        })
        .collect();
    if budgets.is_empty() {
        "none".to_owned()
    } else {
        budgets.join(", ")
    }
}

fn at_most(plan: &Plan, timeout: Timeout) -> String {
    format!("at most {}", duration(plan.timeout_ms(timeout)))
}

/// 500 ms or 20 intervals, whichever is longer.
fn quiet_window(plan: &Plan) -> String {
    duration(plan.workload.quiet_window_ms())
}

fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// Whole milliseconds, in seconds or minutes where that is exact.
fn duration(ms: u64) -> String {
    match ms {
        0 => "0 ms".to_owned(),
        ms if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        ms if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

fn milliseconds(ms: f64) -> String {
    // Exact in this range, and only whole numbers gain from another unit.
    if ms.fract() == 0.0 && (1.0..1e15).contains(&ms) {
        duration(ms as u64)
    } else {
        format!("{ms} ms")
    }
}
