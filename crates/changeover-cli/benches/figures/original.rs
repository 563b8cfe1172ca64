//! A whole path on a Docker engine: our upgrader against the original's loop, on the same images.
//!
//! The original is the Python module of Materialize's test suite, as its users run it: `docker compose up` and wait until
//! the container is healthy; ask for the status through `docker compose exec`, sleep 1.0 s, ask again; promote the same
//! way; ask until it leads; kill the old one and wait for its end. What instances themselves need is seen by a bystander
//! that asks each of them every 5 ms past both.

use crate::report::{Bar, Figure};
use changeover_model::event::{Event, EventKind};
use changeover_model::version::PathVersion;
use changeover_plan::{Knowledge, generate_upgrade_args};
use changeover_rehearse::launcher::Equipment;
use changeover_rehearse::metadata_store::MetadataStore;
use changeover_rehearse::upgrader::{Options, Service, Upgrader};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The program that makes the images; `cargo xtask bench` builds it.
const IMAGES: &str = "CHANGEOVER_STAND_IN_IMAGES";
const REPOSITORY: &str = "changeover/materialized-stand-in";
const STORE_IMAGE: &str = "changeover/postgres-of-this-machine:latest";
const PATH: [&str; 5] = ["v0.147.20", "v26.0.0", "v26.9.0", "v26.10.0", "v26.22.0"];

/// The original's `sleep_time`.
const SLEEP: Duration = Duration::from_secs(1);
/// How often compose looks whether a container is healthy.
const HEALTH_POLL: Duration = Duration::from_millis(500);
/// How often the bystander asks.
const ASK: Duration = Duration::from_millis(5);

/// What a driver came to, in seconds.
struct Driven {
    total: f64,
    own: f64,
}

impl Driven {
    fn overhead(&self) -> f64 {
        self.total - self.own
    }
}

/// Measures both drivers once, one after the other.
pub(crate) fn measure() -> Result<Vec<Figure>, String> {
    let engine = Command::new("docker").arg("version").output();
    let (Some(images), true) = (
        std::env::var_os(IMAGES),
        engine.is_ok_and(|output| output.status.success()),
    ) else {
        eprintln!("skipped: no Docker engine, or {IMAGES} does not say what makes its images");
        return Ok(Vec::new());
    };
    run(Command::new(images).args(PATH))?;
    let theirs = original()?;
    let ours = ours()?;
    Ok(vec![Figure {
        what: "a path on Docker, our time that is not the instances' own over the original's (times)",
        how: format!(
            "{} with images of the stand-in over a PostgreSQL container that runs already, one run each: our upgrader \
             {:.1} s, of which {:.1} s are the instances' own; the original's loop (docker-compose up until healthy, the \
             status each 1.0 s through docker-compose exec, promote, kill and wait) {:.1} s, of which {:.1} s are. Own is \
             from a container's start to ReadyToPromote, and from the promotion to an answer (ours) or to IsLeader (theirs), \
             asked for every {} ms",
            PATH.join(" → "),
            ours.total,
            ours.own,
            theirs.total,
            theirs.own,
            ASK.as_millis()
        ),
        value: ours.overhead() / theirs.overhead(),
        range: None,
        bar: Bar::AtMost(1.0 / 3.0),
    }])
}

/// So much is there to catch up with.
const ROWS: u32 = 600;

/// Writes what later generations catch up with; the stand-in takes 300 records a second.
async fn fill(url: &str) -> Result<(), String> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .map_err(|e| e.to_string())?;
    let connection = tokio::spawn(connection);
    let mut text = "CREATE TABLE filled (n BIGINT)".to_owned();
    for n in 0..ROWS {
        client
            .batch_execute(&text)
            .await
            .map_err(|e| e.to_string())?;
        text = format!("INSERT INTO filled VALUES ({n})");
    }
    drop(client);
    // It ends with its client.
    let _ = connection.await;
    Ok(())
}

fn tokio_runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())
}

/// Runs a program to its end, and returns what it printed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{command:?} cannot be started: {e}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// What the bystander saw of an instance.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// How long before the bystander looked first the container had been started, in seconds.
    age: f64,
    looked: Option<Instant>,
    ready: Option<Instant>,
    leads: Option<Instant>,
    answers: Option<Instant>,
}

