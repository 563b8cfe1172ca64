//! Commits of the reference database on both stores.

use crate::instances::CHANGEOVER;
use crate::report::{Bar, Figure, spread};
use changeover_runtime::postgres::{Programs, Server};
use changeover_runtime::process::ProcessRuntime;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

const ROUNDS: usize = 3;
const CLIENTS: usize = 8;
const ROUND: Duration = Duration::from_secs(3);

/// Measures both stores; PostgreSQL where there is a server.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(both())
}

async fn both() -> Result<Vec<Figure>, String> {
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let sqlite = format!("sqlite:{}", place.path().join("store").display());
    let mut figures = vec![figure("commits a second, SQLite", &sqlite, "", 2_000.0).await?];
    if let Some(programs) = Programs::find() {
        let directory = place.path().join("run");
        std::fs::create_dir(&directory).map_err(|e| e.to_string())?;
        let processes = ProcessRuntime::new("bench", &directory).map_err(|e| e.to_string())?;
        let log = directory.join("log");
        let (place, never) = (directory.join("postgres"), std::future::pending());
        let server = Server::start(&programs, &processes, &place, &log, never)
            .await
            .map_err(|e| e.to_string())?;
        let store = format!(
            "postgres://changeover@{}/postgres?sslmode=disable",
            server.addr()
        );
        figures.push(
            figure(
                "commits a second, PostgreSQL",
                &store,
                server.password().reveal(),
                1_000.0,
            )
            .await?,
        );
        server.stop(Duration::from_secs(3)).await;
    }
    Ok(figures)
}

async fn figure(
    what: &'static str,
    store: &str,
    password: &str,
    bar: f64,
) -> Result<Figure, String> {
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let database = Database::start(store, password, place.path()).await?;
    run(&database.url, "CREATE TABLE t (client INT8, n INT8)").await?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        rates.push(round(&database.url).await?);
    }
    let (value, range) = spread(&rates);
    Ok(Figure {
        what,
        how: format!(
            "{ROUNDS} rounds of {} s of {CLIENTS} clients, each one INSERT of a row after the other, on one instance of \
             the reference database on the same cores; fsync as a rehearsal has it",
            ROUND.as_secs()
        ),
        value,
        range,
        bar: Bar::AtLeast(bar),
    })
}

/// Commits a second of all clients together.
async fn round(url: &str) -> Result<f64, String> {
    let done = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + ROUND;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(commit(url.to_owned(), client, until, Arc::clone(&done))))
        .collect();
    let started = Instant::now();
    for client in clients {
        client.await.map_err(|e| e.to_string())??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

async fn commit(
    url: String,
    number: usize,
    until: Instant,
    done: Arc<AtomicU64>,
) -> Result<(), String> {
    let client = connect(&url).await?;
    let insert = client
        .prepare("INSERT INTO t (client, n) VALUES ($1, $2)")
        .await
        .map_err(|e| e.to_string())?;
    for n in 0_i64.. {
        if Instant::now() > until {
            break;
        }
        client
            .execute(&insert, &[&(number as i64), &n])
            .await
            .map_err(|e| e.to_string())?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn connect(url: &str) -> Result<tokio_postgres::Client, String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

async fn run(url: &str, sql: &str) -> Result<(), String> {
    let client = connect(url).await?;
    client.batch_execute(sql).await.map_err(|e| e.to_string())
}

/// An instance that leads. Dropping it ends it.
struct Database {
    child: Child,
    url: String,
}

impl Database {
    async fn start(store: &str, password: &str, place: &Path) -> Result<Self, String> {
        let addresses = place.join("addresses");
        let child = Command::new(CHANGEOVER)
            .args(["reference", "serve", "--metadata-store", store])
            .args(["--sql-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"])
            .arg("--address-file")
            .arg(&addresses)
            .env("PGPASSWORD", password)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut database = Database {
            child,
            url: String::new(),
        };
        let give_up = Instant::now() + Duration::from_secs(30);
        while Instant::now() < give_up {
            let told = std::fs::read_to_string(&addresses).unwrap_or_default();
            if let Ok(told) = serde_json::from_str::<serde_json::Value>(&told)
                && let Some(addr) = told["sql"].as_str()
            {
                database.url = format!("postgres://bench@{addr}/bench");
                if run(&database.url, "SELECT 1").await.is_ok() {
                    return Ok(database);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("no answer from the reference database on {store}"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
