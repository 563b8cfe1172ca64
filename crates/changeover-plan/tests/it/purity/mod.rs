//! The proof of the first architecture invariants: model, plan and check know no runtime, no file, no socket and no
//! clock, and the arrows between the crates go one way only.

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates that must stay pure.
const PURE: [&str; 3] = ["changeover-model", "changeover-plan", "changeover-check"];

/// Crates that do input, output, time, threads or randomness, or exist to make that possible.
const IMPURE_DEPENDENCIES: [&str; 18] = [
    "async-trait",
    "chrono",
    "futures",
    "getrandom",
    "hyper",
    "hyper-util",
    "jiff",
    "libc",
    "mio",
    "nix",
    "rand",
    "rayon",
    "rusqlite",
    "rustix",
    "socket2",
    "tempfile",
    "tokio",
    "tracing",
];

/// Who may know whom. What is not listed here may know nobody of ours.
const ARROWS: [(&str, &[&str]); 10] = [
    ("changeover-model", &[]),
    ("changeover-plan", &["changeover-model"]),
    ("changeover-check", &["changeover-model"]),
    ("changeover-report", &["changeover-model"]),
    ("changeover-runtime", &["changeover-model"]),
    (
        "changeover-rehearse",
        &["changeover-model", "changeover-runtime"],
    ),
    // What is upgraded knows nothing of who upgrades it.
    ("changeover-reference", &[]),
    (
        "changeover-cli",
        &[
            "changeover-model",
            "changeover-plan",
            "changeover-check",
            "changeover-report",
            "changeover-runtime",
            "changeover-rehearse",
            "changeover-reference",
        ],
    ),
    // Only tests and benchmarks start from here.
    (
        "changeover-stand-in",
        &[
            "changeover-cli",
            "changeover-reference",
            "changeover-runtime",
        ],
    ),
    ("xtask", &[]),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two levels below the workspace")
        .to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(workspace())
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// Everything that ends up in a build of `package`, tests aside.
///
/// `cpufeatures` is left out, with the `libc` that it needs on some processors: it asks which instructions there are, so
/// that hashes and key streams are computed faster, and changes no result.
fn dependencies(package: &str) -> BTreeSet<String> {
    cargo(&[
        "tree",
        "--locked",
        "-e",
        "normal",
        "--prune",
        "cpufeatures",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "-p",
        package,
    ])
    .lines()
    .filter_map(|line| line.split(' ').next())
    .map(str::to_owned)
    .collect()
}

#[test]
fn pure_crates_pull_in_nothing_that_does_io() {
    for package in PURE {
        let found = dependencies(package);
        assert!(
            found.contains(package),
            "{package} is not in its own tree: {found:?}"
        );
        let impure: Vec<_> = IMPURE_DEPENDENCIES
            .iter()
            .filter(|name| found.contains(**name))
            .collect();
        assert!(impure.is_empty(), "{package} pulls in {impure:?}");
    }
    // The list would be worth nothing if the names were wrong.
    assert!(dependencies("changeover-rehearse").contains("tokio"));
}

#[test]
fn pure_crates_do_no_io_in_their_sources() {
    let found: Vec<String> = PURE.into_iter().flat_map(impurities).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn reporters_write_and_do_nothing_else() {
    let found: Vec<String> = impurities("changeover-report")
        .into_iter()
        // Whether standard output is a terminal decides how a report may look; the live view is drawn on standard error.
        .filter(|what| {
            !["IsTerminal", "stdout", "stdout()", "screen.rs: stderr()"]
                .iter()
                .any(|end| what.ends_with(end))
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// What the sources of a crate do that a pure crate must not.
fn impurities(package: &str) -> Vec<String> {
    let mut found = Vec::new();
    let files = rust_files(&workspace().join("crates").join(package).join("src"));
    assert!(!files.is_empty(), "{package} has no sources");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file
            .strip_prefix(workspace())
            .unwrap()
            .display()
            .to_string();
        found.extend(
            scan::impurities(&text)
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    found
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn arrows_between_crates_go_one_way() {
    let text = cargo(&["metadata", "--locked", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    for package in packages {
        let arrows = found.entry(package["name"].as_str().unwrap()).or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            // "kind" is null for a normal dependency; tests may look wherever they like.
            if ours.contains(name) && dependency["kind"].is_null() {
                arrows.insert(name);
            }
        }
    }
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    for (package, arrows) in &found {
        let allowed = allowed
            .get(package)
            .unwrap_or_else(|| panic!("{package} is new: say here whom it may know"));
        for arrow in arrows {
            assert!(allowed.contains(arrow), "{package} must not know {arrow}");
        }
    }
    assert_eq!(found.len(), ARROWS.len(), "a crate of the table is gone");
}

#[test]
fn every_crate_is_in_the_architecture_document_and_takes_the_workspace_lints() {
    let document = std::fs::read_to_string(workspace().join("docs/architecture.md")).unwrap();
    for (package, _) in ARROWS {
        let paragraph = format!("\n**`{package}`** ");
        assert_eq!(document.matches(&paragraph).count(), 1, "{package}");
        let directory = match package {
            "xtask" => workspace().join(package),
            _ => workspace().join("crates").join(package),
        };
        let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true\n"),
            "{package}"
        );
    }
}
