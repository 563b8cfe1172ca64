//! The built-in targets.

use crate::error::CliError;
use changeover_model::catalog::Catalog;
use changeover_model::nearest;
use changeover_model::target::Target;

/// A target and its release catalog.
#[derive(Debug, Clone)]
pub(crate) struct KnownTarget {
    /// How to start it, watch it and talk to it.
    pub(crate) target: Target,
    /// Its versions.
    pub(crate) catalog: Catalog,
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

/// The target of that name.
///
/// # Errors
///
/// When there is none, with the nearest name.
pub(crate) fn load(name: &str) -> Result<KnownTarget, CliError> {
    let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.name == name) else {
        let names: Vec<&str> = BUILT_IN.iter().map(|built_in| built_in.name).collect();
        return Err(CliError::bad_input(format!(
            "unknown target {name:?}: {}",
            nearest::suggestion(name, names.iter().copied())
        )));
    };
    let damaged = |what: &str, error: String| {
        CliError::bad_input(format!(
            "the built-in {what} of target {name} is damaged ({error}): report it as a defect of this build"
        ))
    };
    Ok(KnownTarget {
        target: Target::parse(built_in.target).map_err(|e| damaged("description", e))?,
        catalog: Catalog::parse(built_in.name, built_in.complete, built_in.releases)
            .map_err(|e| damaged("release catalog", e))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_target_loads_under_its_own_name() {
        for built_in in &BUILT_IN {
            let known = load(built_in.name).unwrap();
            assert_eq!(known.target.target.name, built_in.name);
            assert_eq!(known.catalog.target(), built_in.name);
            assert!(known.catalog.usable().next().is_some());
        }
    }
}
