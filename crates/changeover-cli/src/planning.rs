//! From what was typed to a plan: what `plan` shows and `rehearse` runs.

use crate::args::{MetadataStore, PlanOptions};
use crate::error::CliError;
use crate::output;
use changeover_model::Plan;
use changeover_plan::{Knowledge, Request, parse_versions, plan, review};
use std::path::Path;

/// A plan, and the target it is for.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// The plan; it is valid and can be run by this build.
    pub(crate) plan: Plan,
    /// Its target.
    pub(crate) known: Knowledge,
}

/// The plan of these options: read from `--plan`, or made. Warnings go to standard error.
///
/// # Errors
///
/// The first thing that gives no plan.
pub(crate) fn plan_of(options: &PlanOptions) -> Result<Planned, CliError> {
    let (planned, warnings) = match &options.plan {
        Some(file) => read(file, options.metadata_store.as_ref())?,
        None => make(options)?,
    };
    for warning in &warnings {
        output::warning(warning);
    }
    Ok(planned)
}

fn make(options: &PlanOptions) -> Result<(Planned, Vec<String>), CliError> {
    let known = Knowledge::of(&options.target.target)?;
    let request = request(options, &known)?;
    let (plan, warnings) = plan(&request, &known.target, &known.catalog)?;
    Ok((Planned { plan, known }, warnings))
}

fn request(options: &PlanOptions, known: &Knowledge) -> Result<Request, CliError> {
    let versions = match &options.versions {
        Some(list) => Some(parse_versions(list, &known.catalog)?),
        None => None,
    };
    let strategy = match &options.strategy {
        Some(name) => Some(name.parse()?),
        None => None,
    };
    let probe_interval_ms = match options.probe_interval {
        Some(ms) if ms.fract() != 0.0 => {
            return Err(CliError::bad_input(format!(
                "the probe interval is {ms} ms: give a whole number of milliseconds"
            )));
        }
        // Whole and not negative; what is too large saturates, and is refused like every absurd number.
        Some(ms) => Some(ms as u64),
        None => None,
    };
    let budgets = [
        ("write-gap", options.max_write_gap),
        ("read-gap", options.max_read_gap),
        ("connect-gap", options.max_connect_gap),
    ];
    Ok(Request {
        strategy,
        versions,
        seed: options.seed.clone(),
        runtime: options.runtime.clone(),
        rate: options.rate,
        clients: options.clients,
        probe_interval_ms,
        budgets: budgets
            .into_iter()
            .filter_map(|(name, limit)| Some((name.to_owned(), limit?)))
            .collect(),
        timeouts_ms: Default::default(),
        metadata_store: options.metadata_store.as_ref().map(|s| s.kind.clone()),
        instance_args: options.instance_arg.clone(),
    })
}

fn read(file: &Path, store: Option<&MetadataStore>) -> Result<(Planned, Vec<String>), CliError> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        CliError::bad_input(format!(
            "cannot read the plan {shown}: {error}; make one with changeover plan --save FILE"
        ))
    })?;
    let refuse = |problem: String| CliError::bad_input(format!("plan {shown}: {problem}"));
    let plan = Plan::parse(&text).map_err(|error| refuse(error.to_string()))?;
    let known = Knowledge::of(&plan.target).map_err(|error| refuse(error.to_string()))?;
    let warnings = review(&plan, &known.catalog).map_err(|error| refuse(error.to_string()))?;
    // The plan names the kind, the command line its place.
    if let Some(store) = store
        && store.kind != plan.metadata_store
    {
        return Err(refuse(format!(
            "its metadata store is {}, not {}; leave out --metadata-store, or make another plan",
            plan.metadata_store, store.kind
        )));
    }
    Ok((Planned { plan, known }, warnings))
}
