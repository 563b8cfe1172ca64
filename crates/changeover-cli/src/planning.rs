//! From what was typed to a plan: what `plan` shows and `rehearse` runs.

use crate::args::{FaultOptions, LoadOptions, PlanOptions, ServiceOptions};
use crate::error::CliError;
use crate::{knowledge, output, workload};
use changeover_model::Plan;
use changeover_model::fault::Fault;
use changeover_model::nearest;
use changeover_plan::scenario::{PRESETS, Preset};
use changeover_plan::{
    AbortRequest, AfterAbort, DrawRequest, FaultRequest, Knowledge, ParameterRequest,
    PlanRequestError, Request, UnknownName, parse_assignment, parse_version, parse_versions, plan,
    review,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

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
        Some(file) => read(file, options)?,
        None => make(options)?,
    };
    for warning in &warnings {
        output::warning(warning);
    }
    Ok(planned)
}

fn make(options: &PlanOptions) -> Result<(Planned, Vec<String>), CliError> {
    let known = knowledge::of(&options.knowledge)?;
    let mut request = request(options, &known)?;
    let drawn = request.draws() && request.seed.is_none();
    if drawn {
        request.seed = Some(fresh_seed()?);
    }
    let (plan, warnings) = plan(&request, &known)?;
    if drawn {
        let seed = &plan.seed;
        output::note(&format!(
            "the seed is {seed}; give --seed {seed} for the same plan again"
        ));
    }
    Ok((Planned { plan, known }, warnings))
}

/// A seed that nobody chose: 32 bits, short enough to be typed again.
fn fresh_seed() -> Result<String, CliError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| {
        CliError::cannot_run_here(format!("cannot draw a seed: {error}; give one with --seed"))
    })?;
    Ok(u32::from_le_bytes(bytes).to_string())
}

fn request(options: &PlanOptions, known: &Knowledge) -> Result<Request, CliError> {
    let PlanOptions {
        path,
        legality,
        service,
        load,
        ..
    } = options;
    let catalog = &known.catalog;
    let one = |text: &Option<String>| {
        let text = text.as_ref();
        text.map(|text| parse_version(text, catalog)).transpose()
    };
    let list = |text: &Option<String>| {
        let text = text.as_ref();
        text.map(|text| parse_versions(text, catalog)).transpose()
    };
    Ok(Request {
        strategy: named(&path.strategy)?,
        versions: list(&path.versions)?.or_else(|| known.listed(path.from.is_some())),
        ends: one(&path.from)?.zip(one(&path.to)?),
        draw: DrawRequest {
            generator: named(&path.rng)?,
            probability: path.probability,
            max_versions: path.max_versions,
            first: one(&path.first)?,
            last: one(&path.last)?,
        },
        then: list(&path.then)?.unwrap_or_default(),
        seed: options.seed.clone(),
        rules: knowledge::rules(legality),
        allow_illegal: path.allow_illegal,
        allow_restart: path.allow_restart,
        parameters: parameters(service)?,
        current_version: knowledge::current_version(legality, known)?,
        image_repository: service.image_repository.clone(),
        runtime: service.runtime.clone(),
        workload: workload::asked_for(&load.workload)?,
        rate: load.rate,
        clients: load.clients,
        probe_interval_ms: load.probe_interval.map(whole_milliseconds).transpose()?,
        budgets: budgets(load),
        timeouts_ms: Default::default(),
        metadata_store: service.metadata_store.as_ref().map(|s| s.kind.clone()),
        instance_args: service.instance_arg.clone(),
        upgraded_args: Vec::new(),
        faults: faults(&options.faults)?,
        abort: abort(&options.faults)?,
        repeat: options.series.repeat,
        control: options.series.control,
        scenario: path.scenario.as_deref().map(preset).transpose()?,
    })
}

fn faults(options: &FaultOptions) -> Result<FaultRequest, CliError> {
    let given = options.fault.iter().map(|text| text.parse::<Fault>());
    Ok(FaultRequest {
        given: given
            .collect::<Result<_, _>>()
            .map_err(|error| CliError::bad_input(error.to_string()))?,
        random: match &options.faults {
            None => 0,
            Some(text) => random_faults(text)?,
        },
    })
}

fn random_faults(text: &str) -> Result<u32, CliError> {
    let number = text.strip_prefix("random:").and_then(|n| n.parse().ok());
    number.filter(|n| (1..=1000).contains(n)).ok_or_else(|| {
        CliError::bad_input(format!(
            "--faults {text:?} is no number of faults to draw: give random:N, N from 1 to 1000; a certain one is given with --fault"
        ))
    })
}

