//! From a request to a plan.

use crate::attempts::{AbortRequest, attempts, steps};
use crate::error::PlanRequestError;
use crate::faults::{FaultRequest, faults};
use crate::knowledge::Knowledge;
use crate::legality::{self, Illegal};
use crate::parameters::ParameterMode;
use crate::path;
use crate::request::{Generator, ParameterRequest, Request, UnknownName};
use crate::route::Router;
use crate::seed::{DEFAULT_SEED, Seed};
use crate::services::generate_upgrade_args;
use changeover_model::fault::{Point, Surroundings};
use changeover_model::format::Kind;
use changeover_model::plan::{
    BUDGETS, MAX_CLIENTS, MAX_PROBE_INTERVAL_MS, MAX_RATE, MAX_REPEAT, MAX_TIMEOUT_MS, Plan,
    Timeout, WorkloadPlan,
};
use changeover_model::target::{Target, TargetHead};
use changeover_model::version::PathVersion;
use std::collections::BTreeMap;

/// The runtimes a plan can name.
const RUNTIMES: [&str; 2] = ["process", "docker"];

/// The kinds of metadata store a plan can name.
const METADATA_STORES: [&str; 2] = ["sqlite", "postgres"];

/// Plans a rehearsal.
///
/// Returns the plan, which is valid, and warnings, a sentence each; what is wrong with the path itself is in the
/// plan's findings. A path of one version gives a plan without steps.
///
/// # Errors
///
/// The first thing in the request that gives no plan.
pub fn plan(request: &Request, known: &Knowledge) -> Result<(Plan, Vec<String>), PlanRequestError> {
    let mut shaped = request.clone();
    if let Some(preset) = request.scenario {
        preset.shape(&mut shaped, &known.catalog);
    }
    let request = &shaped;
    let head = &known.target.target;
    let seed: Seed = request.seed.as_deref().unwrap_or(DEFAULT_SEED).parse()?;
    let rules = known.rules.pick(request.rules.as_deref())?;
    let router = Router::new(&known.catalog, rules, request.current_version.clone());
    let (path, mut warnings) = path::draw(request, &known.catalog, &router, &seed)?;
    let illegal = Illegal::of(request);
    let (path, findings) = legality::judge(&path, &router, illegal, request.allow_restart)?;
    let (parameters, more) = system_parameters(request, known, &path[0], &seed)?;
    warnings.extend(more);
    let (models, details) = request.workload.of_target(known, &path)?;
    warnings.extend(details.skipped.iter().map(ToString::to_string));
    let runtime = runtime(request, &known.target)?;
    let metadata_store = metadata_store(request, head)?;
    let attempts = attempts(&path, request.abort.as_ref(), &known.target, runtime)?;
    let versions: Vec<PathVersion> = std::iter::once(&path[0])
        .chain(attempts.iter().map(|attempt| &attempt.to))
        .cloned()
        .collect();
    let images = image_repository(request, head)?;
    let mut services = generate_upgrade_args(&versions, &parameters, images)?;
    let steps = steps(&path, &attempts, &mut services);
    if let (Some(argument), true) = (
        request.upgraded_args.first(),
        versions[1..]
            .iter()
            .all(|version| version.known().is_some()),
    ) {
        warnings.push(format!(
            "nothing is started with {argument}: it is for the current version where that is upgraded to, and the path has none; add current to --versions"
        ));
    }
    let last = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let scenario = request.scenario.map(|preset| preset.plan(last, &seed));
    let called_off: Vec<Option<Point>> = steps.iter().map(|step| step.called_off_at).collect();
    let mut asked = known.target.defaults.faults.clone();
    asked.extend(request.faults.given.clone());
    let asked = FaultRequest {
        given: asked,
        ..request.faults.clone()
    };
    let faults = faults(
        &asked,
        &seed,
        &Surroundings {
            target: &known.target,
            runtime,
            metadata_store,
            called_off: &called_off,
        },
    )?;
    let plan = Plan {
        format: Kind::Plan.mark(),
        target: head.name.clone(),
        runtime: runtime.to_owned(),
        strategy: request.strategy().name().to_owned(),
        seed: seed.to_string(),
        rng: request
            .draw
            .generator
            .unwrap_or(Generator::Chacha)
            .to_string(),
        steps,
        path,
        services,
        workload: WorkloadPlan {
            models,
            details,
            ..workload(request, &known.target, &seed)?
        },
        timeouts_ms: timeouts(request, &known.target)?,
        budgets: budgets(request, &known.target)?,
        metadata_store: metadata_store.to_owned(),
        instance_args: request.instance_args.clone(),
        upgraded_args: request.upgraded_args.clone(),
        rules: router.rule_names(),
        faults,
        // A path of one version has no upgrade to call off.
        abort_at: match called_off.iter().any(Option::is_some) {
            true => request.abort.as_ref().map(AbortRequest::word),
            false => None,
        },
        repeat: count(
            "the number of runs",
            request.repeat,
            1,
            MAX_REPEAT,
            "1 to 1000 runs",
        )?,
        control: request.control,
        scenario,
        findings,
    };
    plan.validate()?;
    Ok((plan, warnings))
}

