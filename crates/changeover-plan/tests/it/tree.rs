//! The tree, word for word. `CHANGEOVER_UPDATE=1` writes the golden files anew.

use crate::{known, versions};
use changeover_model::check::{Check, Severity};
use changeover_model::plan::PlanFinding;
use changeover_plan::{Request, plan, tree};
use std::path::Path;

fn golden(name: &str, request: &Request) {
    let (plan, _) = plan(request, &known()).unwrap();
    let tree = tree::render(&plan, &known().target.instances);
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(name);
    if std::env::var_os("CHANGEOVER_UPDATE").is_some() {
        std::fs::write(&file, &tree).unwrap();
    }
    let expected = std::fs::read_to_string(&file)
        .unwrap_or_else(|e| panic!("{}: {e}; run with CHANGEOVER_UPDATE=1", file.display()));
    assert_eq!(tree, expected, "{name}");
}

#[test]
fn the_default_plan() {
    golden("default.txt", &Request::default());
}

#[test]
fn one_step_with_other_numbers() {
    golden(
        "one-step.txt",
        &Request {
            versions: versions(&["v0.2.0", "current"]),
            seed: Some("str:nightly".into()),
            clients: Some(1),
            rate: Some(2000),
            probe_interval_ms: Some(100),
            budgets: [("write-gap".to_owned(), 62.5)].into(),
            timeouts_ms: [("boot".to_owned(), 1500)].into(),
            ..Request::default()
        },
    );
}

#[test]
fn one_version() {
    golden(
        "one-version.txt",
        &Request {
            versions: versions(&["v0.1.0"]),
            ..Request::default()
        },
    );
}

#[test]
fn what_somebody_wrote_into_a_plan_is_shown_and_not_obeyed() {
    let (mut plan, _) = plan(&Request::default(), &known()).unwrap();
    plan.findings.push(PlanFinding {
        check: Check::IllegalHop,
        severity: Severity::Warning,
        step: None,
        message: "all is well\u{1b}[2J\nreally".to_owned(),
    });
    let tree = tree::render(&plan, &known().target.instances);
    assert!(
        tree.contains("  illegal-hop: all is well\\u{1b}[2J\\nreally\n"),
        "{tree}"
    );
}
