//! Reviews plans that were read.

use crate::error::PlanRequestError;
use crate::knowledge::Knowledge;
use crate::parameters::check_assignment;
use crate::planner::{is_repository, known_metadata_store, known_runtime};
use crate::request::{Generator, Strategy};
use crate::route::Router;
use crate::seed::Seed;
use crate::{legality, path, workloads};
use changeover_model::fault::{Point, Surroundings, check_faults};
use changeover_model::plan::{Plan, PlanError};
use changeover_model::service::ServiceArgs;
use changeover_model::target::TargetHead;
use changeover_model::version::PathVersion;
use std::str::FromStr;

/// Reviews a plan that was read: whoever edited it may have asked for what [`plan`](plan()) would have refused.
///
/// Returns warnings, a sentence each. With `allow_illegal` an illegal hop becomes a finding of the plan.
///
/// # Errors
///
/// The first thing that this build cannot run.
pub fn review(
    plan: &mut Plan,
    known: &Knowledge,
    allow_illegal: bool,
) -> Result<Vec<String>, PlanRequestError> {
    plan.validate()?;
    known_runtime(&plan.runtime)?;
    known_metadata_store(&plan.metadata_store)?;
    // Only their words are looked at: nothing is drawn again.
    Strategy::from_str(&plan.strategy)?;
    Generator::from_str(&plan.rng)?;
    Seed::from_str(&plan.seed)?;
    for (index, service) in plan.services.iter().enumerate() {
        obeyed(service, plan.version_of_service(index), known).map_err(|(field, problem)| {
            PlanError {
                at: format!("services[{index}].{field}"),
                problem,
            }
        })?;
    }
    for kind in plan.workload.kinds() {
        if let Some(lacks) = workloads::lacks(kind, &known.target) {
            let problem = format!(
                "{kind} needs {lacks}, which target {} does not have; take it out",
                plan.target
            );
            let at = "workload.models".to_owned();
            return Err(PlanError { at, problem }.into());
        }
    }
    let called_off: Vec<Option<Point>> = plan.steps.iter().map(|s| s.called_off_at).collect();
    check_faults(
        &plan.faults,
        &Surroundings {
            target: &known.target,
            runtime: &plan.runtime,
            metadata_store: &plan.metadata_store,
            called_off: &called_off,
        },
    )?;
    let mut warnings = path::admit(&plan.path, &known.catalog)?;
    warnings.extend(
        plan.workload
            .details
            .skipped
            .iter()
            .map(ToString::to_string),
    );
    warnings.extend(parameters(&plan.services, known)?);
    // A plan may have asked nobody.
    let rules = match plan.rules.as_slice() {
        [] => Vec::new(),
        names => known.rules.pick(Some(names))?,
    };
    let router = Router::new(&known.catalog, rules, None);
    let (findings, more) = legality::review(plan, &router, allow_illegal)?;
    plan.findings.extend(findings);
    warnings.extend(more);
    Ok(warnings)
}

/// Refuses what a plan may say in general and nobody would obey: silence would be a lie. The error is a field and what
/// is wrong with it.
fn obeyed(
    service: &ServiceArgs,
    version: &PathVersion,
    known: &Knowledge,
) -> Result<(), (&'static str, String)> {
    image(service.image.as_deref(), version, &known.target.target)
        .map_err(|problem| ("image", problem))?;
    if !service.external_metadata_store {
        let problem = "is false; generations that share no store cannot hand over, set it to true";
        return Err(("external_metadata_store", problem.to_owned()));
    }
    if service.restart != "on-failure" {
        let problem = "a process that asks to be restarted is restarted; set it to \"on-failure\"";
        return Err(("restart", problem.to_owned()));
    }
    Ok(())
}

/// An image is of the version that the path has in its place, wherever it lies.
fn image(image: Option<&str>, version: &PathVersion, target: &TargetHead) -> Result<(), String> {
    let (Some(repository), Some(version)) = (&target.image, version.known()) else {
        let Some(image) = image else { return Ok(()) };
        return Err(match &target.image {
            None => format!("target {} has no images; set it to null", target.name),
            Some(_) => format!(
                "{image:?} cannot be current, which is built from local source; set it to null"
            ),
        });
    };
    let tag = version.tag();
    let of_version = image
        .and_then(|image| image.strip_suffix(&tag)?.strip_suffix(':'))
        .is_some_and(is_repository);
    if of_version {
        return Ok(());
    }
    let what = image.map_or("null".to_owned(), |image| format!("{image:?}"));
    Err(format!(
        "{what} is no image of {version}; name one with its tag, as in \"{repository}:{tag}\""
    ))
}

/// Checks the system parameters of all services, which are those of the first version. A name that the target is not
/// known to have is a warning: somebody allowed it, or wrote it into the file.
fn parameters(
    services: &[ServiceArgs],
    known: &Knowledge,
) -> Result<Vec<String>, PlanRequestError> {
    let refuse = |index: usize, problem: String| PlanError {
        at: format!("services[{index}].system_parameter_defaults"),
        problem,
    };
    let Some(first) = services.first().map(|s| &s.system_parameter_defaults) else {
        return Ok(Vec::new());
    };
    let differs = |service: &ServiceArgs| service.system_parameter_defaults != *first;
    if let Some(index) = services.iter().position(differs) {
        let problem = "is not that of services[0]; every service gets the system parameters of the first version, so make them equal";
        return Err(refuse(index, problem.to_owned()).into());
    }
    let Some(parameters) = &known.parameters else {
        let target = known.catalog.target();
        let problem = format!("target {target} has no system parameters; set it to {{}}");
        return match first.is_empty() {
            true => Ok(Vec::new()),
            false => Err(refuse(0, problem).into()),
        };
    };
    let given: Vec<(String, String)> = first.clone().into_iter().collect();
    for (name, value) in &given {
        check_assignment(name, value).map_err(|error| refuse(0, error.to_string()))?;
    }
    Ok(parameters.check(&given, true)?)
}
