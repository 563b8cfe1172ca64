//! From facts to a catalog: which versions there are, and which of them may be used.
//!
//! A version is unusable if it is listed so; if at least one chart carries it and all that do are flagged; or if no
//! chart carries it and its series was not released. A tag of a final version shows that a series known by its
//! candidates alone was released since. A pre-release is no less usable for being one; see [`Catalog::finals`].

use super::facts::{Chart, ReleaseFacts, SeriesFacts, SingleRelease, catalog_itself};
use super::{Catalog, Release, Series, Unusable};
use crate::version::Version;
use std::collections::BTreeSet;

impl ReleaseFacts {
    /// The catalog that follows from these facts. `complete` says that a version which is not in it does not exist.
    pub fn catalog(&self, target: &str, complete: bool) -> Catalog {
        let releases = versions(self)
            .into_iter()
            .map(|version| release(self, version))
            .collect();
        Catalog {
            as_of: self.as_of,
            newer_from: self.newer_from.clone(),
            draw_from: self.draw_from.clone(),
            ..Catalog::new(target, complete, releases)
        }
    }
}

/// Every version that the facts know of.
fn versions(facts: &ReleaseFacts) -> BTreeSet<Version> {
    let named = facts.release.iter().map(|single| &single.version);
    let carried = facts.chart.iter().map(|chart| &chart.environmentd);
    let listed = facts.unusable.iter().map(|listed| &listed.version);
    named
        .chain(carried)
        .chain(listed)
        .chain(&facts.tags)
        .cloned()
        .chain(facts.series.iter().flat_map(expand))
        .collect()
}

fn expand(series: &SeriesFacts) -> Vec<Version> {
    let Series { major, minor } = series.name;
    match series.release_candidate {
        0 => (0..=series.highest_patch)
            .map(|patch| Version::new(major, minor, patch.into()))
            .collect(),
        newest => (1..=newest)
            .map(|number| Version::candidate(major, minor, number.into()))
            .collect(),
    }
}

fn release(facts: &ReleaseFacts, version: Version) -> Release {
    let single = facts.release.iter().find(|r| r.version == version);
    let series = facts.series.iter().find(|s| s.name == Series::of(&version));
    let mut operators: Vec<Chart> = facts
        .chart
        .iter()
        .filter(|chart| chart.environmentd == version)
        .cloned()
        .collect();
    operators.sort_by(|a, b| a.operator.cmp(&b.operator));
    let series_date = series.map(|s| s.date);
    Release {
        date: operators
            .iter()
            .filter_map(|chart| chart.date)
            .min()
            .or(single.map(|s| s.date))
            // The series' date is its first version's; nothing is known of later patches, nor on what day a series
            // will be released that was not.
            .or(series
                .filter(|s| s.released && version.semver().patch == 0)
                .map(|s| s.date)),
        series_date,
        summary: single.map(|s| s.summary.clone()).unwrap_or_default(),
        unusable: unusable(facts, &version, single, series, &operators),
        operators,
        version,
    }
}

