//! From a request to a plan.

use crate::error::PlanRequestError;
use crate::path;
use crate::request::Request;
use crate::seed::{DEFAULT_SEED, Seed};
use changeover_model::catalog::Catalog;
use changeover_model::format::Kind;
use changeover_model::nearest;
use changeover_model::plan::{
    BUDGETS, MAX_CLIENTS, MAX_PROBE_INTERVAL_MS, MAX_RATE, MAX_TIMEOUT_MS, Plan, PlanError,
    StepPlan, Timeout, WorkloadPlan,
};
use changeover_model::service::ServiceArgs;
use changeover_model::target::Target;
use changeover_model::version::PathVersion;
use std::collections::BTreeMap;

/// The runtimes a plan can name.
const RUNTIMES: [&str; 1] = ["process"];

/// The kinds of metadata store a plan can name.
const METADATA_STORES: [&str; 1] = ["sqlite"];

/// The slots, used in turn.
const SLOTS: [&str; 2] = ["mz_1", "mz_2"];

/// Plans a rehearsal.
///
/// Returns the plan, which is valid, and warnings, a sentence each. A path of one version gives a plan without steps.
///
/// # Errors
///
/// The first thing in the request that gives no plan.
pub fn plan(
    request: &Request,
    target: &Target,
    catalog: &Catalog,
) -> Result<(Plan, Vec<String>), PlanRequestError> {
    let (strategy, path, warnings) = path::draw(request, catalog)?;
    let seed: Seed = request.seed.as_deref().unwrap_or(DEFAULT_SEED).parse()?;
    let runtime = request.runtime.as_deref().unwrap_or(&target.target.runtime);
    let services = services(&path);
    let plan = Plan {
        format: Kind::Plan.mark(),
        target: target.target.name.clone(),
        runtime: known_runtime(runtime)?.to_owned(),
        strategy: strategy.name().to_owned(),
        seed: seed.to_string(),
        rng: "chacha".to_owned(),
        steps: steps(&path, &services),
        path,
        services,
        workload: workload(request, target, &seed)?,
        timeouts_ms: timeouts(request, target)?,
        budgets: budgets(request, target)?,
        metadata_store: metadata_store(request)?,
        instance_args: request.instance_args.clone(),
        rules: Vec::new(),
        faults: Vec::new(),
        abort_at: None,
        repeat: 1,
        control: false,
        findings: Vec::new(),
    };
    plan.validate()?;
    Ok((plan, warnings))
}

fn services(path: &[PathVersion]) -> Vec<ServiceArgs> {
    path.iter()
        .zip(SLOTS.into_iter().cycle())
        .zip(0..)
        .map(|((_, slot), deploy_generation)| ServiceArgs {
            name: slot.to_owned(),
            image: None,
            deploy_generation,
            system_parameter_defaults: BTreeMap::new(),
            external_metadata_store: true,
            restart: "on-failure".to_owned(),
        })
        .collect()
}

fn steps(path: &[PathVersion], services: &[ServiceArgs]) -> Vec<StepPlan> {
    path.windows(2)
        .zip(services.windows(2))
        .zip(1..)
        .map(|((versions, services), number)| StepPlan {
            number,
            from: versions[0].clone(),
            to: versions[1].clone(),
            service: services[1].name.clone(),
            previous_service: services[0].name.clone(),
            deploy_generation: services[1].deploy_generation,
        })
        .collect()
}

fn workload(
    request: &Request,
    target: &Target,
    seed: &Seed,
) -> Result<WorkloadPlan, PlanRequestError> {
    let defaults = &target.defaults;
    let probe_interval_ms = request
        .probe_interval_ms
        .unwrap_or(defaults.probe_interval_ms);
    if probe_interval_ms == 0 || probe_interval_ms > MAX_PROBE_INTERVAL_MS {
        return Err(PlanRequestError::OutOfRange {
            what: "the probe interval",
            value: format!("{probe_interval_ms} ms"),
            range: "1 ms to 1 h",
        });
    }
    Ok(WorkloadPlan {
        models: vec!["set".to_owned()],
        rate: count(
            "the rate",
            request.rate,
            defaults.rate,
            MAX_RATE,
            "1 to 1000000 operations a second",
        )?,
        clients: count(
            "the number of clients",
            request.clients,
            defaults.clients,
            MAX_CLIENTS,
            "1 to 10000 clients",
        )?,
        probe_interval_ms,
        seed: seed.derive("workload"),
    })
}

