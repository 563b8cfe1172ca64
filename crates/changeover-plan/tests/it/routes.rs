//! Routes: what they are on Materialize's catalog, and that no better ones exist.

use crate::materialize;
use changeover_model::catalog::Catalog;
use changeover_model::version::{PathVersion, Version};
use changeover_plan::route::{Reason, Route, Router, text};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn version(text: &str) -> PathVersion {
    text.parse().unwrap()
}

fn route_by(rules: &str, from: &str, to: &str) -> Route {
    let known = materialize();
    let names: Vec<String> = rules.split(',').map(str::to_owned).collect();
    let sets = known.rules.pick(Some(&names)).unwrap();
    Router::new(&known.catalog, sets, None).route(&version(from), &version(to))
}

fn route(from: &str, to: &str) -> Route {
    route_by("documentation,operator,engine", from, to)
}

fn stops(route: &Route) -> String {
    let stops = route.stops.iter().flatten().map(PathVersion::to_string);
    stops.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_way_to_v26_leads_through_its_two_gates() {
    let found = route("v0.130.11", "v26.22.0");
    assert_eq!(stops(&found), "v0.130.11 v0.147.20 v26.0.0 v26.22.0");
    let reasons: Vec<(String, &str, &str)> = found
        .reasons
        .iter()
        .map(|reason| {
            let Reason {
                stop,
                rule_set,
                text,
            } = reason;
            (stop.to_string(), rule_set.as_str(), text.as_str())
        })
        .collect();
    assert_eq!(
        reasons,
        [
            (
                "v0.147.20".to_owned(),
                "documentation",
                "the documentation goes to v26.0 only from v0.147.20 (operator v25.2.16)"
            ),
            (
                "v0.147.20".to_owned(),
                "operator",
                "the operator goes to v26 only from v0.147.20 and later patches, or from v0.164.0 on"
            ),
            (
                "v0.147.20".to_owned(),
                "engine",
                "the engine of v26 does not write data older than v0.147.0"
            ),
            (
                "v26.0.0".to_owned(),
                "documentation",
                "the documentation asks for a stop at v26.0.0"
            ),
        ]
    );
}

#[test]
fn a_disagreement_names_both_sides() {
    let found = route("v0.147.20", "v26.22.0");
    assert_eq!(stops(&found), "v0.147.20 v26.0.0 v26.22.0");
    let [disagreement] = found.disagreements.as_slice() else {
        panic!("{:?}", found.disagreements);
    };
    assert_eq!(disagreement.allows, ["operator", "engine"]);
    assert_eq!(disagreement.refuses, ["documentation"]);
    assert_eq!(
        disagreement.text,
        "the operator and the engine would allow v0.147.20 → v26.22.0 directly; the documentation asks for a stop at v26.0.0"
    );
    let by_operator = route_by("operator", "v0.147.20", "v26.22.0");
    assert_eq!(stops(&by_operator), "v0.147.20 v26.22.0");
    assert!(by_operator.disagreements.is_empty());
}

#[test]
fn of_several_shortest_routes_the_one_with_the_greatest_last_stop_wins() {
    // One minor at a time: any usable patch of v0.148 and of v0.149 would do.
    assert_eq!(
        stops(&route("v0.149.0", "v0.151.0")),
        "v0.149.0 v0.150.1 v0.151.0"
    );
    assert_eq!(
        stops(&route_by("engine", "v0.100.0", "v26.22.0")),
        "v0.100.0 v0.147.20 v26.22.0"
    );
}

#[test]
fn an_unusable_version_can_be_left_and_is_no_stop() {
    assert_eq!(stops(&route("v26.5.0", "v26.22.0")), "v26.5.0 v26.22.0");
    // v0.157.0 is unusable, its later patches are not.
    assert_eq!(
        stops(&route("v0.156.0", "v0.158.0")),
        "v0.156.0 v0.157.2 v0.158.0"
    );
}

#[test]
fn silence_allows_and_says_so() {
    let found = route("v0.150.0", "v0.151.0");
    assert_eq!(stops(&found), "v0.150.0 v0.151.0");
    let [reason] = found.reasons.as_slice() else {
        panic!("{:?}", found.reasons);
    };
    assert_eq!(reason.rule_set, "documentation");
    assert!(reason.text.contains("is silent"), "{}", reason.text);
}

#[test]
fn without_a_route_every_rule_set_says_why() {
    // Nobody ever published a v0.119, and the operator goes one minor at a time.
    let found = route("v0.118.0", "v0.120.0");
    assert_eq!(found.stops, None);
    let who: Vec<&str> = found.reasons.iter().map(|r| r.rule_set.as_str()).collect();
    assert_eq!(who, ["documentation", "operator", "engine"]);
    assert_eq!(
        found.reasons[2].text,
        "the engine alone would allow v0.118.0 → v0.120.0"
    );
    let back = route("v26.1.0", "v26.0.0");
    assert_eq!(back.stops, None);
    assert!(
        back.reasons
            .iter()
            .all(|reason| reason.text.contains("older") || reason.text.contains("newer"))
    );
    assert!(back.to_json().contains("\"stops\": null"));
}

#[test]
fn a_version_that_the_catalog_does_not_know_is_judged_by_the_rules() {
    assert_eq!(stops(&route("v26.22.0", "v27.1.0")), "v26.22.0 v27.1.0");
    assert_eq!(
        stops(&route("v0.147.20", "v27.1.0")),
        "v0.147.20 v26.0.0 v27.1.0"
    );
}

#[test]
fn current_is_as_the_newest_usable_version_unless_it_is_said_otherwise() {
    assert_eq!(
        stops(&route("v0.147.20", "current")),
        "v0.147.20 v26.0.0 current"
    );
    let known = materialize();
    let stops_by = |current: &str| {
        let current: Version = current.parse().unwrap();
        let router = Router::new(&known.catalog, known.rules.defaults(), Some(current));
        router.stops(&version("v26.1.0"), &PathVersion::Current)
    };
    assert_eq!(stops_by("v27.0.0").map(|stops| stops.len()), Some(2));
    // Nothing of v27 is known to stop at.
    assert_eq!(stops_by("v28.0.0"), None);
    assert_eq!(stops_by("v26.0.0"), None);
}

#[test]
fn current_is_one_hop_from_what_it_counts_as_and_from_what_is_newer_still() {
    for from in ["v26.22.0", "v26.24.0-rc.1", "v26.40.0", "v30.0.0"] {
        assert_eq!(stops(&route(from, "current")), format!("{from} current"));
    }
    assert_eq!(route("current", "v26.22.0").stops, None);
    assert_eq!(route("current", "current").stops, None);
}

#[test]
fn a_pre_release_is_an_end_and_no_stop() {
    let catalog = small_catalog(&["v26.0.0-rc.1", "v26.0.0-rc.2", "v26.22.0"]);
    let router = Router::new(&catalog, materialize().rules.defaults(), None);
    let stops = |from: &str, to: &str| router.stops(&version(from), &version(to));
    // The documentation would allow the way through either candidate.
    assert_eq!(stops("v0.147.20", "v26.22.0"), None);
    assert_eq!(stops("v0.147.20", "v26.0.0-rc.2").unwrap().len(), 2);
    assert_eq!(stops("v26.0.0-rc.2", "v26.22.0").unwrap().len(), 2);
}

#[test]
fn another_build_of_a_version_is_a_hop_away_and_the_same_build_is_not() {
    let (one, other) = ("v26.22.0--main.g1", "v26.22.0--main.g2");
    assert_eq!(stops(&route(one, other)), format!("{one} {other}"));
    assert_eq!(route(one, one).stops, None);
}

#[test]
fn a_rule_set_without_a_route_says_where_its_way_ends() {
    let found = route("v0.27.0", "v26.22.0");
    let texts: Vec<&str> = found.reasons.iter().map(|r| r.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "the documentation alone would allow v0.27.0 → v0.147.20 → v26.0.0 → v26.22.0",
            "the operator leads no further than v0.33.3: the operator goes one minor version at a time within v0, save from v0.130 to v0.147",
            "the engine alone would allow v0.27.0 → v0.147.20 → v26.22.0",
        ]
    );
    // Refused at once, and back: the hop's own reason says it all.
    let ahead = route_by("operator", "v26.22.0", "v28.0.0");
    assert_eq!(
        ahead.reasons[0].text,
        "the operator goes one major version at a time"
    );
    let back = route_by("operator", "v26.22.0", "v0.33.0");
    assert_eq!(
        back.reasons[0].text,
        "the operator refuses to go back to an older version"
    );
}

