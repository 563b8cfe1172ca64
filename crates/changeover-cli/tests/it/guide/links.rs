//! Every link and picture of the documents leads somewhere, and the book can be made of them.

use super::{docs, documents, name, pages, prose, read};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The targets of links and pictures in a page.
fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    // What stands in code is no link.
    let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let targets = plain
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn the_book_has_every_page() {
    let pages = pages();
    for place in [docs(), docs().join("guide")] {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            let is_page = path.extension().is_some_and(|end| end == "md");
            if is_page && !path.ends_with("SUMMARY.md") {
                assert!(
                    pages.contains(&path),
                    "{} is not in SUMMARY.md",
                    name(&path)
                );
            }
        }
    }
}

#[test]
fn every_link_and_picture_leads_somewhere() {
    let mut looked_at = 0;
    let mut all = documents();
    all.push(docs().join("SUMMARY.md"));
    for document in all {
        let text = read(&document);
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            looked_at += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            let target = fs::canonicalize(&target)
                .unwrap_or_else(|e| panic!("{}: {link}: {e}", name(&document)));
            // The book has what is in docs, and nothing else.
            let leaves = document.starts_with(docs())
                && !target.starts_with(fs::canonicalize(docs()).unwrap());
            assert!(!leaves, "{}: {link} leads out of the book", name(&document));
            assert!(
                anchor.is_empty() || anchors(&read(&target)).contains(anchor),
                "{}: {link}: no such heading",
                name(&document)
            );
        }
    }
    assert!(looked_at > 60, "{looked_at}");
}

/// All pages below a directory.
fn html(place: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => html(&path, found),
            false if path.extension().is_some_and(|end| end == "html") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn the_book_can_be_made_and_its_links_lead_somewhere() {
    let book = tempfile::tempdir().unwrap();
    let made = Command::new("mdbook")
        .arg("build")
        .arg(docs())
        .arg("--dest-dir")
        .arg(book.path())
        .output();
    let made = match made {
        Ok(made) => made,
        Err(error) if std::env::var_os("CHANGEOVER_PROVISIONED").is_none_or(|v| v != "1") => {
            println!("skipped: making the book of docs (mdbook: {error})");
            return;
        }
        Err(error) => panic!("mdbook: {error}"),
    };
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() && !told.contains("WARN"), "{told}");
    let mut found = Vec::new();
    html(book.path(), &mut found);
    assert!(found.len() > pages().len(), "{found:?}");
    for page in &found {
        let text = fs::read_to_string(page).unwrap();
        // 404.html counts from the root of a server.
        if page.ends_with("404.html") {
            continue;
        }
        for attribute in ["href=\"", "src=\""] {
            for rest in text.split(attribute).skip(1) {
                let link = rest.split(['"', '#', '?']).next().unwrap();
                if link.is_empty() || link.contains(':') {
                    continue;
                }
                let target = page.parent().unwrap().join(link);
                assert!(target.exists(), "{}: {link}", page.display());
            }
        }
    }
}
