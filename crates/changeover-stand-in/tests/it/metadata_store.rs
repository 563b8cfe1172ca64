//! Materialize's metadata on somebody's server: a database of the run's own, on processes and in containers.

use crate::engine::{Rehearsal, block_on, changeover, engine_with_images};
use crate::materialize::programs;
use crate::postgres_server::Server;
use changeover_model::event::EventKind;
use changeover_stand_in::images;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

/// A wait that takes longer than this has failed: a bound, not a measurement.
const DEADLINE: Duration = Duration::from_secs(60);

const VERSIONS: [&str; 2] = ["v26.0.0", "v26.10.0"];

/// What must be written nowhere, as URLs have it and as it is.
const PASSWORD: &str = "p@ss/SECRET";
const ENCODED: &str = "p%40ss%2FSECRET";

/// A server that lets its roles in from anywhere by password, and its owner from 127.0.0.1 without.
struct Guarded {
    server: Server,
    _rules: tempfile::TempDir,
}

impl Guarded {
    /// One that listens at this address besides.
    fn start(at: &str) -> Option<Self> {
        let rules = tempfile::tempdir().unwrap();
        fs::set_permissions(rules.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let file = rules.path().join("pg_hba.conf");
        fs::write(
            &file,
            "host all changeover 127.0.0.1/32 trust\nhost all all all scram-sha-256\n",
        )
        .unwrap();
        let server = Server::start(&[
            &format!("listen_addresses=127.0.0.1,{at}"),
            &format!("hba_file={}", file.display()),
            "max_connections=200",
        ])?;
        let guarded = Guarded {
            server,
            _rules: rules,
        };
        guarded.sql(&format!(
            "CREATE ROLE upgrader LOGIN CREATEDB PASSWORD '{PASSWORD}';
             CREATE ROLE humble LOGIN PASSWORD '{PASSWORD}';"
        ));
        Some(guarded)
    }

    fn sql(&self, text: &str) -> Vec<String> {
        let address = self.server.address("connect_timeout=5");
        block_on(async {
            let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
            tokio::spawn(connection);
            let messages = client.simple_query(text).await.unwrap();
            messages
                .iter()
                .filter_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                    _ => None,
                })
                .collect()
        })
    }

    fn store(&self, role: &str, host: &str) -> String {
        let port = self.server.port();
        format!("postgres://{role}:{ENCODED}@{host}:{port}/postgres")
    }

    /// The databases of runs.
    fn databases(&self) -> Vec<String> {
        self.sql("SELECT datname FROM pg_database WHERE datname LIKE 'changeover%'")
    }
}

/// A server, and the programs of the versions; `None` where there is no PostgreSQL.
fn beside_processes() -> Option<(Guarded, tempfile::TempDir)> {
    Some((Guarded::start("127.0.0.1")?, programs(&VERSIONS)))
}

/// A server that containers reach, and its address for them; `None` where there is no engine or no PostgreSQL.
fn beside_containers() -> Option<(Guarded, String)> {
    if !engine_with_images() {
        return None;
    }
    let bridge = bridge();
    Some((Guarded::start(&bridge)?, bridge))
}

fn on_processes<'a>(directory: &'a str, store: &'a str) -> Vec<&'a str> {
    vec![
        "--target",
        "materialize",
        "--runtime",
        "process",
        "--binaries",
        directory,
        "--versions",
        "v26.0.0,v26.10.0",
        "--metadata-store",
        store,
    ]
}

fn in_containers(store: &str) -> Vec<&str> {
    vec![
        "--target",
        "materialize",
        "--image-repository",
        images::STAND_IN,
        "--versions",
        "v26.0.0,v26.10.0",
        "--metadata-store",
        store,
    ]
}

fn load_runs(kind: &EventKind) -> bool {
    matches!(kind, EventKind::LoadDone)
}

