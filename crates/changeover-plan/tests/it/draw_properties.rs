//! What holds for every random upgrade path.

use changeover_model::version::{PathVersion, Version};
use changeover_plan::python::Random;
use changeover_plan::{
    Anchors, Draw, Seed, Stream, draw_anchored_path, draw_path, generate_random_upgrade_path,
};
use proptest::prelude::*;

fn version() -> impl Strategy<Value = PathVersion> {
    // Few of them, so that duplicates and equal anchors turn up.
    let known = (0..3_u64, 0..8_u64).prop_map(|(a, b)| Version::new(a, b, 0).into());
    prop_oneof![15 => known, 1 => Just(PathVersion::Current)]
}

/// Candidates as they come: unordered, and some twice.
fn candidates() -> impl Strategy<Value = Vec<PathVersion>> {
    prop::collection::vec(version(), 1..40)
}

fn draws() -> impl Strategy<Value = Draw> {
    (0.001..=1.0, prop::option::of(2..8_usize)).prop_map(|(probability, max_versions)| Draw {
        probability,
        max_versions,
    })
}

fn seeds() -> impl Strategy<Value = Seed> {
    "-?[0-9]{1,30}|str:[^\\p{C}\\p{Zl}\\p{Zp}]{0,12}".prop_map(|text| text.parse().unwrap())
}

/// In order of version where it says so, which changes nothing if they are in order already.
fn anchors() -> impl Strategy<Value = Anchors> {
    (prop::option::of(version()), prop::option::of(version())).prop_map(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => Anchors {
            first: Some(a.clone().min(b.clone())),
            last: Some(a.max(b)),
        },
        (first, last) => Anchors { first, last },
    })
}

fn stream(seed: &Seed) -> Stream {
    seed.stream("path")
}

/// Whether `part` is `whole` with some places left out.
fn is_subsequence(part: &[PathVersion], whole: &[PathVersion]) -> bool {
    let mut rest = whole.iter();
    part.iter()
        .all(|version| rest.any(|other| other == version))
}

proptest! {
    #[test]
    fn a_path_is_some_of_the_candidates_in_their_order(
        candidates in candidates(), draw in draws(), seed in seeds(),
    ) {
        let path = draw_path(&candidates, &draw, &mut stream(&seed)).unwrap();
        prop_assert!(!path.is_empty());
        prop_assert!(path.len() <= draw.max_versions.unwrap_or(candidates.len()));
        prop_assert!(is_subsequence(&path, &candidates), "{path:?}");
    }

    #[test]
    fn a_python_path_is_some_of_the_sorted_candidates(
        mut candidates in candidates(), draw in draws(), seed in seeds(),
    ) {
        candidates.sort();
        let path = draw_path(&candidates, &draw, &mut Random::new(&seed)).unwrap();
        prop_assert!(!path.is_empty());
        prop_assert!(path.len() <= draw.max_versions.unwrap_or(candidates.len()));
        prop_assert!(is_subsequence(&path, &candidates), "{path:?}");
    }

    #[test]
    fn anchors_are_where_they_belong(
        candidates in candidates(), draw in draws(), anchors in anchors(), seed in seeds(),
    ) {
        let path = draw_anchored_path(&candidates, &draw, &anchors, &mut stream(&seed)).unwrap();
        prop_assert!(path.len() <= draw.max_versions.unwrap_or(candidates.len() + 2));
        let mut between = path.as_slice();
        if let Some(first) = &anchors.first {
            prop_assert_eq!(between.split_off_first(), Some(first));
        }
        if let Some(last) = &anchors.last && anchors.first != anchors.last {
            prop_assert_eq!(between.split_off_last(), Some(last));
        }
        prop_assert!(is_subsequence(between, &candidates), "{path:?}");
        for version in between {
            prop_assert!(anchors.first.as_ref().is_none_or(|first| first < version), "{path:?}");
            prop_assert!(anchors.last.as_ref().is_none_or(|last| version < last), "{path:?}");
        }
    }

    #[test]
    fn without_anchors_it_is_the_plain_draw(
        candidates in candidates(), draw in draws(), seed in seeds(),
    ) {
        let plain = draw_path(&candidates, &draw, &mut stream(&seed));
        let anchored =
            draw_anchored_path(&candidates, &draw, &Anchors::default(), &mut stream(&seed));
        prop_assert_eq!(plain, anchored);
    }

    #[test]
    fn the_same_seed_gives_the_same_path(candidates in candidates(), seed in seeds()) {
        let own = || generate_random_upgrade_path(&candidates, &mut stream(&seed));
        prop_assert_eq!(own(), own());
        let python = || generate_random_upgrade_path(&candidates, &mut Random::new(&seed));
        prop_assert_eq!(python(), python());
    }

    #[test]
    fn python_knows_no_sign(candidates in candidates(), number in "[1-9][0-9]{0,40}") {
        let path = |seed: &str| {
            let mut random = Random::new(&seed.parse().unwrap());
            generate_random_upgrade_path(&candidates, &mut random)
        };
        prop_assert_eq!(path(&number), path(&format!("-{number}")));
    }
}
