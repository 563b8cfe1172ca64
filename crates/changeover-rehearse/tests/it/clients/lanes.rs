//! Lanes and workload: an open loop that no server can slow down.

use super::history::{History, check, error, lane, not_sent, of};
use crate::pg_stub::{Do, Heard, PgStub};
use changeover_model::history::{Class, Connection, ErrorKind, Op, Operation, Outcome, Source};
use changeover_model::plan::WorkloadPlan;
use changeover_model::workload::{SetOperation, SetWorkload};
use changeover_rehearse::client::Request;
use changeover_rehearse::front_door::raise_file_limit;
use changeover_rehearse::lanes::{LANES, LaneId, lane_request};
use changeover_rehearse::load::Load;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);
const MS: u64 = 1_000_000;

fn plan(probe_interval_ms: u64, rate: u32, clients: u32) -> WorkloadPlan {
    WorkloadPlan {
        models: vec!["set".to_owned()],
        details: Default::default(),
        rate,
        clients,
        probe_interval_ms,
        seed: "7".to_owned(),
    }
}

/// That a lane sent every operation, when and what it should.
fn is_complete(lane: &[&Operation], interval_ms: u64, class: Class, connection: Connection) {
    for (n, o) in (0..).zip(lane) {
        let since = o.intended.unwrap() - lane[0].intended.unwrap();
        assert_eq!(since, n * interval_ms * MS, "{class:?} {connection:?} {n}");
        let asked = match lane_request(class, connection, n) {
            Request::Add { key, value } => (Op::Add, Some(key), Value::from(value)),
            Request::Read { key } => (Op::Read, Some(key), Value::Null),
            Request::Connect => (Op::Connect, None, Value::Null),
            _ => unreachable!("lanes of a rehearsal have none"),
        };
        assert_eq!((o.op, o.key.clone(), o.value.clone()), asked);
        assert!(o.lateness.unwrap() <= o.invoke - o.intended.unwrap() || not_sent(o));
    }
}

fn all_lanes(all: &[Operation], such: impl Fn(&[&Operation]) -> bool) -> bool {
    LANES.iter().all(
        |&LaneId {
             class, connection, ..
         }| such(&lane(all, class, connection)),
    )
}

