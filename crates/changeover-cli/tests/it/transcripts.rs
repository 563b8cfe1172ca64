//! Golden transcripts: each file under `tests/transcripts` tells a story as commands and what they answered.
//!
//! A line `$ command` is run by `sh` in an empty directory of the story's own, with the binary under test on the
//! path. What follows, up to `=> exit N`, is its standard output, and behind `2| ` its standard error. Everything
//! between `=> exit N` and the next command is the story's own text. `CHANGEOVER_UPDATE=1` writes the answers anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

macro_rules! stories {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                story(concat!(stringify!($name), ".txt"));
            }
        )*

        const STORIES: &[&str] = &[$(concat!(stringify!($name), ".txt")),*];
    };
}

stories! {
    plan
    materialize_plans
    routes
    scenarios
    plan_files
    bad_arguments
    bad_versions
    releases
    newer_releases
    completions
    doctor
    check
    cleanup
    target_files
    report
    workloads
    faults
}

#[test]
fn every_story_is_told() {
    let mut found: Vec<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut told = STORIES.to_vec();
    told.sort_unstable();
    assert_eq!(found, told);
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

fn story(name: &str) {
    let file = directory().join(name);
    let expected = std::fs::read_to_string(&file).unwrap();
    let told = retell(&expected);
    if std::env::var_os("CHANGEOVER_UPDATE").is_some() {
        std::fs::write(&file, &told).unwrap();
        return;
    }
    assert!(
        told == expected,
        "{name} is told differently now; if that is right, run with CHANGEOVER_UPDATE=1\n{}",
        first_difference(&expected, &told)
    );
}

/// The story with the answers of today.
fn retell(script: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let lines: Vec<&str> = script.lines().collect();
    let mut told = String::new();
    let mut at = 0;
    while at < lines.len() {
        told.push_str(lines[at]);
        told.push('\n');
        let command = lines[at].strip_prefix("$ ");
        at += 1;
        if let Some(command) = command {
            told.push_str(&answer(command, place.path()));
            // The recorded answer, unless the next command comes first: then there is none yet.
            let rest = &lines[at..];
            let end = rest.iter().position(|line| line.starts_with("=> exit "));
            let next = rest.iter().position(|line| line.starts_with("$ "));
            if let Some(end) = end
                && next.is_none_or(|next| end < next)
            {
                at += end + 1;
            }
        }
    }
    told
}

fn answer(command: &str, place: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_changeover"));
    let tools = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(place)
        // Nothing of the surroundings may change a story.
        .env_clear()
        .env(
            "PATH",
            format!("{}:{tools}", binary.parent().unwrap().display()),
        )
        .env("TMPDIR", place)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut answer = String::from_utf8(output.stdout).unwrap();
    if !answer.is_empty() && !answer.ends_with('\n') {
        answer.push('\n');
    }
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        answer.push_str(&format!("2| {line}\n"));
    }
    let code = output.status.code().expect("no signal ends a story");
    answer.push_str(&format!("=> exit {code}\n"));
    answer
}

fn first_difference(expected: &str, told: &str) -> String {
    let (mut expected, mut told) = (expected.lines(), told.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (expected.next(), told.next()) {
            (None, None) => return "the last line's end".to_owned(),
            (was, is) if was == is => {}
            (was, is) => {
                return format!(
                    "line {number}:\n  was {}\n  is  {}",
                    was.unwrap_or("(nothing)"),
                    is.unwrap_or("(nothing)")
                );
            }
        }
    }
}
