//! A link carries everything, until it is broken.

use changeover_rehearse::link::{Link, Rule};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A wait that takes longer than this has failed: a bound, not a measurement.
const LONG: Duration = Duration::from_secs(60);

/// A link, and what it leads to.
async fn link() -> (Link, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = Link::to(listener.local_addr().unwrap()).await.unwrap();
    (link, listener)
}

/// A connection through it, and its other end.
async fn pair(link: &Link, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(link.addr()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}

async fn hears(to: &mut TcpStream, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    timeout(LONG, to.read_exact(&mut heard))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard, text);
}

async fn is_reset(stream: &mut TcpStream) {
    let read = timeout(LONG, stream.read(&mut [0])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// Waits until the rule has held back so many bytes.
async fn held_back(guard: &changeover_rehearse::link::Guard, bytes: u64) {
    let all = async {
        while guard.done().bytes < bytes {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, all).await.unwrap();
}

#[tokio::test]
async fn without_a_rule_everything_is_carried_ends_and_resets_included() {
    let (link, listener) = link().await;
    let (mut client, mut server) = pair(&link, &listener).await;
    client.write_all(b"there").await.unwrap();
    hears(&mut server, b"there").await;
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    server.write_all(b"and back").await.unwrap();
    hears(&mut client, b"and back").await;

    let (mut client, mut server) = pair(&link, &listener).await;
    server.write_all(b"last words").await.unwrap();
    hears(&mut client, b"last words").await;
    server.set_zero_linger().unwrap();
    drop(server);
    is_reset(&mut client).await;
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_what_comes_and_says_how_many() {
    let (link, listener) = link().await;
    let (mut client, mut server) = pair(&link, &listener).await;
    client.write_all(b"before").await.unwrap();
    hears(&mut server, b"before").await;
    let cut = link.breaks(Rule::Cut);
    is_reset(&mut client).await;
    is_reset(&mut server).await;
    let mut late = TcpStream::connect(link.addr()).await.unwrap();
    is_reset(&mut late).await;
    assert_eq!((cut.done().reset, cut.done().refused), (1, 1));
    drop(cut);
    let (mut client, mut server) = pair(&link, &listener).await;
    client.write_all(b"mended").await.unwrap();
    hears(&mut server, b"mended").await;
}

#[tokio::test]
async fn no_connection_slips_through_a_cut_while_it_is_being_accepted() {
    for _ in 0..200 {
        let (link, _listener) = link().await;
        // Its other end is not accepted by anybody: whatever becomes of it, it is the link's doing.
        let client = TcpStream::connect(link.addr()).await.unwrap();
        let _cut = link.breaks(Rule::Cut);
        let mut client = client;
        is_reset(&mut client).await;
    }
}

#[tokio::test]
async fn a_black_hole_holds_everything_back_until_it_is_gone() {
    let (link, listener) = link().await;
    let (mut client, mut server) = pair(&link, &listener).await;
    let hole = link.breaks(Rule::BlackHole);
    client.write_all(b"there").await.unwrap();
    server.write_all(b"back").await.unwrap();
    held_back(&hole, 9).await;
    let nothing = client.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    // Connecting goes on.
    drop(pair(&link, &listener).await);
    drop(hole);
    hears(&mut server, b"there").await;
    hears(&mut client, b"back").await;
}

#[tokio::test]
async fn a_half_open_link_carries_one_way() {
    let (link, listener) = link().await;
    let (mut client, mut server) = pair(&link, &listener).await;
    let half = link.breaks(Rule::HalfOpen);
    client.write_all(b"lost").await.unwrap();
    held_back(&half, 4).await;
    server.write_all(b"heard").await.unwrap();
    hears(&mut client, b"heard").await;
    let nothing = server.try_read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

/// If each portion waited for the one before it, the last of these would come too late.
#[tokio::test]
async fn a_delay_makes_everything_later_and_nothing_slower() {
    const PORTIONS: usize = 60;
    let (link, listener) = link().await;
    let (mut client, mut server) = pair(&link, &listener).await;
    let by = LONG / PORTIONS as u32 + Duration::from_millis(200);
    let delay = link.breaks(Rule::Delay(by));
    let text = vec![b'x'; 8 * 1024 * PORTIONS];
    let (sent, ()) = tokio::join!(client.write_all(&text), hears(&mut server, &text));
    sent.unwrap();
    assert_eq!(delay.done().bytes, text.len() as u64);
}

#[tokio::test]
async fn a_reset_ends_connections_once() {
    let (link, listener) = link().await;
    let (mut client, _server) = pair(&link, &listener).await;
    assert_eq!(link.reset(), 1);
    is_reset(&mut client).await;
    let (mut client, mut server) = pair(&link, &listener).await;
    client.write_all(b"again").await.unwrap();
    hears(&mut server, b"again").await;
}