/// The parameters of every service: those of the first version, and what the person gave.
fn system_parameters(
    request: &Request,
    known: &Knowledge,
    first: &PathVersion,
    seed: &Seed,
) -> Result<(BTreeMap<String, String>, Vec<String>), PlanRequestError> {
    let asked = &request.parameters;
    let Some(parameters) = &known.parameters else {
        let option = match asked {
            ParameterRequest { mode: Some(_), .. } => "--system-parameters",
            ParameterRequest { given, .. } if !given.is_empty() => "--system-parameter",
            _ => return Ok(Default::default()),
        };
        return Err(PlanRequestError::NotOfThisTarget {
            target: known.target.target.name.clone(),
            what: "system parameters",
            option,
        });
    };
    let warnings = parameters.check(&asked.given, asked.allow_unknown)?;
    let newest = || {
        known
            .catalog
            .finals()
            .next_back()
            .map(|release| &release.version)
    };
    let version = match first {
        PathVersion::Known(version) => Some(version),
        PathVersion::Current => request.current_version.as_ref().or_else(newest),
    };
    let mut stream = seed.stream("system-parameters");
    // The number of choices is small, and so is what is drawn below it.
    let mut choose = |choices: usize| stream.below(choices as u64) as usize;
    let mode = asked.mode.unwrap_or(ParameterMode::Default);
    let mut all = version
        .map(|version| parameters.of(version, mode, &mut choose))
        .unwrap_or_default();
    all.extend(asked.given.iter().cloned());
    Ok((all, warnings))
}

fn image_repository<'a>(
    request: &'a Request,
    head: &'a TargetHead,
) -> Result<Option<&'a str>, PlanRequestError> {
    match (&request.image_repository, &head.image) {
        (None, images) => Ok(images.as_deref()),
        (Some(_), None) => Err(PlanRequestError::NotOfThisTarget {
            target: head.name.clone(),
            what: "images",
            option: "--image-repository",
        }),
        // A tag of its own, or white space, would make another image of it without a word.
        (Some(repository), Some(_)) if is_repository(repository) => Ok(Some(repository)),
        (Some(repository), Some(_)) => Err(PlanRequestError::ImageRepository {
            repository: repository.clone(),
        }),
    }
}

/// Whether a tag can follow: `host:port/path` may hold a colon, the last part of the path may not.
pub(crate) fn is_repository(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or_default();
    let tame = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
    !last.is_empty() && !last.contains(':') && text.chars().all(tame)
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
        details: Default::default(),
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
    let runtime = request.runtime.as_deref().unwrap_or(&target.target.runtime);
    let mut budgets = target.budgets_on(runtime);
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

fn metadata_store(request: &Request, head: &TargetHead) -> Result<&'static str, PlanRequestError> {
    let asked = request.metadata_store.as_deref();
    Ok(known_metadata_store(asked.unwrap_or(&head.metadata_store))?)
}

pub(crate) fn known_metadata_store(name: &str) -> Result<&'static str, UnknownName> {
    UnknownName::find("metadata store", name, &METADATA_STORES, |known| known)
}

fn runtime(request: &Request, target: &Target) -> Result<&'static str, PlanRequestError> {
    let head = &target.target;
    let runtime = known_runtime(request.runtime.as_deref().unwrap_or(&head.runtime))?;
    if runtime == "docker" && head.image.is_none() && target.container.is_none() {
        return Err(PlanRequestError::NotOfThisTarget {
            target: head.name.clone(),
            what: "images to run on docker",
            option: "--runtime",
        });
    }
    Ok(runtime)
}

pub(crate) fn known_runtime(name: &str) -> Result<&'static str, UnknownName> {
    UnknownName::find("runtime", name, &RUNTIMES, |known| known)
}