/// The command line and the variables of the instance of generation 0.
fn process_of(run: &Rehearsal) -> (String, BTreeMap<String, String>) {
    let pid = run
        .events()
        .into_iter()
        .find_map(|kind| match kind {
            EventKind::SpawnDone { pid } => Some(pid),
            _ => None,
        })
        .unwrap();
    let read = |what: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{what}")).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let pairs = read("environ");
    let pairs = pairs.split('\0').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (read("cmdline"), pairs.collect())
}

fn shows_nothing(run: &Rehearsal, output: &std::process::Output) {
    let mut told = run.everything();
    told.push_str(&String::from_utf8_lossy(&output.stdout));
    told.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(!told.contains("SECRET"), "{}", run.dir().display());
}

#[test]
fn rehearses_materialize_from_binaries_in_a_database_of_a_server_of_the_callers() {
    let Some((server, programs)) = beside_processes() else {
        return;
    };
    let directory = programs.path().to_string_lossy().into_owned();
    let store = server.store("upgrader", "127.0.0.1");
    let blob = programs.path().join("blob-SECRET");
    let blob = format!("file://{}", blob.display());
    let mut arguments = on_processes(&directory, &store);
    arguments.extend(["--blob-store", &blob]);
    let mut run = Rehearsal::start(&arguments, &[("CLUSTERD_LOG_FILTER", "debug,SECRET")]);
    run.until("load", load_runs);
    let databases = server.databases();
    assert_eq!(databases.len(), 1, "{databases:?}");
    let (command, env) = process_of(&run);
    assert!(!command.contains("SECRET"), "{command}");
    let port = server.server.port();
    assert_eq!(
        env["MZ_PERSIST_CONSENSUS_URL"],
        format!(
            "postgres://upgrader:{ENCODED}@127.0.0.1:{port}/{}?options=--search_path=consensus",
            databases[0]
        )
    );
    assert_eq!(env["MZ_PERSIST_BLOB_URL"], blob);
    // What is set here is passed on, and what is not is not.
    assert_eq!(env["CLUSTERD_LOG_FILTER"], "debug,SECRET");
    assert!(!env.contains_key("MZ_LOG_FILTER"));
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(server.databases(), [""; 0]);
    assert!(!run.dir().join("metadata-store").exists());
    shows_nothing(&run, &output);
    let address = format!("postgres://upgrader@127.0.0.1:{port}/postgres");
    assert!(run.read("verdict.json").contains(&address));
}

#[test]
fn rehearses_materialize_until_it_is_killed_and_cleanup_drops_the_database() {
    let Some((server, programs)) = beside_processes() else {
        return;
    };
    let directory = programs.path().to_string_lossy().into_owned();
    let store = server.store("upgrader", "127.0.0.1");
    // Somebody else's, which has nothing to do with it.
    server.sql("CREATE DATABASE changeover_somebody");
    let mut run = Rehearsal::start(&on_processes(&directory, &store), &[]);
    run.until("load", load_runs);
    run.child().kill().unwrap();
    let output = run.finish();
    shows_nothing(&run, &output);
    assert_eq!(server.databases().len(), 2);
    let cleanup = |password: &str| {
        let mut command = changeover();
        command.arg("cleanup").arg(run.dir());
        let output = command.env("PGPASSWORD", password).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), told)
    };
    let (code, told) = cleanup("wrong");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("left alone: database changeover_"), "{told}");
    assert!(told.contains("run changeover cleanup"), "{told}");
    let (code, told) = cleanup(PASSWORD);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("removed: database changeover_"), "{told}");
    assert_eq!(server.databases(), ["changeover_somebody"]);
}

