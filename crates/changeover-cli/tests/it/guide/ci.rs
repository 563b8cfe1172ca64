//! The examples for CI systems: sound YAML, with commands that this build takes.

use super::{docs, read};
use saphyr_parser::{Event, Parser};
use std::process::Command;

/// The scalars of a YAML document, keys and values, in their order.
fn scalars(name: &str) -> Vec<String> {
    let text = read(&docs().join("ci").join(name));
    let events =
        Parser::new_from_str(&text).map(|event| event.unwrap_or_else(|e| panic!("{name}: {e}")));
    let scalars = events.filter_map(|(event, _)| match event {
        Event::Scalar(text, ..) => Some(text.into_owned()),
        _ => None,
    });
    scalars.collect()
}

/// The values behind a key.
fn values(scalars: &[String], key: &str) -> Vec<String> {
    let pairs = scalars.windows(2);
    pairs
        .filter(|pair| pair[0] == key)
        .map(|pair| pair[1].clone())
        .collect()
}

#[test]
fn the_examples_for_ci_are_sound_yaml_and_rehearse() {
    for name in ["github-actions.yml", "buildkite.yml"] {
        let scalars = scalars(name);
        let commands = scalars.iter().flat_map(|scalar| scalar.lines());
        let command = commands
            .map(str::trim)
            .find_map(|line| line.strip_prefix("changeover rehearse "));
        // The command line is one that this build takes: only the path is missing here.
        let output = Command::new(env!("CARGO_BIN_EXE_changeover"))
            .arg("rehearse")
            .args(
                command
                    .unwrap()
                    .split(" ||")
                    .next()
                    .unwrap()
                    .split_whitespace(),
            )
            .args(["--versions", "v0.1.0"])
            .current_dir(std::env::temp_dir())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("nothing to upgrade"), "{name}: {stderr}");
        // Artefacts: what people look at, what CI counts, and the evidence.
        let text = scalars.join("\n");
        for file in ["report.html", "junit.xml", "findings"] {
            assert!(
                text.contains(&format!("rehearsal/{file}")),
                "{name}: {file}"
            );
        }
    }
}

#[test]
fn the_evidence_is_kept_of_a_run_that_failed_too() {
    let github = scalars("github-actions.yml");
    let conditions = values(&github, "if");
    let steps = github
        .iter()
        .filter(|scalar| scalar.contains("upload-artifact") || scalar.contains("report rehearsal"));
    // Of a step that has none the default is: only if all before succeeded.
    assert_eq!(conditions, vec!["${{ !cancelled() }}"; steps.count()]);
    // Buildkite uploads artefacts whatever became of the command; what is inconclusive must be seen, and blocks nothing.
    let buildkite = scalars("buildkite.yml");
    assert_eq!(values(&buildkite, "exit_status"), ["3"]);
    assert!(buildkite.iter().any(|key| key == "artifact_paths"));
}
