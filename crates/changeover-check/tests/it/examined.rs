//! What is said to be examined is what the sources examine.

use changeover_check::EXAMINED;
use changeover_model::check::Check;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The words `Check::…` in the sources of a directory, tests and the list itself aside.
fn named(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
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
