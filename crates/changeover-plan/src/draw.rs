//! Random upgrade paths.
//!
//! One function draws for all generators. It makes its decisions in this order, which is as fixed as the generators are:
//! whether a candidate is kept, for each in the order given; if none was kept and nothing else is on the path, which
//! one is; if more were kept than the limit has room for, which of them stay.

use crate::python;
use crate::stream::Stream;
use changeover_model::version::PathVersion;
use thiserror::Error;

/// How an upgrade path is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// The probability that a candidate is kept: above 0, at most 1.
    pub probability: f64,
    /// The most versions that are drawn, the anchors among them; at least 1 and no fewer than the anchors. Stops that
    /// planning fills in where a hop is illegal, and versions that follow the draw, do not count.
    pub max_versions: Option<usize>,
}

impl Default for Draw {
    /// Every candidate with probability one half, and no limit.
    fn default() -> Self {
        Draw {
            probability: 0.5,
            max_versions: None,
        }
    }
}

/// Versions that are on a drawn path in any case, whether they are candidates or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchors {
    /// The version that the path begins with. Candidates older than it, or equal to it, are left out of the draw.
    pub first: Option<PathVersion>,
    /// The version that the path ends with. Candidates newer than it, or equal to it, are left out of the draw.
    pub last: Option<PathVersion>,
}

impl Anchors {
    /// How many versions of the path are taken.
    fn count(&self) -> usize {
        match (&self.first, &self.last) {
            (Some(first), Some(last)) if first == last => 1,
            (first, last) => usize::from(first.is_some()) + usize::from(last.is_some()),
        }
    }

    /// Whether a candidate may stand between them.
    fn admit(&self, version: &PathVersion) -> bool {
        self.first.as_ref().is_none_or(|first| version > first)
            && self.last.as_ref().is_none_or(|last| version < last)
    }

    /// The path between them, with them.
    fn enclose(&self, between: Vec<PathVersion>) -> Vec<PathVersion> {
        let last = self.last.iter().filter(|_| self.first != self.last);
        let path = self.first.iter().cloned().chain(between);
        path.chain(last.cloned()).collect()
    }
}

/// Why no upgrade path can be drawn.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum DrawError {
    /// Nothing to draw from.
    #[error("there is no version to draw an upgrade path from: give at least one candidate")]
    NoCandidates,
    /// A probability that is none, or with which nothing would ever be kept.
    #[error(
        "the probability that a version is kept is {probability}: give a number above 0 and at most 1"
    )]
    Probability {
        /// What was given.
        probability: f64,
    },
    /// No room for what must be on the path.
    #[error(
        "the limit of versions on the upgrade path is {max_versions}, but at least {least} must be on it: raise the limit or leave it out"
    )]
    Limit {
        /// What was given.
        max_versions: usize,
        /// What the limit may be at least.
        least: usize,
    },
    /// Anchors in the wrong order.
    #[error(
        "an upgrade path cannot begin with {first} and end with {last}, which is older: an upgrade goes forward only, so exchange them"
    )]
    Backward {
        /// The version to begin with.
        first: PathVersion,
        /// The older version to end with.
        last: PathVersion,
    },
}

/// What a draw needs of a generator of random numbers.
pub trait PathRandom {
    /// True with probability `p`, which is above 0 and at most 1.
    fn chance(&mut self, p: f64) -> bool;

    /// One of the versions, each place with the same probability; `None` if there is none.
    fn choose<'a>(&mut self, versions: &'a [PathVersion]) -> Option<&'a PathVersion>;

    /// `k` of the versions, each set of places with the same probability, in the order in which they stand on the path;
    /// `k` is not larger than their number.
    fn sample(&mut self, versions: &[PathVersion], k: usize) -> Vec<PathVersion>;
}

impl PathRandom for Stream {
    fn chance(&mut self, p: f64) -> bool {
        Stream::chance(self, p)
    }

    fn choose<'a>(&mut self, versions: &'a [PathVersion]) -> Option<&'a PathVersion> {
        match versions.len() {
            0 => None,
            n => Some(&versions[self.below(n as u64) as usize]),
        }
    }

    /// The order of the versions is kept.
    fn sample(&mut self, versions: &[PathVersion], k: usize) -> Vec<PathVersion> {
        pick(versions, Stream::sample(self, versions.len(), k))
    }
}

