//! What is known of a target before anything starts: the built-in descriptions under `targets/`.

use crate::newer::{self, NewerError};
use crate::parameters::Parameters;
use crate::rules::Rules;
use changeover_model::catalog::{Catalog, ReleaseFacts};
use changeover_model::nearest;
use changeover_model::target::Target;
use changeover_model::version::PathVersion;
use thiserror::Error;

/// A target, and all that planning goes by.
#[derive(Debug, Clone)]
pub struct Knowledge {
    /// How to start it, watch it and talk to it.
    pub target: Target,
    /// Its versions.
    pub catalog: Catalog,
    /// What the catalog follows from.
    facts: ReleaseFacts,
    /// Who says which versions may be upgraded to which.
    pub rules: Rules,
    /// Its system parameters, if it has any.
    pub parameters: Option<Parameters>,
    /// The versions that its own file lists, oldest first, `current` too if it is among them.
    listed: Vec<PathVersion>,
}

/// A target that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown target {name:?}: {suggestion}")]
pub struct UnknownTarget {
    /// What was asked for.
    pub name: String,
    /// What would do.
    pub suggestion: String,
}

/// Why a target cannot learn from a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LearnError {
    /// All its versions are built in.
    #[error(
        "the catalog of target {target} is complete, so there is nothing to learn from {from}: leave out --releases"
    )]
    Complete {
        /// The target.
        target: String,
        /// The file.
        from: String,
    },
    /// The file has nothing to say.
    #[error("{from} {error}")]
    Unreadable {
        /// The file.
        from: String,
        /// What is wrong with it.
        error: NewerError,
    },
}

struct BuiltIn {
    name: &'static str,
    target: &'static str,
    releases: &'static str,
    rules: &'static str,
    parameters: Option<&'static str>,
    /// Whether a version that is not listed does not exist.
    complete: bool,
}

const BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        name: "reference",
        target: include_str!("../../../targets/reference/target.toml"),
        releases: include_str!("../../../targets/reference/releases.toml"),
        rules: include_str!("../../../targets/reference/rules.toml"),
        parameters: None,
        complete: true,
    },
    BuiltIn {
        name: "materialize",
        target: include_str!("../../../targets/materialize/target.toml"),
        releases: include_str!("../../../targets/materialize/releases.toml"),
        rules: include_str!("../../../targets/materialize/rules.toml"),
        parameters: Some(include_str!(
            "../../../targets/materialize/system-parameters.toml"
        )),
        complete: false,
    },
];

impl Knowledge {
    /// The names of the built-in targets.
    pub fn targets() -> impl Iterator<Item = &'static str> + Clone {
        BUILT_IN.iter().map(|built_in| built_in.name)
    }

    /// What is built in about the target of that name.
    ///
    /// # Errors
    ///
    /// When there is none, with the nearest name.
    pub fn of(name: &str) -> Result<Self, UnknownTarget> {
        let built_in = BUILT_IN
            .iter()
            .find(|built_in| built_in.name == name)
            .ok_or_else(|| UnknownTarget {
                name: name.to_owned(),
                suggestion: nearest::suggestion(name, Self::targets()),
            })?;
        let sound = "built-in files are read by a test";
        let facts = ReleaseFacts::parse(built_in.releases).expect(sound);
        Ok(Knowledge {
            target: Target::parse(built_in.target).expect(sound),
            catalog: facts.catalog(built_in.name, built_in.complete),
            facts,
            rules: Rules::parse(built_in.rules).expect(sound),
            parameters: built_in
                .parameters
                .map(|text| Parameters::parse(text).expect(sound)),
            listed: Vec::new(),
        })
    }

    /// What is known of a target that somebody described, with the versions they listed, oldest first. Others may
    /// exist; which hops are legal nobody says, except that a hop goes forward.
    pub fn described(target: Target, listed: Vec<PathVersion>) -> Self {
        let facts = ReleaseFacts {
            tags: listed.iter().filter_map(|v| v.known().cloned()).collect(),
            ..ReleaseFacts::default()
        };
        Knowledge {
            catalog: facts.catalog(&target.target.name, false),
            facts,
            rules: Rules::default(),
            parameters: None,
            listed,
            target,
        }
    }

    /// The versions that a path is made of when nobody names any, where the target's own file lists them. With ends to
    /// find a route between there is nothing to list.
    pub fn listed(&self, ends: bool) -> Option<Vec<PathVersion>> {
        (!ends && !self.listed.is_empty()).then(|| self.listed.clone())
    }

    /// Learns what was published since, from a text that [`newer::read`] understands and that came from `from`. Returns
    /// warnings, a sentence each: that parts of it are no release, and what contradicts what was known.
    ///
    /// # Errors
    ///
    /// When the catalog is complete, or the text names no release.
    pub fn learn(&mut self, text: &str, from: &str) -> Result<Vec<String>, LearnError> {
        let target = self.catalog.target();
        if self.catalog.is_complete() {
            return Err(LearnError::Complete {
                target: target.to_owned(),
                from: from.to_owned(),
            });
        }
        let (newer, warning) = newer::read(text).map_err(|error| LearnError::Unreadable {
            from: from.to_owned(),
            error,
        })?;
        let warnings = warning.into_iter().chain(self.facts.layer(&newer, from));
        let warnings = warnings
            .map(|warning| format!("{from}: {warning}"))
            .collect();
        self.catalog = self.facts.catalog(target, false);
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_target_is_known_under_its_own_name() {
        for name in Knowledge::targets() {
            let known = Knowledge::of(name).unwrap();
            assert_eq!(known.target.target.name, name);
            assert_eq!(known.catalog.target(), name);
            assert!(known.catalog.usable().next().is_some());
            assert!(!known.rules.defaults().is_empty());
        }
    }

    #[test]
    fn a_complete_catalog_has_nothing_to_learn() {
        let mut known = Knowledge::of("reference").unwrap();
        let error = known.learn("v9.0.0\n", "tags.txt").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the catalog of target reference is complete, so there is nothing to learn from tags.txt: leave out --releases"
        );
    }

    #[test]
    fn an_unknown_target_is_refused_with_the_nearest_name() {
        let error = Knowledge::of("refrence").unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown target \"refrence\": did you mean reference?"
        );
    }
}
