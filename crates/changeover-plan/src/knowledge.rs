//! What is known of a target before anything starts: the built-in descriptions under `targets/`.

use changeover_model::catalog::Catalog;
use changeover_model::nearest;
use changeover_model::target::Target;
use thiserror::Error;

/// A target, and all that planning goes by.
#[derive(Debug, Clone)]
pub struct Knowledge {
    /// How to start it, watch it and talk to it.
    pub target: Target,
    /// Its versions.
    pub catalog: Catalog,
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

struct BuiltIn {
    name: &'static str,
    target: &'static str,
    releases: &'static str,
    /// Whether a version that is not listed does not exist.
    complete: bool,
}

const BUILT_IN: [BuiltIn; 1] = [BuiltIn {
    name: "reference",
    target: include_str!("../../../targets/reference/target.toml"),
    releases: include_str!("../../../targets/reference/releases.toml"),
    complete: true,
}];

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
        Ok(Knowledge {
            target: Target::parse(built_in.target).expect(sound),
            catalog: Catalog::parse(built_in.name, built_in.complete, built_in.releases)
                .expect(sound),
        })
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
        }
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
