//! Measures an instance that serves: commits a second with eight clients, and the latency of a point read.
//!
//! `cargo run --release -p changeover-reference --example load -- HOST:PORT [SECONDS]`

use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

const CLIENTS: i64 = 8;

async fn connect(address: &str) -> Client {
    let (host, port) = address.rsplit_once(':').expect("HOST:PORT");
    let config = format!("host={host} port={port} user=load dbname=load");
    let (client, connection) = tokio_postgres::connect(&config, NoTls)
        .await
        .expect("a server that answers");
    tokio::spawn(connection);
    client
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("HOST:PORT");
    let duration = Duration::from_secs(
        arguments
            .next()
            .map_or(5, |seconds| seconds.parse().expect("seconds")),
    );
    let client = connect(&address).await;
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS load (k int8 PRIMARY KEY, v int8); DELETE FROM load",
        )
        .await
        .expect("a table");

    let started = Instant::now();
    let writers: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let address = address.clone();
            tokio::spawn(async move {
                let connection = connect(&address).await;
                let insert = connection
                    .prepare("INSERT INTO load VALUES ($1, $2)")
                    .await
                    .expect("prepared");
                let mut done = 0i64;
                while started.elapsed() < duration {
                    connection
                        .execute(&insert, &[&(client + done * CLIENTS), &done])
                        .await
                        .expect("inserted");
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut total = 0;
    for writer in writers {
        total += writer.await.expect("a writer");
    }
    println!(
        "{CLIENTS} clients: {:.0} commits/s",
        total as f64 / started.elapsed().as_secs_f64()
    );

    let select = client
        .prepare("SELECT v FROM load WHERE k = $1")
        .await
        .expect("prepared");
    let mut times = Vec::new();
    for n in 0..20_000i64 {
        let at = Instant::now();
        client.query(&select, &[&(n % total)]).await.expect("read");
        times.push(at.elapsed());
    }
    times.sort();
    println!(
        "point read: median {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    let mut times = Vec::new();
    for n in 0..2_000i64 {
        let at = Instant::now();
        client
            .execute("INSERT INTO load VALUES ($1, 0)", &[&(-1 - n)])
            .await
            .expect("inserted");
        times.push(at.elapsed());
    }
    times.sort();
    println!(
        "one writer: median {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    let mut times = Vec::new();
    for _ in 0..500 {
        let at = Instant::now();
        connect(&address).await;
        times.push(at.elapsed());
    }
    times.sort();
    println!(
        "connect: median {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
}