/// As the Python module draws, so that a path can be had again from the seed of its run.
impl PathRandom for python::Random {
    fn chance(&mut self, p: f64) -> bool {
        self.random() < p
    }

    fn choose<'a>(&mut self, versions: &'a [PathVersion]) -> Option<&'a PathVersion> {
        self.choice(versions)
    }

    /// Oldest first, because the module says `sorted(rng.sample(versions, k))`.
    fn sample(&mut self, versions: &[PathVersion], k: usize) -> Vec<PathVersion> {
        let mut sample = pick(versions, python::Random::sample(self, versions.len(), k));
        sample.sort();
        sample
    }
}

fn pick(versions: &[PathVersion], places: Vec<usize>) -> Vec<PathVersion> {
    let picked = places.into_iter().map(|place| versions[place].clone());
    picked.collect()
}

/// Draws an upgrade path as the Python function of this name does: every version is kept with probability one half, in
/// the order given; if none was kept, one is chosen.
///
/// # Errors
///
/// [`DrawError::NoCandidates`] if there are no versions.
pub fn generate_random_upgrade_path(
    versions: &[PathVersion],
    rng: &mut impl PathRandom,
) -> Result<Vec<PathVersion>, DrawError> {
    draw_path(versions, &Draw::default(), rng)
}

/// Draws an upgrade path from the candidates. It has at least one version.
///
/// Candidates are taken as they come, in their order and as often as they are there. Only Python's generator sorts, and
/// only what it had to cut down to [`Draw::max_versions`].
///
/// # Errors
///
/// [`DrawError::NoCandidates`] if there are no candidates; [`DrawError::Probability`] and [`DrawError::Limit`] for a
/// [`Draw`] that makes no sense.
pub fn draw_path(
    candidates: &[PathVersion],
    draw: &Draw,
    rng: &mut impl PathRandom,
) -> Result<Vec<PathVersion>, DrawError> {
    draw_between(candidates, draw, &Anchors::default(), rng)
}

/// Draws an upgrade path that begins and ends with given versions, from our own [`Stream`]: there is no Python run with
/// anchors that could be had again.
///
/// The anchors count towards [`Draw::max_versions`]. What lies between them may come out empty, also because no candidate
/// does; without anchors it is [`draw_path`]. The same version as both anchors is a path of that version alone.
///
/// # Errors
///
/// As [`draw_path`], though with an anchor there may be no candidates; [`DrawError::Backward`] if the first version is
/// newer than the last.
pub fn draw_anchored_path(
    candidates: &[PathVersion],
    draw: &Draw,
    anchors: &Anchors,
    rng: &mut Stream,
) -> Result<Vec<PathVersion>, DrawError> {
    draw_between(candidates, draw, anchors, rng)
}

fn draw_between(
    candidates: &[PathVersion],
    draw: &Draw,
    anchors: &Anchors,
    rng: &mut impl PathRandom,
) -> Result<Vec<PathVersion>, DrawError> {
    validate(draw, anchors)?;
    let mut kept: Vec<PathVersion> = candidates
        .iter()
        .filter(|version| anchors.admit(version))
        .filter(|_| rng.chance(draw.probability))
        .cloned()
        .collect();
    if kept.is_empty() && anchors.count() == 0 {
        let chosen = rng.choose(candidates).ok_or(DrawError::NoCandidates)?;
        kept.push(chosen.clone());
    }
    if let Some(max_versions) = draw.max_versions {
        let room = max_versions - anchors.count();
        if kept.len() > room {
            kept = rng.sample(&kept, room);
        }
    }
    Ok(anchors.enclose(kept))
}

fn validate(draw: &Draw, anchors: &Anchors) -> Result<(), DrawError> {
    let probability = draw.probability;
    // NaN is in no range.
    if !(probability > 0.0 && probability <= 1.0) {
        return Err(DrawError::Probability { probability });
    }
    if let (Some(first), Some(last)) = (&anchors.first, &anchors.last)
        && first > last
    {
        return Err(DrawError::Backward {
            first: first.clone(),
            last: last.clone(),
        });
    }
    let least = anchors.count().max(1);
    match draw.max_versions {
        Some(max_versions) if max_versions < least => Err(DrawError::Limit {
            max_versions,
            least,
        }),
        _ => Ok(()),
    }
}
