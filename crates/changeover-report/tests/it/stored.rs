//! Runs of the first version of the formats, as an early build stored them.

use changeover_model::check::{Check, Severity};
use changeover_model::event::{Event, EventKind, Header};
use changeover_model::history::{self, Operation};
use changeover_model::verdict::{Finding, RepeatReport};
use changeover_model::{Plan, Verdict};
use changeover_report::{Record, page};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/fixtures")
        .join(name)
}

pub(crate) fn verdict(name: &str) -> Verdict {
    Verdict::parse(&fs::read_to_string(directory(name).join("verdict.json")).unwrap()).unwrap()
}

/// The record of a stored run.
pub(crate) fn record(name: &str) -> Record {
    let read = |file: &str| fs::read_to_string(directory(name).join(file)).unwrap();
    let plan = Plan::parse(&read("plan.json")).unwrap();
    let mut record = Record::new(
        verdict(name),
        Some(plan),
        "1. a tree\n  of steps\n".to_owned(),
    );
    let events = read("events.jsonl");
    let mut lines = events.lines();
    record.header(&Header::parse(lines.next().unwrap()).unwrap());
    for line in lines {
        record.event(&Event::parse(line).unwrap());
    }
    let operations = read("history.jsonl");
    let mut lines = operations.lines();
    history::Header::parse(lines.next().unwrap()).unwrap();
    for line in lines {
        record.operation(&Operation::parse(line).unwrap());
    }
    for (slot, generation) in [("mz_1", 0), ("mz_2", 1)] {
        for line in read(&format!("logs/{slot}.{generation}.log")).lines() {
            record.log_line(slot, generation, line);
        }
    }
    record
}

