//! The end of a run: passed, failed, inconclusive.

use crate::golden;
use changeover_model::check::{Check, Severity};
use changeover_model::event::Phase;
use changeover_model::fault::{Fault, Point};
use changeover_model::format::Kind;
use changeover_model::history::{Class, Connection};
use changeover_model::verdict::{
    BudgetReport, CallOffReport, FaultOutcome, FaultReport, Finding, FreshnessReport, GapReport,
    GapSpan, OperationCounts, PhaseReport, PointOfNoReturn, StepReport, Verdict, VerdictOutcome,
};
use changeover_model::version::PathVersion;
use changeover_report::{Look, human, markdown, summary};
use serde_json::json;

fn version(text: &str) -> PathVersion {
    text.parse().unwrap()
}

fn gap(class: Class, connection: Connection, longest_ms: Option<f64>) -> GapReport {
    GapReport {
        class,
        connection,
        longest_ms,
        total_ms: longest_ms.unwrap_or_default(),
        count: 1,
        unexplained_ms: None,
        resolution_ms: 11.2,
        spans: Vec::new(),
        lane: None,
    }
}

fn step(number: u32, from: &str, to: &str, write_ms: f64) -> StepReport {
    let phases = [41.0, 210.5, 12.1, 35.2, 3.3];
    StepReport {
        number,
        from: version(from),
        to: version(to),
        service: "mz_2".to_owned(),
        deploy_generation: u64::from(number),
        called_off: None,
        phases: Phase::ALL
            .into_iter()
            .zip(phases)
            .map(|(name, ms)| PhaseReport { name, ms: Some(ms) })
            .collect(),
        gaps: vec![
            gap(Class::Read, Connection::Held, Some(15.0)),
            gap(Class::Read, Connection::New, Some(31.0)),
            gap(Class::Write, Connection::Held, Some(write_ms)),
            gap(Class::Write, Connection::New, Some(write_ms - 4.0)),
            gap(Class::Connect, Connection::New, Some(20.0)),
        ],
        freshness: FreshnessReport {
            p50_ms: Some(0.0),
            max_ms: Some(0.0),
        },
        latency: Vec::new(),
    }
}

pub(crate) fn passed() -> Verdict {
    Verdict {
        format: Kind::Verdict.mark(),
        outcome: VerdictOutcome::Pass,
        reasons: Vec::new(),
        run: "20261122T120000Z-0a1b2c".to_owned(),
        seed: "1".to_owned(),
        target: "reference".to_owned(),
        runtime: "process".to_owned(),
        path: ["v0.1.0", "v0.2.0", "current"].map(version).to_vec(),
        steps: vec![
            step(1, "v0.1.0", "v0.2.0", 48.4),
            step(2, "v0.2.0", "current", 62.1),
        ],
        findings: Vec::new(),
        budgets: ["connect-gap", "read-gap", "write-gap"]
            .into_iter()
            .zip([20.0, 31.0, 62.1])
            .map(|(name, measured_ms)| BudgetReport {
                name: name.to_owned(),
                limit_ms: 1000.0,
                measured_ms: Some(measured_ms),
                outcome: VerdictOutcome::Pass,
            })
            .collect(),
        operations: OperationCounts {
            total: 8500,
            ok: 8489,
            fail: 4,
            unknown: 7,
            acknowledged_writes: Some(4201),
        },
        faults: Vec::new(),
        point_of_no_return: Vec::new(),
        repeat: None,
        control: None,
        skipped: Vec::new(),
        reproduce: "changeover rehearse --plan runs/a/plan.json".to_owned(),
        probe: None,
    }
}

fn failed() -> Verdict {
    let mut verdict = passed();
    verdict.outcome = VerdictOutcome::Fail;
    verdict.reasons = vec![
        "lost-write at step 2: 1 acknowledged write is missing from a full read".to_owned(),
        "a full read after step 2 is missing".to_owned(),
    ];
    verdict.findings = vec![
        Finding {
            check: Check::LostWrite,
            severity: Severity::Error,
            step: Some(2),
            message: "1 acknowledged write is missing from a full read".to_owned(),
            evidence: json!({"key": "w1.0", "value": 17, "client": 3}),
        },
        Finding {
            check: Check::CrashLoop,
            severity: Severity::Error,
            step: Some(2),
            message: "mz_2 \u{1b}[31mcrashed three times".to_owned(),
            evidence: json!({"log": ["starting", "panic: \u{1b}]0;owned\u{7}", "bye"]}),
        },
        Finding {
            check: Check::PromotionLost,
            severity: Severity::Warning,
            step: None,
            message: "the promotion was sent twice".to_owned(),
            evidence: json!(null),
        },
    ];
    // The step broke off in the promotion, and new connections never wrote again.
    let step = &mut verdict.steps[1];
    step.phases.truncate(3);
    step.phases[2].ms = None;
    step.gaps[3].longest_ms = None;
    step.freshness.max_ms = None;
    verdict.budgets[2].measured_ms = Some(1830.0);
    verdict.budgets[2].outcome = VerdictOutcome::Fail;
    verdict
}

