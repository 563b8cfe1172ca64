//! Rule sets: who says whether one version may be upgraded to another.
//!
//! A rule set is data (`targets/<name>/rules.toml`), and [`RuleSet::judge`] is one small pure function over it. A
//! target can have several that disagree; nothing here reconciles them.

use changeover_model::catalog::{Catalog, Series};
use changeover_model::nearest;
use changeover_model::version::Version;
use serde::Deserialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// What a rule set says about a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling<'a> {
    /// It may be done.
    Allows,
    /// It may not be done, and why: a predicate that follows [`RuleSet::who`].
    Refuses(&'a str),
    /// It says nothing about such a hop, and why: a predicate. Whoever says nothing allows.
    IsSilent(&'a str),
}

impl Ruling<'_> {
    /// Whether the hop is legal by this ruling.
    pub fn allows(self) -> bool {
        !matches!(self, Ruling::Refuses(_))
    }
}

/// All rule sets of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    #[serde(rename = "rule_set")]
    sets: Vec<RuleSet>,
}

/// One rule set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// Its name in options and documents, such as `operator`.
    pub name: String,
    /// Who speaks, as the subject of a sentence, such as `the operator`.
    pub who: String,
    /// Where it is written, and when it was read.
    pub source: String,
    /// Whether it is asked when nobody says which are.
    default: bool,
    /// The numbers that minors are counted in, by series: `0.147` is `25.2` to Materialize's documentation.
    #[serde(default)]
    numbering: BTreeMap<Series, Series>,
    /// The first clause that matches decides.
    clause: Vec<Clause>,
}

/// A condition on a hop, all parts of which must hold, and what is said when it does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clause {
    /// The range that the older version is in.
    from: Option<Range>,
    /// The range that the newer version is in.
    to: Option<Range>,
    /// The hop leads to an older version.
    #[serde(default)]
    backward: bool,
    /// The hop leads more than this many major versions ahead.
    majors_ahead_over: Option<u64>,
    /// The hop leads, within a major version, more than this many minor versions ahead, as the rule set numbers them.
    minors_ahead_over: Option<u64>,
    /// One of the two versions has no number in the rule set's numbering.
    #[serde(default)]
    unnumbered: bool,
    /// An operator of this series carried the older version.
    from_operator: Option<Series>,
    says: Says,
    #[serde(default)]
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Says {
    Allows,
    Refuses,
    IsSilent,
}

/// Versions from the first on, and before the second if there is one. By precedence, pre-releases included.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Version>")]
struct Range {
    at_least: Version,
    below: Option<Version>,
}

impl TryFrom<Vec<Version>> for Range {
    type Error = String;

    fn try_from(bounds: Vec<Version>) -> Result<Self, String> {
        let mut bounds = bounds.into_iter();
        match (bounds.next(), bounds.next(), bounds.next()) {
            (Some(at_least), below, None) => Ok(Range { at_least, below }),
            _ => Err("a range has one bound or two: [at_least] or [at_least, below]".to_owned()),
        }
    }
}

impl Range {
    fn contains(&self, version: &Version) -> bool {
        *version >= self.at_least && self.below.as_ref().is_none_or(|below| version < below)
    }
}

impl RuleSet {
    /// What it says about an upgrade from one version to another.
    ///
    /// The catalog is asked for what an operator carried; what it does not know none did.
    pub fn judge(&self, catalog: &Catalog, from: &Version, to: &Version) -> Ruling<'_> {
        let clause = self
            .clause
            .iter()
            .find(|clause| self.holds(clause, catalog, from, to));
        match clause.map(|clause| (clause.says, clause.text.as_str())) {
            None | Some((Says::Allows, _)) => Ruling::Allows,
            Some((Says::Refuses, text)) => Ruling::Refuses(text),
            Some((Says::IsSilent, text)) => Ruling::IsSilent(text),
        }
    }

    fn holds(&self, clause: &Clause, catalog: &Catalog, from: &Version, to: &Version) -> bool {
        let within = |range: &Option<Range>, version| {
            range.as_ref().is_none_or(|range| range.contains(version))
        };
        within(&clause.from, from)
            && within(&clause.to, to)
            && (!clause.backward || to < from)
            && clause
                .majors_ahead_over
                .is_none_or(|most| to.semver().major > from.semver().major.saturating_add(most))
            && clause
                .minors_ahead_over
                .is_none_or(|most| self.minors_ahead(from, to).is_some_and(|n| n > most))
            && (!clause.unnumbered || self.number(from).is_none() || self.number(to).is_none())
            && clause
                .from_operator
                .is_none_or(|series| catalog.carried_by(from, series))
    }

    /// How many minor versions ahead a hop leads; `None` where that cannot be counted.
    fn minors_ahead(&self, from: &Version, to: &Version) -> Option<u64> {
        let (from, to) = (self.number(from)?, self.number(to)?);
        (from.major == to.major).then(|| to.minor.saturating_sub(from.minor))
    }

    fn number(&self, version: &Version) -> Option<Series> {
        let series = Series::of(version);
        if self.numbering.is_empty() {
            Some(series)
        } else {
            self.numbering.get(&series).copied()
        }
    }
}

/// A rule set that a target does not have, or a list of none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RulesError {
    /// No such rule set.
    #[error("unknown rule set {name:?}: {suggestion}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What would do.
        suggestion: String,
    },
    /// The same twice.
    #[error("rule set {name} is named twice: name each once")]
    Repeated {
        /// Its name.
        name: String,
    },
    /// A name without letters.
    #[error("a rule set's name is missing in the list: take out a comma, or name one of {known}")]
    Nameless {
        /// What there is.
        known: String,
    },
    /// The list is empty.
    #[error("no rule set is named: give --rules at least one of {known}, or leave it out")]
    None {
        /// What there is.
        known: String,
    },
}

impl Rules {
    /// Reads rule sets from TOML.
    ///
    /// # Errors
    ///
    /// When the text holds none, with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// All of them, in the order of the file.
    pub fn all(&self) -> &[RuleSet] {
        &self.sets
    }

    /// Those that are asked when nobody says which are.
    pub fn defaults(&self) -> Vec<&RuleSet> {
        self.sets.iter().filter(|set| set.default).collect()
    }

    /// The rule sets of these names, in that order; without names the defaults.
    ///
    /// # Errors
    ///
    /// A name that is unknown, empty or named twice, or no name at all.
    pub fn pick(&self, names: Option<&[String]>) -> Result<Vec<&RuleSet>, RulesError> {
        let Some(names) = names else {
            return Ok(self.defaults());
        };
        let known = || self.sets.iter().map(|set| set.name.as_str());
        let listed = || known().collect::<Vec<_>>().join(", ");
        if names.is_empty() {
            return Err(RulesError::None { known: listed() });
        }
        if names.iter().any(String::is_empty) {
            return Err(RulesError::Nameless { known: listed() });
        }
        let mut picked: Vec<&RuleSet> = Vec::new();
        for name in names {
            let set = self
                .sets
                .iter()
                .find(|set| set.name == *name)
                .ok_or_else(|| RulesError::Unknown {
                    name: name.clone(),
                    suggestion: nearest::suggestion(name, known()),
                })?;
            if picked.iter().any(|other| other.name == set.name) {
                return Err(RulesError::Repeated { name: name.clone() });
            }
            picked.push(set);
        }
        Ok(picked)
    }
}
