//! The front door carries and nothing else.

use crate::pg_stub::nobody;
use changeover_rehearse::front_door::FrontDoor;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(60);

async fn front_door() -> FrontDoor {
    FrontDoor::bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

/// An instance, and the front door that leads to it.
async fn instance(door: &FrontDoor) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    door.switch(Some(listener.local_addr().unwrap()));
    listener
}

/// A client's connection and its other end.
async fn pair(door: &FrontDoor, instance: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(door.addr()).await.unwrap();
    let (server, _) = instance.accept().await.unwrap();
    (client, server)
}

async fn says(from: &mut TcpStream, to: &mut TcpStream, text: &[u8]) {
    from.write_all(text).await.unwrap();
    let mut heard = vec![0; text.len()];
    to.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, text);
}

async fn is_closed(addr: SocketAddr) {
    let mut client = TcpStream::connect(addr).await.unwrap();
    // The client waits for an answer that never comes; the end is all there is.
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn without_an_upstream_a_connection_is_closed_at_once() {
    let door = front_door().await;
    is_closed(door.addr()).await;
}

#[tokio::test]
async fn a_refused_connection_is_closed_at_once_and_not_tried_again() {
    let door = front_door().await;
    door.switch(Some(nobody().await));
    is_closed(door.addr()).await;
    let instance = instance(&door).await;
    let (mut client, mut server) = pair(&door, &instance).await;
    says(&mut client, &mut server, b"only the new one").await;
}

#[tokio::test]
async fn a_switch_leaves_established_connections_alone() {
    let door = front_door().await;
    let old = instance(&door).await;
    let (mut client, mut server) = pair(&door, &old).await;
    let new = instance(&door).await;
    let (mut newer, mut new_server) = pair(&door, &new).await;
    door.switch(None);
    is_closed(door.addr()).await;
    says(&mut client, &mut server, b"to the old").await;
    says(&mut server, &mut client, b"from the old").await;
    says(&mut newer, &mut new_server, b"to the new").await;
    says(&mut new_server, &mut newer, b"from the new").await;
}

#[tokio::test]
async fn a_half_close_is_passed_on_and_the_other_half_still_carries() {
    let door = front_door().await;
    let instance = instance(&door).await;
    let (mut client, mut server) = pair(&door, &instance).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"question");
    says(&mut server, &mut client, b"answer").await;
    drop(server);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_end_of_the_instance_is_passed_on_as_what_it_is() {
    let door = front_door().await;
    let instance = instance(&door).await;
    let (mut client, server) = pair(&door, &instance).await;
    drop(server);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    let (mut client, mut server) = pair(&door, &instance).await;
    says(&mut client, &mut server, b"carried").await;
    server.set_zero_linger().unwrap();
    drop(server);
    let error = client.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_end_of_the_client_is_passed_on_as_what_it_is() {
    let door = front_door().await;
    let instance = instance(&door).await;
    let (client, mut server) = pair(&door, &instance).await;
    drop(client);
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    let (mut client, mut server) = pair(&door, &instance).await;
    says(&mut client, &mut server, b"carried").await;
    client.set_zero_linger().unwrap();
    drop(client);
    let error = server.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Sends until nothing more is taken anywhere on the way.
async fn stuff(client: &TcpStream) {
    let mut refused = 0;
    while refused < 1000 {
        match client.try_write(&[0; 4096]) {
            Ok(_) => refused = 0,
            Err(_) => refused += 1,
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_last_words_of_an_instance_arrive_though_it_no_longer_listens() {
    let door = front_door().await;
    let instance = instance(&door).await;
    for _ in 0..20 {
        let (mut client, server) = pair(&door, &instance).await;
        stuff(&client).await;
        // Closing with something unread makes the end a reset; nothing of ours runs between the words and the end.
        assert_eq!(server.try_write(b"fenced").unwrap(), 6);
        drop(server);
        let mut words = [0; 6];
        client.read_exact(&mut words).await.unwrap();
        assert_eq!(&words, b"fenced");
    }
}

#[tokio::test]
async fn large_transfers_pass_in_both_directions_at_once() {
    let door = front_door().await;
    let instance = instance(&door).await;
    let (client, server) = pair(&door, &instance).await;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let exchange = |stream: TcpStream, sent: Vec<u8>| async move {
        let (mut from, mut to) = stream.into_split();
        let send = async move {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (_, read) = tokio::join!(send, from.read_to_end(&mut heard));
        read.unwrap();
        heard
    };
    let ends = tokio::join!(
        exchange(client, sent.clone()),
        exchange(server, sent.clone())
    );
    assert!(ends.0 == sent && ends.1 == sent);
}

#[tokio::test]
async fn a_shutdown_waits_for_connections_that_end_by_themselves() {
    let door = front_door().await;
    let addr = door.addr();
    let instance = instance(&door).await;
    let (mut client, mut server) = pair(&door, &instance).await;
    let shutdown = tokio::spawn(door.shutdown(LONG));
    // Nobody is accepted any more, and the one who is inside can go on.
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    says(&mut client, &mut server, b"still here").await;
    drop((client, server));
    shutdown.await.unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_what_does_not_end() {
    let door = front_door().await;
    let instance = instance(&door).await;
    let (mut client, mut server) = pair(&door, &instance).await;
    says(&mut client, &mut server, b"inside").await;
    door.shutdown(Duration::ZERO).await;
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
}
