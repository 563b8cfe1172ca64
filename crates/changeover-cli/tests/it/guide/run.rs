//! Every command in the documents is run, and its answer compared with what is printed there.
//!
//! Numbers, and names of runs, are compared as such and not by value; a line `...` stands for lines that are left out.

use super::{Block, blocks, docs, documents, name, pages, prose, read, root};
use crate::harness::changeover;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Blocks of commands that are not run here, by the page and the beginning of a command in them, and why.
const NOT_RUN: [(&str, &str, &str); 9] = [
    (
        "README.md",
        "cargo run --release",
        "`cargo xtask fresh` runs it in a new clone",
    ),
    ("README.md", "cargo xtask test", "it is what runs this"),
    (
        "CONTRIBUTING.md",
        "cargo xtask test",
        "they are this repository's chores",
    ),
    (
        "docs/materialize.md",
        "export MZ_LICENSE_KEY",
        "it needs Materialize's images and a licence key",
    ),
    (
        "docs/materialize.md",
        "changeover rehearse --target materialize --runtime process",
        "it needs Materialize's programs",
    ),
    (
        "docs/reference-database.md",
        "changeover-reference serve",
        "it serves until it is ended; the reference database's own tests start it like this",
    ),
    (
        "docs/probe.md",
        "changeover probe postgres://user@host/db ",
        "there is no such host; the probe beside it is run",
    ),
    (
        "examples/python-service/README.md",
        "changeover rehearse",
        "`targets` runs it",
    ),
    (
        "examples/attached-postgres/README.md",
        "mkdir",
        "`targets` runs it, where there is PostgreSQL",
    ),
];

/// A command that takes longer, in seconds, hangs: a bound, not a measurement.
const LONGEST: &str = "300";

/// A command and what it is said to answer.
struct Example {
    page: String,
    command: String,
    answer: Vec<String>,
}

