//! Full reads: every key once, whatever it takes, until the deadline.

use super::history::{History, check, error};
use crate::pg_stub::{Do, PgStub, error as refusal, ready};
use changeover_model::history::{ErrorKind, Op, Outcome, Source};
use changeover_rehearse::client::{Client, Request};
use changeover_rehearse::full_read::{FullRead, full_read};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(60);

fn keys(count: usize) -> Vec<Request> {
    let key = |n| format!("w{n}.0");
    (0..count).map(|n| Request::Read { key: key(n) }).collect()
}

#[tokio::test]
async fn every_key_is_read_once_however_often_it_has_to_be_tried() {
    // The first connections are good for nothing, and some die later.
    let stub = PgStub::start(|heard| match (heard.connection, &heard.query) {
        (0..=5, None) => Do::Close(Vec::new()),
        (9, Some(_)) => Do::Reset,
        _ => Do::Serve,
    })
    .await;
    let target = stub.target(LONG);
    let deadline = Instant::now() + LONG;
    let (recorder, history) = History::new();
    let read = full_read(&recorder, &target, keys(30), deadline).await;
    assert_eq!(
        read,
        FullRead {
            keys: 30,
            unread: 0
        }
    );
    let all = history.all();
    check(&all);
    let found: BTreeSet<_> = all.iter().map(|o| o.key.clone().unwrap()).collect();
    assert_eq!((all.len(), found.len()), (30, 30));
    for o in &all {
        assert_eq!((o.op, o.outcome), (Op::Read, Outcome::Ok));
        assert_eq!(
            (o.source, o.result.clone()),
            (Some(Source::FullRead), json!([]))
        );
    }
}

#[tokio::test]
async fn what_was_added_is_found() {
    let stub = PgStub::good().await;
    let target = stub.target(LONG);
    let deadline = Instant::now() + LONG;
    let mut client = Client::connect(target.clone(), deadline).await.unwrap();
    for value in [3, 4] {
        let key = "w0.0".to_owned();
        client.perform(&Request::Add { key, value }, deadline).await;
    }
    let (recorder, history) = History::new();
    full_read(&recorder, &target, keys(1), deadline).await;
    assert_eq!(history.all()[0].result, json!([3, 4]));
}

#[tokio::test]
async fn a_key_that_cannot_be_read_until_the_deadline_is_unread() {
    let stub = PgStub::start(|heard| match heard.is("READ 'w3.0'") {
        true => Do::Send([refusal("58030", "disk"), ready()].concat()),
        false => Do::Serve,
    })
    .await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let (recorder, history) = History::new();
    let read = full_read(&recorder, &stub.target(LONG), keys(5), deadline).await;
    assert_eq!(read, FullRead { keys: 5, unread: 1 });
    let all = history.all();
    let failed: Vec<_> = all.iter().filter(|o| o.outcome != Outcome::Ok).collect();
    assert_eq!((all.len(), failed.len()), (5, 1));
    assert_eq!(failed[0].key.as_deref(), Some("w3.0"));
    assert_eq!(error(failed[0]), Some(ErrorKind::Other));
    let sqlstate = failed[0].error.as_ref().unwrap().sqlstate.as_deref();
    assert_eq!(sqlstate, Some("58030"));
}

#[tokio::test]
async fn after_the_deadline_nothing_is_sent() {
    let stub = PgStub::good().await;
    let (recorder, history) = History::new();
    let read = full_read(&recorder, &stub.target(LONG), keys(9), Instant::now()).await;
    assert_eq!(read, FullRead { keys: 9, unread: 9 });
    let all = history.all();
    assert_eq!(all.len(), 9);
    assert!(all.iter().all(|o| error(o) == Some(ErrorKind::NotSent)));
    assert_eq!(stub.seen.borrow().connections, 0);
}

#[tokio::test]
async fn no_keys_are_read_at_once() {
    let stub = PgStub::good().await;
    let (recorder, _) = History::new();
    let deadline = Instant::now() + LONG;
    let read = full_read(&recorder, &stub.target(LONG), Vec::new(), deadline).await;
    assert_eq!(read, FullRead { keys: 0, unread: 0 });
}
