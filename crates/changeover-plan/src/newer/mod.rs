//! Reads what was published after a catalog was built in, from a file that somebody fetched.
//!
//! Three forms are told apart by how they look: a helm repository's `index.yaml`, a list of image tags (one a line, or
//! JSON as registries answer), and what `git tag` prints.

mod helm;
mod tags;
mod yaml;

use changeover_model::catalog::Newer;
use serde_json::Value;
use thiserror::Error;

/// Why a text gives no newer knowledge. The message goes on after the name of its file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NewerError {
    /// It names no release in any of the three forms.
    #[error(
        "names no release: give a helm index.yaml with the charts of {chart}, a list of image tags, or what git tag prints",
        chart = helm::CHART
    )]
    NoRelease,
    /// It begins like JSON, and is none.
    #[error("begins like JSON and is none ({0}): give it as the registry answered it")]
    Json(String),
    /// It has the entries of a helm index, and is no YAML.
    #[error(
        "has entries like a helm index and is no YAML ({0}): give it as the chart repository serves it"
    )]
    Yaml(String),
}

/// What one form had to say.
struct Found {
    newer: Newer,
    /// How many of its parts are no release, and how many there are.
    skipped: usize,
    total: usize,
    /// What a part is called, such as `lines`.
    parts: &'static str,
}

/// Reads newer knowledge, and says in a warning what of it is no release, if anything.
///
/// # Errors
///
/// When no release can be read from the text.
pub fn read(text: &str) -> Result<(Newer, Option<String>), NewerError> {
    let text = text.trim_start_matches('\u{feff}');
    let found = if text.trim_start().starts_with(['{', '[']) {
        let value = serde_json::from_str(text).map_err(|e| NewerError::Json(e.to_string()))?;
        from_json(&value)
    } else if text.lines().any(|line| line.starts_with("entries:")) {
        helm::charts(&yaml::read(text).map_err(NewerError::Yaml)?)
    } else {
        tags::found("lines", tags::lines(text))
    };
    if found.newer == Newer::default() {
        return Err(NewerError::NoRelease);
    }
    Ok((
        found.newer,
        warning(found.skipped, found.total, found.parts),
    ))
}

/// A list of tags as registries answer it, bare or as `{"tags": […]}`; or a helm index, which may be JSON too.
fn from_json(value: &Value) -> Found {
    let list = value.as_array().or_else(|| value["tags"].as_array());
    match list {
        Some(list) => tags::found(
            "tags",
            list.iter().map(|tag| tag.as_str().unwrap_or_default()),
        ),
        None => helm::charts(value),
    }
}

