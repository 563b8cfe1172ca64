//! What is said to be examined is what the sources examine.

use changeover_check::{EXAMINED, PROBED, probed};
use changeover_model::Probe;
use changeover_model::check::Check;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The words `Check::…` in a source or those of a directory, tests and the list itself aside.
fn named(place: &Path, found: &mut BTreeSet<String>) {
    let paths: Vec<PathBuf> = match place.is_dir() {
        true => fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect(),
        false => vec![place.to_owned()],
    };
    for path in paths {
        if path.is_dir() {
            named(&path, found);
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        if ["examined.rs", "testing.rs"].contains(&name) || name.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for rest in code.split("Check::").skip(1) {
            let word = rest.split(|c: char| !c.is_ascii_alphanumeric());
            found.extend(word.take(1).map(str::to_owned));
        }
    }
}

#[test]
fn the_list_is_what_the_sources_name() {
    let mut found = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    named(&root.join("src"), &mut found);
    // What planning finds is a finding of the verdict too.
    found.insert(format!("{:?}", Check::IllegalHop));
    let listed: BTreeSet<String> = EXAMINED.iter().map(|check| format!("{check:?}")).collect();
    assert_eq!(listed, found);
}

#[test]
fn a_probe_makes_the_checks_of_sets_and_gaps() {
    let mut found = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for place in ["probe", "set", "budget.rs"] {
        named(&root.join(place), &mut found);
    }
    let listed: BTreeSet<String> = PROBED.iter().map(|check| format!("{check:?}")).collect();
    assert_eq!(listed, found);

    let mut probe = Probe::from_json(
        r#"{"format":"changeover.probe/1","endpoint":"postgres://h/d","probe_interval_ms":100,"timeout_ms":2000,
            "write_table":"changeover_probe","sql":[],"http":[],"leader_apis":[],"budgets":{},"reproduce":""}"#,
    )
    .unwrap();
    assert_eq!(probed(&probe), PROBED);
    probe.write_table = None;
    assert_eq!(probed(&probe), [Check::Budget]);
}
