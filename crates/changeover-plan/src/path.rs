//! From versions to candidates, and from candidates to an upgrade path.

use crate::draw::{Anchors, Draw, draw_anchored_path, draw_path};
use crate::error::PlanRequestError;
use crate::python;
use crate::request::{DrawRequest, Generator, Request, Strategy};
use crate::route::Router;
use crate::seed::Seed;
use changeover_model::catalog::{Catalog, Release};
use changeover_model::nearest;
use changeover_model::version::{PathVersion, Version};

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
        .map(|entry| parse_version(entry, catalog))
        .collect()
}

/// Reads one version; spaces around it do not count.
///
/// # Errors
///
/// [`PlanRequestError::NotAVersion`], with the nearest version of the catalog.
pub fn parse_version(text: &str, catalog: &Catalog) -> Result<PathVersion, PlanRequestError> {
    let text = text.trim();
    text.parse().map_err(|error| PlanRequestError::NotAVersion {
        error,
        suggestion: nearest_version(text, catalog),
    })
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

/// The path of a request, whose hops nobody has judged yet, and what the catalog has to say about versions that a
/// person named.
pub(crate) fn draw(
    request: &Request,
    catalog: &Catalog,
    router: &Router<'_>,
    seed: &Seed,
) -> Result<(Vec<PathVersion>, Vec<String>), PlanRequestError> {
    let strategy = request.strategy();
    refuse_strangers(request, strategy)?;
    let named = [&request.versions, &Some(request.then.clone())];
    let anchors = [&request.draw.first, &request.draw.last];
    let named = named.into_iter().flatten().flatten();
    let mut warnings = admit(named.chain(anchors.into_iter().flatten()), catalog)?;
    let mut path = match strategy {
        Strategy::Route => {
            let (path, more) = along_route(request, catalog, router)?;
            warnings.extend(more);
            path
        }
        Strategy::Versions => match &request.versions {
            Some(versions) => versions.clone(),
            None => return Err(PlanRequestError::NoVersions),
        },
        Strategy::Linear => candidates(request, catalog)?,
        Strategy::Direct => match candidates(request, catalog)?.as_slice() {
            [first, .., last] => vec![first.clone(), last.clone()],
            one => one.to_vec(),
        },
        Strategy::Random => at_random(&request.draw, &candidates(request, catalog)?, seed)?,
    };
    path.extend(request.then.iter().cloned());
    if path.is_empty() {
        return Err(PlanRequestError::EmptyPath);
    }
    Ok((path, warnings))
}

/// Options that belong to another strategy would be ignored in silence.
fn refuse_strangers(request: &Request, strategy: Strategy) -> Result<(), PlanRequestError> {
    let DrawRequest {
        generator,
        probability,
        max_versions,
        first,
        last,
    } = &request.draw;
    let drawing = [
        ("--rng", generator.is_some()),
        ("--probability", probability.is_some()),
        ("--max-versions", max_versions.is_some()),
        ("--first", first.is_some()),
        ("--last", last.is_some()),
    ];
    let stranger = match strategy {
        Strategy::Random => None,
        _ => drawing.into_iter().find(|(_, given)| *given),
    };
    if let Some((option, _)) = stranger {
        return Err(PlanRequestError::Stranger {
            option,
            belongs_to: Strategy::Random,
            strategy,
        });
    }
    match (strategy, &request.ends, &request.versions) {
        (Strategy::Route, None, _) => Err(PlanRequestError::NoEnds),
        (Strategy::Route, Some(_), Some(_)) => Err(PlanRequestError::EndsAndVersions),
        (Strategy::Route, ..) | (_, None, _) => Ok(()),
        (_, Some(_), _) => Err(PlanRequestError::Stranger {
            option: "--from",
            belongs_to: Strategy::Route,
            strategy,
        }),
    }
}

fn candidates(request: &Request, catalog: &Catalog) -> Result<Vec<PathVersion>, PlanRequestError> {
    if let Some(versions) = &request.versions {
        return match versions.as_slice() {
            [] => Err(PlanRequestError::EmptyPath),
            _ => Ok(versions.clone()),
        };
    }
    let mut candidates: Vec<PathVersion> = catalog
        .drawn()
        .map(|release| release.version.clone().into())
        .collect();
    if candidates.is_empty() {
        return Err(PlanRequestError::NothingToDraw {
            target: catalog.target().to_owned(),
        });
    }
    // As those who draw paths do it: what is drawn is a released version, and `current` follows if it is asked for.
    if request.strategy() != Strategy::Random {
        candidates.push(PathVersion::Current);
    }
    Ok(candidates)
}

fn at_random(
    request: &DrawRequest,
    candidates: &[PathVersion],
    seed: &Seed,
) -> Result<Vec<PathVersion>, PlanRequestError> {
    let mut draw = Draw::default();
    if let Some(probability) = request.probability {
        draw.probability = probability;
    }
    if let Some(most) = request.max_versions {
        let most = usize::try_from(most).ok().filter(|most| *most > 0);
        draw.max_versions = Some(most.ok_or_else(|| PlanRequestError::OutOfRange {
            what: "the largest number of versions",
            value: request.max_versions.unwrap_or_default().to_string(),
            range: "at least 1",
        })?);
    }
    let anchors = Anchors {
        first: request.first.clone(),
        last: request.last.clone(),
    };
    let path = match request.generator.unwrap_or(Generator::Chacha) {
        Generator::Chacha => {
            draw_anchored_path(candidates, &draw, &anchors, &mut seed.stream("path"))
        }
        Generator::Python if anchors != Anchors::default() => {
            return Err(PlanRequestError::PythonKnowsNoAnchors);
        }
        Generator::Python => draw_path(candidates, &draw, &mut python::Random::new(seed)),
    };
    Ok(path?)
}

fn along_route(
    request: &Request,
    catalog: &Catalog,
    router: &Router<'_>,
) -> Result<(Vec<PathVersion>, Vec<String>), PlanRequestError> {
    let Some((from, to)) = &request.ends else {
        return Err(PlanRequestError::NoEnds);
    };
    let mut warnings = admit([from], catalog)?;
    warnings.extend(admit_stop(to, catalog)?);
    let path = match router.stops(from, to) {
        _ if from.is_same(to) && !request.allow_restart && !request.allow_illegal => {
            return Err(PlanRequestError::SameEnds {
                version: from.clone(),
            });
        }
        Some(stops) => stops,
        // Judged, and allowed, reported or refused, like any other hop.
        None => vec![from.clone(), to.clone()],
    };
    Ok((path, warnings))
}

/// Judges versions that a person named.
///
/// # Errors
///
/// The first that the catalog refuses.
pub(crate) fn admit<'a>(
    versions: impl IntoIterator<Item = &'a PathVersion>,
    catalog: &Catalog,
) -> Result<Vec<String>, PlanRequestError> {
    let mut warnings = Vec::new();
    for version in versions {
        warnings.extend(catalog.admit(version)?);
    }
    Ok(warnings)
}

/// Judges the version that a route shall lead to: nobody is led to what is unusable.
///
/// # Errors
///
/// When it is unusable, or unknown to a catalog that knows all.
pub fn admit_stop(
    version: &PathVersion,
    catalog: &Catalog,
) -> Result<Option<String>, PlanRequestError> {
    match version.known().and_then(|known| catalog.get(known)) {
        Some(Release {
            unusable: Some(unusable),
            version,
            ..
        }) => Err(PlanRequestError::UnusableStop {
            version: version.clone(),
            why: format!("{}, says {}", unusable.reason, unusable.by),
            suggestion: newer_usable(version, catalog),
        }),
        _ => Ok(catalog.admit(version)?),
    }
}

/// The way out of an unusable version: the oldest usable one after it.
fn newer_usable(version: &Version, catalog: &Catalog) -> PathVersion {
    let next = catalog
        .finals()
        .find(|release| release.version > *version)
        .map(|release| release.version.clone());
    next.map_or(PathVersion::Current, PathVersion::Known)
}
