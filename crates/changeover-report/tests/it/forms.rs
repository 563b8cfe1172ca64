//! JUnit's XML and Markdown.

use crate::stored::{record, verdict};
use crate::{golden, verdicts};
use changeover_model::check::{Check, Severity};
use changeover_model::fault::Point;
use changeover_model::verdict::{Finding, Verdict, VerdictOutcome};
use changeover_report::{junit, markdown};
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const EXAMINED: &[Check] = &[
    Check::LostWrite,
    Check::Budget,
    Check::IllegalHop,
    Check::CrashLoop,
];

fn hostile() -> Verdict {
    let mut verdict = verdicts::passed();
    verdict.outcome = VerdictOutcome::Fail;
    let message = "]]> </failure><b a=\"1\">\u{1b}[2J\u{0}\u{ffff}\n'&amp;' @all #1";
    verdict.findings = vec![
        Finding {
            check: Check::LostWrite,
            severity: Severity::Error,
            step: Some(1),
            message: message.to_owned(),
            evidence: json!({"log": ["<!--", "\u{7}"], "x": [1, 2]}),
        },
        Finding {
            check: Check::IllegalHop,
            severity: Severity::Warning,
            step: None,
            message: "a warning".to_owned(),
            evidence: json!(null),
        },
    ];
    verdict.reasons = vec![format!("lost-write at step 1: {message}")];
    verdict
}

fn inconclusive() -> Verdict {
    let mut verdict = verdicts::passed();
    verdict.outcome = VerdictOutcome::Inconclusive;
    verdict.reasons = vec!["lane read/held has no operations".to_owned()];
    verdict
}

#[test]
fn junit_has_a_case_for_each_step_and_check() {
    golden(
        "pass.junit.xml",
        &junit::render(&verdicts::passed(), EXAMINED, Some("2026-11-26T00:52:13Z")),
    );
    golden("fail.junit.xml", &junit::render(&hostile(), EXAMINED, None));
}

#[test]
fn junit_has_a_case_for_whatever_was_broken_on_purpose() {
    let mut verdict = verdicts::broken_on_purpose();
    let xml = junit::render(&verdict, EXAMINED, None);
    let (_, rest) = xml
        .split_once("<testsuite name=\"changeover.faults\"")
        .unwrap();
    let (suite, _) = rest.split_once("</testsuite>").unwrap();
    golden("faults.junit.xml", &format!("{suite}\n"));
    assert!(suite.contains("<error message=\"missed: "), "{suite}");

    // The verdict decides whether it is a failure; beyond the fence an answer is no failure.
    verdict.outcome = VerdictOutcome::Fail;
    let off = verdict.steps[0].called_off.as_mut().unwrap();
    (off.worked, off.reason) = (false, "mz_1 does not lead any more".to_owned());
    let early = junit::render(&verdict, EXAMINED, None);
    assert!(early.contains("<failure message=\"missed: "), "{early}");
    assert!(early.contains("<failure message=\"noticed: mz_1 does not lead any more\">"));
    let off = verdict.steps[0].called_off.as_mut().unwrap();
    off.point = Point::Leader;
    let late = junit::render(&verdict, EXAMINED, None);
    assert!(!late.contains("noticed: ") && late.contains("mz_1 does not lead any more"));
    for document in [&xml, &early, &late] {
        let valid = validate(document);
        assert!(valid.is_none_or(|valid| valid.is_ok()), "{document}");
    }
}

#[test]
fn what_is_inconclusive_does_not_pass_in_ci() {
    let xml = junit::render(&inconclusive(), EXAMINED, None);
    assert!(xml.contains("errors=\"1\""), "{xml}");
    assert!(xml.contains("<error message=\"inconclusive: lane read/held has no operations\">"));
    // A check that nobody makes has not passed.
    assert!(xml.contains("<skipped message=\"not examined in this run\">"));
}

#[test]
fn markdown_is_fit_for_a_pull_request() {
    golden("pass.md", &markdown::render(&verdicts::passed()));
    golden("fail.md", &markdown::render(&hostile()));
    golden("stored-fail.md", &markdown::render(&verdict("v1-fail")));
}

/// The schema that Jenkins validates results against, MIT; as pytest ships it for the same purpose.
#[test]
fn junit_validates_against_the_schema() {
    let documents = [
        junit::render(
            &verdicts::passed(),
            EXAMINED,
            Some("2026-11-26T00:52:13.652928373Z"),
        ),
        junit::render(&hostile(), EXAMINED, None),
        junit::render(&inconclusive(), &[], None),
        junit::render(
            record("v1-fail").verdict(),
            EXAMINED,
            record("v1-fail").clock_zero(),
        ),
    ];
    for document in &documents {
        let Some(result) = validate(document) else {
            return;
        };
        assert_eq!(result, Ok(()), "{document}");
    }
    let mut unfinished = verdicts::passed();
    unfinished.steps[0].phases.clear();
    let document = junit::render(&unfinished, EXAMINED, None);
    assert!(!document.contains("time=\"-"), "{document}");
    assert_eq!(validate(&document), Some(Ok(())), "{document}");
    // The validator bites.
    let broken = documents[0].replacen("<testcase ", "<testcase colour=\"red\" ", 1);
    assert!(validate(&broken).is_some_and(|result| result.is_err()));
}

/// `None`, and a line that says so, without the program.
fn validate(document: &str) -> Option<Result<(), String>> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/junit-10.xsd");
    let child = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if std::env::var_os("CHANGEOVER_PROVISIONED").is_none_or(|v| v != "1") => {
            println!("skipped: validating JUnit's XML against its schema (xmllint: {error})");
            return None;
        }
        Err(error) => panic!("xmllint: {error}"),
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(document.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    Some(match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}