impl Seen {
    /// From the container's start to this moment.
    fn since_start(&self, moment: Option<Instant>) -> Option<f64> {
        Some(self.age + moment?.duration_since(self.looked?).as_secs_f64())
    }
}

/// Asks one instance again and again.
struct Bystander {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Bystander {
    /// Asks the instance in this container, from now on.
    fn of(container: &str) -> Result<Self, String> {
        let shown = run(Command::new("docker").args([
            "inspect",
            "--format",
            r#"{{.State.StartedAt}} {{(index (index .NetworkSettings.Ports "6878/tcp") 0).HostPort}}"#,
            container,
        ]))?;
        let unreadable = || format!("docker inspect says {shown:?}");
        let (started, port) = shown.split_once(' ').ok_or_else(unreadable)?;
        let started: jiff::Timestamp = started.parse().map_err(|_| unreadable())?;
        let port: u16 = port.parse().map_err(|_| unreadable())?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let age = jiff::Timestamp::now().duration_since(started).as_secs_f64();
        let seen = Arc::new(Mutex::new(Seen {
            age,
            looked: Some(Instant::now()),
            ..Seen::default()
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    look(addr, &seen);
                    thread::sleep(ASK);
                }
            }
        });
        Ok(Bystander { seen, stop, thread })
    }

    /// What was seen so far.
    fn seen(&self) -> Seen {
        *self.seen.lock().expect("nobody panics with it")
    }

    fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.seen();
        // It only asks, and whatever came of that is seen.
        let _ = self.thread.join();
        seen
    }
}

fn look(addr: SocketAddr, seen: &Mutex<Seen>) {
    let status = get(addr, "/api/leader/status").unwrap_or_default();
    let leads = status.contains("IsLeader");
    let answers =
        leads && get(addr, "/api/readyz").is_some_and(|it| it.starts_with("HTTP/1.1 200"));
    let now = Some(Instant::now());
    let mut seen = seen.lock().expect("nobody panics with it");
    if status.contains("ReadyToPromote") {
        seen.ready = seen.ready.or(now);
    }
    if leads {
        seen.leads = seen.leads.or(now);
    }
    if answers {
        seen.answers = seen.answers.or(now);
    }
}

