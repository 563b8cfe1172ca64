//! Random upgrade paths, word for word.

use changeover_model::version::PathVersion;
use changeover_plan::python::Random;
use changeover_plan::{
    Anchors, Draw, DrawError, PathRandom, Seed, Stream, draw_anchored_path, draw_path,
    generate_random_upgrade_path,
};
use serde::Deserialize;

fn version(text: &str) -> PathVersion {
    text.parse().unwrap()
}

fn versions(list: &str) -> Vec<PathVersion> {
    list.split_whitespace().map(version).collect()
}

fn shown(path: &[PathVersion]) -> String {
    let names: Vec<String> = path.iter().map(PathVersion::to_string).collect();
    names.join(" ")
}

/// v1.0.0 to v1.11.0.
fn twelve() -> Vec<PathVersion> {
    let minor = |minor| version(&format!("v1.{minor}.0"));
    (0..12).map(minor).collect()
}

fn path_stream(seed: &str) -> Stream {
    seed.parse::<Seed>().unwrap().stream("path")
}

/// Draws with a probability and a limit from our own stream.
fn drawn(seed: &str, probability: f64, max_versions: Option<usize>) -> String {
    let draw = Draw {
        probability,
        max_versions,
    };
    shown(&draw_path(&twelve(), &draw, &mut path_stream(seed)).unwrap())
}

#[derive(Deserialize)]
struct Recorded {
    cases: Vec<Case>,
}

/// A path that the Python module drew.
#[derive(Deserialize)]
struct Case {
    versions: Vec<PathVersion>,
    seed: serde_json::Value,
    probability: f64,
    max_versions: Option<usize>,
    path: Vec<PathVersion>,
}

#[test]
fn every_recorded_python_path_is_drawn_again() {
    let text = include_str!("data/python-random-paths.json");
    let recorded: Recorded = serde_json::from_str(text).unwrap();
    assert_eq!(recorded.cases.len(), 32);
    for case in recorded.cases {
        let seed = match &case.seed {
            serde_json::Value::String(text) => format!("str:{text}"),
            number => number.to_string(),
        };
        let draw = Draw {
            probability: case.probability,
            max_versions: case.max_versions,
        };
        let mut random = Random::new(&seed.parse().unwrap());
        let path = draw_path(&case.versions, &draw, &mut random).unwrap();
        assert_eq!(shown(&path), shown(&case.path), "seed {seed}, {draw:?}");
    }
}

#[test]
fn paths_never_move() {
    // Computed a second time by a program that shares no code with us.
    assert_eq!(drawn("1", 0.5, None), "v1.2.0 v1.3.0 v1.6.0 v1.8.0");
    assert_eq!(drawn("1", 0.5, Some(3)), "v1.2.0 v1.6.0 v1.8.0");
    assert_eq!(drawn("-7", 0.5, Some(3)), "v1.3.0 v1.5.0 v1.10.0");
    assert_eq!(
        drawn("str:nightly", 0.5, None),
        "v1.0.0 v1.1.0 v1.4.0 v1.6.0 v1.8.0 v1.9.0 v1.10.0"
    );
    assert_eq!(drawn("42", 1.0, None), shown(&twelve()));
    // None was kept, one was chosen.
    assert_eq!(drawn("42", 0.05, None), "v1.11.0");
}

#[test]
fn anchors_are_on_the_path_and_count() {
    let anchors = Anchors {
        first: Some(version("v1.2.0")),
        last: Some(version("v1.9.0")),
    };
    let draw = |seed, max_versions| {
        let draw = Draw {
            max_versions,
            ..Draw::default()
        };
        let path = draw_anchored_path(&twelve(), &draw, &anchors, &mut path_stream(seed));
        shown(&path.unwrap())
    };
    assert_eq!(draw("1", Some(4)), "v1.2.0 v1.5.0 v1.6.0 v1.9.0");
    assert_eq!(draw("str:nightly", Some(4)), "v1.2.0 v1.3.0 v1.4.0 v1.9.0");
    assert_eq!(draw("1", Some(2)), "v1.2.0 v1.9.0");
}

