//! What the front door costs: small requests straight to an echo server, and through the door to the same one.

use crate::report::{Bar, Figure, percentile};
use changeover_rehearse::front_door::FrontDoor;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

const ROUNDS: usize = 5;
const REQUESTS: usize = 4_000;
const CLIENTS: usize = 16;

/// Measures the added latency and the throughput.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let echo = echo_server().map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let door = runtime
        .block_on(FrontDoor::bind(any))
        .map_err(|e| e.to_string())?;
    door.switch(Some(echo));

    let mut added = Vec::new();
    for _ in 0..ROUNDS {
        // In turn, so that a slow moment of the machine hits both.
        let direct = round_trips(echo, REQUESTS).map_err(|e| e.to_string())?;
        let through = round_trips(door.addr(), REQUESTS).map_err(|e| e.to_string())?;
        added.push(through - direct);
    }
    let (value, range) = crate::report::spread(&added);
    let latency = Figure {
        what: "front door, added latency at the median (ms)",
        how: format!(
            "{ROUNDS} rounds of {REQUESTS} requests of 32 bytes on one connection, straight to an echo server and \
             through the door, in turn; the difference of the medians"
        ),
        value,
        range,
        bar: Bar::AtMost(0.1),
    };

    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let addr = door.addr();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| thread::spawn(move || round_trips(addr, REQUESTS)))
            .collect();
        for client in clients {
            client
                .join()
                .map_err(|_| "a client panicked")?
                .map_err(|e| e.to_string())?;
        }
        rates.push((CLIENTS * REQUESTS) as f64 / started.elapsed().as_secs_f64());
    }
    let (value, range) = crate::report::spread(&rates);
    let throughput = Figure {
        what: "front door, small operations a second",
        how: format!(
            "{ROUNDS} rounds of {CLIENTS} clients with {REQUESTS} requests of 32 bytes each, clients, door and echo \
             server on the same cores"
        ),
        value,
        range,
        bar: Bar::AtLeast(10_000.0),
    };
    Ok(vec![latency, throughput])
}

fn echo_server() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let mut buffer = [0_u8; 32];
                while stream.read_exact(&mut buffer).is_ok() && stream.write_all(&buffer).is_ok() {}
            });
        }
    });
    Ok(addr)
}

/// The median round trip in milliseconds.
fn round_trips(addr: SocketAddr, requests: usize) -> std::io::Result<f64> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut buffer = [7_u8; 32];
    let mut samples = Vec::with_capacity(requests);
    for _ in 0..requests {
        let sent = Instant::now();
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        samples.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    Ok(percentile(&mut samples, 0.5))
}
