//! The process: the reference database, behind Materialize's listeners.

use crate::listeners::{Listeners, release_for};
use crate::settings::Settings;
use crate::wire::{self, Upstream};
use crate::words;
use changeover_reference::ServeArgs;
use clap::Parser;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often the reference database's address is looked for.
const POLL: Duration = Duration::from_millis(2);

/// Where a process of one slot and generation keeps its private copy, across restarts in place: fact 4.1 has its
/// temporary files in memory.
const DATA: &str = "stand-in";

/// The reference database's options.
#[derive(Debug, Parser)]
struct Served {
    #[command(flatten)]
    args: ServeArgs,
}

pub(crate) fn run(own: &Path, arguments: &[String]) -> ExitCode {
    match start(own, arguments) {
        Ok(served) => changeover_reference::run(served),
        Err(problem) => {
            eprintln!("error: {problem}");
            // As its parser of arguments ends.
            ExitCode::from(2)
        }
    }
}

fn start(own: &Path, arguments: &[String]) -> Result<ServeArgs, String> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let settings = Settings::of(&version(own, &env)?, arguments, &env)?;
    let listeners = Listeners::of(&settings)?;
    println!(
        "environmentd {} ({}), generation {}",
        settings.version,
        crate::BANNER,
        settings.generation
    );
    words::speak(settings.generation);
    let upstream = Arc::new(Upstream::default());
    for addr in listeners.sql_external.iter().chain(&listeners.sql_internal) {
        wire::serve(bind(addr)?, Arc::clone(&upstream), settings.version.clone());
    }
    for addr in &listeners.http_external {
        no_routes(bind(addr)?);
    }
    let data = std::env::temp_dir().join(format!("{DATA}-{}", settings.generation));
    std::fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    let file = data.join("addresses.json");
    // One of an earlier process would mislead.
    let _ = std::fs::remove_file(&file);
    find(upstream, file.clone());
    let served = [
        "environmentd",
        "--version",
        release_for(&settings.version),
        "--deploy-generation",
        &settings.generation.to_string(),
        "--metadata-store",
        &settings.store,
        "--sql-addr",
        "127.0.0.1:0",
        "--http-addr",
        &listeners.http_internal,
        "--address-file",
        &file.to_string_lossy(),
        "--data-dir",
        &data.join("copy").to_string_lossy(),
        // Fact 5.5: it is not caught up at once; there is a time in which a promotion is refused.
        "--hydration-rate",
        "300",
        // Section 3: what Materialize's own harness waits for at most.
        "--max-wait",
        "1800",
    ]
    .map(str::to_owned);
    Served::try_parse_from(served)
        .map(|served| served.args)
        .map_err(|error| error.to_string())
}

fn version(own: &Path, env: &BTreeMap<String, String>) -> Result<String, String> {
    let directory = || Some(own.parent()?.file_name()?.to_string_lossy().into_owned());
    env.get(crate::VERSION)
        .cloned()
        .or_else(directory)
        .ok_or_else(|| format!("{} is not set, so nobody knows the version", crate::VERSION))
}

fn bind(addr: &str) -> Result<TcpListener, String> {
    TcpListener::bind(addr).map_err(|error| format!("cannot listen on {addr}: {error}"))
}

/// Tells where the reference database answers SQL, once it says so.
fn find(upstream: Arc<Upstream>, file: PathBuf) {
    thread::spawn(move || {
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let told: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            let addr = told.and_then(|told| told["sql"].as_str()?.parse::<SocketAddr>().ok());
            if let Some(addr) = addr {
                upstream.set(addr);
                return;
            }
            thread::sleep(POLL);
        }
    });
}

/// Observation 1: what belongs to the internal listener is 404 with an empty body on the external one.
fn no_routes(listener: TcpListener) {
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = [0; 4096];
            // Whatever was asked, the answer is the same.
            let _ = client.read(&mut head);
            let _ = client.write_all(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
    });
}
