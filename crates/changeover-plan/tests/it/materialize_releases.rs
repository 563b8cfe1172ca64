//! The release catalog of Materialize: what follows from the facts that are built in, and from newer ones.

use changeover_model::Catalog;
use changeover_model::catalog::Unusable;
use changeover_plan::Knowledge;

fn catalog() -> Catalog {
    Knowledge::of("materialize").unwrap().catalog
}

fn learned(text: &str) -> Catalog {
    let mut known = Knowledge::of("materialize").unwrap();
    known.learn(text, "a file").unwrap();
    known.catalog
}

fn said(catalog: &Catalog, version: &str) -> String {
    match catalog.get(&version.parse().unwrap()).map(|r| &r.unusable) {
        None => "unknown".to_owned(),
        Some(None) => "usable".to_owned(),
        Some(Some(Unusable { reason, by })) => format!("{reason}, says {by}"),
    }
}

#[test]
fn a_flag_on_an_operator_is_about_that_operator() {
    let catalog = catalog();
    let operators = |version: &str| -> Vec<String> {
        let release = catalog.get(&version.parse().unwrap()).unwrap();
        release
            .operators
            .iter()
            .map(|c| format!("{} {}", c.operator, c.flag.as_deref().unwrap_or("fine")))
            .collect()
    };
    assert_eq!(
        operators("v0.147.4"),
        ["v25.2.3 fine", "v25.2.4 do-not-use"]
    );
    assert_eq!(said(&catalog, "v0.147.4"), "usable");
    assert_eq!(
        operators("v0.147.20"),
        ["v25.2.15 do-not-use", "v25.2.16 fine"]
    );
    assert_eq!(said(&catalog, "v0.147.20"), "usable");
    assert_eq!(operators("v26.5.0"), ["v26.5.0 do-not-use"]);
}

#[test]
fn every_unusable_version_says_why_and_who_says_so() {
    let catalog = catalog();
    for (version, expected) in [
        (
            "v26.5.0",
            "marked 'do not use', says Materialize's documentation",
        ),
        // Its series is not released, but an operator without a flag carries it.
        ("v26.5.1", "usable"),
        (
            "v26.21.0-rc.1",
            "series 26.21 is not released, says the release notes in Materialize's documentation",
        ),
        ("v26.21.0", "unknown"),
        (
            "v0.130.3",
            "no reason given, says the list of bad self-managed versions in Materialize's test suite",
        ),
        (
            "v0.93.0",
            "accidental release, says the list of invalid versions in Materialize's test suite",
        ),
        ("v0.130.13", "usable"),
        ("v0.27.0", "usable"),
    ] {
        assert_eq!(said(&catalog, version), expected, "{version}");
    }
    // 29 are listed, and three series have nothing but a candidate.
    let unusable = catalog.releases().iter().filter(|r| r.unusable.is_some());
    assert_eq!(unusable.count(), 32);
    assert_eq!(catalog.releases().len(), 435);
}

#[test]
fn a_path_is_drawn_from_what_operators_25_2_carry_and_from_26() {
    let drawn: Vec<String> = catalog()
        .drawn()
        .map(|release| release.version.to_string())
        .collect();
    let expected = "v0.147.0 v0.147.4 v0.147.6 v0.147.17 v0.147.18 v0.147.20 v26.0.0 v26.1.0 v26.2.0 v26.3.0 v26.4.0 \
        v26.5.1 v26.6.0 v26.7.0 v26.8.0 v26.9.0 v26.10.0 v26.10.1 v26.10.2 v26.11.0 v26.12.0 v26.12.1 v26.13.0 \
        v26.14.0 v26.14.1 v26.15.0 v26.16.0 v26.17.0 v26.17.1 v26.18.0 v26.19.0 v26.20.0 v26.20.1 v26.20.2 v26.22.0";
    assert_eq!(drawn.join(" "), expected);
}

#[test]
fn a_tag_says_that_a_series_of_candidates_was_released() {
    let catalog = learned("v26.21.0\nv26.5.0\nv26.5.2\nv26.30.0\nv26.31.0-rc.1\n");
    assert_eq!(said(&catalog, "v26.21.0"), "usable");
    assert_eq!(said(&catalog, "v26.30.0"), "usable");
    assert!(said(&catalog, "v26.5.0").starts_with("marked 'do not use'"));
    assert!(said(&catalog, "v26.5.2").starts_with("series 26.5 is not released"));
    // The candidate of a series that nobody speaks of may be named; it is not drawn.
    assert_eq!(said(&catalog, "v26.31.0-rc.1"), "usable");
    assert!(!catalog.drawn().any(|r| r.version.is_prerelease()));
    assert!(catalog.drawn().any(|r| r.version.to_string() == "v26.30.0"));
}

#[test]
fn an_index_adds_operators_and_takes_no_flag_away() {
    let catalog = learned(
        "entries:
  materialize-operator:
  - {version: v26.23.0, appVersion: v26.23.0, created: 2026-05-08T00:00:00Z}
  - {version: v26.5.0, appVersion: v26.5.0, created: 2025-12-23T00:00:00Z}
  - {version: v25.2.17, appVersion: v0.147.21, created: 2026-05-09T00:00:00Z}
",
    );
    assert_eq!(said(&catalog, "v26.23.0"), "usable");
    assert!(said(&catalog, "v26.5.0").starts_with("marked"));
    let carried = catalog.get(&"v0.147.21".parse().unwrap()).unwrap();
    assert_eq!(carried.date.unwrap().to_string(), "2026-05-09");
    assert!(catalog.carried_by(&carried.version, "25.2".parse().unwrap()));
    assert!(catalog.drawn().any(|r| r.version == carried.version));
}

#[test]
fn a_version_that_the_catalog_does_not_know_is_left_to_the_rules() {
    let warning = |catalog: &Catalog| {
        catalog
            .admit(&"v26.40.0".parse().unwrap())
            .unwrap()
            .unwrap()
    };
    assert_eq!(
        warning(&catalog()),
        "target materialize's catalog of 2026-05-04 does not know v26.40.0; the rules judge it, and --releases FILE gives newer knowledge"
    );
    assert!(
        warning(&learned("v26.30.0"))
            .contains("catalog of 2026-05-04, with newer knowledge from a file, does not know")
    );
}
