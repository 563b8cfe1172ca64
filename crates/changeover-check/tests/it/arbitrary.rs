//! Whatever is fed to it, the judge does not panic, and its verdict can be written.

use crate::testing::plan;
use changeover_check::Judge;
use changeover_model::Verdict;
use changeover_model::event::{
    EndMeaning, Event, EventKind, Phase, ProcessEnd, PromoteResult, StatusSeen, StopReason,
};
use changeover_model::history::{
    Class, Connection, ErrorKind, Op, OpError, Operation, Outcome, Source,
};
use changeover_model::status::DeploymentStatus;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0_u64..50,
        Just(0),
        Just(u64::MAX),
        Just(u64::MAX - 1),
        0_u64..5_000_000_000,
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let simple = prop_oneof![
        (0_i64..8).prop_map(|n| json!(n)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "[a-c]?".prop_map(|s| json!(s)),
        Just(Value::Null),
        any::<bool>().prop_map(|b| json!(b)),
    ];
    prop_oneof![
        simple.clone(),
        prop::collection::vec(simple, 0..12).prop_map(Value::Array),
        (0_i64..150).prop_map(|n| json!((0..n).collect::<Vec<_>>())),
        Just(json!({"a": [1]})),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let what = (
        select(vec![
            Op::Add,
            Op::Read,
            Op::Write,
            Op::Cas,
            Op::Txn,
            Op::Transfer,
            Op::Connect,
        ]),
        option::weighted(0.9, select(vec!["a", "b", "c"])),
        value(),
        value(),
        select(vec![Outcome::Ok, Outcome::Fail, Outcome::Unknown]),
        option::weighted(0.1, select(vec!["set", "bank"])),
    );
    let times = (
        time(),
        option::of(time()),
        option::of(time()),
        option::of(time()),
        option::of(time()),
    );
    let who = (
        0_u64..4,
        option::of(0_u64..4),
        option::of(select(vec![
            Source::Lane,
            Source::Workload,
            Source::Observer,
            Source::FullRead,
        ])),
        option::of(select(vec![Class::Read, Class::Write, Class::Connect])),
        option::of(select(vec![
            Connection::Held,
            Connection::New,
            Connection::Direct,
        ])),
        option::of(select(vec![0, 1, 2, u64::MAX])),
        option::of(select(vec![ErrorKind::NotSent, ErrorKind::Reset])),
    );
    (what, times, who).prop_map(|(what, times, who)| {
        let (op, key, value, result, outcome, model) = what;
        let (invoke, returned, intended, lateness, ended) = times;
        let (process, client, source, class, connection, generation, error) = who;
        Operation {
            process,
            op,
            model: model.map(str::to_owned),
            key: key.map(str::to_owned),
            value,
            result,
            invoke,
            returned,
            outcome,
            client,
            source,
            class,
            connection,
            intended,
            lateness,
            slot: None,
            generation,
            error: error.map(|kind| OpError {
                kind,
                sqlstate: None,
            }),
            ended,
        }
    })
}

fn kind() -> impl Strategy<Value = EventKind> {
    let status = || select(DeploymentStatus::ALL.to_vec()).prop_map(StatusSeen::Status);
    let seen = |seen| EventKind::StatusSeen { seen, polls: 1 };
    let phase = || select(Phase::ALL.to_vec());
    prop_oneof![
        8 => status().prop_map(seen),
        1 => Just(seen(StatusSeen::Unreachable)),
        4 => phase().prop_map(|phase| EventKind::PhaseStarted { phase }),
        2 => any::<bool>().prop_map(|completed| EventKind::StepEnded { completed }),
        4 => (select(vec![EndMeaning::Fenced, EndMeaning::Crash, EndMeaning::Restart]), any::<bool>()).prop_map(
            |(meaning, by_us)| EventKind::ProcessEnded { end: ProcessEnd::Code(3), meaning, by_us, by_fault: false }
        ),
        1 => phase().prop_map(|phase| EventKind::DeadlinePassed {
            phase,
            waited_ms: u64::MAX,
            missing: "all".to_owned(),
        }),
        1 => (0_u64..3).prop_map(|unread| EventKind::FullReadDone { unread }),
        20 => select(vec![
            EventKind::StepStarted { from: None, to: "current".parse().unwrap() },
            EventKind::QuietWindowStarted,
            EventKind::QuietWindowEnded,
            EventKind::LoadIntent,
            EventKind::LoadDone,
            EventKind::LoadEndIntent,
            EventKind::LoadEndDone,
            EventKind::FullReadIntent { keys: 3 },
            EventKind::PromoteIntent { attempt: 1 },
            EventKind::PromoteDone { result: PromoteResult::Lost },
            EventKind::PromoteDone { result: PromoteResult::Refused("400: no".to_owned()) },
            EventKind::RestartDone { pid: 7 },
            EventKind::PromotionLost,
            EventKind::VersionSeen { expected: "a".to_owned(), found: "b".to_owned() },
            EventKind::StopIntent { reason: StopReason::Lingered },
            EventKind::CrashLoop { ends: Vec::new(), log: Vec::new() },
            EventKind::StepFailed { reason: "so".to_owned() },
            EventKind::Leftover { what: "it".to_owned() },
            EventKind::Interrupted { signal: "SIGINT".to_owned() },
            EventKind::Examined {
                what: changeover_model::event::Examination::SecondPromotion,
                expected: "200".to_owned(),
                found: "500".to_owned(),
                doubt: None,
                took_ms: 1,
            },
            EventKind::RunEnded,
            EventKind::Unknown,
        ]),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (
        time(),
        time(),
        kind(),
        option::of(select(vec![0, 1, 2, 7, u32::MAX])),
        option::of(select(vec![0, 1, 2, 7, u64::MAX])),
    )
        .prop_map(|(seq, at, kind, step, generation)| Event {
            seq,
            at,
            kind,
            step,
            slot: None,
            generation,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_makes_the_judge_panic(
        events in prop::collection::vec(event(), 0..60),
        operations in prop::collection::vec(operation(), 0..50),
        interval in prop_oneof![Just(1_u64), Just(10), any::<u64>()],
        limit in prop_oneof![Just(0.0), Just(f64::MAX), any::<f64>()],
    ) {
        let mut plan = plan(2);
        plan.workload.probe_interval_ms = interval;
        plan.budgets.insert("write-gap".to_owned(), limit);
        let mut judge = Judge::new(&plan, "run", "again".to_owned());
        for event in &events {
            judge.event(event);
        }
        for operation in &operations {
            judge.operation(operation);
        }
        let verdict = judge.finish();
        if limit.is_finite() {
            let read: Verdict = serde_json::from_str(&verdict.to_json()).unwrap();
            prop_assert_eq!(read.outcome, verdict.outcome);
        }
        // The same lines give the same verdict, in whatever way the two files are read.
        let mut judge = Judge::new(&plan, "run", "again".to_owned());
        for operation in &operations {
            judge.operation(operation);
        }
        for event in &events {
            judge.event(event);
        }
        prop_assert_eq!(format!("{verdict:?}"), format!("{:?}", judge.finish()));
    }
}
