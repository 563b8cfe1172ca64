//! Why a request gives no plan.

use crate::draw::DrawError;
use crate::parameters::ParameterError;
use crate::request::{Strategy, UnknownName};
use crate::rules::RulesError;
use crate::seed::SeedError;
use changeover_model::catalog::CatalogError;
use changeover_model::fault::FaultConflict;
use changeover_model::plan::{PlanError, Skipped};
use changeover_model::version::{PathVersion, Version, VersionError};
use changeover_model::workload::WorkloadKind;
use thiserror::Error;

/// Why a request gives no plan: what was asked for, what is wrong with it, what would do.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlanRequestError {
    /// The list of versions is empty.
    #[error(
        "the upgrade path is empty: name at least one version, as in --versions v0.1.0,current"
    )]
    EmptyPath,
    /// The strategy `versions` without any.
    #[error(
        "strategy versions needs the versions: give them, as in --versions v0.1.0,current, or use --strategy linear"
    )]
    NoVersions,
    /// The catalog has nothing to draw a path from.
    #[error("target {target} has no usable release: name the versions with --versions")]
    NothingToDraw {
        /// The target.
        target: String,
    },
    /// Something that is no version at all. The message goes on with a line that shows where, under a caret.
    #[error("{}", version_message(.error, .suggestion))]
    NotAVersion {
        /// What the parser says.
        error: VersionError,
        /// The nearest name that would do, such as `did you mean current?`.
        suggestion: Option<String>,
    },
    /// A version that the catalog refuses.
    #[error(transparent)]
    Refused(#[from] CatalogError),
    /// A hop that is not legal.
    #[error("{what}: {advice}")]
    IllegalHop {
        /// Which, and why, as a sentence without a full stop.
        what: String,
        /// What would do.
        advice: String,
    },
    /// A route to a version that nobody should run.
    #[error("{version} is unusable ({why}): no route leads there, go to {suggestion} instead")]
    UnusableStop {
        /// The version.
        version: Version,
        /// Why, and who says so.
        why: String,
        /// The oldest usable version after it.
        suggestion: PathVersion,
    },
    /// A route that is none.
    #[error("{version} is both ends of the route: give two versions, the older one first")]
    SameEnds {
        /// The version.
        version: PathVersion,
    },
    /// `current` described by itself.
    #[error(
        "--current-version says which version current is, and cannot be current itself: give a version such as v26.24.0"
    )]
    CurrentIsCurrent,
    /// The strategy `route` without its ends.
    #[error("strategy route needs both ends: give them with --from and --to")]
    NoEnds,
    /// A route through given versions.
    #[error("--from and --to find the path between two versions: leave out --versions")]
    EndsAndVersions,
    /// An option that this strategy would ignore.
    #[error(
        "{option} belongs to strategy {belongs_to}, and this is {strategy}: leave it out, or give --strategy {belongs_to}"
    )]
    Stranger {
        /// The option.
        option: &'static str,
        /// The strategy that goes by it.
        belongs_to: Strategy,
        /// The strategy of the request.
        strategy: Strategy,
    },
    /// Anchors with Python's generator.
    #[error(
        "--first and --last cannot be had with --rng python, because no Python run draws with them: leave them out, or use --rng chacha"
    )]
    PythonKnowsNoAnchors,
    /// A random path that cannot be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// Rule sets that cannot be asked.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// System parameters that cannot be given.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// Something that only other targets have.
    #[error("target {target} has no {what}: leave out {option}")]
    NotOfThisTarget {
        /// The target.
        target: String,
        /// What it has not.
        what: &'static str,
        /// The option that asks for it.
        option: &'static str,
    },
    /// Workloads none of which the target can run.
    #[error("target {target} can run no workload of those asked for: {}", why(.skipped))]
    NothingToDo {
        /// The target.
        target: String,
        /// What was asked for, and what it would need.
        skipped: Vec<Skipped>,
    },
    /// A workload that is named twice.
    #[error("workload {kind} is named twice: name it once")]
    WorkloadTwice {
        /// Which.
        kind: WorkloadKind,
    },
    /// Data that nobody older can have made.
    #[error(
        "workload aged needs a usable release older than {first}, which the path begins with: begin with a later version"
    )]
    NothingOlder {
        /// The path's first version.
        first: PathVersion,
    },
    /// Where no image can be.
    #[error(
        "{repository:?} is no image repository: give a name without a tag, such as ghcr.io/materializeinc/materialize/materialized"
    )]
    ImageRepository {
        /// What was given.
        repository: String,
    },
    /// A strategy, a generator or the like that nobody knows.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// A fault that cannot happen, or contradicts another.
    #[error(transparent)]
    Fault(#[from] FaultConflict),
    /// More faults were to be drawn than can happen together.
    #[error(
        "{asked} faults cannot be drawn: with seed {seed} only {drawn} can happen together in this plan; ask for fewer, as with --faults random:{drawn} --seed {seed}"
    )]
    NotSoManyFaults {
        /// How many were asked for.
        asked: u32,
        /// How many there are, by what was drawn first.
        drawn: u32,
        /// The seed that they were drawn from.
        seed: String,
    },
    /// An upgrade that cannot be called off there.
    #[error("the upgrade cannot be called off there: {problem}")]
    Abort {
        /// Why, and what to do.
        problem: String,
    },
    /// A seed that is none.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// A number that makes no sense.
    #[error("{what} is {value}: give {range}")]
    OutOfRange {
        /// What the number is, such as `the rate`.
        what: &'static str,
        /// The number.
        value: String,
        /// What would do, such as `at least 1 operation a second`.
        range: &'static str,
    },
    /// Something only the finished plan shows.
    #[error("the plan would make no sense: {0}")]
    Invalid(#[from] PlanError),
}

/// Which workload needs what.
fn why(skipped: &[Skipped]) -> String {
    let each = skipped.iter().map(|skipped| {
        format!(
            "{} needs {}, which it does not have",
            skipped.workload, skipped.lacks
        )
    });
    each.collect::<Vec<_>>().join("; ")
}

/// The parser's sentence, with the suggestion before the line that carries the caret.
fn version_message(error: &VersionError, suggestion: &Option<String>) -> String {
    let message = error.to_string();
    let Some(suggestion) = suggestion else {
        return message;
    };
    match message.split_once('\n') {
        Some((sentence, shown)) => format!("{sentence}; {suggestion}\n{shown}"),
        None => format!("{message}; {suggestion}"),
    }
}
