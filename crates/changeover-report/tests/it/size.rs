//! A page of a run of a million operations.

use crate::stored::{data, verdict};
use changeover_model::check::{Check, Severity};
use changeover_model::event::{Event, EventKind, Header, Phase};
use changeover_model::history::Operation;
use changeover_model::verdict::Finding;
use changeover_report::{Record, page};
use serde_json::json;

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_million_operations_are_under_two_megabytes_and_the_extremes_are_in_it() {
    let mut verdict = verdict("v1-pass");
    let total = 1_000_000_u64;
    verdict.operations.total = total;
    let small = |number: u32| format!("findings/finding-{number}.jsonl");
    verdict.findings.extend((1..=50).map(|number| Finding {
        check: Check::StaleRead,
        severity: Severity::Error,
        step: None,
        message: "a read did not show a write".to_owned(),
        evidence: json!({ "history": small(number) }),
    }));
    let mut record = Record::new(verdict, None, String::new());
    record.header(&Header::new("1970-01-01T00:00:00Z"));
    let mut seq = 0;
    let mut event = |record: &mut Record, at: u64, step: u32, kind| {
        seq += 1;
        let slot = Some(format!("mz_{}", step % 2 + 1));
        record.event(&Event {
            seq,
            at,
            kind,
            step: Some(step),
            slot,
            generation: Some(u64::from(step)),
        });
    };
    // Twenty steps of 30 s in 80 minutes.
    for step in 1..=20_u32 {
        let at = u64::from(step) * 230 * SECOND;
        let (from, to) = (Some("v0.1.0".parse().unwrap()), "v0.2.0".parse().unwrap());
        event(&mut record, at, step, EventKind::StepStarted { from, to });
        event(
            &mut record,
            at,
            step,
            EventKind::SpawnIntent { command: vec![] },
        );
        for (n, phase) in Phase::ALL.into_iter().enumerate() {
            event(
                &mut record,
                at + n as u64 * 6 * SECOND,
                step,
                EventKind::PhaseStarted { phase },
            );
        }
        event(
            &mut record,
            at + 30 * SECOND,
            step,
            EventKind::StepEnded { completed: true },
        );
    }
    event(&mut record, 4_800 * SECOND, 20, EventKind::RunEnded);
    let line = r#"{"process":1,"op":"add","invoke":0,"ended":0,"outcome":"ok","source":"lane","class":"write","connection":"held","client":3}"#;
    let mut operation = Operation::parse(line).unwrap();
    let read = Operation::parse(&line.replace("add", "read").replace("write", "read")).unwrap();
    for n in 0..total {
        let operation = if n % 2 == 0 {
            &mut operation
        } else {
            &mut read.clone()
        };
        operation.invoke = n * 4_800_000;
        // Latencies over three decades, as if noisy, and one that is worse than all.
        let latency = 200_000 + (n * 7_919 % 1_000) * (n * 104_729 % 1_000) * 100;
        operation.ended = Some(operation.invoke + if n == 777_776 { 9 * SECOND } else { latency });
        record.operation(operation);
    }
    // Many findings with large histories, of which a part is shown.
    for number in 1..=50 {
        let mut read = read.clone();
        read.result = (0..100).collect();
        for _ in 0..100 {
            record.small_operation(&small(number), &read);
        }
    }
    let html = page::render(&record);
    assert!(html.contains("more are in the file"));
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    let data = data(&html);
    assert_eq!(data["cloud"]["total"], total);
    let lasts = data["cloud"]["points"][1]["lasts"].as_array().unwrap();
    assert!(lasts.iter().any(|us| us == 9_000_000));
}
