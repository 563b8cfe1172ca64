//! Every way an operation can end has its outcome and its error kind.

use crate::pg_stub::{self as pg, Do, PgStub};
use changeover_model::history::{ErrorKind, Outcome};
use changeover_rehearse::client::{Answer, Client, ClientTarget, Request};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn add() -> Request {
    Request::Add {
        key: "k".to_owned(),
        value: 1,
    }
}

fn read() -> Request {
    Request::Read {
        key: "k".to_owned(),
    }
}

async fn connect(target: &ClientTarget) -> Client {
    let deadline = Instant::now() + LONG;
    Client::connect(target.clone(), deadline).await.unwrap()
}

/// A server that reacts in this way to the first query of its first connection, and a client connected to it.
async fn facing(react: impl Fn() -> Do + Send + Sync + 'static) -> (PgStub, Client) {
    let stub = PgStub::start(move |heard| {
        if heard.connection == 0 && heard.first {
            react()
        } else {
            Do::Serve
        }
    })
    .await;
    let client = connect(&stub.target(LONG)).await;
    (stub, client)
}

type Said = (Outcome, Option<ErrorKind>, Option<String>);

fn said(answer: &Answer) -> Said {
    let error = answer.error.as_ref();
    (
        answer.outcome,
        error.map(|e| e.kind),
        error.and_then(|e| e.sqlstate.clone()),
    )
}

/// How a write and a read end against such a server.
async fn ends(react: impl Fn() -> Do + Clone + Send + Sync + 'static) -> (Said, Said) {
    let mut ends = Vec::new();
    for request in [add(), read()] {
        let (_stub, mut client) = facing(react.clone()).await;
        let answer = client.perform(&request, Instant::now() + LONG).await;
        ends.push(said(&answer));
    }
    let read = ends.pop().unwrap();
    (ends.pop().unwrap(), read)
}

fn unknown(kind: ErrorKind) -> Said {
    (Outcome::Unknown, Some(kind), None)
}

fn fail(kind: ErrorKind) -> Said {
    (Outcome::Fail, Some(kind), None)
}

#[tokio::test]
async fn what_is_acknowledged_is_ok_and_read_back() {
    let stub = PgStub::good().await;
    let mut client = connect(&stub.target(LONG)).await;
    let deadline = Instant::now() + LONG;
    let answer = client.perform(&read(), deadline).await;
    assert_eq!(answer.result, json!([]));
    for _ in 0..2 {
        let answer = client.perform(&add(), deadline).await;
        assert_eq!(said(&answer), (Outcome::Ok, None, None));
        assert!(answer.result.is_null());
    }
    let answer = client.perform(&read(), deadline).await;
    assert_eq!(said(&answer), (Outcome::Ok, None, None));
    assert_eq!(answer.result, json!([1, 1]));
    client.close().await;
}

#[tokio::test]
async fn an_answer_of_many_rows_arrives_whole() {
    let expected: Vec<_> = (0..20_000).collect();
    let rows = expected.clone();
    let (_stub, mut client) = facing(move || {
        let rows: Vec<_> = rows.iter().map(i64::to_string).collect();
        let rows: Vec<_> = rows.iter().map(|row| vec![Some(&**row)]).collect();
        Do::Send(pg::table(1, &rows))
    })
    .await;
    let answer = client.perform(&read(), Instant::now() + LONG).await;
    assert_eq!(answer.result, json!(expected));
}

#[tokio::test]
async fn an_sqlstate_decides_whether_a_write_may_have_taken_effect() {
    let cases = [
        ("23505", "duplicate", Outcome::Fail, ErrorKind::Other),
        ("40001", "conflict", Outcome::Fail, ErrorKind::Other),
        (
            "25006",
            "cannot write in read-only mode",
            Outcome::Fail,
            ErrorKind::ReadOnly,
        ),
        ("55000", "Fenced out", Outcome::Fail, ErrorKind::Fenced),
        ("57P01", "fenced out", Outcome::Unknown, ErrorKind::Fenced),
        ("57P01", "shutdown", Outcome::Unknown, ErrorKind::Other),
        ("08006", "connection", Outcome::Unknown, ErrorKind::Other),
        ("40003", "who knows", Outcome::Unknown, ErrorKind::Other),
        ("XX000", "internal", Outcome::Unknown, ErrorKind::Other),
        ("57014", "cancelled", Outcome::Fail, ErrorKind::Other),
    ];
    for (sqlstate, text, outcome, kind) in cases {
        let (write, read) =
            ends(move || Do::Send([pg::error(sqlstate, text), pg::ready()].concat())).await;
        let state = Some(sqlstate.to_owned());
        assert_eq!(write, (outcome, Some(kind), state.clone()), "{text}");
        assert_eq!(read, (Outcome::Fail, Some(kind), state), "{text}");
    }
}

#[tokio::test]
async fn a_refused_write_leaves_the_connection_usable() {
    let (_stub, mut client) =
        facing(|| Do::Send([pg::error("25006", "no"), pg::ready()].concat())).await;
    let deadline = Instant::now() + LONG;
    let answer = client.perform(&add(), deadline).await;
    assert_eq!(answer.outcome, Outcome::Fail);
    assert!(!client.is_dead());
    let answer = client.perform(&add(), deadline).await;
    assert_eq!(answer.outcome, Outcome::Ok);
}