/// A number from 1 to `most`.
fn count(
    what: &'static str,
    asked: Option<i64>,
    default: u32,
    most: u32,
    range: &'static str,
) -> Result<u32, PlanRequestError> {
    let value = asked.unwrap_or(i64::from(default));
    match u32::try_from(value) {
        Ok(value) if (1..=most).contains(&value) => Ok(value),
        _ => Err(PlanRequestError::OutOfRange {
            what,
            value: value.to_string(),
            range,
        }),
    }
}

fn timeouts(request: &Request, target: &Target) -> Result<BTreeMap<String, u64>, PlanRequestError> {
    let mut timeouts = target.timeouts_ms.clone();
    timeouts.extend(request.timeouts_ms.clone());
    for (_, name) in Timeout::ALL {
        if let Some(&ms) = timeouts.get(name)
            && (ms == 0 || ms > MAX_TIMEOUT_MS)
        {
            return Err(PlanRequestError::OutOfRange {
                what: name,
                value: format!("{ms} ms as a deadline"),
                range: "1 ms to 7 days",
            });
        }
    }
    Ok(timeouts)
}

fn budgets(request: &Request, target: &Target) -> Result<BTreeMap<String, f64>, PlanRequestError> {
    let mut budgets = target.budgets.clone();
    budgets.extend(request.budgets.clone());
    for name in BUDGETS {
        match budgets.get(name) {
            Some(limit) if !limit.is_finite() || *limit <= 0.0 => {
                return Err(PlanRequestError::OutOfRange {
                    what: name,
                    value: format!("{limit} ms as a budget"),
                    range: "more than 0 ms",
                });
            }
            _ => {}
        }
    }
    Ok(budgets)
}

fn metadata_store(request: &Request) -> Result<String, PlanRequestError> {
    known_metadata_store(request.metadata_store.as_deref().unwrap_or("sqlite")).map(str::to_owned)
}

fn known_metadata_store(name: &str) -> Result<&'static str, PlanRequestError> {
    METADATA_STORES
        .into_iter()
        .find(|known| *known == name)
        .ok_or_else(|| PlanRequestError::UnknownMetadataStore {
            name: name.to_owned(),
            suggestion: nearest::suggestion(name, METADATA_STORES),
        })
}

fn known_runtime(name: &str) -> Result<&'static str, PlanRequestError> {
    RUNTIMES
        .into_iter()
        .find(|known| *known == name)
        .ok_or_else(|| PlanRequestError::UnknownRuntime {
            name: name.to_owned(),
            suggestion: nearest::suggestion(name, RUNTIMES),
        })
}

/// Reviews a plan that was read: whoever edited it may have asked for what [`plan`](plan()) would have refused.
///
/// Returns warnings, a sentence each.
///
/// # Errors
///
/// The first thing that this build cannot run.
pub fn review(plan: &Plan, catalog: &Catalog) -> Result<Vec<String>, PlanRequestError> {
    plan.validate()?;
    known_runtime(&plan.runtime)?;
    known_metadata_store(&plan.metadata_store)?;
    obeyed(plan)?;
    path::admit(&plan.path, catalog)
}

/// Refuses what a plan may say in general and nobody would obey: silence would be a lie.
fn obeyed(plan: &Plan) -> Result<(), PlanError> {
    let refuse = |at: String, problem: &str| {
        Err(PlanError {
            at,
            problem: problem.to_owned(),
        })
    };
    for (index, service) in plan.services.iter().enumerate() {
        let at = |field: &str| format!("services[{index}].{field}");
        if service.image.is_some() {
            return refuse(
                at("image"),
                "target reference has no images; set it to null",
            );
        }
        if !service.system_parameter_defaults.is_empty() {
            return refuse(
                at("system_parameter_defaults"),
                "target reference has no system parameters; set it to {}",
            );
        }
        if !service.external_metadata_store {
            return refuse(
                at("external_metadata_store"),
                "is false; generations that share no store cannot hand over, set it to true",
            );
        }
        if service.restart != "on-failure" {
            return refuse(
                at("restart"),
                "a process that asks to be restarted is restarted; set it to \"on-failure\"",
            );
        }
    }
    Ok(())
}