fn abort(options: &FaultOptions) -> Result<Option<AbortRequest>, CliError> {
    if options.find_point_of_no_return {
        return Ok(Some(AbortRequest {
            at: None,
            hop: None,
            then: AfterAbort::Retry,
        }));
    }
    let refuse =
        |option: &str, problem: String| CliError::bad_input(format!("{option}: {problem}"));
    let then = options.after_abort.as_ref().map(|word| word.parse());
    let then = then
        .transpose()
        .map_err(|problem| refuse("--after-abort", problem))?
        .unwrap_or_default();
    let at = options.abort_at.as_ref();
    at.map(|text| AbortRequest::parse(text, then))
        .transpose()
        .map_err(|problem| refuse("--abort-at", problem))
}

/// The preset of a name.
fn preset(name: &str) -> Result<&'static Preset, CliError> {
    Preset::find(name).ok_or_else(|| {
        let names = PRESETS.iter().map(|preset| preset.name);
        CliError::bad_input(format!(
            "unknown scenario {name:?}: {}",
            nearest::suggestion(name, names)
        ))
    })
}

fn named<T: FromStr<Err = UnknownName>>(
    name: &Option<String>,
) -> Result<Option<T>, PlanRequestError> {
    let named = name.as_ref().map(|name| name.parse()).transpose();
    Ok(named?)
}

fn parameters(options: &ServiceOptions) -> Result<ParameterRequest, PlanRequestError> {
    let mode = options.system_parameters.as_ref();
    let given = options.system_parameter.iter();
    Ok(ParameterRequest {
        mode: mode.map(|mode| mode.parse()).transpose()?,
        given: given
            .map(|text| parse_assignment(text))
            .collect::<Result<_, _>>()?,
        allow_unknown: options.allow_unknown_parameters,
    })
}

fn whole_milliseconds(ms: f64) -> Result<u64, CliError> {
    if ms.fract() != 0.0 {
        return Err(CliError::bad_input(format!(
            "the probe interval is {ms} ms: give a whole number of milliseconds"
        )));
    }
    // Whole and not negative; what is too large saturates, and is refused like every absurd number.
    Ok(ms as u64)
}

fn budgets(options: &LoadOptions) -> BTreeMap<String, f64> {
    let limits = [
        ("write-gap", options.max_write_gap),
        ("read-gap", options.max_read_gap),
        ("connect-gap", options.max_connect_gap),
    ];
    limits
        .into_iter()
        .filter_map(|(name, limit)| Some((name.to_owned(), limit?)))
        .collect()
}

/// What is known of a plan's target. A plan names it, and no file: that would be a machine's path.
fn known_of(plan: &Plan, options: &PlanOptions) -> Result<Knowledge, CliError> {
    let releases = options.knowledge.releases.as_deref();
    let Some(given) = options.knowledge.target.given() else {
        let built_in = Knowledge::targets().any(|name| name == plan.target);
        return knowledge::for_target(&plan.target, releases).map_err(|mut error| {
            // With a question there, somebody mistyped.
            if !built_in && !error.message.ends_with('?') {
                let otherwise = "; where it is described in a file, give --target FILE.toml";
                error.message.push_str(otherwise);
            }
            error
        });
    };
    let known = knowledge::for_target(given, releases)?;
    match &known.target.target.name {
        name if *name == plan.target => Ok(known),
        name => Err(CliError::bad_input(format!(
            "it is for target {}, and --target gives {name}; give the target it was made for",
            plan.target
        ))),
    }
}

fn read(file: &Path, options: &PlanOptions) -> Result<(Planned, Vec<String>), CliError> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        CliError::bad_input(format!(
            "cannot read the plan {shown}: {error}; make one with changeover plan --save FILE"
        ))
    })?;
    let refuse = |problem: String| CliError::bad_input(format!("plan {shown}: {problem}"));
    let mut plan = Plan::parse(&text).map_err(|error| refuse(error.to_string()))?;
    let known = known_of(&plan, options).map_err(|CliError { message, code }| CliError {
        message: format!("plan {shown}: {message}"),
        code,
    })?;
    let warnings = review(&mut plan, &known, options.path.allow_illegal).map_err(|error| {
        let CliError { message, code } = error.into();
        CliError {
            message: format!("plan {shown}: {message}"),
            code,
        }
    })?;
    // The plan names the kind, the command line its place.
    if let Some(store) = &options.service.metadata_store
        && store.kind != plan.metadata_store
    {
        return Err(refuse(format!(
            "its metadata store is {}, not {}; leave out --metadata-store, or make another plan",
            plan.metadata_store, store.kind
        )));
    }
    Ok((Planned { plan, known }, warnings))
}