fn inconclusive() -> Verdict {
    let mut verdict = passed();
    verdict.outcome = VerdictOutcome::Inconclusive;
    verdict.reasons = vec![
        "write/held: 7.5 % of the sends of step 1 left late through the harness's own fault".into(),
    ];
    verdict.steps.clear();
    verdict.budgets[2].measured_ms = None;
    verdict.budgets[2].outcome = VerdictOutcome::Inconclusive;
    verdict.operations.acknowledged_writes = None;
    verdict
}

#[test]
fn a_pass() {
    golden("pass.txt", &human::render(&passed(), Look::PLAIN));
    let terminal = Look {
        colour: false,
        borders: true,
    };
    golden("pass-terminal.txt", &human::render(&passed(), terminal));
}

#[test]
fn a_fail() {
    golden("fail.txt", &human::render(&failed(), Look::PLAIN));
}

#[test]
fn an_inconclusive_run() {
    golden(
        "inconclusive.txt",
        &human::render(&inconclusive(), Look::PLAIN),
    );
}

#[test]
fn the_sentence_of_a_pass_claims_no_loss_and_that_of_others_does_not() {
    assert_eq!(
        summary::sentence(&passed()),
        "v0.1.0 → v0.2.0 → current: passed. Longest write gap 62.1 ms (resolution 11.2 ms) at step 2, reads 31 ms; \
         4,201 acknowledged writes, none lost. Reproduce: changeover rehearse --plan runs/a/plan.json"
    );
    assert!(summary::sentence(&failed()).contains("acknowledged writes, some lost."));
    assert!(summary::sentence(&inconclusive()).contains("no loss seen."));
    let mut other_failure = failed();
    other_failure.findings.remove(0);
    assert!(summary::sentence(&other_failure).contains("no loss seen."));
}

#[test]
fn colour_codes_are_written_only_where_they_are_allowed() {
    let colourful = Look {
        colour: true,
        borders: true,
    };
    assert!(human::render(&passed(), colourful).contains("\u{1b}["));
    for verdict in [passed(), failed(), inconclusive()] {
        let plain = human::render(&verdict, Look::PLAIN);
        let controls = plain
            .chars()
            .filter(|c| c.is_control() && *c != '\n')
            .count();
        assert_eq!(controls, 0, "{plain}");
    }
}

/// A run in which something was broken, and the upgrade called off before it went through.
pub(crate) fn broken_on_purpose() -> Verdict {
    let fault = |text: &str, outcome, reason: &str, evidence: &[&str]| FaultReport {
        fault: text.parse().unwrap(),
        step: 2,
        expected: text.parse::<Fault>().unwrap().expectation(),
        before: "process 17 runs".to_owned(),
        after: "process 18 runs".to_owned(),
        evidence: evidence.iter().map(|&e| e.to_owned()).collect(),
        outcome,
        reason: reason.to_owned(),
    };
    let mut verdict = passed();
    verdict.faults = vec![
        fault(
            "2:old:kill@ready",
            FaultOutcome::Held,
            "",
            &["process 17 ended by our own hand (signal 9)"],
        ),
        fault(
            "2:new:pause:2s@leader",
            FaultOutcome::Missed,
            "nothing shows that it took effect",
            &[],
        ),
    ];
    verdict.steps[0].called_off = Some(CallOffReport {
        point: Point::Ready,
        worked: true,
        reason: String::new(),
    });
    let gap = &mut verdict.steps[1].gaps[2];
    gap.longest_ms = Some(2100.0);
    gap.unexplained_ms = Some(40.0);
    gap.spans = vec![GapSpan {
        from_ms: 1000.0,
        to_ms: 3100.0,
        fault: Some(verdict.faults[0].fault.clone()),
    }];
    verdict.point_of_no_return = vec![PointOfNoReturn {
        step: 2,
        point: Some(Point::Ready),
        fails_at: None,
        sentence: "v0.2.0 → current can be called off up to point ready, with all data".to_owned(),
    }];
    verdict
}

#[test]
fn what_was_broken_on_purpose_is_told_apart_from_the_upgrade() {
    let verdict = broken_on_purpose();
    golden("faults.txt", &human::render(&verdict, Look::PLAIN));
    golden("faults.md", &markdown::render(&verdict));
    let sentence = summary::sentence(&verdict);
    assert!(sentence.contains("beside outages of up to 2.1 s that faults explain"));
    assert!(sentence.contains("1 of 2 faults held"), "{sentence}");
    assert!(!sentence.contains("write gap 2.1 s"), "{sentence}");
}