#[tokio::test]
async fn lanes_and_workload_send_what_the_plan_says() {
    let stub = PgStub::good().await;
    let (recorder, mut history) = History::new();
    let plan = plan(10, 100, 3);
    let load = Load::start(recorder, &stub.target(LONG), &plan).unwrap();
    // Counted first: looking closer at every operation would be most of the work here.
    let enough = |all: &[Operation]| {
        all.len() > 630
            && all_lanes(all, |lane| lane.len() > 104)
            && of(all, Source::Workload).len() > 60
    };
    history.until(enough).await;
    let (live, keys) = (load.live(), load.keys());
    load.stop().await;
    let all = history.all();
    check(&all);
    let good = |o: &Operation| o.outcome == Outcome::Ok;
    assert!(all.iter().all(good), "{:?}", all.iter().find(|o| !good(o)));
    for LaneId {
        class, connection, ..
    } in LANES
    {
        let lane = lane(&all, class, connection);
        is_complete(&lane, 10, class, connection);
        if class == Class::Read {
            let read = |o: &&&Operation| !o.result.as_array().unwrap().is_empty();
            assert!(lane.iter().any(|o| read(&o)), "no read found anything");
        }
        if connection == Connection::Held {
            // Eight clients take turns, each with the same process throughout.
            let who: Vec<_> = lane.iter().map(|o| (o.client, o.process)).collect();
            let clients: BTreeSet<_> = who[..8].iter().collect();
            assert_eq!(clients.len(), 8);
            assert!(who.iter().zip(&who[8..]).all(|(a, b)| a == b));
        }
    }
    // The workload's operations are the plan's, each from the client whose turn it is.
    let operations = SetWorkload::new(&plan.seed, plan.clients);
    let workload = of(&all, Source::Workload);
    for (n, o) in (0..).zip(&workload) {
        let asked = match operations.operation(n % 3, n / 3) {
            SetOperation::Add { key, value } => (Op::Add, key, Value::from(value)),
            SetOperation::Read { key } => (Op::Read, key, Value::Null),
        };
        assert_eq!((o.op, o.key.clone().unwrap(), o.value.clone()), asked);
        assert_eq!(
            o.intended.unwrap() - workload[0].intended.unwrap(),
            n * 10 * MS
        );
        assert_eq!((o.class, o.connection), (None, None));
    }
    let figures = live.figures();
    assert_eq!(figures.ok, all.len() as u64);
    assert_eq!((figures.fail, figures.unknown), (0, 0));
    assert!(figures.since_write.is_some() && figures.since_read.is_some());
    let written = all
        .iter()
        .filter(|o| o.op == Op::Add)
        .map(|o| o.key.clone().unwrap());
    let written: BTreeSet<_> = written.collect();
    assert_eq!(keys.all(), written.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_silent_server_delays_no_schedule_and_fills_a_lane_with_256() {
    raise_file_limit().unwrap();
    let speak = CancellationToken::new();
    let stub = PgStub::start({
        let speak = speak.clone();
        move |_| Do::ServeAfter(speak.clone())
    })
    .await;
    let (recorder, mut history) = History::new();
    let load = Load::start(recorder, &stub.target(LONG), &plan(1, 1000, 1)).unwrap();
    let full = |all: &[Operation]| {
        let workload = of(all, Source::Workload);
        all_lanes(all, |lane| lane.len() > 20) && workload.len() > 20
    };
    history.until(full).await;
    let silent = history.all();
    assert!(silent.iter().all(not_sent), "nobody was answered");
    speak.cancel();
    load.stop().await;
    let all = history.all();
    check(&all);
    let sent_first = |operations: &[&Operation]| {
        for (n, o) in operations.iter().enumerate() {
            if n < 256 {
                assert_eq!(o.outcome, Outcome::Ok, "{n}: {o:?}");
            } else if n < 276 {
                assert!(not_sent(o), "{n}: {o:?}");
            }
            if not_sent(o) {
                assert_eq!((o.intended, Some(o.invoke)), (Some(o.invoke), o.ended));
                assert_eq!(o.outcome, Outcome::Fail);
            }
        }
    };
    for LaneId {
        class, connection, ..
    } in LANES
    {
        let lane = lane(&all, class, connection);
        is_complete(&lane, 1, class, connection);
        sent_first(&lane);
    }
    sent_first(&of(&all, Source::Workload));
}

/// Does something at the first write of the lane with held connections.
fn at_first_held_write(heard: &Heard, act: impl Fn() -> Do) -> Do {
    if heard.is("ADD 'lane.held.0' 0") {
        act()
    } else {
        Do::Serve
    }
}

#[tokio::test]
async fn an_operation_waits_for_its_held_client_and_no_other_does() {
    let speak = CancellationToken::new();
    let stub = PgStub::start({
        let speak = speak.clone();
        move |heard| at_first_held_write(heard, || Do::ServeAfter(speak.clone()))
    })
    .await;
    let (recorder, mut history) = History::new();
    let load = Load::start(recorder, &stub.target(LONG), &plan(2, 1, 1)).unwrap();
    let writes = |all: &[Operation]| {
        let lane = lane(all, Class::Write, Connection::Held);
        lane.iter()
            .map(|o| o.value.as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    // The other clients go on past the busy one's second and third turn.
    history.until(|all| writes(all).contains(&23)).await;
    assert!(writes(&history.all()).iter().all(|n| n % 8 != 0));
    speak.cancel();
    load.stop().await;
    let all = history.all();
    check(&all);
    let lane = lane(&all, Class::Write, Connection::Held);
    is_complete(&lane, 2, Class::Write, Connection::Held);
    assert!(lane.iter().all(|o| o.outcome == Outcome::Ok));
    for waited in [lane[8], lane[16]] {
        assert!(waited.invoke >= lane[0].ended.unwrap());
        let late = waited.invoke - waited.intended.unwrap();
        assert!(waited.lateness.unwrap() < late, "waiting is no lateness");
    }
}

#[tokio::test]
async fn a_held_client_connects_again_at_its_next_turn_with_a_new_process() {
    let stub = PgStub::start(|heard| at_first_held_write(heard, || Do::Reset)).await;
    let (recorder, mut history) = History::new();
    let load = Load::start(recorder, &stub.target(LONG), &plan(2, 1, 1)).unwrap();
    history
        .until(|all| lane(all, Class::Write, Connection::Held).len() > 16)
        .await;
    load.stop().await;
    let all = history.all();
    check(&all);
    let lane = lane(&all, Class::Write, Connection::Held);
    assert_eq!(lane[0].outcome, Outcome::Unknown);
    assert_eq!(error(lane[0]), Some(ErrorKind::Reset));
    assert!(lane[1..].iter().all(|o| o.outcome == Outcome::Ok));
    assert_eq!(lane[0].client, lane[8].client);
    assert_ne!(lane[0].process, lane[8].process);
    assert_eq!(lane[8].process, lane[16].process);
}

#[tokio::test]
async fn a_client_of_new_connections_gets_a_new_process_after_an_unknown() {
    let stub = PgStub::start(|heard| match heard.is("ADD 'lane.new.0' 0") {
        true => Do::Close(Vec::new()),
        false => Do::Serve,
    })
    .await;
    let (recorder, mut history) = History::new();
    let load = Load::start(recorder, &stub.target(LONG), &plan(2, 1, 1)).unwrap();
    let again = |all: &[Operation]| {
        let lane = lane(all, Class::Write, Connection::New);
        let first = lane.first().and_then(|o| o.client);
        lane.iter().filter(|o| o.client == first).count() > 1
    };
    history.until(again).await;
    load.stop().await;
    let all = history.all();
    check(&all);
    let lane = lane(&all, Class::Write, Connection::New);
    assert_eq!(lane[0].outcome, Outcome::Unknown);
    assert_eq!(error(lane[0]), Some(ErrorKind::Reset));
    let next = lane[1..]
        .iter()
        .find(|o| o.client == lane[0].client)
        .unwrap();
    assert_eq!(next.outcome, Outcome::Ok);
    assert_ne!(next.process, lane[0].process);
}

#[tokio::test]
async fn what_cannot_connect_has_failed_for_certain() {
    let target = crate::pg_stub::target(crate::pg_stub::nobody().await, LONG);
    let (recorder, mut history) = History::new();
    let load = Load::start(recorder, &target, &plan(2, 100, 2)).unwrap();
    history
        .until(|all| {
            all_lanes(all, |lane| lane.len() > 16) && !of(all, Source::Workload).is_empty()
        })
        .await;
    let (live, keys) = (load.live(), load.keys());
    load.stop().await;
    let all = history.all();
    check(&all);
    for o in &all {
        assert_eq!(
            (o.outcome, error(o)),
            (Outcome::Fail, Some(ErrorKind::Refused))
        );
    }
    let figures = live.figures();
    assert_eq!((figures.ok, figures.fail), (0, all.len() as u64));
    assert_eq!((figures.since_write, figures.since_read), (None, None));
    assert!(keys.all().is_empty());
}

#[tokio::test]
async fn operations_that_get_no_answer_time_out_and_waiting_ones_are_never_sent() {
    let stub = PgStub::start(|heard| match heard.query {
        Some(_) => Do::Nothing,
        None => Do::Serve,
    })
    .await;
    let (recorder, mut history) = History::new();
    let timeout = Duration::from_millis(100);
    let load = Load::start(recorder, &stub.target(timeout), &plan(2, 200, 1)).unwrap();
    history
        .until(|all| lane(all, Class::Write, Connection::Held).len() > 100)
        .await;
    let keys = load.keys();
    load.stop().await;
    let all = history.all();
    check(&all);
    let unknown = all.iter().filter(|o| o.outcome == Outcome::Unknown);
    let unknown: BTreeSet<_> = unknown.map(|o| o.key.clone().unwrap()).collect();
    assert!(
        keys.all().into_iter().eq(unknown),
        "what may be there is read"
    );
    for o in all.iter().filter(|o| o.op != Op::Connect) {
        assert_eq!(error(o), Some(ErrorKind::Timeout), "{o:?}");
        assert_eq!(o.result, json!(null));
    }
    let lane = lane(&all, Class::Write, Connection::Held);
    assert_eq!(lane[0].outcome, Outcome::Unknown);
    // A lane's time runs from the intended send: what was waiting then had none left, or too little to connect.
    for o in lane {
        let over = o.intended.unwrap() + 100_000_000;
        assert!(o.ended.unwrap() >= over, "given up early: {o:?}");
    }
    let waited = |o: &&&Operation| o.invoke >= o.intended.unwrap() + 100_000_000;
    let workload = of(&all, Source::Workload);
    let waited: Vec<_> = workload.iter().filter(waited).collect();
    assert!(!waited.is_empty());
    assert!(waited.iter().all(|o| o.outcome == Outcome::Fail), "sent");
}
