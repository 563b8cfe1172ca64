//! The upgrader on the reference database: its documented example, and its ends that are not happy.

use crate::harness::{poll, processes_of};
use changeover_model::event::{Event, EventKind, ProcessEnd};
use changeover_model::target::Instances;
use changeover_model::{PathVersion, Target};
use changeover_plan::{Knowledge, generate_upgrade_args};
use changeover_rehearse::upgrader::{Options, Service, UpgradeError, UpgradeStep, Upgrader};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio_postgres::NoTls;

#[path = "../../examples/upgrader.rs"]
#[expect(dead_code, reason = "its main is for cargo run")]
mod example;

const DOCUMENT: &str = include_str!("../../../../docs/upgrader.md");
const EXAMPLE: &str = include_str!("../../examples/upgrader.rs");

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_changeover").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearses_the_upgrader_example() {
    let seen = example::upgrade(program()).await.unwrap();
    let path = ["v0.1.0", "v0.2.0", "v0.3.0", "current"];
    let expected: Vec<(String, Vec<String>)> = (0..path.len())
        .map(|led| {
            let rows = path[..=led].iter().map(|&row| row.to_owned());
            (path[led].to_owned(), rows.collect())
        })
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn the_documented_example_is_the_one_that_runs() {
    let (_, rest) = DOCUMENT.split_once("```rust\n").unwrap();
    let (block, _) = rest.split_once("```\n").unwrap();
    assert_eq!(block, EXAMPLE);
}

#[tokio::test]
async fn the_path_is_told_in_words() {
    let path = services(&["v0.1.0", "v0.2.0", "current"]);
    let upgrader = Upgrader::new(target(), path, Options::default())
        .await
        .unwrap();
    assert_eq!(upgrader.upgrade_path(), "v0.1.0 -> v0.2.0 -> current");
}

/// An upgrader with a directory that outlives it, so that its processes can be told, and the events it reported.
struct Bench {
    place: tempfile::TempDir,
    upgrader: Upgrader,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Bench {
    async fn new(path: &[&str]) -> Self {
        Self::of(target(), path).await
    }

    async fn of(target: Target, path: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&events);
        let options = Options {
            program: Some(program()),
            directory: Some(place.path().join("run")),
            on_event: Some(Box::new(move |event| {
                kept.lock().unwrap().push(event.clone())
            })),
            ..Options::default()
        };
        let upgrader = Upgrader::new(target, services(path), options)
            .await
            .unwrap();
        Bench {
            place,
            upgrader,
            events,
        }
    }

    fn dir(&self) -> PathBuf {
        run_dir(&self.place)
    }