/// The whole answer, head and all.
fn get(addr: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&addr, SLEEP).ok()?;
    stream.set_read_timeout(Some(SLEEP)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The whole path with our upgrader.
fn ours() -> Result<Driven, String> {
    tokio_runtime()?.block_on(upgrade())
}

/// What happened, by the events of the upgrader.
#[derive(Default)]
struct Course {
    /// When the store was there.
    began: Option<Instant>,
    /// When the last promotion was sent.
    promoted: Option<Instant>,
    /// The instance that was started last.
    bystander: Option<Bystander>,
    trouble: Option<String>,
}

async fn upgrade() -> Result<Driven, String> {
    let known = Knowledge::of("materialize").map_err(|e| e.to_string())?;
    let path: Vec<PathVersion> = PATH
        .iter()
        .map(|version| version.parse().expect("a version of Materialize"))
        .collect();
    let args = generate_upgrade_args(&path, &BTreeMap::new(), Some(REPOSITORY))
        .map_err(|e| e.to_string())?;
    let services = Service::from_path(args, &path).map_err(|e| e.to_string())?;
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let run_dir = place
        .path()
        .canonicalize()
        .map_err(|e| e.to_string())?
        .join("run");
    let course = Arc::new(Mutex::new(Course::default()));
    let options = Options {
        directory: Some(run_dir.clone()),
        metadata_store: Some(MetadataStore::PostgresContainer(STORE_IMAGE.to_owned())),
        equipment: Equipment {
            containers: true,
            licence: Some("of a stand-in".into()),
            ..Equipment::default()
        },
        on_event: Some(Box::new({
            let course = Arc::clone(&course);
            move |event| note(event, &run_dir, &course)
        })),
        ..Options::default()
    };
    let upgrader = Upgrader::new(known.target, services, options)
        .await
        .map_err(|e| e.to_string())?;
    let (_, steps) = upgrader.initialize().await.map_err(|e| e.to_string())?;
    let first = course.lock().expect("nobody panics with it").take()?;
    let began = first.began.ok_or("the store was not said to be there")?;
    let mut own = first
        .seen
        .since_start(first.seen.answers)
        .ok_or("the first service was not seen to answer")?;
    let filling = Instant::now();
    fill(upgrader.url()).await?;
    let filling = filling.elapsed();
    for step in steps {
        (step.upgrade)().await.map_err(|e| e.to_string())?;
        let Noted { seen, promoted, .. } = course.lock().expect("nobody panics with it").take()?;
        let caught_up = seen.since_start(seen.ready);
        let took_over = promoted.zip(seen.answers).map(|(from, to)| to - from);
        let (Some(caught_up), Some(took_over)) = (caught_up, took_over) else {
            return Err(format!("a step of ours was not seen: {seen:?}"));
        };
        own += caught_up + took_over.as_secs_f64();
    }
    let total = (began.elapsed() - filling).as_secs_f64();
    upgrader.cleanup().await.map_err(|e| e.to_string())?;
    Ok(Driven { total, own })
}

/// What was noted of the start or a step.
struct Noted {
    began: Option<Instant>,
    promoted: Option<Instant>,
    seen: Seen,
}

impl Course {
    fn take(&mut self) -> Result<Noted, String> {
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        let bystander = self.bystander.take().ok_or("nothing was started")?;
        // It may not have looked since the answer that ended the step.
        let deadline = Instant::now() + SLEEP;
        while bystander.seen().answers.is_none() && Instant::now() < deadline {
            thread::sleep(ASK);
        }
        Ok(Noted {
            began: self.began,
            promoted: self.promoted.take(),
            seen: bystander.end(),
        })
    }
}

fn note(event: &Event, run_dir: &Path, course: &Arc<Mutex<Course>>) {
    let now = Some(Instant::now());
    match event.kind {
        EventKind::MetadataStoreDone { .. } => {
            course.lock().expect("nobody panics with it").began = now;
        }
        EventKind::PromoteIntent { .. } => {
            course.lock().expect("nobody panics with it").promoted = now;
        }
        EventKind::SpawnDone { .. } => {
            let name = format!(
                "{}-{}",
                event.slot.as_deref().unwrap_or_default(),
                event.generation.unwrap_or_default()
            );
            let label = format!("label=changeover.run-dir={}", run_dir.display());
            // Who takes events must be quick, and an engine is not.
            let course = Arc::clone(course);
            thread::spawn(move || {
                let found = run(Command::new("docker").args([
                    "ps",
                    "--quiet",
                    "--filter",
                    &label,
                    "--filter",
                    &format!("name={name}$"),
                ]));
                let bystander = found.and_then(|container| Bystander::of(&container));
                let mut course = course.lock().expect("nobody panics with it");
                match bystander {
                    Ok(bystander) => course.bystander = Some(bystander),
                    Err(trouble) => course.trouble = Some(trouble),
                }
            });
        }
        _ => {}
    }
}

/// A compose project that goes with its value.
struct Project {
    place: tempfile::TempDir,
}

impl Project {
    fn compose(&self, arguments: &[&str]) -> Result<String, String> {
        run(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("docker-compose");
        command
            .current_dir(self.place.path().join("by-hand"))
            .args([
                "-p",
                "changeover-bench",
                "-f",
                "compose.yaml",
                "-f",
                "health.yaml",
            ]);
        command
    }

    /// Until a container is healthy, as `docker compose up --wait` looks at it.
    fn wait_healthy(&self, service: &str) -> Result<(), String> {
        let id = self.compose(&["ps", "-q", service])?;
        let format = "{{.State.Health.Status}}";
        while run(Command::new("docker").args(["inspect", "--format", format, &id]))? != "healthy" {
            thread::sleep(HEALTH_POLL);
        }
        Ok(())
    }

    fn ask(&self, service: &str, arguments: &[&str]) -> Result<String, String> {
        let curl = ["exec", "-T", service, "curl", "-s"];
        self.compose(&[&curl[..], arguments].concat())
    }

    fn wait_status(&self, service: &str, wanted: &str) {
        let wanted = format!("\"{wanted}\"");
        // The original takes every error for another try.
        while !self
            .ask(service, &["localhost:6878/api/leader/status"])
            .is_ok_and(|answer| answer.contains(&wanted))
        {
            thread::sleep(SLEEP);
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // What is left was left by a failure, which has been said.
        let _ = self.compose(&["down", "--volumes", "--timeout", "0"]);
    }
}

/// The whole path with the original's loop.
fn original() -> Result<Driven, String> {
    let project = Project {
        place: tempfile::tempdir().map_err(|e| e.to_string())?,
    };
    let directory = project.place.path().join("by-hand");
    run(Command::new(env!("CARGO_BIN_EXE_changeover"))
        .args([
            "plan",
            "--target",
            "materialize",
            "--allow-illegal",
            "--format",
            "compose",
        ])
        .args([
            "--versions",
            &PATH.join(","),
            "--image-repository",
            REPOSITORY,
        ])
        .args(["--system-parameters", "minimal", "--save"])
        .arg(&directory))?;
    let names: Vec<String> = (0..PATH.len())
        .map(|n| format!("mz_{}-{n}", 1 + n % 2))
        .collect();
    let write = |name: &str, text: &str| {
        std::fs::write(directory.join(name), text).map_err(|e| e.to_string())
    };
    write("health.yaml", &health(&names))?;
    write("license_key", "of a stand-in")?;
    project.compose(&["up", "-d", "metadata-store"])?;
    let ready = [
        "exec",
        "-T",
        "metadata-store",
        "pg_isready",
        "-h",
        "127.0.0.1",
        "-p",
        "26257",
        "-U",
        "root",
    ];
    while project.compose(&ready).is_err() {
        thread::sleep(HEALTH_POLL);
    }

    let began = Instant::now();
    let (mut own, mut filling) = (0.0, Duration::ZERO);
    for (index, name) in names.iter().enumerate() {
        project.compose(&["up", "-d", name])?;
        let bystander = Bystander::of(&project.compose(&["ps", "-q", name])?)?;
        project.wait_healthy(name)?;
        let (mut promoted, first) = (None, index == 0);
        if !first {
            project.wait_status(name, "ReadyToPromote");
            promoted = Some(Instant::now());
            let answer = project.ask(name, &["-X", "POST", "localhost:6878/api/leader/promote"])?;
            if !answer.contains("Success") {
                return Err(format!("the promotion was answered {answer:?}"));
            }
            project.wait_status(name, "IsLeader");
            let old = &names[index - 1];
            let id = project.compose(&["ps", "-q", old])?;
            project.compose(&["kill", old])?;
            run(Command::new("docker").args(["wait", &id]))?;
        }
        let seen = bystander.end();
        if first {
            let since = Instant::now();
            let sql = project.compose(&["port", name, "6875"])?;
            tokio_runtime()?
                .block_on(fill(&format!("postgres://materialize@{sql}/materialize")))?;
            filling = since.elapsed();
        }
        own += match first {
            true => seen.since_start(seen.answers),
            false => {
                let caught_up = seen.since_start(seen.ready);
                let took_over = promoted.zip(seen.leads).map(|(from, to)| to - from);
                caught_up
                    .zip(took_over)
                    .map(|(up, over)| up + over.as_secs_f64())
            }
        }
        .ok_or_else(|| format!("a step of the original was not seen: {seen:?}"))?;
    }
    let total = (began.elapsed() - filling).as_secs_f64();
    Ok(Driven { total, own })
}

/// The health check that the original's services have, and the store's image.
fn health(names: &[String]) -> String {
    let mut yaml =
        format!("version: \"3.8\"\nservices:\n  metadata-store:\n    image: {STORE_IMAGE}\n");
    for name in names {
        yaml.push_str(&format!(
            "  {name}:\n    healthcheck:\n      test: [\"CMD\", \"curl\", \"-f\", \"localhost:6878/api/readyz\"]\n      \
             interval: 1s\n      start_period: 600s\n"
        ));
    }
    yaml
}
