//! Direct observers: they ask one instance, past the front door, until told to stop.

use super::history::{History, check, error, of};
use crate::pg_stub::{self as pg, Do, PgStub};
use changeover_model::history::{Connection, ErrorKind, Op, Operation, Outcome, Source};
use changeover_model::plan::WorkloadPlan;
use changeover_rehearse::load::Load;
use changeover_rehearse::observers::Observer;
use changeover_rehearse::tally::Keys;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_millis(1);

fn observed(all: &[Operation]) -> Vec<&Operation> {
    of(all, Source::Observer)
}

#[tokio::test]
async fn an_observer_writes_to_its_own_set_and_reads_those_being_filled() {
    let leader = PgStub::good().await;
    let read_only = PgStub::start(|heard| match &heard.query {
        Some(query) if query.starts_with("ADD") => Do::Send(
            [
                pg::error("25006", "cannot write in read-only mode"),
                pg::ready(),
            ]
            .concat(),
        ),
        _ => Do::Serve,
    })
    .await;
    let (recorder, mut history) = History::new();
    let plan = WorkloadPlan {
        models: vec!["set".to_owned()],
        details: Default::default(),
        rate: 100,
        clients: 2,
        probe_interval_ms: 1,
        seed: "7".to_owned(),
    };
    let load = Load::start(recorder.clone(), &leader.target(LONG), &plan).unwrap();
    let keys = load.keys();
    let observer = Observer::start(&recorder, &keys, &read_only.target(LONG), "mz_2", 4, PROBE);
    let reads = |all: &[Operation]| {
        let all = observed(all);
        all.iter().filter(|o| o.op == Op::Read).count()
    };
    history.until(|all| reads(all) > 6).await;
    observer.halt();
    let halted = recorder.clock().now();
    observer.stop().await;
    let when_stopped = observed(&history.all()).len();
    load.stop().await;
    let all = history.all();
    check(&all);
    let observed = observed(&all);
    assert_eq!(observed.len(), when_stopped);
    let mut values = BTreeSet::new();
    let mut clients = BTreeSet::new();
    for o in observed {
        assert!(o.invoke <= halted);
        assert_eq!(o.connection, Some(Connection::Direct));
        assert_eq!((o.slot.as_deref(), o.generation), (Some("mz_2"), Some(4)));
        clients.insert(o.client);
        let key = o.key.as_deref().unwrap();
        if o.op == Op::Add {
            assert_eq!(key, "observer.mz_2.4");
            assert_eq!(
                (o.outcome, error(o)),
                (Outcome::Fail, Some(ErrorKind::ReadOnly))
            );
            assert!(values.insert(o.value.as_i64()), "{} twice", o.value);
        } else {
            assert_eq!(o.outcome, Outcome::Ok);
            assert!(key.starts_with("lane.") || key.starts_with('w'), "{key}");
        }
    }
    assert_eq!(clients.len(), 2, "one holds its connection, one does not");
    // One held connection, and a new one for every operation of the other client.
    let seen = read_only.seen.borrow().clone();
    assert!(
        1 < seen.connections && seen.connections < seen.queries,
        "{seen:?}"
    );
    assert!(!keys.all().iter().any(|key| key.starts_with("observer")));
}

#[tokio::test]
async fn before_the_instance_serves_every_attempt_ends_and_is_recorded() {
    let target = pg::target(pg::nobody().await, LONG);
    let (recorder, mut history) = History::new();
    let keys = Arc::new(Keys::default());
    let observer = Observer::start(&recorder, &keys, &target, "mz_1", 0, PROBE);
    history.until(|all| all.len() > 3).await;
    observer.stop().await;
    let all = history.all();
    check(&all);
    for o in &all {
        assert_eq!((o.op, o.outcome), (Op::Add, Outcome::Fail));
        assert_eq!(error(o), Some(ErrorKind::Refused));
    }
}

#[tokio::test]
async fn an_instance_that_does_not_answer_is_asked_once_at_a_time_by_each_client() {
    let stub = PgStub::start(|heard| match heard.query {
        Some(_) => Do::Nothing,
        None => Do::Serve,
    })
    .await;
    let (recorder, mut history) = History::new();
    let keys = Arc::new(Keys::default());
    let target = stub.target(Duration::from_millis(100));
    let observer = Observer::start(&recorder, &keys, &target, "mz_1", 0, PROBE);
    history.until(|all| all.len() > 3).await;
    observer.stop().await;
    let all = history.all();
    // `check` sees to it that nobody had two in flight, and that processes are new after an unknown.
    check(&all);
    let clients: BTreeSet<_> = all.iter().map(|o| o.client).collect();
    assert_eq!(clients.len(), 2);
    for o in &all {
        assert_eq!(
            (o.outcome, error(o)),
            (Outcome::Unknown, Some(ErrorKind::Timeout))
        );
    }
}
