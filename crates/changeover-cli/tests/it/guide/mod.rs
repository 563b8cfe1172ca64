//! The documents tell the truth: every command in them is run, every link leads somewhere, and the book can be made.
//!
//! Commands stand in blocks marked `console`, behind `$ `, and what they answer below them, on standard output and
//! standard error; a command that ends with a backslash goes on in the next line. A block with a file name behind its
//! language (`sql my/objects.sql`) is that file. [`run`] runs the commands, page by page in the order of the book, all in
//! one directory.

mod ci;
mod links;
mod run;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    crates.expect("the crate lies two levels below").to_owned()
}

fn docs() -> PathBuf {
    root().join("docs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A page as people name it, by its path in the repository.
fn name(page: &Path) -> String {
    let within = page.strip_prefix(root()).unwrap();
    within.display().to_string()
}

/// The pages that the book has, in its order.
fn pages() -> Vec<PathBuf> {
    let summary = read(&docs().join("SUMMARY.md"));
    let links = summary
        .lines()
        .filter_map(|line| line.split_once("](")?.1.split(')').next());
    links.map(|link| docs().join(link)).collect()
}

/// Every document for users.
fn documents() -> Vec<PathBuf> {
    let mut all = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    all.extend(pages());
    for example in fs::read_dir(root().join("examples")).unwrap() {
        all.push(example.unwrap().path().join("README.md"));
    }
    all
}

/// A block of a page.
struct Block {
    /// What it is marked as: its language, and perhaps a file name.
    mark: String,
    lines: Vec<String>,
}

/// The blocks of a page.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(mark) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push(Block {
                    mark: mark.to_owned(),
                    lines: Vec::new(),
                });
            }
        } else if inside && let Some(block) = blocks.last_mut() {
            block.lines.push(line.to_owned());
        }
    }
    blocks
}

/// A page without its blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