/// The commands of a block, with their answers.
fn examples_of(page: &str, block: &Block) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut goes_on = false;
    for line in &block.lines {
        match (line.strip_prefix("$ "), examples.last_mut()) {
            (_, Some(example)) if goes_on => {
                example.command.push('\n');
                example.command.push_str(line);
            }
            (Some(command), _) => examples.push(Example {
                page: page.to_owned(),
                command: command.to_owned(),
                answer: Vec::new(),
            }),
            (None, Some(example)) => example.answer.push(line.clone()),
            (None, None) => panic!("{page}: an answer before a command: {line}"),
        }
        goes_on = (goes_on || line.starts_with("$ ")) && line.ends_with('\\');
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

/// Whether the command may end with that code. An answer that is left out may be that of a busy machine.
fn may_end(example: &Example, code: Option<i32>) -> bool {
    let left_out = example.answer.iter().any(|line| line.trim() == "...");
    let measures = ["changeover rehearse", "changeover probe"];
    let doubtful = measures.iter().any(|it| example.command.starts_with(it)) && left_out;
    code == Some(0) || (doubtful && code == Some(3))
}

/// What a command needs that not every machine has; says in a line that it is skipped.
fn is_skipped(example: &Example) -> bool {
    let needs_postgres = example.command.contains("--metadata-store postgres");
    needs_postgres && crate::postgres_server::Server::shared().is_none()
}

/// A directory as the reader of a checkout has it: with the examples, and the files that the page shows.
fn prepare(place: &Path, page: &[Block]) {
    for block in page {
        let Some((_, file)) = block.mark.split_once(' ') else {
            continue;
        };
        let file = place.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, block.lines.join("\n") + "\n").unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}

/// What a page left running, as its file says. It is ended, also when a command in between failed.
struct Server<'a>(&'a Path);

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.0.join("server.pid")) {
            // It may have been ended by the page.
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

/// Runs the pages for which `wanted` holds, and returns how many commands that were.
fn run(wanted: impl Fn(&str) -> bool) -> usize {
    let place = tempfile::tempdir().unwrap();
    copy(&root().join("examples"), &place.path().join("examples"));
    let binary = Path::new(env!("CARGO_BIN_EXE_changeover"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    // The documents leave out where the reader is.
    let here = format!("{}/", fs::canonicalize(place.path()).unwrap().display());
    let _server = Server(place.path());
    let mut ran = 0;
    for page in pages().iter().filter(|page| wanted(&name(page))) {
        let blocks = blocks(&read(page));
        prepare(place.path(), &blocks);
        let consoles = blocks.iter().filter(|block| block.mark == "console");
        for example in consoles.flat_map(|block| examples_of(&name(page), block)) {
            if is_skipped(&example) {
                continue;
            }
            let output = Command::new("timeout")
                .args([LONGEST, "sh", "-c"])
                .arg(format!("{{ {}\n}} 2>&1", example.command))
                .current_dir(place.path())
                .env("PATH", &path)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&output.stdout).replace(&here, "");
            let actual: Vec<String> = printed.lines().map(str::to_owned).collect();
            assert!(
                matches(&example.answer, &actual) && may_end(&example, output.status.code()),
                "{}: $ {}\n--- expected\n{}\n--- actual, {}\n{}",
                example.page,
                example.command,
                example.answer.join("\n"),
                output.status,
                actual.join("\n")
            );
            ran += 1;
        }
    }
    ran
}

#[test]
fn rehearses_what_the_guide_says() {
    let ran = run(|page| page.starts_with("docs/guide/"));
    assert!(ran >= 25, "{ran}");
}

#[test]
fn rehearses_what_the_reference_says() {
    let ran = run(|page| !page.starts_with("docs/guide/"));
    assert!(ran >= 20, "{ran}");
}

#[test]
fn documents_show_no_command_that_is_not_run() {
    let mut unused: Vec<(&str, &str, &str)> = NOT_RUN.to_vec();
    for document in documents() {
        let page = name(&document);
        let in_book = document.starts_with(docs());
        for block in blocks(&read(&document)) {
            if in_book && block.mark == "console" {
                continue;
            }
            let is_command = |line: &&String| {
                let line = line.strip_prefix("$ ").unwrap_or(line);
                ["changeover ", "changeover-reference ", "cargo "]
                    .iter()
                    .any(|program| line.starts_with(program))
            };
            let Some(command) = block.lines.iter().find(is_command) else {
                continue;
            };
            let excused = |(where_, begins, _): &&(&str, &str, &str)| {
                *where_ == page && block.lines.iter().any(|line| line.starts_with(begins))
            };
            assert!(
                NOT_RUN.iter().any(|it| excused(&it)),
                "{page}: `{command}` stands in a block that is not run"
            );
            unused.retain(|it| !excused(&it));
        }
    }
    assert!(unused.is_empty(), "no longer there: {unused:?}");
}

/// The names of a command's options, as its help lists them.
fn options_of(command: &[&str]) -> Vec<String> {
    let output = changeover().args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let options = words.filter(|word| word.starts_with("--"));
    options.map(str::to_owned).collect()
}

#[test]
fn commands_in_a_sentence_have_the_options_they_are_said_to_have() {
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut looked_at = 0;
    for document in documents() {
        for span in prose(&read(&document)).split('`').skip(1).step_by(2) {
            let Some(rest) = span.strip_prefix("changeover ") else {
                continue;
            };
            let words: Vec<&str> = rest.split_whitespace().collect();
            let named = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let mut command: Vec<&str> = words.iter().take(2).take_while(named).copied().collect();
            command.retain(|word| !word.starts_with('-') && *word != "latest");
            if command.first() == Some(&"help") {
                continue;
            }
            // The second word may be no command of its own.
            if !["reference", "runs"].contains(&command[0]) {
                command.truncate(1);
            }
            let options = known
                .entry(command.join(" "))
                .or_insert_with(|| options_of(&command));
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(
                    options.iter().any(|known| known == option),
                    "{}: `{span}`",
                    name(&document)
                );
            }
            looked_at += 1;
        }
    }
    assert!(looked_at >= 30, "{looked_at}");
}

#[test]
fn a_line_is_compared_by_its_shape() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let said = lines("took 1,302 ms  ±0.5\n...\nrun 20261126T005213Z-ec2b4a");
    assert!(matches(
        &said,
        &lines("took 7 ms ±11.25\na\nb\nrun 20270101T000000Z-000abc")
    ));
    assert!(!matches(&said, &lines("took 7 ms ±11.25\na\nb")));
    assert!(!matches(
        &said,
        &lines("it took 7 ms ±11.25\nrun 20270101T000000Z-000abc")
    ));
}
