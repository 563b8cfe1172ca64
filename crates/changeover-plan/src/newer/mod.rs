//! Reads what was published after a catalog was built in, from a file that somebody fetched.
//!
//! Three forms are told apart by what they hold: the index of a helm repository, YAML or JSON, has `entries`; what a
//! registry answers is JSON with a list; anything else is names, as `git tag`, `git ls-remote --tags` and lists of images
//! have them.

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
    /// It is an index, of other charts.
    #[error(
        "is a helm index without a final chart of {chart}: give the index of the repository that publishes it",
        chart = helm::CHART
    )]
    NoChart,
    /// It begins like JSON, and is none.
    #[error("begins like JSON and cannot be read ({0}): give the whole answer of the registry")]
    Json(String),
    /// It has the entries of a helm index, and is no YAML.
    #[error(
        "has entries like a helm index and cannot be read ({0}): give the whole index as the chart repository serves it"
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
    let document = document(text)?;
    let (found, nothing) = match &document {
        Some(index) if is_index(index) => (helm::charts(index), NewerError::NoChart),
        Some(answer) => (from_registry(answer), NewerError::NoRelease),
        None => (
            tags::found("names", tags::lines(text)),
            NewerError::NoRelease,
        ),
    };
    if found.newer == Newer::default() {
        return Err(nothing);
    }
    Ok((
        found.newer,
        warning(found.skipped, found.total, found.parts),
    ))
}

/// The text as an index or a registry's answer; `None` if it is neither.
fn document(text: &str) -> Result<Option<Value>, NewerError> {
    let yaml = || yaml::read(text).map(|value| Some(value).filter(is_index));
    if text.trim_start().starts_with(['{', '[']) {
        return match serde_json::from_str(text) {
            Ok(value) => Ok(Some(value)),
            // YAML in flow style begins like JSON.
            Err(error) => match yaml() {
                Ok(Some(index)) => Ok(Some(index)),
                _ => Err(NewerError::Json(error.to_string())),
            },
        };
    }
    match yaml() {
        Ok(index) => Ok(index),
        Err(problem) if begins_an_index(text) => Err(NewerError::Yaml(problem)),
        // Most lists of names are no YAML, and need not be.
        Err(_) => Ok(None),
    }
}

fn is_index(value: &Value) -> bool {
    value["entries"].is_object()
}

/// Whether a text that cannot be read was meant as an index.
fn begins_an_index(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(key, _)| key.trim_end().trim_matches(['"', '\'']) == "entries")
}

