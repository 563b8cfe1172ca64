//! Every way an operation over HTTP can end has its outcome and its error kind.

use changeover_model::history::{ErrorKind, Outcome};
use changeover_model::target::ClientTemplate;
use changeover_rehearse::client::{Answer, Client, ClientTarget, Request};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

/// A server that answers every request with the same bytes, and then closes the connection or does not.
struct Server {
    addr: SocketAddr,
    heard: Arc<Mutex<String>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    async fn start(answer: &str, close: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let (answer, log) = (answer.to_owned(), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..read]);
                    log.lock().unwrap().push_str(&text);
                    // The other end may have gone.
                    let _ = stream.write_all(answer.as_bytes()).await;
                    if close {
                        break;
                    }
                }
            }
        });
        Server {
            addr,
            heard,
            _task: AbortOnDropHandle::new(task),
        }
    }

    async fn client(&self) -> Client {
        let deadline = Instant::now() + LONG;
        Client::connect(target(self.addr), deadline).await.unwrap()
    }
}

fn target(addr: SocketAddr) -> ClientTarget {
    let template = ClientTemplate {
        url: "http://{http_addr}/api/".to_owned(),
        create: Vec::new(),
        write: r#"PUT /sets/{id} {"value": {value}}"#.to_owned(),
        read: "GET /sets/{id}".to_owned(),
        version: Some("GET /version".to_owned()),
        catalog: None,
    };
    ClientTarget::new(&template, addr, LONG).unwrap()
}

fn add() -> Request {
    Request::Add {
        key: "k.1".to_owned(),
        value: 7,
    }
}

fn read() -> Request {
    Request::Read {
        key: "k.1".to_owned(),
    }
}

fn response(code: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {code}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn said(answer: &Answer) -> (Outcome, Option<ErrorKind>) {
    (answer.outcome, answer.error.as_ref().map(|e| e.kind))
}

/// How a request ends against such a server.
async fn end(
    request: Request,
    answer: &str,
    close: bool,
    patience: Duration,
) -> (Outcome, Option<ErrorKind>) {
    let server = Server::start(answer, close).await;
    let mut client = server.client().await;
    said(&client.perform(&request, Instant::now() + patience).await)
}

#[tokio::test]
async fn requests_are_what_the_templates_say_on_a_connection_that_is_kept() {
    let server = Server::start(&response("200 OK", "[1, 7]"), false).await;
    let mut client = server.client().await;
    let deadline = Instant::now() + LONG;
    assert_eq!(
        said(&client.perform(&add(), deadline).await),
        (Outcome::Ok, None)
    );
    let answer = client.perform(&read(), deadline).await;
    assert_eq!(answer.result, json!([1, 7]));
    let connect = client.perform(&Request::Connect, deadline).await;
    assert_eq!(connect.outcome, Outcome::Ok);
    assert!(!client.is_dead());
    let heard = server.heard.lock().unwrap().clone();
    let first: Vec<&str> = heard
        .lines()
        .filter(|line| line.contains("HTTP/1.1"))
        .collect();
    assert_eq!(
        first,
        [
            "PUT /api/sets/k.1 HTTP/1.1",
            "{\"value\": 7}GET /api/sets/k.1 HTTP/1.1",
            "GET /api/version HTTP/1.1"
        ]
    );
    assert!(heard.contains("application/json"));
}

#[tokio::test]
async fn only_a_refusal_says_that_a_write_had_no_effect() {
    let (ok, fail, unknown) = (Outcome::Ok, Outcome::Fail, Outcome::Unknown);
    use ErrorKind::{Fenced, Other, ReadOnly, Reset, WrongAnswer};
    let cases = [
        (response("204 No Content", ""), ok, None),
        (
            response("403 Forbidden", "Read-only here"),
            fail,
            Some(ReadOnly),
        ),
        (response("409 Conflict", "fenced"), fail, Some(Fenced)),
        (response("404 Not Found", ""), fail, Some(Other)),
        (response("500 Oops", ""), unknown, Some(Other)),
        (response("503 Busy", "fenced"), unknown, Some(Fenced)),
        (response("302 Found", ""), unknown, Some(WrongAnswer)),
        (
            "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
            unknown,
            Some(WrongAnswer),
        ),
        (String::new(), unknown, Some(Reset)),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nso".to_owned(),
            unknown,
            Some(Reset),
        ),
    ];
    for (answer, outcome, kind) in cases {
        let found = end(add(), &answer, true, LONG).await;
        assert_eq!(found, (outcome, kind), "{answer:?}");
        // A read has no effect, whatever became of it.
        if outcome != ok {
            let found = end(read(), &answer, true, LONG).await;
            assert_eq!(found, (fail, kind), "{answer:?}");
        }
    }
    let silent = end(add(), "", false, SHORT).await;
    assert_eq!(silent, (unknown, Some(ErrorKind::Timeout)));
    let no_list = end(read(), &response("200 OK", "one"), true, LONG).await;
    assert_eq!(no_list, (fail, Some(WrongAnswer)));
}

#[tokio::test]
async fn nothing_is_sent_on_a_connection_that_has_ended() {
    let server = Server::start(&response("200 OK", ""), true).await;
    let mut client = server.client().await;
    let deadline = Instant::now() + LONG;
    assert_eq!(client.perform(&add(), deadline).await.outcome, Outcome::Ok);
    while !client.is_dead() {
        tokio::task::yield_now().await;
    }
    let answer = client.perform(&add(), deadline).await;
    assert_eq!(said(&answer), (Outcome::Fail, Some(ErrorKind::Reset)));
}

#[tokio::test]
async fn a_connect_lane_wants_an_answer_and_not_only_a_connection() {
    let shut = end(Request::Connect, "", true, LONG).await;
    assert_eq!(shut, (Outcome::Fail, Some(ErrorKind::Reset)));
    let busy = end(Request::Connect, &response("503 Busy", ""), true, LONG).await;
    assert_eq!(busy, (Outcome::Fail, Some(ErrorKind::Other)));
}