    /// A client, through the front door.
    async fn client(&self) -> tokio_postgres::Client {
        let connected = tokio_postgres::connect(self.upgrader.url(), NoTls).await;
        let (client, connection) = connected.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn initialize(&self) -> std::vec::IntoIter<UpgradeStep> {
        let (_, steps) = self.upgrader.initialize().await.unwrap();
        steps.into_iter()
    }
}

fn run_dir(place: &tempfile::TempDir) -> PathBuf {
    // The instances' mark names the real path.
    fs::canonicalize(place.path()).unwrap().join("run")
}

fn target() -> Target {
    Knowledge::of("reference").unwrap().target
}

fn services(path: &[&str]) -> Vec<Service> {
    let path: Vec<PathVersion> = path.iter().map(|v| v.parse().unwrap()).collect();
    let args = generate_upgrade_args(&path, &Default::default(), None).unwrap();
    Service::from_path(args, &path).unwrap()
}

/// Nothing runs, and of the directory only the logs and the record of processes are left.
fn assert_gone(dir: &Path) {
    assert_eq!(processes_of(dir), [0u32; 0]);
    assert!(!dir.join("work").exists());
    assert!(dir.join("logs").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearses_a_step_that_fails_and_cleans_up_after_it() {
    // What leads would be older than what it reads: the second step's instance refuses the store.
    let bench = Bench::new(&["v0.1.0", "v0.2.0", "v0.1.0", "v0.3.0"]).await;
    let mut steps = bench.initialize().await;
    (steps.next().unwrap().upgrade)().await.unwrap();
    let failing = steps.next().unwrap();
    let log = || failing.new_service.log().map(Path::to_owned);
    assert_eq!(log(), None);
    let error = (failing.upgrade)().await.unwrap_err();
    let UpgradeError::Failed {
        service,
        called_off,
        log,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(service, "mz_1 (v0.1.0)");
    assert!(*called_off, "{error}");
    assert!(
        fs::read_to_string(log).unwrap().contains("tagged-rows"),
        "{error}"
    );

    // Who led before still does, so the store was not touched; what comes after the failure is refused.
    let client = bench.client().await;
    let version = client.query_one("SELECT changeover_version()", &[]);
    assert_eq!(version.await.unwrap().get::<_, &str>(0), "v0.2.0");
    let error = (steps.next().unwrap().upgrade)().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "step 3 cannot be run, because step 2 failed; clean up and begin again"
    );

    assert_ne!(processes_of(&bench.dir()), [0u32; 0]);
    bench.upgrader.cleanup().await.unwrap();
    assert_gone(&bench.dir());
    bench.upgrader.cleanup().await.unwrap();
    let again = bench.upgrader.initialize().await.map(|_| ()).unwrap_err();
    assert!(matches!(again, UpgradeError::CleanedUp), "{again}");
}

#[tokio::test]
async fn rehearses_a_failure_and_a_panic_without_a_clean_up() {
    let place = {
        let bench = Bench::new(&["v0.2.0", "v0.1.0"]).await;
        let mut steps = bench.initialize().await;
        (steps.next().unwrap().upgrade)().await.unwrap_err();
        assert_ne!(processes_of(&bench.dir()), [0u32; 0]);
        let Bench {
            place, upgrader, ..
        } = bench;
        // At once: on a runtime of one thread, nothing but the drop itself can have done it.
        drop(upgrader);
        place
    };
    assert_gone(&run_dir(&place));

    let bench = Bench::new(&["v0.1.0", "v0.2.0"]).await;
    let (dir, place) = (bench.dir(), bench.place);
    let upgrader = bench.upgrader;
    let panicked = tokio::spawn(async move {
        let (_first, _steps) = upgrader.initialize().await.unwrap();
        panic!("the caller's own");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_gone(&dir);
    drop(place);
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearses_steps_in_their_order_only() {
    let bench = Bench::new(&["v0.1.0", "v0.2.0", "v0.3.0"]).await;
    let upgrader = &bench.upgrader;
    let mut steps = bench.initialize().await;
    let first = steps.next().unwrap();
    let refused = (steps.next().unwrap().upgrade)().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "step 2 was run out of order; step 1 comes next"
    );
    let again = upgrader.initialize().await.map(|_| ()).unwrap_err();
    assert!(matches!(again, UpgradeError::InitializedBefore), "{again}");

    // Refusing changed nothing: the step whose turn it is still runs.
    assert_eq!(first.new_service.sql_addr(), None);
    (first.upgrade)().await.unwrap();
    assert_ne!(first.new_service.sql_addr(), Some(upgrader.sql_addr()));
    assert_ne!(first.new_service.url(), first.previous_service.url());

    // The previous leader was not killed: it said itself that it was fenced.
    let events = bench.events.lock().unwrap();
    let end = events.iter().find_map(|event| match event.kind {
        EventKind::ProcessEnded { end, by_us, .. } if event.generation == Some(0) => {
            Some((end, by_us))
        }
        _ => None,
    });
    assert_eq!(end, Some((ProcessEnd::Code(0), false)));
}

/// A step that has started its instance and will be catching up for as long as any test takes.
async fn unending_step() -> (Bench, UpgradeStep) {
    let mut target = target();
    let slow = ["--hydration-rate", "1"].map(str::to_owned);
    let Instances::Started(instance) = &mut target.instances else {
        panic!("the reference database is started");
    };
    instance.command.extend(slow);
    let bench = Bench::of(target, &["v0.1.0", "v0.2.0", "v0.3.0"]).await;
    let step = bench.initialize().await.next().unwrap();
    let client = bench.client().await;
    client
        .batch_execute("CREATE TABLE t (n BIGINT)")
        .await
        .unwrap();
    for _ in 0..100 {
        client
            .batch_execute("INSERT INTO t VALUES (1)")
            .await
            .unwrap();
    }
    (bench, step)
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearses_a_step_that_a_clean_up_breaks_off() {
    let (bench, step) = unending_step().await;
    let running = tokio::spawn((step.upgrade)());
    poll("the step's instance", || {
        processes_of(&bench.dir()).len() == 2
    });
    bench.upgrader.cleanup().await.unwrap();
    assert_gone(&bench.dir());
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, UpgradeError::CleanedUp), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearses_a_step_that_the_drop_of_its_upgrader_breaks_off() {
    let (bench, step) = unending_step().await;
    let dir = bench.dir();
    let running = tokio::spawn((step.upgrade)());
    poll("the step's instance", || processes_of(&dir).len() == 2);
    drop(bench.upgrader);
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, UpgradeError::CleanedUp), "{error}");
    assert_gone(&dir);
}

#[tokio::test]
async fn rehearses_in_a_temporary_directory_of_which_nothing_stays() {
    for clean_up in [true, false] {
        let options = Options {
            program: Some(program()),
            ..Options::default()
        };
        let path = services(&["v0.1.0"]);
        let upgrader = Upgrader::new(target(), path, options).await.unwrap();
        let (first, steps) = upgrader.initialize().await.unwrap();
        assert!(steps.is_empty());
        // <directory>/logs/mz_1.0.log
        let dir = first.log().unwrap().ancestors().nth(2).unwrap();
        assert_eq!(processes_of(dir).len(), 1);
        if clean_up {
            upgrader.cleanup().await.unwrap();
        } else {
            drop(upgrader);
        }
        assert_eq!(processes_of(dir), [0u32; 0]);
        assert!(!dir.exists());
    }
}

#[tokio::test]
async fn what_is_no_upgrade_is_refused_before_anything_starts() {
    let refusal = |services, directory: Option<PathBuf>| async {
        let options = Options {
            directory,
            ..Options::default()
        };
        let refused = Upgrader::new(target(), services, options).await;
        refused.map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(Vec::new(), None).await,
        "there are no services to upgrade; give at least one"
    );
    let twice = [services(&["v0.1.0"]), services(&["v0.2.0"])].concat();
    assert_eq!(
        refusal(twice, None).await,
        "service 1, field name: slot mz_1 twice in a row; neighbouring services take different slots"
    );
    let uneven = Service::from_path(Vec::new(), &[PathVersion::Current]).unwrap_err();
    assert_eq!(
        uneven.to_string(),
        "0 service arguments for a path of 1 versions; give one for each"
    );
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("mine"), "").unwrap();
    let occupied = refusal(services(&["v0.1.0"]), Some(place.path().to_owned())).await;
    assert!(occupied.contains("directory not empty"), "{occupied}");
    assert!(place.path().join("mine").exists());
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    let options = Options {
        program: Some("/nowhere/changeover".into()),
        ..Options::default()
    };
    let path = services(&["v0.1.0", "v0.2.0"]);
    let upgrader = Upgrader::new(target(), path, options).await.unwrap();
    let error = upgrader.initialize().await.map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("mz_1 (v0.1.0) was not started: "),
        "{text}"
    );
    assert!(text.contains("\"/nowhere/changeover\""), "{text}");
}
