//! Why a request gives no plan.

use changeover_model::catalog::CatalogError;
use changeover_model::plan::PlanError;
use changeover_model::version::{PathVersion, VersionError};
use thiserror::Error;

/// Why a request gives no plan: what was asked for, what is wrong with it, what would do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
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
    /// A version twice.
    #[error(
        "version {version} is on the upgrade path twice (places {first} and {second}): each version may appear once"
    )]
    Repeated {
        /// The version.
        version: PathVersion,
        /// Where it is first, counted from 1.
        first: usize,
        /// Where it is again, counted from 1.
        second: usize,
    },
    /// A hop to an older version.
    #[error(
        "{to} is older than {from}, which stands before it on the upgrade path: an upgrade goes forward only, so list the versions oldest first"
    )]
    Backward {
        /// The version that would lead before.
        from: PathVersion,
        /// The older version after it.
        to: PathVersion,
    },
    /// A strategy nobody knows.
    #[error("unknown strategy {name:?}: {suggestion}")]
    UnknownStrategy {
        /// What was asked for.
        name: String,
        /// What would do.
        suggestion: String,
    },
    /// A runtime nobody knows.
    #[error("unknown runtime {name:?}: {suggestion}")]
    UnknownRuntime {
        /// What was asked for.
        name: String,
        /// What would do.
        suggestion: String,
    },
    /// A metadata store nobody knows.
    #[error("unknown metadata store {name:?}: {suggestion}")]
    UnknownMetadataStore {
        /// What was asked for.
        name: String,
        /// What would do.
        suggestion: String,
    },
    /// A seed in neither of the two forms.
    #[error(
        "seed {seed:?} is neither an integer nor str:TEXT: give one, as in --seed 42 or --seed str:nightly"
    )]
    Seed {
        /// What was given.
        seed: String,
    },
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
