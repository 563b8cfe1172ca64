//! Reviews plans that were read.

use crate::error::PlanRequestError;
use crate::knowledge::Knowledge;
use crate::planner::{known_metadata_store, known_runtime};
use crate::route::Router;
use crate::{legality, path};
use changeover_model::plan::{Plan, PlanError};

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
    obeyed(plan, known)?;
    let warnings = path::admit(&plan.path, &known.catalog)?;
    // A plan may have asked nobody.
    let rules = match plan.rules.as_slice() {
        [] => Vec::new(),
        names => known.rules.pick(Some(names))?,
    };
    let router = Router::new(&known.catalog, rules, None);
    let findings = legality::review(plan, &router, allow_illegal)?;
    plan.findings.extend(findings);
    Ok(warnings)
}

/// Refuses what a plan may say in general and nobody would obey: silence would be a lie.
fn obeyed(plan: &Plan, known: &Knowledge) -> Result<(), PlanError> {
    let target = &known.target.target;
    let refuse = |at: String, problem: &str| {
        Err(PlanError {
            at,
            problem: problem.to_owned(),
        })
    };
    let lacks = |what: &str| format!("target {} has no {what}", target.name);
    for (index, service) in plan.services.iter().enumerate() {
        let at = |field: &str| format!("services[{index}].{field}");
        if service.image.is_some() && target.image.is_none() {
            return refuse(at("image"), &format!("{}; set it to null", lacks("images")));
        }
        if !service.system_parameter_defaults.is_empty() && known.parameters.is_none() {
            return refuse(
                at("system_parameter_defaults"),
                &format!("{}; set it to {{}}", lacks("system parameters")),
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
