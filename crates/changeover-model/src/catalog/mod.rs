//! A target's known versions: which there are, since when, and why some are unusable.

mod facts;
mod rule;
mod series;

pub use facts::{Chart, ListedUnusable, Newer, ReleaseFacts, SeriesFacts, SingleRelease};
pub use series::{DrawFrom, Series};

use crate::date::Date;
use crate::nearest;
use crate::version::{PathVersion, Version};
use std::fmt;

/// One known version of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// The day it was released, if known.
    pub date: Option<Date>,
    /// The day the first version of its series was released, if known.
    pub series_date: Option<Date>,
    /// What it changed, in a sentence; may be empty.
    pub summary: String,
    /// The operators that carry it, oldest first.
    pub operators: Vec<Chart>,
    /// Why nobody may upgrade to it, if so.
    pub unusable: Option<Unusable>,
}

/// Why nobody may upgrade to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Why, in a few words.
    pub reason: String,
    /// Who says so.
    pub by: String,
}

/// A target's known versions, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    target: String,
    complete: bool,
    as_of: Option<Date>,
    newer_from: Option<String>,
    draw_from: Vec<DrawFrom>,
    releases: Vec<Release>,
}

/// A version that the catalog refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogError {
    /// Not known, and the catalog knows all.
    Unknown {
        /// The target.
        target: String,
        /// The version asked for.
        version: Version,
        /// What to do about it.
        suggestion: String,
    },
    /// Known, and not to be used.
    Unusable {
        /// The target.
        target: String,
        /// The version asked for.
        version: Version,
        /// Why.
        reason: String,
        /// What to do about it.
        suggestion: String,
    },
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogError::Unknown {
                target,
                version,
                suggestion,
            } => write!(f, "target {target} has no version {version}: {suggestion}"),
            CatalogError::Unusable {
                target,
                version,
                reason,
                suggestion,
            } => write!(
                f,
                "version {version} of target {target} is unusable ({reason}): {suggestion}"
            ),
        }
    }
}

impl std::error::Error for CatalogError {}

impl Catalog {
    /// A catalog of `target`. `complete` says that a version which is not listed does not exist.
    pub fn new(target: impl Into<String>, complete: bool, mut releases: Vec<Release>) -> Self {
        releases.sort_by(|a, b| a.version.cmp(&b.version));
        Catalog {
            target: target.into(),
            complete,
            as_of: None,
            newer_from: None,
            draw_from: Vec::new(),
            releases,
        }
    }

    /// Reads a catalog from the TOML form of [`ReleaseFacts`].
    ///
    /// # Errors
    ///
    /// When the text is no catalog, with the line.
    pub fn parse(target: &str, complete: bool, text: &str) -> Result<Self, String> {
        Ok(ReleaseFacts::parse(text)?.catalog(target, complete))
    }

    /// The target's name.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether a version that is not listed does not exist.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The day on which its facts were collected, newer knowledge aside.
    pub fn as_of(&self) -> Option<Date> {
        self.as_of
    }

    /// Where newer knowledge came from, if it was layered over the catalog's own.
    pub fn newer_from(&self) -> Option<&str> {
        self.newer_from.as_deref()
    }

    /// All known versions, oldest first.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// The versions that may be used, oldest first.
    pub fn usable(&self) -> impl DoubleEndedIterator<Item = &Release> {
        self.releases.iter().filter(|r| r.unusable.is_none())
    }

    /// The usable versions that are no pre-releases, oldest first. Nobody is sent through a pre-release who did not
    /// name it, and `current` counts as the newest of these.
    pub fn finals(&self) -> impl DoubleEndedIterator<Item = &Release> {
        self.usable().filter(|r| !r.version.is_prerelease())
    }

    /// The versions that a path is drawn from when nobody names any, oldest first: all of [`Catalog::finals`], unless
    /// the catalog narrows them down.
    pub fn drawn(&self) -> impl Iterator<Item = &Release> {
        let drawn = |release: &Release, from: &DrawFrom| match *from {
            DrawFrom::Operators(series) => carries(release, series),
            DrawFrom::Major(major) => release.version.semver().major == major,
        };
        self.finals().filter(move |release| {
            self.draw_from.is_empty() || self.draw_from.iter().any(|from| drawn(release, from))
        })
    }

    /// Whether an operator of that series, flagged or not, carries the version.
    pub fn carried_by(&self, version: &Version, operators: Series) -> bool {
        self.get(version)
            .is_some_and(|release| carries(release, operators))
    }

