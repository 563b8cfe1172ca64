//! The guide tells the truth: every command in it is run, and its answer compared with what is printed there.
//!
//! Commands stand in blocks marked `console`, behind `$ `, and what they answer below them, on standard output and
//! standard error. Pages are read in the order of the book, all in one directory. Numbers, and names of runs, are
//! compared as such and not by value; a line `...` stands for lines that are left out.

use saphyr_parser::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The pages that the book has, in its order.
fn pages() -> Vec<PathBuf> {
    let summary = read(&docs().join("SUMMARY.md"));
    let links = summary
        .lines()
        .filter_map(|line| line.split_once("](")?.1.split(')').next());
    links.map(|link| docs().join(link)).collect()
}

/// A command and what it is said to answer.
struct Example {
    page: String,
    command: String,
    answer: Vec<String>,
}

/// The blocks of a page: what they are marked as, and their lines.
fn blocks(text: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(mark) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push((mark.to_owned(), Vec::new()));
            }
        } else if inside && let Some((_, lines)) = blocks.last_mut() {
            lines.push(line.to_owned());
        }
    }
    blocks
}

fn examples() -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for path in pages() {
        for (mark, lines) in blocks(&read(&path)) {
            if mark != "console" {
                continue;
            }
            for line in lines {
                match line.strip_prefix("$ ") {
                    Some(command) => examples.push(Example {
                        page: path.display().to_string(),
                        command: command.to_owned(),
                        answer: Vec::new(),
                    }),
                    None => examples.last_mut().unwrap().answer.push(line),
                }
            }
        }
    }
    examples
}

/// A line without what differs from run to run: numbers, names of runs, and how cells are padded.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let mut out = String::new();
        let mut in_number = false;
        for c in word.chars() {
            let digit = c.is_ascii_digit() || (in_number && matches!(c, '.' | ','));
            if digit && !in_number {
                out.push('0');
            }
            if !digit {
                out.push(c);
            }
            in_number = digit;
        }
        // A name that begins with the time ends in six hexadecimal digits.
        match out.find("0T0Z-") {
            Some(at) => {
                let rest = out[at + 5..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
                format!("{}RUN{rest}", &out[..at])
            }
            None => out,
        }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    // Times choose their unit.
    text.replace("0 s ", "0 ms ")
        .replace("0 s)", "0 ms)")
        .replace("0 s,", "0 ms,")
}

/// Whether the lines are these, where `...` stands for any number of them.
fn matches(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first.trim() == "..." => {
            (0..=actual.len()).any(|skip| matches(rest, &actual[skip..]))
        }
        Some((first, rest)) => match actual.split_first() {
            Some((line, others)) => shape(first) == shape(line) && matches(rest, others),
            None => false,
        },
    }
}

#[test]
fn rehearses_what_the_guide_says() {
    let place = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_changeover"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let examples = examples();
    assert!(examples.len() >= 15, "{}", examples.len());
    for example in examples {
        let output = Command::new("sh")
            .args(["-c", &format!("{{ {}\n}} 2>&1", example.command)])
            .current_dir(place.path())
            .env("PATH", &path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // The guide leaves out where the reader is.
        let here = format!("{}/", fs::canonicalize(place.path()).unwrap().display());
        let printed = String::from_utf8_lossy(&output.stdout).replace(&here, "");
        let actual: Vec<String> = printed.lines().map(str::to_owned).collect();
        assert!(
            matches(&example.answer, &actual),
            "{}: $ {}\n--- expected\n{}\n--- actual\n{}",
            example.page,
            example.command,
            example.answer.join("\n"),
            actual.join("\n")
        );
    }
}

#[test]
fn pages_of_the_guide_show_no_command_that_is_not_run() {
    for page in fs::read_dir(docs().join("guide")).unwrap() {
        let path = page.unwrap().path();
        for (mark, lines) in blocks(&read(&path)) {
            let commands = lines.iter().filter(|line| line.contains("changeover "));
            assert!(
                mark == "console" || commands.count() == 0,
                "{}: {mark}",
                path.display()
            );
        }
    }
}

#[test]
fn the_book_has_every_page_and_every_link_leads_somewhere() {
    let pages = pages();
    let mut places = vec![docs(), docs().join("guide")];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".md") && name != "SUMMARY.md" {
                assert!(
                    pages.contains(&path),
                    "{} is not in SUMMARY.md",
                    path.display()
                );
            }
        }
    }
    for page in pages {
        let text = read(&page);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || link.contains("://") {
                continue;
            }
            assert!(
                page.parent().unwrap().join(file).exists(),
                "{}: {link}",
                page.display()
            );
        }
    }
}

#[test]
fn the_examples_for_ci_are_sound_yaml_and_rehearse() {
    for name in ["github-actions.yml", "buildkite.yml"] {
        let text = read(&docs().join("ci").join(name));
        for event in Parser::new_from_str(&text) {
            event.unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let command = text
            .lines()
            .find_map(|line| Some(line.split_once("changeover rehearse ")?.1))
            .unwrap();
        // The command line is one that this build takes: only the path is missing here.
        let output = Command::new(env!("CARGO_BIN_EXE_changeover"))
            .arg("rehearse")
            .args(command.split_whitespace())
            .args(["--versions", "v0.1.0"])
            .current_dir(std::env::temp_dir())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("nothing to upgrade"), "{name}: {stderr}");
        for file in ["report.html", "junit.xml"] {
            assert!(
                text.contains(&format!("rehearsal/{file}")),
                "{name}: {file}"
            );
        }
    }
}
