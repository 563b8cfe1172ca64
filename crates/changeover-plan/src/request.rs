//! What a person asks a plan for.

use crate::error::PlanRequestError;
use changeover_model::nearest;
use changeover_model::version::PathVersion;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How the upgrade path is drawn from its candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Every candidate, in order.
    Linear,
    /// The first candidate, then the last.
    Direct,
    /// Exactly the versions that were given.
    Versions,
}

impl Strategy {
    /// All strategies, in the order messages list them.
    pub const ALL: [Strategy; 3] = [Strategy::Linear, Strategy::Direct, Strategy::Versions];

    /// The stable word, as plans and options write it.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Linear => "linear",
            Strategy::Direct => "direct",
            Strategy::Versions => "versions",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = PlanRequestError;

    fn from_str(word: &str) -> Result<Self, PlanRequestError> {
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == word)
            .ok_or_else(|| PlanRequestError::UnknownStrategy {
                name: word.to_owned(),
                suggestion: nearest::suggestion(word, Self::ALL.map(Strategy::name)),
            })
    }
}

/// A request for a plan: the path, and what shall differ from the target's defaults.
///
/// Every `None` and every absent key means "as the target says". Numbers are wider than the plan's, because a person
/// may ask for 0 or for less, and deserves a sentence about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// How the path is drawn; without it [`Strategy::Versions`] if there are versions, else [`Strategy::Linear`].
    pub strategy: Option<Strategy>,
    /// The candidates; without them every usable release, oldest first, then the current version.
    pub versions: Option<Vec<PathVersion>>,
    /// The seed of everything random, an integer or `str:TEXT`; [`DEFAULT_SEED`](crate::DEFAULT_SEED) without it.
    pub seed: Option<String>,
    /// The runtime's name.
    pub runtime: Option<String>,
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
}