#[test]
fn people_read_sentences() {
    assert_eq!(
        text::render(&route("v0.147.20", "v26.22.0")),
        "v0.147.20 → v26.0.0 → v26.22.0\n\
         2 hops, by the rules of documentation, operator, engine\n  \
         v26.0.0: the documentation asks for a stop at v26.0.0\n\
         They disagree:\n  \
         the operator and the engine would allow v0.147.20 → v26.22.0 directly; the documentation asks for a stop at v26.0.0\n"
    );
}

/// Versions on both sides of everything that Materialize's rules speak about.
const INTERESTING: [&str; 19] = [
    "v0.118.0",
    "v0.129.2",
    "v0.130.9",
    "v0.130.11",
    "v0.131.0",
    "v0.146.2",
    "v0.147.0",
    "v0.147.19",
    "v0.147.20",
    "v0.148.0",
    "v0.149.0",
    "v0.163.0",
    "v0.164.0",
    "v26.0.0-rc.1",
    "v26.0.0",
    "v26.1.0",
    "v26.22.0",
    "v27.0.0",
    "v28.3.0",
];

/// One of them; beyond the last, current.
fn interesting(at: usize) -> PathVersion {
    INTERESTING
        .get(at)
        .map_or(PathVersion::Current, |text| version(text))
}

