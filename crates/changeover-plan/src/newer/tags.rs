//! Tags of images or commits, from lines of text or from what registries answer.

use super::Found;
use changeover_model::Version;
use changeover_model::catalog::Newer;
use serde_json::Value;

/// Where the message begins that `git tag -n` prints behind a name, in bytes, unless the name is longer.
const MESSAGE_COLUMN: usize = 16;

/// The names of a list, one a line or several.
///
/// Messages of `git tag -n` are left out; an indented line, which goes on with one, is a single name at most. Of the lines
/// of `git ls-remote` the tag is the name, and those that say what an annotated tag points to are left out.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r'])
        .filter(|line| !line.trim().is_empty())
        .flat_map(names)
}

fn names(line: &str) -> Vec<&str> {
    if let Some((_, name)) = line.split_once("refs/tags/") {
        let points_on = name.trim_end().ends_with("^{}");
        return Vec::from_iter((!points_on).then(|| name.trim_end()));
    }
    if line.starts_with(char::is_whitespace) {
        return vec![line.trim()];
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [name, second, ..] if is_message(line, name, second) => vec![name],
        _ => words,
    }
}

/// Whether what follows a line's first word is a message about it, rather than more names.
fn is_message(line: &str, name: &str, second: &str) -> bool {
    let column = line.len() - line[name.len()..].trim_start().len();
    column >= MESSAGE_COLUMN && (second == name || release(second).is_none())
}

/// The names in a JSON list, as registries answer it: texts, or objects that have a `name`. Where GitHub lists packages,
/// the name is a digest, and the tags are in `metadata.container`.
pub(super) fn listed(list: &[Value]) -> impl Iterator<Item = &str> {
    list.iter().flat_map(
        |item| match item["metadata"]["container"]["tags"].as_array() {
            Some(tags) => tags.iter().map(text).collect(),
            None if item.is_object() => vec![text(&item["name"])],
            None => vec![text(item)],
        },
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
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

/// The version of a release tag, which may stand between an image's name and its digest. A tag with `--` names a commit; `latest` and
/// `devel-…` are no versions.
fn release(name: &str) -> Option<Version> {
    let reference = name.split('@').next().unwrap_or_default();
    let tag = reference.rsplit(':').next().unwrap_or_default();
    if tag.contains("--") {
        return None;
    }
    tag.parse().ok()
}
