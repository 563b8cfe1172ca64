//! Text of targets stays text, wherever it gets into a page.

use crate::stored::{data, record, record_of_a_lost_write};
use changeover_model::check::{Check, Severity};
use changeover_model::event::{EndMeaning, Event, EventKind, ProcessEnd, StatusSeen};
use changeover_model::verdict::Finding;
use changeover_report::page;
use serde_json::json;

const EVIL: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u{1b}[31m\u{202e}<!--";

#[test]
fn markup_in_logs_answers_and_findings_is_shown_and_not_obeyed() {
    let clean = page::render(&record("v1-fail"));
    let count = |html: &str, what: &str| html.matches(what).count();
    let mut verdict = crate::stored::verdict("v1-fail");
    verdict.findings.push(Finding {
        check: Check::CrashLoop,
        severity: Severity::Error,
        step: Some(1),
        message: EVIL.to_owned(),
        evidence: json!({"log": [EVIL], "ends": EVIL}),
    });
    verdict.reasons.push(EVIL.to_owned());
    verdict.reproduce = EVIL.to_owned();
    verdict.run = EVIL.to_owned();
    let mut record = changeover_report::Record::new(verdict, None, format!("1. {EVIL}\n"));
    record.header(&changeover_model::event::Header::new(
        "1970-01-01T00:00:00Z",
    ));
    let mut event = |kind| {
        record.event(&Event {
            seq: 1,
            at: 1_000_000,
            kind,
            step: Some(1),
            slot: Some(EVIL.to_owned()),
            generation: Some(1),
        });
    };
    event(EventKind::SpawnIntent {
        command: vec![EVIL.to_owned()],
    });
    event(EventKind::StatusSeen {
        seen: StatusSeen::Nonsense(EVIL.to_owned()),
        polls: 1,
    });
    event(EventKind::Machine {
        system: EVIL.to_owned(),
        processor: EVIL.to_owned(),
        memory_kb: 1,
    });
    event(EventKind::StepFailed {
        reason: EVIL.to_owned(),
    });
    event(EventKind::CrashLoop {
        ends: vec![ProcessEnd::Code(1)],
        log: vec![EVIL.to_owned()],
    });
    event(EventKind::ProcessEnded {
        end: ProcessEnd::Code(1),
        meaning: EndMeaning::Crash,
        by_us: false,
        by_fault: false,
    });
    record.log_line(EVIL, 1, &format!("1970-01-01T00:00:01Z ERROR {EVIL}"));
    let html = page::render(&record);
    for markup in ["<script", "</script"] {
        assert_eq!(count(&html, markup), count(&clean, markup), "{markup}");
    }
    assert!(!html.contains("<img") && !html.contains("<!--"));
    assert!(!html.contains('\u{1b}') && !html.contains('\u{202e}'));
    // It is there all the same.
    assert!(html.contains("&lt;img src=x onerror=alert(2)&gt;"));
    let data = data(&html);
    assert!(
        data["logs"][0]["text"]
            .as_str()
            .unwrap()
            .contains("<script>alert(1)</script>")
    );
}

#[test]
fn markup_in_the_values_of_a_small_history_is_shown_and_not_obeyed() {
    let clean = page::render(&record_of_a_lost_write(json!(7)));
    let html = page::render(&record_of_a_lost_write(json!(EVIL)));
    let count = |html: &str, what: &str| html.matches(what).count();
    for markup in ["<script", "</script", "<img", "<a ", "<!--"] {
        assert_eq!(count(&html, markup), count(&clean, markup), "{markup}");
    }
    assert!(!html.contains('\u{1b}') && !html.contains('\u{202e}'));
    assert!(html.contains("&lt;img src=x onerror=alert(2)&gt;"));
    let shown = &data(&html)["findings"][0]["history"]["operations"][0]["value"];
    assert_eq!(shown, EVIL);
}