/// A list of tags as registries answer it: bare, or as `{"tags": […]}` or `{"results": […]}`.
fn from_registry(answer: &Value) -> Found {
    let lists = [answer, &answer["tags"], &answer["results"]];
    let list = lists.into_iter().find_map(Value::as_array);
    tags::found("tags", tags::listed(list.map_or(&[], Vec::as_slice)))
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
    }

    #[test]
    fn an_index_is_known_by_what_it_holds_however_it_is_written() {
        for index in [
            r#"{"entries": {"materialize-operator": [{"version": "v1.0.0", "appVersion": "v1.0.0"}]}}"#,
            "{apiVersion: v1, entries: {materialize-operator: [{version: v1.0.0, appVersion: v1.0.0}]}}",
            "\"entries\":\n  \"materialize-operator\":\n  - \"version\": \"v1.0.0\"\n    \"appVersion\": v1.0.0\n",
            "--- # served\n'entries' : {materialize-operator: [{version: 1.0.0, appVersion: v1.0.0}]}\n",
        ] {
            let (newer, warning) = read(index).unwrap();
            assert_eq!((newer.charts.len(), warning), (1, None), "{index}");
            assert!(newer.tags.is_empty(), "{index}");
        }
        // Cut short, its lines are no list of tags.
        let cut = "\"entries\":\n  materialize-operator:\n  - {version: v1.0.0";
        assert!(matches!(read(cut), Err(NewerError::Yaml(_))));
    }

    #[test]
    fn image_tags_are_releases_unless_they_name_a_commit_or_nothing() {
        let list = "v26.30.0\r\n\nv26.31.0-dev.0--main.g5a05\ndevel-5a05\nlatest\nv26.31.0-rc.1\n";
        let (found, warning) = tags(list);
        assert_eq!(found, ["v26.30.0", "v26.31.0-rc.1"]);
        assert_eq!(
            warning.unwrap(),
            "3 of 5 names are no release and were skipped"
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
        assert!(warning.unwrap().starts_with("2 of 4 names"));
    }

    #[test]
    fn names_may_share_a_line_and_lines_may_end_as_they_like() {
        for text in [
            "v26.30.0 v26.31.0\n",
            "v26.30.0\rv26.31.0\r",
            "v26.30.0\r\nv26.31.0",
            "v26.30.0         v26.31.0\n",
        ] {
            let (found, warning) = tags(text);
            assert_eq!(
                (found.join(" "), warning),
                ("v26.30.0 v26.31.0".to_owned(), None),
                "{text:?}"
            );
        }
        let (found, warning) = tags("v26.30.0 latest v26.31.0\n");
        assert_eq!(found, ["v26.30.0", "v26.31.0"]);
        assert!(warning.unwrap().starts_with("1 of 3 names is"));
        // A message tells of other versions; one that only repeats the name is a message too.
        let (found, warning) =
            tags("v26.29.0        Replaces v26.28.0\nv26.30.0        v26.30.0 after v26.27.0\n");
        assert_eq!(
            (found.join(" "), warning),
            ("v26.29.0 v26.30.0".to_owned(), None)
        );
    }

    #[test]
    fn what_git_lists_of_a_remote_and_references_of_images_name_tags() {
        let remote = "5a05c1e\trefs/tags/v26.30.0\n6b16d2f\trefs/tags/v26.30.0^{}\n7c27e30\trefs/tags/mz-debug-v0.5.0\n";
        let (found, warning) = tags(remote);
        assert_eq!(found, ["v26.30.0"]);
        assert!(warning.unwrap().starts_with("1 of 2 names is"));
        let images = "materialize/materialized:v26.30.0\nlocalhost:5000/mz:v26.31.0@sha256:5a05\nlocalhost:5000/mz\n";
        let (found, warning) = tags(images);
        assert_eq!(found, ["v26.30.0", "v26.31.0"]);
        assert!(warning.unwrap().starts_with("1 of 3 names is"));
    }

    #[test]
    fn registries_answer_in_different_forms() {
        for answer in [
            r#"{"count": 3, "results": [{"name": "v26.30.0"}, {"name": "latest"}, {"name": "v26.31.0"}]}"#,
            r#"[{"name": "v26.30.0", "commit": {}}, {"name": "latest"}, {"name": "v26.31.0"}]"#,
            r#"[{"name": "sha256:5a05", "metadata": {"container": {"tags": ["v26.30.0", "latest"]}}},
                {"name": "sha256:6b16", "metadata": {"container": {"tags": ["v26.31.0"]}}},
                {"name": "sha256:7c27", "metadata": {"container": {"tags": []}}}]"#,
        ] {
            let (found, warning) = tags(answer);
            assert_eq!(found, ["v26.30.0", "v26.31.0"], "{answer}");
            assert!(warning.unwrap().starts_with("1 of 3 tags is"), "{answer}");
        }
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
            "{}",
            "entries: v1.0\n",
        ] {
            assert!(
                refused(text).starts_with("names no release: give a helm index.yaml"),
                "{text}"
            );
        }
        assert!(refused("[\"v1.0.0\"").starts_with("begins like JSON and cannot be read (EOF"));
        assert_eq!(
            refused("entries: {other-chart: [{version: v1.0.0, appVersion: v1.0.0}]}\n"),
            "is a helm index without a final chart of materialize-operator: give the index of the repository that publishes it"
        );
        assert!(
            refused("entries:\n\t- x: [\n")
                .starts_with("has entries like a helm index and cannot be read (")
        );
    }

    #[test]
    fn aliases_and_depth_are_bounded() {
        let mut bomb = "a0: &a0 [v1.0.0]\n".to_owned();
        for n in 1..40 {
            bomb.push_str(&format!("a{n}: &a{n} [*a{m}, *a{m}, *a{m}]\n", m = n - 1));
        }
        bomb.push_str("entries: {materialize-operator: *a39}\n");
        assert_eq!(read(&bomb), Err(NewerError::NoChart));
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