fn warning(skipped: usize, total: usize, parts: &str) -> Option<String> {
    let (are, were) = match skipped {
        0 => return None,
        1 => ("is", "was"),
        _ => ("are", "were"),
    };
    Some(format!(
        "{skipped} of {total} {parts} {are} no release and {were} skipped"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INDEX: &str = "\
apiVersion: v1
entries:
  another-chart:
  - version: 1.0.0
    appVersion: v9.9.9
  materialize-operator:
  - annotations: {note: \"an alias is no bomb: *a\"}
    appVersion: v26.30.0
    created: \"2026-06-26T12:34:56.789Z\"
    version: v26.30.0
  - appVersion: v26.31.0-rc.1
    version: v26.31.0
  - appVersion: v26.31.0
    version: v26.31.0-beta.1
  - version: 25.2.17
    appVersion: v0.147.21
generated: \"2026-06-27T00:00:00Z\"
";

    fn tags(text: &str) -> (Vec<String>, Option<String>) {
        let (newer, warning) = read(text).unwrap();
        assert!(newer.charts.is_empty());
        (
            newer.tags.iter().map(ToString::to_string).collect(),
            warning,
        )
    }

    #[test]
    fn an_index_is_read_for_the_operators_final_charts() {
        let (newer, warning) = read(INDEX).unwrap();
        let charts: Vec<String> = newer
            .charts
            .iter()
            .map(|c| {
                format!(
                    "{} {} {:?}",
                    c.operator,
                    c.environmentd,
                    c.date.map(|d| d.to_string())
                )
            })
            .collect();
        assert_eq!(
            charts,
            [
                "v26.30.0 v26.30.0 Some(\"2026-06-26\")",
                "v25.2.17 v0.147.21 None"
            ]
        );
        assert!(newer.tags.is_empty());
        assert_eq!(
            warning.unwrap(),
            "2 of 4 charts are no release and were skipped"
        );
        let json = r#"{"entries": {"materialize-operator": [{"version": "v1.0.0", "appVersion": "v1.0.0"}]}}"#;
        assert_eq!(read(json).unwrap().0.charts.len(), 1);
    }

    #[test]
    fn image_tags_are_releases_unless_they_name_a_commit_or_nothing() {
        let list = "v26.30.0\r\n\nv26.31.0-dev.0--main.g5a05\ndevel-5a05\nlatest\nv26.31.0-rc.1\n";
        let (found, warning) = tags(list);
        assert_eq!(found, ["v26.30.0", "v26.31.0-rc.1"]);
        assert_eq!(
            warning.unwrap(),
            "3 of 5 lines are no release and were skipped"
        );
        let answer = r#"{"name": "materialized", "tags": ["v26.30.0", "latest"]}"#;
        let (found, warning) = tags(answer);
        assert_eq!(found, ["v26.30.0"]);
        assert_eq!(
            warning.unwrap(),
            "1 of 2 tags is no release and was skipped"
        );
        assert_eq!(
            tags(r#"["v1.0.0", "v2.0.0"]"#),
            (vec!["v1.0.0".to_owned(), "v2.0.0".to_owned()], None)
        );
    }

    #[test]
    fn git_tags_may_have_another_prefix_or_a_message_behind_them() {
        let printed = "mz-debug-v0.5.0\nv26.29.0         Release v26.29.0\n    v1.0.0 in the message's second line\nv26.30.0\n";
        let (found, warning) = tags(printed);
        assert_eq!(found, ["v26.29.0", "v26.30.0"]);
        assert!(warning.unwrap().starts_with("2 of 4 lines"));
    }

    #[test]
    fn a_file_without_a_release_is_refused_in_a_sentence() {
        let refused = |text: &str| read(text).unwrap_err().to_string();
        for text in [
            "",
            "\n\n",
            "hello\nworld\n",
            "[]",
            "{\"tags\": 3}",
            "entries: {}\n",
        ] {
            assert!(
                refused(text).starts_with("names no release: give a helm index.yaml"),
                "{text}"
            );
        }
        assert!(refused("[\"v1.0.0\"").starts_with("begins like JSON and is none (EOF"));
        assert!(
            refused("entries:\n\t- x: [\n")
                .starts_with("has entries like a helm index and is no YAML (")
        );
    }

    #[test]
    fn aliases_and_depth_are_bounded() {
        let mut bomb = "a0: &a0 [v1.0.0]\n".to_owned();
        for n in 1..40 {
            bomb.push_str(&format!("a{n}: &a{n} [*a{m}, *a{m}, *a{m}]\n", m = n - 1));
        }
        bomb.push_str("entries: {materialize-operator: *a39}\n");
        assert_eq!(read(&bomb), Err(NewerError::NoRelease));
        let deep = format!("entries:\n  {}", "- ".repeat(100_000));
        assert!(matches!(read(&deep), Err(NewerError::Yaml(problem)) if problem.contains("64")));
    }

    proptest! {
        #[test]
        fn reading_never_panics(
            text in prop_oneof![any::<String>(), "entries:\n[ a-z:\\-\\[\\]{}&*!|>\"'\n\t.0-9]{0,80}", "[\\[{][\\[\\]{}\",:a-z0-9.]{0,40}"],
        ) {
            if let Ok((newer, _)) = read(&text) {
                prop_assert!(newer != Newer::default());
            }
        }

        #[test]
        fn a_damaged_index_never_panics(at in 0..INDEX.len(), what in any::<char>()) {
            let mut text: Vec<char> = INDEX.chars().collect();
            text[at] = what;
            let text: String = text.into_iter().collect();
            if let Ok((newer, _)) = read(&text) {
                prop_assert!(newer.charts.len() <= 4);
            }
        }

        #[test]
        fn every_release_of_a_list_is_found_in_each_form(
            versions in prop::collection::btree_set("v[0-9]{1,2}\\.[0-9]{1,3}\\.[0-9]{1,2}(-rc\\.[1-9])?", 1..9)
        ) {
            let versions: Vec<&String> = versions.iter().filter(|v| v.parse::<changeover_model::Version>().is_ok()).collect();
            prop_assume!(!versions.is_empty());
            let lines: String = versions.iter().map(|v| format!("{v}\n")).collect();
            let json = serde_json::to_string(&versions).unwrap();
            let (from_lines, from_json) = (read(&lines).unwrap().0, read(&json).unwrap().0);
            prop_assert_eq!(from_lines.tags.len(), versions.len());
            prop_assert_eq!(from_lines, from_json);
        }
    }
}