#[test]
fn rehearses_materialize_in_containers_in_a_database_that_they_reach() {
    let Some((server, bridge)) = beside_containers() else {
        return;
    };
    let store = server.store("upgrader", &bridge);
    let blob = "file:///share/tmp/blob-SECRET";
    let mut arguments = in_containers(&store);
    arguments.extend(["--blob-store", blob]);
    let set = [
        ("MZ_LICENSE_KEY", "a-key"),
        ("MZ_LOG_FILTER", "info,SECRET"),
    ];
    let mut run = Rehearsal::start(&arguments, &set);
    run.until("load", load_runs);
    let databases = server.databases();
    assert_eq!(databases.len(), 1, "{databases:?}");
    let left = run.left();
    let container = left.iter().find(|it| it.contains("mz_1")).unwrap();
    let inspected = Command::new("docker")
        .args(["inspect", "--format"])
        .args([
            "{{json .Config.Cmd}} {{.Path}} {{join .Args \" \"}} {{json .Config.Labels}}",
            container,
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(inspected.stdout).unwrap();
    assert!(text.contains("--deploy-generation=0"), "{text}");
    assert!(!text.contains("SECRET"), "{text}");
    let env = Command::new("docker")
        .args(["inspect", "--format", "{{json .Config.Env}}", container])
        .output()
        .unwrap();
    let env = String::from_utf8(env.stdout).unwrap();
    assert!(env.contains("MZ_LOG_FILTER=info,SECRET"), "{env}");
    assert!(
        env.contains(&format!("MZ_PERSIST_BLOB_URL={blob}")),
        "{env}"
    );
    assert!(
        !left.iter().any(|it| it.contains("metadata-store")),
        "{left:?}"
    );
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(server.databases(), [""; 0]);
    assert_eq!(run.left(), [""; 0]);
    shows_nothing(&run, &output);
}

/// Where containers reach this machine.
fn bridge() -> String {
    let output = Command::new("docker")
        .args(["network", "inspect", "bridge", "--format"])
        .arg("{{(index .IPAM.Config 0).Gateway}}")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What a rehearsal says that cannot begin, and its exit code. Nothing may be made.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let place = tempfile::tempdir().unwrap();
    let output = changeover()
        .arg("rehearse")
        .args(arguments)
        .current_dir(place.path())
        .env("MZ_LICENSE_KEY", "a-key")
        .output()
        .unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(!told.contains("SECRET"), "{told}");
    (output.status.code(), told)
}

#[test]
fn a_server_that_cannot_be_used_for_materialize_is_refused_in_a_sentence() {
    let Some((server, programs)) = beside_processes() else {
        return;
    };
    let directory = programs.path().to_string_lossy().into_owned();
    let port = server.server.port();
    let good = server.store("upgrader", "127.0.0.1");
    for (store, code, said) in [
        (
            format!("postgres://upgrader:wrong-SECRET@127.0.0.1:{port}/postgres"),
            4,
            "password authentication failed for user \"upgrader\"",
        ),
        (
            server.store("humble", "127.0.0.1"),
            4,
            "the role `humble` may not make databases on postgres://humble@127.0.0.1",
        ),
        (
            format!("{good}?schema=mine"),
            2,
            "keeps its metadata in schemas of fixed names (consensus, adapter, storage, tsoracle)",
        ),
        (
            format!("{good}?sslmode=require"),
            2,
            "leave sslmode out of its address",
        ),
        (
            format!("{good}?connect_timeout=3"),
            2,
            "leave connect_timeout out of its address",
        ),
    ] {
        let (exit, told) = refused(&on_processes(&directory, &store));
        assert_eq!(exit, Some(code), "{told}");
        assert!(told.contains(said), "{told}");
    }
    for host in ["127.0.0.1", "LOCALHOST", "[::1]", "%2Frun%2Fpostgresql"] {
        let (exit, told) = refused(&in_containers(&server.store("upgrader", host)));
        assert_eq!(exit, Some(2), "{told}");
        assert!(
            told.contains("give an address under which containers reach it"),
            "{told}"
        );
    }
    assert_eq!(server.databases(), [""; 0]);
}

#[test]
fn rehearses_materialize_over_a_store_of_a_newer_release_and_fails_with_its_words() {
    let Some((server, programs)) = beside_processes() else {
        return;
    };
    let directory = programs.path().to_string_lossy().into_owned();
    let store = server.store("upgrader", "127.0.0.1");
    let mut arguments = on_processes(&directory, &store);
    arguments[7] = "v26.10.0,v26.0.0";
    arguments.push("--allow-illegal");
    let mut run = Rehearsal::start(&arguments, &[]);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let verdict = run.read("verdict.json");
    assert!(verdict.contains("which is newer than"), "{verdict}");
    assert_eq!(server.databases(), [""; 0]);
    shows_nothing(&run, &output);
}

#[test]
fn rehearses_in_containers_on_data_that_older_releases_made_as_processes() {
    let Some((server, bridge)) = beside_containers() else {
        return;
    };
    server.sql("GRANT CREATE ON DATABASE postgres TO humble");
    let store = server.store("humble", &bridge);
    let mut run = Rehearsal::start(
        &[
            "--runtime",
            "docker",
            "--workload",
            "set,aged",
            "--versions",
            "v0.3.0,v0.5.0",
            "--rate",
            "50",
            "--probe-interval",
            "50ms",
            "--metadata-store",
            &store,
        ],
        &[],
    );
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let aged = run
        .events()
        .iter()
        .any(|kind| matches!(kind, EventKind::AgeIntent { versions } if !versions.is_empty()));
    assert!(aged);
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'changeover%'";
    assert_eq!(server.sql(schemas), [""; 0]);
    assert_eq!(run.left(), [""; 0]);
    shows_nothing(&run, &output);
}

#[test]
fn rehearses_in_containers_over_a_store_of_a_newer_release_and_says_so() {
    let Some((server, bridge)) = beside_containers() else {
        return;
    };
    server.sql("GRANT CREATE ON DATABASE postgres TO humble");
    let store = format!("{}?schema=mine", server.store("humble", &bridge));
    let place = tempfile::tempdir().unwrap();
    let mut newer = changeover()
        .args(["reference", "serve", "--version", "v0.6.0"])
        .args(["--metadata-store", &store, "--data-dir"])
        .arg(place.path().join("copy"))
        .args(["--sql-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let made = || {
        let there = server.sql("SELECT to_regclass('mine.fence')::text") == ["mine.fence"];
        there && server.sql("SELECT format FROM mine.fence") != [""; 0]
    };
    while !made() {
        assert!(
            began.elapsed() < DEADLINE,
            "the newer release made no store"
        );
        thread::sleep(Duration::from_millis(10));
    }
    newer.kill().unwrap();
    newer.wait().unwrap();
    let mut run = Rehearsal::start(
        &[
            "--runtime",
            "docker",
            "--versions",
            "v0.2.0,v0.3.0",
            "--metadata-store",
            &store,
        ],
        &[],
    );
    let older = run.finish();
    assert_eq!(older.status.code(), Some(1), "{older:?}");
    let verdict = run.read("verdict.json");
    assert!(verdict.contains("which is newer than"), "{verdict}");
    assert_eq!(run.left(), [""; 0]);
    shows_nothing(&run, &older);
}

#[test]
fn a_wrong_password_is_a_sentence_in_front_of_containers() {
    let Some((server, bridge)) = beside_containers() else {
        return;
    };
    let port = server.server.port();
    let store = format!("postgres://upgrader:wrong-SECRET@{bridge}:{port}/postgres");
    let reference = [
        "--runtime",
        "docker",
        "--versions",
        "v0.2.0,v0.3.0",
        "--metadata-store",
        &store,
    ];
    for arguments in [in_containers(&store), reference.to_vec()] {
        let (exit, told) = refused(&arguments);
        assert_eq!(exit, Some(4), "{told}");
        assert!(
            told.contains("password authentication failed for user \"upgrader\""),
            "{told}"
        );
    }
}