    /// The entry of a version.
    pub fn get(&self, version: &Version) -> Option<&Release> {
        let place = self
            .releases
            .binary_search_by(|release| release.version.cmp(version));
        place.ok().map(|index| &self.releases[index])
    }

    /// Judges a version that a person asked for by name.
    ///
    /// A catalog that can be incomplete keeps what it does not know or deems unusable, and returns a warning; a
    /// complete one refuses it.
    ///
    /// # Errors
    ///
    /// The refusal, with the nearest version that would do.
    pub fn admit(&self, version: &PathVersion) -> Result<Option<String>, CatalogError> {
        let PathVersion::Known(version) = version else {
            return Ok(None);
        };
        let target = &self.target;
        match self.get(version).map(|release| &release.unusable) {
            Some(None) => Ok(None),
            Some(Some(Unusable { reason, .. })) if self.complete => Err(CatalogError::Unusable {
                target: target.clone(),
                version: version.clone(),
                reason: reason.clone(),
                suggestion: self.instead_of(version),
            }),
            Some(Some(Unusable { reason, by })) => Ok(Some(format!(
                "version {version} of target {target} is unusable: {reason}, says {by}; it is kept because it was named"
            ))),
            // Who lists nothing cannot miss anything.
            None if self.releases.is_empty() && !self.complete => Ok(None),
            None if self.complete => Err(CatalogError::Unknown {
                target: target.clone(),
                version: version.clone(),
                suggestion: self.suggestion(version),
            }),
            None => Ok(Some(format!(
                "target {target}'s {} does not know {version}; the rules judge it, and --releases FILE gives newer knowledge",
                self.knowledge()
            ))),
        }
    }

    /// What this catalog is, with its date, as the middle of a sentence.
    fn knowledge(&self) -> String {
        let mut words = "catalog".to_owned();
        if let Some(date) = self.as_of {
            words.push_str(&format!(" of {date}"));
        }
        if let Some(from) = &self.newer_from {
            words.push_str(&format!(", with newer knowledge from {from},"));
        }
        words
    }

    /// The way past an unusable version: whoever named it knows its name.
    fn instead_of(&self, version: &Version) -> String {
        let later = self.usable().find(|release| release.version > *version);
        match later {
            Some(release) => format!("the next usable one is {}", release.version),
            None => "the next usable one is current".to_owned(),
        }
    }

    fn suggestion(&self, version: &Version) -> String {
        let names: Vec<String> = self
            .usable()
            .map(|r| r.version.to_string())
            .chain(["current".to_owned()])
            .collect();
        nearest::suggestion(&version.to_string(), names.iter().map(String::as_str))
    }
}

fn carries(release: &Release, operators: Series) -> bool {
    release
        .operators
        .iter()
        .any(|chart| Series::of(&chart.operator) == operators)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(complete: bool) -> Catalog {
        let facts = r#"
            as_of = "2026-01-31"
            release = [
                { version = "v0.2.0", date = "2026-01-01", summary = "", unusable = "withdrawn" },
                { version = "v0.1.0", date = "2026-01-01", summary = "" },
            ]
        "#;
        Catalog::parse("sample", complete, facts).unwrap()
    }

    #[test]
    fn a_complete_catalog_refuses_with_the_nearest_name() {
        let ask = |v: &str| {
            catalog(true)
                .admit(&v.parse().unwrap())
                .map_err(|e| e.to_string())
        };
        assert_eq!(ask("v0.1.0"), Ok(None));
        assert_eq!(ask("current"), Ok(None));
        assert_eq!(
            ask("v0.1.7").unwrap_err(),
            "target sample has no version v0.1.7: did you mean v0.1.0?"
        );
        assert_eq!(
            ask("v0.2.0").unwrap_err(),
            "version v0.2.0 of target sample is unusable (withdrawn): the next usable one is current"
        );
    }

    #[test]
    fn an_incomplete_catalog_warns() {
        let warning = |v: &str| catalog(false).admit(&v.parse().unwrap()).unwrap();
        assert_eq!(warning("v0.1.0"), None);
        assert_eq!(
            warning("v7.0.0").unwrap(),
            "target sample's catalog of 2026-01-31 does not know v7.0.0; the rules judge it, and --releases FILE gives newer knowledge"
        );
        assert_eq!(
            warning("v0.2.0").unwrap(),
            "version v0.2.0 of target sample is unusable: withdrawn, says the release catalog; it is kept because it was named"
        );
    }
}