fn small_catalog(versions: &[&str]) -> Catalog {
    let list: Vec<String> = versions
        .iter()
        .map(|v| format!("{{ version = \"{v}\", date = \"2026-01-01\", summary = \"\" }}"))
        .collect();
    let facts = format!("as_of = \"2026-01-01\"\nrelease = [{}]", list.join(", "));
    Catalog::parse("sample", false, &facts).unwrap()
}

/// Every legal sequence of stops, without any cleverness.
fn all_routes(
    router: &Router<'_>,
    places: &[PathVersion],
    from: &PathVersion,
    to: &PathVersion,
) -> Vec<Vec<PathVersion>> {
    let between: Vec<&PathVersion> = places.iter().filter(|v| *v > from && *v < to).collect();
    let mut found = Vec::new();
    for chosen in 0..1_u32 << between.len() {
        let stops = between
            .iter()
            .enumerate()
            .filter(|(at, _)| chosen >> at & 1 == 1);
        let stops: Vec<PathVersion> = std::iter::once(from.clone())
            .chain(stops.map(|(_, v)| (*v).clone()))
            .chain([to.clone()])
            .collect();
        if stops.windows(2).all(|hop| router.legal(&hop[0], &hop[1])) {
            found.push(stops);
        }
    }
    found
}

proptest! {
    #[test]
    fn every_route_is_legal_and_none_is_better(
        listed in subsequence(INTERESTING.to_vec(), 2..11),
        sets in subsequence(vec!["documentation", "operator", "engine", "test-suite"], 1..=4),
        ends in (0..=19_usize, 0..=19_usize),
        current in prop::option::of(select(INTERESTING.to_vec())),
    ) {
        let catalog = small_catalog(&listed);
        let rules = &materialize().rules;
        let names: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let router = Router::new(&catalog, rules.pick(Some(&names)).unwrap(), current.map(|v| v.parse().unwrap()));
        let (from, to) = (interesting(ends.0), interesting(ends.1));
        prop_assume!(from != to);
        let places = listed.iter().filter(|v| !v.contains("-rc")).map(|v| version(v));
        let places: Vec<PathVersion> = places.collect();
        let best = match from < to {
            true => all_routes(&router, &places, &from, &to),
            false => Vec::new(),
        }
        .into_iter()
        // The shortest; of those the greatest, compared from the last stop backwards.
        .min_by_key(|stops| (stops.len(), std::cmp::Reverse(stops.iter().rev().cloned().collect::<Vec<_>>())));
        prop_assert_eq!(router.stops(&from, &to), best);
    }

    #[test]
    fn what_a_router_remembers_changes_no_answer(pairs in prop::collection::vec((0..=19_usize, 0..=19_usize), 1..20)) {
        let catalog = small_catalog(&INTERESTING);
        let rules = &materialize().rules;
        let used = Router::new(&catalog, rules.defaults(), None);
        for (from, to) in pairs {
            let (from, to) = (interesting(from), interesting(to));
            let fresh = Router::new(&catalog, rules.defaults(), None);
            prop_assert_eq!(used.route(&from, &to), fresh.route(&from, &to));
        }
    }
}
