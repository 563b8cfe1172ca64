//! The leader API's client against everything a socket can do.

use changeover_model::event::{PromoteResult, StatusSeen};
use changeover_model::status::DeploymentStatus;
use changeover_rehearse::leader_api::LeaderApi;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

/// Sends these bytes to everybody, then closes, or holds the connection open.
async fn server(bytes: &[u8], hold: bool) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let bytes = bytes.to_vec();
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&bytes).await;
            if hold {
                held.push(stream);
            }
        }
    });
    (addr, task)
}

async fn status(bytes: &[u8]) -> StatusSeen {
    let (addr, server) = server(bytes, false).await;
    let seen = LeaderApi::new(addr)
        .with_deadlines(LONG, LONG)
        .status()
        .await;
    server.abort();
    seen
}

#[tokio::test]
async fn a_plain_answer_in_every_framing() {
    let ready = StatusSeen::Status(DeploymentStatus::ReadyToPromote);
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{\"status\":\"ReadyToPromote\"}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1b\r\n{\"status\":\"ReadyToPromote\"}\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n{\"status\":\"ReadyToPromote\"}",
    ] {
        assert_eq!(status(answer.as_bytes()).await, ready, "{answer:?}");
    }
}

#[tokio::test]
async fn nobody_or_nothing_is_unreachable() {
    assert_eq!(status(b"").await, StatusSeen::Unreachable);
    // Cut in the head, and in the body.
    assert_eq!(
        status(b"HTTP/1.1 200 OK\r\ncont").await,
        StatusSeen::Unreachable
    );
    assert_eq!(
        status(b"HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{\"status\":\"Rea").await,
        StatusSeen::Unreachable
    );
    assert_eq!(
        status(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await,
        StatusSeen::Unreachable
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let api = LeaderApi::new(addr);
    assert_eq!(api.status().await, StatusSeen::Unreachable);
    let sent = api.promote().await;
    assert!(
        matches!(&sent, PromoteResult::Refused(why) if why.contains("not sent")),
        "{sent:?}"
    );
}

#[tokio::test]
async fn what_is_not_the_protocol_is_nonsense() {
    for answer in [
        "\x16\x03\x01\x02\x00\x01",
        "hello\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: minus one\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\nnot ready",
    ] {
        let seen = status(answer.as_bytes()).await;
        let StatusSeen::Nonsense(text) = seen else {
            panic!("{answer:?} is {seen:?}");
        };
        assert!(!text.contains('\x16') && text.len() < 400, "{text:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_short() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(1_000_000, b'x');
    // Never closed: only the bound on what is read ends it.
    let (addr, _server) = server(&endless, true).await;
    let seen = LeaderApi::new(addr)
        .with_deadlines(LONG, LONG)
        .status()
        .await;
    assert!(
        matches!(&seen, StatusSeen::Nonsense(text) if text.contains("more than 4096 bytes")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn whoever_takes_too_long_is_silent() {
    for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{"] {
        let (addr, _server) = server(begun.as_bytes(), true).await;
        let api = LeaderApi::new(addr).with_deadlines(SHORT, SHORT);
        assert_eq!(api.status().await, StatusSeen::Silent, "{begun:?}");
        assert_eq!(api.promote().await, PromoteResult::Lost, "{begun:?}");
    }
}

#[tokio::test]
async fn a_promotion_without_an_answer_is_lost_and_not_refused() {
    for cut in ["", "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"res"] {
        let (addr, _server) = server(cut.as_bytes(), false).await;
        let api = LeaderApi::new(addr).with_deadlines(LONG, LONG);
        assert_eq!(api.promote().await, PromoteResult::Lost, "{cut:?}");
    }
}

#[tokio::test]
async fn only_a_400_says_that_a_promotion_was_not_taken() {
    for (answer, may_be_taken, quoted) in [
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno",
            false,
            "400: no",
        ),
        (
            "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno",
            true,
            "500: no",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
            true,
            "200: no",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno",
            true,
            "404: no",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", true, "no HTTP"),
    ] {
        let (addr, _server) = server(answer.as_bytes(), false).await;
        let api = LeaderApi::new(addr).with_deadlines(LONG, LONG);
        let sent = api.promote().await;
        assert_eq!(sent.may_be_taken(), may_be_taken, "{answer:?}");
        assert!(
            matches!(&sent, PromoteResult::Refused(text) | PromoteResult::Unclear(text) if text.starts_with(quoted)),
            "{sent:?}"
        );
    }
}
