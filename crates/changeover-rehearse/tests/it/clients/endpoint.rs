//! A database by its URL: several hosts, and connections that end before they begin.

use crate::pg_stub::{Do, PgStub};
use changeover_model::history::ErrorKind;
use changeover_rehearse::client::{Client, ClientTarget, Endpoint};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(60);

fn target(url: &str) -> ClientTarget {
    let endpoint = Endpoint::parse(url, None, |_| None, LONG).unwrap();
    ClientTarget::of_endpoint(&endpoint, Default::default(), LONG)
}

#[tokio::test]
async fn a_connection_that_ends_at_the_wish_for_tls_was_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut wish = [0; 8];
        stream.read_exact(&mut wish).await.unwrap();
        wish
    });
    let connect = Client::connect(
        target(&format!("postgres://u@{addr}/d")),
        Instant::now() + LONG,
    );
    assert_eq!(connect.await.err().unwrap().kind(), ErrorKind::Reset);
    let wish = server.await.unwrap();
    assert_eq!(wish, [0, 0, 0, 8, 4, 210, 22, 47]);
}

#[tokio::test]
async fn a_host_that_says_nothing_does_not_hide_the_next() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let [silent_at, closed_at] = [&silent, &closed].map(|l| l.local_addr().unwrap());
    drop(closed);
    let stub = PgStub::start(|_| Do::Serve).await;
    let serving = stub.addr;
    let target = target(&format!(
        "postgres://u@{closed_at},{silent_at},{serving}/d?sslmode=disable"
    ));
    // Half of what is left is the silent one's.
    let deadline = Instant::now() + Duration::from_millis(400);
    let client = Client::connect(target, deadline).await.unwrap();
    client.close().await;
}
