//! The ladder of releases: what each one is called, which store format it writes, and what it changed.

use std::fmt;

use crate::bug::{self, Bug};

/// One release of the reference database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Its name as `--version` takes it: `v0.1.0`, or `current` for the one built from these sources.
    pub version: &'static str,
    /// The name of the store format it writes. Releases refuse a store of a later format by this name.
    pub format: &'static str,
    /// The day of the release, `YYYY-MM-DD`; `None` for `current`.
    pub date: Option<&'static str>,
    /// What it changed, in one sentence.
    pub summary: &'static str,
    /// Why it was withdrawn, if it was. It can be played all the same: there are stores that it wrote.
    pub withdrawn: Option<&'static str>,
    /// Whether a promoted process goes on as the leader. If not, it exits with 166 to be restarted as the leader.
    pub promotes_in_place: bool,
    /// How many records its migration rewrites at a time, between which commits have their turn.
    pub(crate) portion: usize,
    /// The mark which every record written by this release carries; larger for later formats.
    pub(crate) mark: u8,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version)
    }
}

/// What most releases have in common.
const USUAL: Release = Release {
    version: "",
    format: "",
    date: None,
    summary: "",
    withdrawn: None,
    promotes_in_place: false,
    portion: 64,
    mark: 0,
};

static LADDER: [Release; 8] = [
    Release {
        version: "v0.1.0",
        format: "json-rows",
        date: Some("2026-01-12"),
        summary: "First release: every row effect is one JSON text in the log.",
        mark: 1,
        ..USUAL
    },
    Release {
        version: "v0.2.0",
        format: "tagged-rows",
        date: Some("2026-03-02"),
        summary: "Row effects are written in a tagged binary encoding instead of JSON.",
        mark: 2,
        ..USUAL
    },
    Release {
        version: "v0.3.0",
        format: "checked-rows",
        date: Some("2026-05-18"),
        summary: "Every record carries a checksum, and integers are written with variable length.",
        mark: 3,
        ..USUAL
    },
    Release {
        version: "v0.4.0",
        format: "batch-log",
        date: Some("2026-07-06"),
        summary: "A transaction is one record instead of one per row, and the store lists its DDL in a catalog table.",
        mark: 4,
        withdrawn: Some(
            "its migration rewrites the whole log at once and every write waits for it",
        ),
        portion: usize::MAX,
        ..USUAL
    },
    Release {
        version: "v0.5.0",
        format: "shared-names",
        date: Some("2026-07-20"),
        summary: "A record names each table once; the migration goes in small portions again.",
        mark: 5,
        ..USUAL
    },
    Release {
        version: "v0.6.0",
        format: "delta-keys",
        date: Some("2026-09-07"),
        summary: "A key is written as its difference from the key before it.",
        mark: 6,
        ..USUAL
    },
    Release {
        version: "v0.7.0",
        format: "short-values",
        date: Some("2026-10-26"),
        summary: "A promotion needs no restart, and small values share a byte with their kind.",
        mark: 7,
        promotes_in_place: true,
        ..USUAL
    },
    Release {
        version: "current",
        format: "row-runs",
        date: None,
        summary: "A promoted process starts afresh again, and similar row effects in a row are written as one run.",
        mark: 8,
        ..USUAL
    },
];

/// Every release this program can play, oldest first; the last one is `current`.
pub fn releases() -> &'static [Release] {
    &LADDER
}

/// The release called `name`, or the nearest known name. A missing leading `v` is forgiven.
///
/// # Errors
/// [`UnknownVersion`] if no release has that name.
pub fn find(name: &str) -> Result<&'static Release, UnknownVersion> {
    let wanted = name.strip_prefix('v').unwrap_or(name);
    LADDER
        .iter()
        .position(|release| release.version.strip_prefix('v').unwrap_or(release.version) == wanted)
        .map(|found| &LADDER[found.saturating_sub(bug::on(Bug::PlaysOlder).into())])
        .ok_or_else(|| {
            let nearest = LADDER
                .iter()
                .map(|release| release.version)
                .max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)))
                .unwrap_or("current");
            UnknownVersion {
                name: name.to_owned(),
                nearest,
            }
        })
}

/// The release that writes the format called `name`, if this program knows it.
pub(crate) fn by_format(name: &str) -> Option<&'static Release> {
    LADDER.iter().find(|release| release.format == name)
}

/// A version that is not on the ladder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown version `{name}` of the reference database; the nearest known one is `{nearest}`")]
pub struct UnknownVersion {
    /// What was asked for.
    pub name: String,
    /// The known version whose name is nearest.
    pub nearest: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_rise_and_names_differ() {
        for pair in LADDER.windows(2) {
            assert!(pair[0].mark < pair[1].mark);
            assert_ne!(pair[0].format, pair[1].format);
        }
    }

    #[test]
    fn dates_rise_and_both_ways_of_promotion_are_there() {
        let dates: Vec<_> = LADDER.iter().filter_map(|release| release.date).collect();
        assert!(dates.is_sorted());
        assert_eq!(dates.len(), LADDER.len() - 1, "only `current` has none");
        for in_place in [false, true] {
            let usable = LADDER.iter().filter(|release| release.withdrawn.is_none());
            assert!(
                usable
                    .skip(1)
                    .any(|release| release.promotes_in_place == in_place)
            );
        }
    }

    #[test]
    fn an_unknown_version_names_the_nearest() {
        assert_eq!(find("v0.2.0").unwrap().format, "tagged-rows");
        assert_eq!(find("0.3.0").unwrap().format, "checked-rows");
        assert_eq!(find("curent").unwrap_err().nearest, "current");
        assert_eq!(find("v0.2.9").unwrap_err().nearest, "v0.2.0");
    }
}