/// The data in a page.
pub(crate) fn data(html: &str) -> Value {
    let (_, rest) = html
        .split_once("<script type=\"application/json\" id=\"data\">")
        .unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_page_has_the_run_in_words_and_as_data() {
    let html = page::render(&record("v1-pass"));
    for words in [
        "✓ passed",
        "v0.1.0 → v0.2.0: passed. Longest write gap",
        "<h2 id=\"timeline-heading\">Timeline</h2>",
        "write/held",
        "changeover rehearse --plan /runs/pass/plan.json",
        "of steps",
    ] {
        assert!(html.contains(words), "{words}");
    }
    let data = data(&html);
    assert_eq!(data["format"], "changeover.report/1");
    assert_eq!(data["verdict"]["outcome"], "pass");
    assert_eq!(data["plan"]["seed"], "7");
    let lines = fs::read_to_string(directory("v1-pass").join("history.jsonl")).unwrap();
    let full_reads = lines.matches("\"full-read\"").count();
    let observed = lines.matches("\"observer\"").count();
    let total = data["cloud"]["total"].as_u64().unwrap() as usize;
    assert_eq!(total, lines.lines().count() - 1 - full_reads - observed);
    assert_eq!(data["cloud"]["shown"], data["cloud"]["total"]);
}

#[test]
fn the_story_of_a_hand_over_is_in_the_data() {
    let data = data(&page::render(&record("v1-pass")));
    let instances = data["instances"].as_array().unwrap();
    assert_eq!(instances.len(), 2);
    assert_eq!(instances[1]["version"], "v0.2.0");
    let said: Vec<&str> = instances[1]["said"]
        .as_array()
        .unwrap()
        .iter()
        .map(|said| said[1].as_str().unwrap())
        .collect();
    assert_eq!(
        said,
        [
            "starting",
            "unreachable",
            "Initializing",
            "ReadyToPromote",
            "unreachable",
            "restarting",
            "IsLeader"
        ]
    );
    assert_eq!(instances[0]["end"], "exit 0, fenced");
    let door = data["door"].as_array().unwrap();
    assert_eq!((&door[0][1], &door[1][1]), (&"mz_1".into(), &"mz_2".into()));
    let phases = data["steps"][1]["phases"].as_array().unwrap();
    assert_eq!(phases.len(), 5);
    // They abut.
    for pair in phases.windows(2) {
        assert_eq!(pair[0][2], pair[1][1]);
    }
    assert_eq!(phases[4][2], data["steps"][1]["to"]);
}

#[test]
fn a_finding_leads_to_its_moment() {
    let html = page::render(&record("v1-fail"));
    assert!(html.contains("✗ failed"));
    let findings = data(&html)["findings"].as_array().unwrap().clone();
    assert!(!findings.is_empty());
    let step = &data(&html)["steps"][1];
    for (index, finding) in findings.iter().enumerate() {
        // A verdict of that age does not say when its gaps were: the step is as near as it gets.
        assert_eq!(finding["from"], step["from"], "{finding}");
        assert!(html.contains(&format!("data-finding=\"{index}\"")));
    }
}

/// The record of a run that lost a write, with the history that shows it; `value` is what was written.
pub(crate) fn record_of_a_lost_write(value: Value) -> Record {
    let mut verdict = verdict("v1-fail");
    verdict.findings.insert(
        0,
        Finding {
            check: Check::LostWrite,
            severity: Severity::Error,
            step: Some(1),
            message: "1 acknowledged write is missing".to_owned(),
            evidence: json!({"key": "k1", "history": SMALL}),
        },
    );
    let mut record = record("v1-fail");
    record.judged_anew(verdict);
    assert_eq!(record.small_histories(), [SMALL.to_owned()].into());
    for line in [
        r#"{"process":1,"op":"add","key":"k1","value":7,"invoke":1200000000,"return":1200345000,"outcome":"ok","client":3}"#,
        r#"{"process":2,"op":"add","key":"k1","value":8,"invoke":1200100000,"return":null,"outcome":"unknown","ended":1300100000}"#,
        r#"{"process":4,"op":"read","key":"k1","result":[],"invoke":1400000000,"return":1400100000,"outcome":"ok","client":5}"#,
    ] {
        let mut operation = Operation::parse(line).unwrap();
        if operation.value == 7 {
            operation.value = value.clone();
        }
        record.small_operation(SMALL, &operation);
    }
    record
}

const SMALL: &str = "findings/finding-1.jsonl";

#[test]
fn a_finding_comes_with_its_small_history() {
    let mut record = record_of_a_lost_write(json!(7));
    let html = page::render(&record);
    for words in [
        "The smallest history found that still fails: 3 operations",
        "<a href=\"findings/finding-1.jsonl\">findings/finding-1.jsonl</a>",
        "<th scope=\"row\">1.2000 s</th><td>0.3 ms</td><td>3</td><td>add</td><td><code>7</code></td><td>–</td>\
         <td>✓ acknowledged</td>",
        "History that shows finding 1, of key k1",
        "<td>process 2</td>",
        "<td>? unknown</td>",
        "<td><code>[]</code></td>",
    ] {
        assert!(html.contains(words), "{words}\n{html}");
    }
    let finding = &data(&html)["findings"][0];
    assert_eq!(finding["history"]["file"], SMALL);
    let operations = finding["history"]["operations"].as_array().unwrap();
    assert_eq!(operations.len(), 3);
    assert_eq!(operations[0]["value"], 7);
    assert_eq!(data(&html)["findings"][1]["history"], Value::Null);

    // In the page of a series, the link leads to the run that decides.
    let mut verdict = record.verdict().clone();
    verdict.repeat = Some(RepeatReport {
        runs: Vec::new(),
        decides: "2".to_owned(),
        figures: Vec::new(),
    });
    record.judged_anew(verdict);
    let html = page::render(&record);
    assert!(html.contains("<a href=\"2/findings/finding-1.jsonl\">"));
}

#[test]
fn a_page_asks_nobody_for_anything() {
    for name in ["v1-pass", "v1-fail"] {
        let html = page::render(&record(name));
        for outside in ["http://", "https://", "src=", "<link", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("default-src 'none'"));
    }
}

#[test]
fn a_page_says_which_images_ran() {
    let mut record = record("v1-pass");
    let digest = "materialize/materialized@sha256:77";
    for (at, name, id, digest) in [
        (
            1,
            "materialize/materialized:v26.0.0",
            "sha256:11",
            Some(digest),
        ),
        (2, "<b>built:here</b>", "sha256:22", None),
        // Another instance of the first.
        (
            3,
            "materialize/materialized:v26.0.0",
            "sha256:11",
            Some(digest),
        ),
    ] {
        record.event(&Event {
            seq: at,
            at,
            kind: EventKind::ImageSeen {
                name: name.to_owned(),
                id: id.to_owned(),
                digest: digest.map(str::to_owned),
            },
            step: None,
            slot: None,
            generation: None,
        });
    }
    let html = page::render(&record);
    let rows = "<dt>images</dt><dd>materialize/materialized:v26.0.0: materialize/materialized@sha256:77<br>&lt;b&gt;built:here&lt;/b&gt;: sha256:22</dd>";
    assert!(html.contains(rows), "{html}");
}
