//! From versions to an upgrade path.

use crate::error::PlanRequestError;
use crate::request::{Request, Strategy};
use changeover_model::catalog::Catalog;
use changeover_model::nearest;
use changeover_model::version::PathVersion;

/// Reads a comma-separated list of versions, such as `v0.1.0,current`. Spaces around a version do not count.
///
/// The versions are not looked up in the catalog; it only helps with the nearest name for what is no version.
///
/// # Errors
///
/// [`PlanRequestError::EmptyPath`] for an empty list, [`PlanRequestError::NotAVersion`] for the first entry that is
/// none.
pub fn parse_versions(list: &str, catalog: &Catalog) -> Result<Vec<PathVersion>, PlanRequestError> {
    if list.trim().is_empty() {
        return Err(PlanRequestError::EmptyPath);
    }
    list.split(',')
        .map(|entry| {
            let entry = entry.trim();
            entry
                .parse()
                .map_err(|error| PlanRequestError::NotAVersion {
                    error,
                    suggestion: nearest_version(entry, catalog),
                })
        })
        .collect()
}

fn nearest_version(entry: &str, catalog: &Catalog) -> Option<String> {
    let names: Vec<String> = catalog
        .usable()
        .map(|release| release.version.to_string())
        .chain(["current".to_owned()])
        .collect();
    nearest::nearest(entry, names.iter().map(String::as_str))
        .map(|name| format!("did you mean {name}?"))
}

/// The path of a request, and what the catalog has to say about versions that were named.
pub(crate) fn draw(
    request: &Request,
    catalog: &Catalog,
) -> Result<(Strategy, Vec<PathVersion>, Vec<String>), PlanRequestError> {
    let strategy = request.strategy.unwrap_or(match request.versions {
        Some(_) => Strategy::Versions,
        None => Strategy::Linear,
    });
    let mut warnings = Vec::new();
    let candidates = match &request.versions {
        Some(versions) => {
            warnings = admit(versions, catalog)?;
            versions.clone()
        }
        None if strategy == Strategy::Versions => return Err(PlanRequestError::NoVersions),
        None => {
            let usable: Vec<_> = catalog.usable().map(|r| r.version.clone().into()).collect();
            if usable.is_empty() {
                return Err(PlanRequestError::NothingToDraw {
                    target: catalog.target().to_owned(),
                });
            }
            usable.into_iter().chain([PathVersion::Current]).collect()
        }
    };
    let path = match (strategy, candidates.as_slice()) {
        (_, []) => return Err(PlanRequestError::EmptyPath),
        (Strategy::Direct, [first, .., last]) => vec![first.clone(), last.clone()],
        _ => candidates,
    };
    Ok((strategy, path, warnings))
}

/// Judges a path that a person asked for, version by version and hop by hop.
///
/// # Errors
///
/// The first version that the catalog refuses, then the first hop that cannot be rehearsed.
pub(crate) fn admit(
    path: &[PathVersion],
    catalog: &Catalog,
) -> Result<Vec<String>, PlanRequestError> {
    let mut warnings = Vec::new();
    for version in path {
        warnings.extend(catalog.admit(version)?);
    }
    forward_only(path)?;
    Ok(warnings)
}

/// Refuses repeated and backward hops. Nothing can rehearse them yet: a repeated version would be a restart, a
/// backward hop a downgrade.
fn forward_only(path: &[PathVersion]) -> Result<(), PlanRequestError> {
    for (index, version) in path.iter().enumerate() {
        if let Some(first) = path[..index].iter().position(|v| v == version) {
            return Err(PlanRequestError::Repeated {
                version: version.clone(),
                first: first + 1,
                second: index + 1,
            });
        }
    }
    match path.windows(2).find(|pair| pair[1] < pair[0]) {
        Some(pair) => Err(PlanRequestError::Backward {
            from: pair[0].clone(),
            to: pair[1].clone(),
        }),
        None => Ok(()),
    }
}
