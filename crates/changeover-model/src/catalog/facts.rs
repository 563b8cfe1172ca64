//! What a release catalog is computed from, as its sources publish it.

use super::{DrawFrom, Series};
use crate::date::Date;
use crate::version::Version;
use serde::Deserialize;
use std::collections::BTreeSet;

/// What is published about a target's versions; [`ReleaseFacts::catalog`] says what follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFacts {
    /// The day on which these facts were collected.
    pub as_of: Option<Date>,
    /// Who publishes the series, as in "says Materialize's release notes".
    #[serde(default = "catalog_itself")]
    pub series_by: String,
    /// Who publishes the operator charts, and their flags.
    #[serde(default = "catalog_itself")]
    pub charts_by: String,
    /// What a path is drawn from; all usable versions if empty.
    #[serde(default)]
    pub draw_from: Vec<DrawFrom>,
    /// Single releases.
    #[serde(default)]
    pub release: Vec<SingleRelease>,
    /// Series of releases, known by their highest patch.
    #[serde(default)]
    pub series: Vec<SeriesFacts>,
    /// Operators, each of which carries one version.
    #[serde(default)]
    pub chart: Vec<Chart>,
    /// Versions that somebody calls unusable.
    #[serde(default)]
    pub unusable: Vec<ListedUnusable>,
    /// Tags seen besides, which say only that their version was published.
    #[serde(skip)]
    pub tags: BTreeSet<Version>,
    /// Where newer knowledge came from that was layered over these facts.
    #[serde(skip)]
    pub newer_from: Option<String>,
}

/// Who is to be named where the facts name nobody.
pub(super) fn catalog_itself() -> String {
    "the release catalog".to_owned()
}

/// One release, with a sentence of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SingleRelease {
    /// The version.
    pub version: Version,
    /// The day it was released.
    pub date: Date,
    /// What it changed, in a sentence.
    pub summary: String,
    /// Why nobody may upgrade to it, if so.
    pub unusable: Option<String>,
}

/// A series: its patches 0 to `highest_patch`, or only its release candidates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesFacts {
    /// Its name, `MAJOR.MINOR`.
    pub name: Series,
    /// The day its first version was, or shall be, released.
    pub date: Date,
    /// The number of its newest patch.
    pub highest_patch: u16,
    /// The number of its newest release candidate, if there is nothing but candidates; else 0.
    #[serde(default)]
    pub release_candidate: u16,
    /// Whether it was released.
    #[serde(default = "yes")]
    pub released: bool,
}

fn yes() -> bool {
    true
}

/// An operator's chart. A flag on it is about the chart, not about the version it carries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// The operator's version, which is the chart's.
    pub operator: Version,
    /// The version of the operator's program, if published.
    pub orchestratord: Option<Version>,
    /// The version of the target that it installs.
    pub environmentd: Version,
    /// The day it was released, if published.
    pub date: Option<Date>,
    /// Why it shall not be used, in its publisher's word, such as `do-not-use`.
    pub flag: Option<String>,
}

/// A version that somebody calls unusable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedUnusable {
    /// The version.
    pub version: Version,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub by: String,
}

/// What was published after the facts of a catalog were collected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Newer {
    /// Operator charts.
    pub charts: Vec<Chart>,
    /// Tags of versions.
    pub tags: BTreeSet<Version>,
}

impl ReleaseFacts {
    /// Reads facts from TOML: `as_of` and lists of `[[release]]`, `[[series]]`, `[[chart]]` and `[[unusable]]`.
    ///
    /// # Errors
    ///
    /// When the text is no such file, with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    /// Adds newer knowledge, which came from `from`.
    ///
    /// A chart that is known already stays as it is: its flag and its other facts are published elsewhere than in the
    /// index that lists it. Returns a warning, a sentence, for each that carries another version than is known. Doing
    /// this twice changes nothing.
    pub fn layer(&mut self, newer: &Newer, from: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        for chart in &newer.charts {
            let same = |known: &&Chart| known.operator == chart.operator;
            match self.chart.iter().find(same) {
                None => self.chart.push(chart.clone()),
                Some(known) if known.environmentd != chart.environmentd => warnings.push(format!(
                    "operator {} carries {} here and {} by what was known before, which is kept",
                    chart.operator, chart.environmentd, known.environmentd
                )),
                Some(_) => {}
            }
        }
        self.tags.extend(newer.tags.iter().cloned());
        self.newer_from = Some(from.to_owned());
        warnings
    }
}
