//! What a person asks a plan for.

use crate::attempts::AbortRequest;
use crate::faults::FaultRequest;
use crate::parameters::ParameterMode;
use crate::scenario::Preset;
use crate::workloads::WorkloadRequest;
use changeover_model::nearest;
use changeover_model::version::{PathVersion, Version};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A strategy, a generator or the like that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {what} {name:?}: {suggestion}")]
pub struct UnknownName {
    /// What it should be.
    pub what: &'static str,
    /// What was asked for.
    pub name: String,
    /// What would do.
    pub suggestion: String,
}

impl UnknownName {
    /// The one of these that has the name.
    pub(crate) fn find<T: Copy>(
        what: &'static str,
        name: &str,
        known: &[T],
        name_of: impl Fn(T) -> &'static str + Copy,
    ) -> Result<T, Self> {
        let known = known.iter().copied();
        let found = known.clone().find(|one| name_of(*one) == name);
        found.ok_or_else(|| UnknownName {
            what,
            name: name.to_owned(),
            suggestion: nearest::suggestion(name, known.map(name_of)),
        })
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $what:literal, $($(#[$variant_doc:meta])* $variant:ident $name:literal)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// All of them, in the order messages list them.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// The stable word, as plans and options write it.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(word: &str) -> Result<Self, UnknownName> {
                UnknownName::find($what, word, Self::ALL, Self::name)
            }
        }
    };
}

named! {
    /// How the upgrade path is made from its candidates.
    Strategy, "strategy",
    /// Every candidate, in order.
    Linear "linear"
    /// The first candidate, then the last.
    Direct "direct"
    /// Exactly the versions that were given.
    Versions "versions"
    /// Some of the candidates, drawn from the seed.
    Random "random"
    /// The shortest legal way from one version to another.
    Route "route"
}

named! {
    /// The generator behind a random path.
    Generator, "random number generator",
    /// ChaCha, with a stream for each kind of decision.
    Chacha "chacha"
    /// Python's own, so that the path of a Python run can be had again.
    Python "python"
}

/// A request for a plan: the path, and what shall differ from the target's defaults.
///
/// Every `None` and every absent key means "as the target says". Numbers are wider than the plan's, because a person
/// may ask for 0 or for less, and deserves a sentence about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// How the path is made; without it [`Strategy::Route`] if there are ends, [`Strategy::Versions`] if there are
    /// versions, else [`Strategy::Linear`].
    pub strategy: Option<Strategy>,
    /// The candidates; without them what the target's paths are drawn from, oldest first, and except for
    /// [`Strategy::Random`] the current version after it.
    pub versions: Option<Vec<PathVersion>>,
    /// The ends of [`Strategy::Route`].
    pub ends: Option<(PathVersion, PathVersion)>,
    /// What [`Strategy::Random`] goes by.
    pub draw: DrawRequest,
    /// Versions that follow on the path, whatever it is.
    pub then: Vec<PathVersion>,
    /// The seed of everything random, an integer or `str:TEXT`; [`DEFAULT_SEED`](crate::DEFAULT_SEED) without it.
    pub seed: Option<String>,
    /// The rule sets that must allow each hop.
    pub rules: Option<Vec<String>>,
    /// Whether an illegal hop is a finding of the plan, instead of no plan.
    pub allow_illegal: bool,
    /// Whether a version may follow itself on the path: a restart.
    pub allow_restart: bool,
    /// System parameters.
    pub parameters: ParameterRequest,
    /// What `current` is, for rule sets and system parameters; the newest usable version without it.
    pub current_version: Option<Version>,
    /// Where images are, such as `materialize/materialized`.
    pub image_repository: Option<String>,
    /// The runtime's name.
    pub runtime: Option<String>,
    /// What clients do.
    pub workload: WorkloadRequest,
    /// Workload operations a second, at least 1.
    pub rate: Option<i64>,
    /// Workload clients, at least 1.
    pub clients: Option<i64>,
    /// The lanes' interval in milliseconds, at least 1.
    pub probe_interval_ms: Option<u64>,
    /// Limits in milliseconds that replace the target's, by the names in [`changeover_model::plan::BUDGETS`].
    pub budgets: BTreeMap<String, f64>,
    /// Deadlines in milliseconds that replace the target's, by the names in
    /// [`changeover_model::plan::Timeout::ALL`].
    pub timeouts_ms: BTreeMap<String, u64>,
    /// The kind of metadata store, such as `sqlite`; never its address.
    pub metadata_store: Option<String>,
    /// Arguments that every instance gets besides its own.
    pub instance_args: Vec<String>,
    /// Arguments that the current version gets besides where it is upgraded to.
    pub upgraded_args: Vec<String>,
    /// What is broken on purpose.
    pub faults: FaultRequest,
    /// Where upgrades are called off.
    pub abort: Option<AbortRequest>,
    /// How many times the plan is run, at least 1; once without it.
    pub repeat: Option<i64>,
    /// Whether it is run as often with restarts of its last version, as a control.
    pub control: bool,
    /// What is done before, during and after the upgrades; the path is its too, unless one is asked for.
    pub scenario: Option<&'static Preset>,
}

/// How a random path is drawn. With another strategy than [`Strategy::Random`] all of it must be absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DrawRequest {
    /// The generator; [`Generator::Chacha`] without it.
    pub generator: Option<Generator>,
    /// The probability that a candidate is kept: above 0, at most 1; one half without it.
    pub probability: Option<f64>,
    /// The most versions drawn, at least 1; no limit without it. Stops filled in and [`Request::then`] do not count.
    pub max_versions: Option<i64>,
    /// The version that the draw begins with.
    pub first: Option<PathVersion>,
    /// The version that the draw ends with.
    pub last: Option<PathVersion>,
}

/// The system parameters that a person asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParameterRequest {
    /// Which of the target's own; [`ParameterMode::Default`] without it.
    pub mode: Option<ParameterMode>,
    /// Names and values that win over the target's.
    pub given: Vec<(String, String)>,
    /// Whether a name that the target does not know is a warning, instead of no plan.
    pub allow_unknown: bool,
}

impl Request {
    /// The strategy, said or not.
    pub(crate) fn strategy(&self) -> Strategy {
        self.strategy.unwrap_or(match (&self.ends, &self.versions) {
            (Some(_), _) => Strategy::Route,
            (None, Some(_)) => Strategy::Versions,
            (None, None) => Strategy::Linear,
        })
    }

    /// Whether the plan depends on its seed in more than what clients write. Who then gives none wants a new one.
    pub fn draws(&self) -> bool {
        let drawn = self.scenario.is_some_and(|preset| preset.draws());
        drawn
            || self.strategy() == Strategy::Random
            || self.parameters.mode == Some(ParameterMode::Random)
            || self.faults.random > 0
    }
}