fn unusable(
    facts: &ReleaseFacts,
    version: &Version,
    single: Option<&SingleRelease>,
    series: Option<&SeriesFacts>,
    charts: &[Chart],
) -> Option<Unusable> {
    let because = |reason: String, by: &str| {
        Some(Unusable {
            reason,
            by: by.to_owned(),
        })
    };
    if let Some(listed) = facts.unusable.iter().find(|l| l.version == *version) {
        return because(listed.reason.clone(), &listed.by);
    }
    if let Some(reason) = single.and_then(|s| s.unusable.clone()) {
        return because(reason, &catalog_itself());
    }
    if charts.iter().any(|chart| chart.flag.is_none()) {
        return None;
    }
    if !charts.is_empty() {
        let flags: Vec<String> = charts
            .iter()
            .filter_map(|chart| Some(format!("{} {}", chart.operator, chart.flag.as_ref()?)))
            .collect();
        let reason = format!("every operator with it is flagged: {}", flags.join(", "));
        return because(reason, &facts.charts_by);
    }
    let series = series.filter(|series| !series.released)?;
    let is_final = |tag: &&Version| !tag.is_prerelease() && Series::of(tag) == series.name;
    if series.release_candidate > 0 && facts.tags.iter().any(|tag| is_final(&tag)) {
        return None;
    }
    because(
        format!("series {} is not released", series.name),
        &facts.series_by,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Newer;
    use proptest::prelude::*;

    const FACTS: &str = r#"
        as_of = "2026-01-31"
        series_by = "the notes"
        charts_by = "the table"
        draw_from = ["1.2", "3"]
        series = [
            { name = "0.7", date = "2025-01-01", highest_patch = 2 },
            { name = "3.0", date = "2025-10-01", highest_patch = 1 },
            { name = "3.1", date = "2025-11-01", highest_patch = 0, released = false },
            { name = "3.2", date = "2025-12-01", highest_patch = 0, release_candidate = 2, released = false },
        ]
        chart = [
            { operator = "v1.2.1", environmentd = "v0.7.1", date = "2025-03-03" },
            { operator = "v1.2.0", environmentd = "v0.7.1", date = "2025-02-02", flag = "bad" },
            { operator = "v1.2.2", environmentd = "v0.7.9", date = "2025-04-04", flag = "worse" },
            { operator = "v1.1.0", environmentd = "v0.6.3", date = "2024-04-04" },
            { operator = "v3.1.1", environmentd = "v3.1.1", date = "2025-11-05" },
        ]
        unusable = [
            { version = "v0.7.0", reason = "loses writes", by = "the tests" },
            { version = "v0.5.0", reason = "no reason given", by = "the tests" },
        ]
    "#;

    fn facts() -> ReleaseFacts {
        ReleaseFacts::parse(FACTS).unwrap()
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn said(catalog: &Catalog, text: &str) -> String {
        match &catalog.get(&version(text)).expect(text).unusable {
            Some(Unusable { reason, by }) => format!("{reason} ({by})"),
            None => "usable".to_owned(),
        }
    }

    fn newer(tags: &[&str]) -> Newer {
        Newer {
            charts: Vec::new(),
            tags: tags.iter().map(|t| version(t)).collect(),
        }
    }

    #[test]
    fn every_version_is_judged_by_what_is_published() {
        let catalog = facts().catalog("sample", false);
        let all: Vec<String> = catalog
            .releases()
            .iter()
            .map(|r| format!("{}: {}", r.version, said(&catalog, &r.version.to_string())))
            .collect();
        assert_eq!(
            all,
            [
                "v0.5.0: no reason given (the tests)",
                "v0.6.3: usable",
                "v0.7.0: loses writes (the tests)",
                // Only one of its two charts is flagged.
                "v0.7.1: usable",
                "v0.7.2: usable",
                "v0.7.9: every operator with it is flagged: v1.2.2 worse (the table)",
                "v3.0.0: usable",
                "v3.0.1: usable",
                "v3.1.0: series 3.1 is not released (the notes)",
                // Its series is not released, but a chart carries it.
                "v3.1.1: usable",
                "v3.2.0-rc.1: series 3.2 is not released (the notes)",
                "v3.2.0-rc.2: series 3.2 is not released (the notes)",
            ]
        );
        assert_eq!(catalog.as_of().unwrap().to_string(), "2026-01-31");
    }

    #[test]
    fn a_path_is_drawn_from_operator_series_and_major_versions() {
        let drawn = |facts: &ReleaseFacts| -> Vec<String> {
            let catalog = facts.catalog("sample", false);
            catalog.drawn().map(|r| r.version.to_string()).collect()
        };
        assert_eq!(drawn(&facts()), ["v0.7.1", "v3.0.0", "v3.0.1", "v3.1.1"]);
        let everything = ReleaseFacts {
            draw_from: Vec::new(),
            ..facts()
        };
        assert_eq!(drawn(&everything).len(), 6);
        let catalog = facts().catalog("sample", false);
        let carried = |v: &str| catalog.carried_by(&version(v), "1.2".parse().unwrap());
        assert!(carried("v0.7.1") && carried("v0.7.9"));
        assert!(!carried("v0.6.3") && !carried("v3.0.0") && !carried("v9.9.9"));
    }

    #[test]
    fn a_date_is_the_earliest_charts_or_the_series_for_its_first_version() {
        let catalog = facts().catalog("sample", false);
        let dates = |v: &str| {
            let release = catalog.get(&version(v)).unwrap();
            [release.date, release.series_date].map(|d| d.map(|d| d.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(dates("v0.7.1"), [some("2025-02-02"), some("2025-01-01")]);
        assert_eq!(dates("v0.7.0"), [some("2025-01-01"), some("2025-01-01")]);
        assert_eq!(dates("v0.7.2"), [None, some("2025-01-01")]);
        assert_eq!(dates("v3.0.0"), [some("2025-10-01"), some("2025-10-01")]);
        // Not released: the day is the one that was planned.
        assert_eq!(dates("v3.1.0"), [None, some("2025-11-01")]);
        assert_eq!(dates("v3.2.0-rc.2"), [None, some("2025-12-01")]);
        assert_eq!(dates("v3.1.1"), [some("2025-11-05"), some("2025-11-01")]);
        assert_eq!(dates("v0.6.3"), [some("2024-04-04"), None]);
        assert_eq!(dates("v0.5.0"), [None, None]);
    }

    #[test]
    fn a_newer_tag_releases_only_a_series_of_candidates() {
        let mut facts = facts();
        let tags = [
            "v3.2.0",
            "v3.1.0",
            "v3.1.2",
            "v4.0.0",
            "v4.1.0-rc.1",
            "v0.7.0",
        ];
        assert_eq!(
            said(&facts.catalog("sample", false), "v3.2.0-rc.2"),
            "series 3.2 is not released (the notes)"
        );
        facts.layer(&newer(&tags), "tags.txt");
        let catalog = facts.catalog("sample", false);
        assert_eq!(
            tags.map(|tag| said(&catalog, tag)),
            [
                "usable",
                "series 3.1 is not released (the notes)",
                "series 3.1 is not released (the notes)",
                "usable",
                "usable",
                "loses writes (the tests)",
            ]
        );
        assert_eq!(said(&catalog, "v3.2.0-rc.2"), "usable");
        assert_eq!(
            catalog.knowledge(),
            "catalog of 2026-01-31, with newer knowledge from tags.txt,"
        );
    }

    #[test]
    fn a_tag_of_a_candidate_releases_no_series_and_nobody_is_sent_to_a_pre_release() {
        let mut facts = facts();
        facts.layer(&newer(&["v3.2.0-rc.3", "v3.9.0-rc.1"]), "tags.txt");
        let catalog = facts.catalog("sample", false);
        assert_eq!(
            said(&catalog, "v3.2.0-rc.3"),
            "series 3.2 is not released (the notes)"
        );
        // Nobody says anything against it; it may be named, and is neither drawn nor a stop.
        assert_eq!(said(&catalog, "v3.9.0-rc.1"), "usable");
        assert!(!catalog.finals().any(|r| r.version.is_prerelease()));
        assert!(!catalog.drawn().any(|r| r.version.is_prerelease()));
    }

    #[test]
    fn a_known_chart_keeps_its_flag() {
        let chart = |operator: &str, environmentd: &str| Chart {
            operator: version(operator),
            orchestratord: None,
            environmentd: version(environmentd),
            date: None,
            flag: None,
        };
        let charts = vec![
            chart("v1.2.2", "v0.7.9"),
            chart("v3.2.0", "v3.2.0"),
            chart("v3.1.0", "v3.1.0"),
        ];
        let mut facts = facts();
        let tags = BTreeSet::new();
        let warnings = facts.layer(&Newer { charts, tags }, "index.yaml");
        assert!(warnings.is_empty(), "{warnings:?}");
        let catalog = facts.catalog("sample", false);
        assert!(said(&catalog, "v0.7.9").contains("worse"));
        assert_eq!(said(&catalog, "v3.2.0"), "usable");
        assert_eq!(said(&catalog, "v3.1.0"), "usable");
    }

    #[test]
    fn who_carries_another_version_than_is_known_is_named_and_changes_nothing() {
        let chart = |operator: &str, environmentd: &str| Chart {
            operator: version(operator),
            orchestratord: None,
            environmentd: version(environmentd),
            date: None,
            flag: None,
        };
        let mut facts = facts();
        let charts = vec![
            chart("v1.2.1", "v0.7.2"),
            chart("v3.3.0", "v3.3.0"),
            chart("v3.3.0", "v3.3.1"),
        ];
        let tags = BTreeSet::new();
        let warnings = facts.layer(&Newer { charts, tags }, "index.yaml");
        assert_eq!(
            warnings,
            [
                "operator v1.2.1 carries v0.7.2 here and v0.7.1 by what was known before, which is kept",
                "operator v3.3.0 carries v3.3.1 here and v3.3.0 by what was known before, which is kept",
            ]
        );
        let catalog = facts.catalog("sample", false);
        assert!(catalog.carried_by(&version("v0.7.1"), "1.2".parse().unwrap()));
        assert!(!catalog.carried_by(&version("v0.7.2"), "1.2".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn layering_is_idempotent_and_forgets_nothing(
            tags in prop::collection::btree_set("v[0-4]\\.[0-3]\\.[0-3](-rc\\.[12])?", 0..12),
            operators in prop::collection::vec(("v[13]\\.[0-2]\\.[0-3]", "v[0-4]\\.[0-3]\\.[0-3]"), 0..6),
        ) {
            let newer = Newer {
                charts: operators
                    .iter()
                    .map(|(operator, environmentd)| Chart {
                        operator: version(operator),
                        orchestratord: None,
                        environmentd: version(environmentd),
                        date: None,
                        flag: None,
                    })
                    .collect(),
                tags: tags.iter().map(|t| version(t)).collect(),
            };
            let mut once = facts();
            once.layer(&newer, "a file");
            let mut twice = once.clone();
            twice.layer(&newer, "a file");
            prop_assert_eq!(&once, &twice);
            let (before, after) = (facts().catalog("s", false), once.catalog("s", false));
            for release in before.usable() {
                let now = after.get(&release.version).expect("nothing is forgotten");
                prop_assert_eq!(&now.unusable, &None, "{} was usable", release.version);
            }
            for tag in &newer.tags {
                prop_assert!(after.get(tag).is_some());
            }
        }
    }
}