#[test]
fn anchors_need_not_be_candidates() {
    let anchors = Anchors {
        first: Some(version("v0.9.0")),
        last: Some(PathVersion::Current),
    };
    let keep_all = Draw {
        probability: 1.0,
        max_versions: None,
    };
    let draw = |list| {
        let path = draw_anchored_path(&versions(list), &keep_all, &anchors, &mut path_stream("1"));
        shown(&path.unwrap())
    };
    assert_eq!(
        draw("v0.8.0 v1.0.0 current"),
        "v0.9.0 v1.0.0 current",
        "what is outside is left out, what is an anchor is there once"
    );
    assert_eq!(draw(""), "v0.9.0 current");
}

#[test]
fn one_version_as_both_anchors_is_a_path_of_its_own() {
    let anchors = Anchors {
        first: Some(version("v1.3.0")),
        last: Some(version("v1.3.0")),
    };
    let draw = Draw {
        max_versions: Some(1),
        ..Draw::default()
    };
    let path = draw_anchored_path(&twelve(), &draw, &anchors, &mut path_stream("1"));
    assert_eq!(path, Ok(versions("v1.3.0")));
}

#[test]
fn only_python_sorts_and_only_what_it_cut_down() {
    let unordered = versions("current v1.0.0 v1.2.0 v1.0.0");
    let seed: Seed = "3".parse().unwrap();
    let draw = |max_versions| Draw {
        probability: 1.0,
        max_versions,
    };
    let python = |max_versions| {
        let path = draw_path(&unordered, &draw(max_versions), &mut Random::new(&seed));
        shown(&path.unwrap())
    };
    assert_eq!(python(None), "current v1.0.0 v1.2.0 v1.0.0");
    assert_eq!(python(Some(4)), "current v1.0.0 v1.2.0 v1.0.0");
    assert_eq!(python(Some(3)), "v1.0.0 v1.2.0 current");
    let own = draw_path(&unordered, &draw(Some(3)), &mut path_stream("3"));
    assert_eq!(shown(&own.unwrap()), "current v1.0.0 v1.0.0");
}

#[test]
fn refusals_say_what_would_do() {
    let refused = |versions: &[PathVersion], probability, max_versions, anchors: Anchors| {
        let draw = Draw {
            probability,
            max_versions,
        };
        let error = draw_anchored_path(versions, &draw, &anchors, &mut path_stream("1"));
        error.unwrap_err().to_string()
    };
    let none = Anchors::default;
    assert_eq!(
        refused(&[], 0.5, None, none()),
        "there is no version to draw an upgrade path from: give at least one candidate"
    );
    for (probability, text) in [
        (0.0, "0"),
        (-0.1, "-0.1"),
        (1.01, "1.01"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(
            refused(&twelve(), probability, None, none()),
            format!(
                "the probability that a version is kept is {text}: give a number above 0 and at most 1"
            )
        );
    }
    assert_eq!(
        refused(&twelve(), 0.5, Some(0), none()),
        "the limit of versions on the upgrade path is 0, but at least 1 must be on it: raise the limit or leave it out"
    );
    let anchors = |first, last| Anchors {
        first: Some(version(first)),
        last: Some(version(last)),
    };
    assert_eq!(
        refused(&twelve(), 0.5, Some(1), anchors("v1.0.0", "v1.1.0")),
        "the limit of versions on the upgrade path is 1, but at least 2 must be on it: raise the limit or leave it out"
    );
    assert_eq!(
        refused(&twelve(), 0.5, None, anchors("current", "v1.1.0")),
        "an upgrade path cannot begin with current and end with v1.1.0, which is older: an upgrade goes forward only, so exchange them"
    );
}

#[test]
fn the_drop_in_refuses_an_empty_list_with_either_generator() {
    fn refused(rng: &mut impl PathRandom) -> DrawError {
        generate_random_upgrade_path(&[], rng).unwrap_err()
    }
    assert_eq!(refused(&mut path_stream("1")), DrawError::NoCandidates);
    let mut python = Random::new(&"1".parse().unwrap());
    assert_eq!(refused(&mut python), DrawError::NoCandidates);
}
