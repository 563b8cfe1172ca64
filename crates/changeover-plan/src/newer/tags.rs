//! Tags of images or commits.

use super::Found;
use changeover_model::Version;
use changeover_model::catalog::Newer;

/// The names of a list that has one a line. What stands behind a name, as `git tag -n` prints it, is a message; so is an
/// indented line.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split(char::is_whitespace).next().unwrap_or_default())
}

/// The versions among these names.
pub(super) fn found<'a>(parts: &'static str, names: impl Iterator<Item = &'a str>) -> Found {
    let mut found = Found {
        newer: Newer::default(),
        skipped: 0,
        total: 0,
        parts,
    };
    for name in names {
        found.total += 1;
        match release(name) {
            Some(version) => {
                found.newer.tags.insert(version);
            }
            None => found.skipped += 1,
        }
    }
    found
}

/// The version of a release tag. An image tag with `--` names a commit; `latest` and `devel-…` are no versions.
fn release(name: &str) -> Option<Version> {
    if name.contains("--") {
        return None;
    }
    name.parse().ok()
}