#[tokio::test]
async fn an_error_before_the_connection_ends_is_not_lost() {
    let (write, read) = ends(|| Do::Close(pg::error("57P01", "this deployment is fenced"))).await;
    let error = (Some(ErrorKind::Fenced), Some("57P01".to_owned()));
    assert_eq!(write, (Outcome::Unknown, error.0, error.1.clone()));
    assert_eq!(read, (Outcome::Fail, error.0, error.1));
}

#[tokio::test]
async fn a_connection_that_dies_makes_a_write_unknown_and_a_read_fail() {
    let died = (unknown(ErrorKind::Reset), fail(ErrorKind::Reset));
    assert_eq!(ends(|| Do::Close(Vec::new())).await, died);
    assert_eq!(ends(|| Do::Reset).await, died);
    // In the middle of a message.
    let half = pg::complete("INSERT 0 1")[..7].to_vec();
    assert_eq!(ends(move || Do::Close(half.clone())).await, died);
    // Between two messages: only a complete answer is an acknowledgement.
    let most = pg::complete("INSERT 0 1");
    assert_eq!(ends(move || Do::Close(most.clone())).await, died);
}

#[tokio::test]
async fn no_answer_in_time_makes_a_write_unknown_and_the_connection_unusable() {
    for (request, expected) in [
        (add(), unknown(ErrorKind::Timeout)),
        (read(), fail(ErrorKind::Timeout)),
    ] {
        let (stub, mut client) = facing(|| Do::Nothing).await;
        let answer = client.perform(&request, Instant::now() + SHORT).await;
        assert_eq!(said(&answer), expected);
        assert!(client.is_dead());
        drop(client);
        let mut seen = stub.seen.clone();
        seen.wait_for(|seen| seen.ended == 1).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_right_is_told_apart() {
    let rows = |values: Vec<Option<&str>>| pg::table(values.len() as u16, &[values]);
    let wrong_reads = [
        rows(vec![Some("1"), Some("2")]),
        rows(vec![None]),
        rows(vec![Some("one")]),
        [pg::description(1), pg::row(&[Some("1")]), pg::ready()].concat(),
    ];
    for bytes in wrong_reads {
        let (_stub, mut client) = facing(move || Do::Send(bytes.clone())).await;
        let answer = client.perform(&read(), Instant::now() + LONG).await;
        assert_eq!(said(&answer), fail(ErrorKind::WrongAnswer));
        assert!(client.is_dead(), "what else is in the stream is not known");
    }
    let nonsense = vec![b'C', 0, 0, 0, 1, 0, 0];
    for bytes in [pg::ready(), nonsense] {
        let (write, _) = ends(move || Do::Send(bytes.clone())).await;
        assert_eq!(write, unknown(ErrorKind::WrongAnswer));
    }
}

#[tokio::test]
async fn a_write_of_which_no_byte_was_sent_has_failed() {
    let stub = PgStub::start(|_| Do::Close([pg::auth_ok(), pg::ready()].concat())).await;
    let mut client = connect(&stub.target(LONG)).await;
    // Until the end of the connection has arrived.
    while !client.is_dead() {
        tokio::task::yield_now().await;
    }
    let answer = client.perform(&add(), Instant::now() + LONG).await;
    assert_eq!(said(&answer), fail(ErrorKind::Reset));
    assert_eq!(stub.seen.borrow().queries, 0);
}

async fn connect_error(target: ClientTarget, timeout: Duration) -> (ErrorKind, Option<String>) {
    match Client::connect(target, Instant::now() + timeout).await {
        Ok(_) => panic!("connected"),
        Err(error) => (error.kind(), error.sqlstate().map(str::to_owned)),
    }
}

#[tokio::test]
async fn a_connect_ends_with_its_reason() {
    let nobody = pg::target(pg::nobody().await, LONG);
    assert_eq!(
        connect_error(nobody, LONG).await,
        (ErrorKind::Refused, None)
    );
    let cases: [(fn() -> Do, _); 6] = [
        (|| Do::Close(Vec::new()), (ErrorKind::Reset, None)),
        (|| Do::Reset, (ErrorKind::Reset, None)),
        (|| Do::Close(pg::auth_ok()), (ErrorKind::Reset, None)),
        (
            || Do::Send(b"?\0\0\0\x04".to_vec()),
            (ErrorKind::WrongAnswer, None),
        ),
        (
            || Do::Close(pg::error("57P03", "starting up")),
            (ErrorKind::Other, Some("57P03".to_owned())),
        ),
        (
            || Do::Close(pg::error("57P03", "fenced out")),
            (ErrorKind::Fenced, Some("57P03".to_owned())),
        ),
    ];
    for (react, expected) in cases {
        let stub = PgStub::start(move |_| react()).await;
        assert_eq!(connect_error(stub.target(LONG), LONG).await, expected);
    }
    // A startup that is not finished is bounded as well.
    let stub = PgStub::start(|_| Do::Send(pg::auth_ok())).await;
    assert_eq!(
        connect_error(stub.target(LONG), SHORT).await,
        (ErrorKind::Timeout, None)
    );
}

#[tokio::test]
async fn statements_that_are_no_operations_return_rows_as_text() {
    let (_stub, mut client) = facing(|| {
        let rows = [vec![Some("v1"), None], vec![Some(""), Some("2")]];
        Do::Send(pg::table(2, &rows))
    })
    .await;
    let deadline = Instant::now() + LONG;
    let rows = client.execute("READ 'k'", deadline).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(rows, [[text("v1"), None], [text(""), text("2")]]);
    let error = client.execute("NONSENSE", deadline).await.unwrap_err();
    assert_eq!(error.to_string(), "syntax error (SQLSTATE 42601)");
}
