//! PostgreSQL as the metadata store: a private server, a schema of a server that runs, and what is in the way.

use crate::harness::{Rehearsal, changeover, everything, poll, processes_of, told, with_budgets};
use crate::postgres_server::Server;
use changeover_model::event::EventKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::net::TcpStream;
use tokio_postgres::NoTls;

/// A short path under a light load, with budgets that no machine exceeds: what is tested is where the store is, and
/// how fast it is may depend on who else is busy.
const PATH: [&str; 12] = with_budgets([
    "--versions",
    "v0.2.0,current",
    "--rate",
    "20",
    "--probe-interval",
    "50ms",
]);

/// The schemas of runs in the server's database.
fn schemas(server: &Server) -> Vec<String> {
    let address = format!("postgres://changeover@127.0.0.1:{}/postgres", server.port());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
        tokio::spawn(connection);
        let sql =
            "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'changeover%' ORDER BY 1";
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    })
}

#[test]
fn rehearses_on_a_private_postgres_that_goes_with_the_run() {
    if Server::shared().is_none() {
        return;
    }
    let mut run = Rehearsal::start(&[&PATH[..], &["--metadata-store", "postgres"]].concat());
    let output = run.finish();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        told(&output)
    );
    assert!(
        run.read("plan.json")
            .contains("\"metadata_store\": \"postgres\"")
    );
    // The plan's file is all that is needed to run it again.
    assert!(!run.verdict().reproduce.contains("--metadata-store"));
    assert!(
        run.read("logs/metadata-store.log")
            .contains("ready to accept connections")
    );
    assert!(!run.dir().join("work").exists());
    run.assert_no_orphans();
}

#[test]
fn rehearses_side_by_side_in_one_database_and_leaves_nothing_there() {
    let Some(server) = Server::shared() else {
        return;
    };
    let store = format!(
        "postgres://changeover:SECRET@127.0.0.1:{}/postgres",
        server.port()
    );
    let arguments = [&PATH[..], &["--metadata-store", &store]].concat();
    let mut runs = [Rehearsal::start(&arguments), Rehearsal::start(&arguments)];
    for run in &runs {
        run.until("a leader", |kind| matches!(kind, EventKind::LoadDone));
    }
    assert_eq!(schemas(&server).len(), 2);
    for run in &mut runs {
        let output = run.finish();
        // Two rehearsals on two cores may be too late to be sure; none may fail.
        assert!(
            matches!(output.status.code(), Some(0 | 3)),
            "{}",
            told(&output)
        );
        let kept = everything(&run.dir()) + &told(&output);
        assert!(!kept.contains("SECRET"));
        let address = format!("postgres://changeover@127.0.0.1:{}/postgres", server.port());
        assert!(
            run.verdict().reproduce.contains(&address),
            "{}",
            run.verdict().reproduce
        );
        run.assert_no_orphans();
    }
    assert!(schemas(&server).is_empty());
}

#[test]
fn rehearses_no_further_after_an_interruption_and_drops_the_schema() {
    let Some(server) = Server::shared() else {
        return;
    };
    let store = format!("postgres://changeover@127.0.0.1:{}/postgres", server.port());
    let mut run = Rehearsal::start(&["--metadata-store", &store]);
    run.until("a promotion", |kind| {
        matches!(kind, EventKind::PromoteIntent { .. })
    });
    kill(Pid::from_raw(run.pid() as i32), Signal::SIGINT).unwrap();
    assert_eq!(run.finish().status.code(), Some(130));
    assert!(schemas(&server).is_empty());
    assert_eq!(processes_of(&run.dir()), [0u32; 0]);
}

/// What PostgreSQL servers share memory by. Only themselves remove it.
fn shared_memory() -> BTreeSet<OsString> {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with("PostgreSQL."))
        .collect()
}

#[test]
fn rehearses_nothing_when_it_is_interrupted_while_its_server_is_made() {
    if Server::shared().is_none() {
        return;
    }
    let before = shared_memory();
    let mut run = Rehearsal::start(&["--metadata-store", "postgres"]);
    poll("a server that makes files", || shared_memory() != before);
    kill(Pid::from_raw(run.pid() as i32), Signal::SIGINT).unwrap();
    assert_eq!(run.finish().status.code(), Some(130));
    assert_eq!(shared_memory(), before);
    assert_eq!(processes_of(&run.dir()), [0u32; 0]);
    assert!(!run.dir().join("work").exists());
}

/// What `rehearse` says about this store, and its exit code. Nothing may be left behind.
fn refusal(store: &str) -> (i32, String) {
    let place = tempfile::tempdir().unwrap();
    let output = changeover()
        .args(["rehearse", "--metadata-store", store])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{store}");
    let told = told(&output);
    assert_eq!(told.lines().count(), 1, "{told}");
    (output.status.code().unwrap(), told)
}

#[test]
fn a_store_that_cannot_be_had_is_refused_before_anything_is_made() {
    let Some(server) = Server::shared() else {
        return;
    };
    let port = server.port();
    for (store, code, said) in [
        (
            "mysql://h/d".to_owned(),
            2,
            "unknown metadata store \"mysql\"",
        ),
        (
            "postgres:".to_owned(),
            2,
            "the place behind the colon is missing",
        ),
        (
            "postgres://h/d?colour=red".to_owned(),
            2,
            "unknown option `colour`",
        ),
        (
            "postgres://h/d?schema=7up".to_owned(),
            2,
            "cannot be a schema",
        ),
        (
            format!("postgres://changeover@127.0.0.1:{port}/nowhere"),
            4,
            "database \"nowhere\" does not exist",
        ),
        (
            "postgres://changeover:SECRET@127.0.0.1:1/postgres".to_owned(),
            4,
            "cannot reach",
        ),
        (
            format!("postgres://changeover@127.0.0.1:{port}/postgres?schema=information_schema"),
            2,
            "belongs to PostgreSQL itself",
        ),
        // Made absolute, as instances and `cleanup` may be elsewhere.
        (
            "postgres://h/d?sslmode=verify-ca&sslrootcert=ca.pem".to_owned(),
            4,
            "the root certificates in /",
        ),
    ] {
        let (exit, told) = refusal(&store);
        assert_eq!(exit, code, "{told}");
        assert!(told.contains(said) && !told.contains("SECRET"), "{told}");
    }
}

#[test]
fn rehearses_in_a_schema_that_was_named_and_leaves_it_to_the_caller() {
    let Some(server) = Server::shared() else {
        return;
    };
    let store = server.fresh().replace("schema=", "schema=changeover_mine_");
    let mut run = Rehearsal::start(&[&PATH[..], &["--metadata-store", &store]].concat());
    let output = run.finish();
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "{}",
        told(&output)
    );
    assert_eq!(schemas(&server).len(), 1);
    assert!(
        run.verdict()
            .reproduce
            .contains("schema=COPY_OF_THE_STORE_BEFORE")
    );
}

#[test]
fn rehearses_until_it_is_killed_and_cleanup_ends_the_private_server() {
    if Server::shared().is_none() {
        return;
    }
    let mut run = Rehearsal::start(&["--metadata-store", "postgres"]);
    run.until("load", |kind| matches!(kind, EventKind::LoadDone));
    let port = run
        .events()
        .into_iter()
        .find_map(|event| match event.kind {
            EventKind::MetadataStoreDone { addr } => Some(addr),
            _ => None,
        })
        .unwrap();
    assert!(TcpStream::connect(&port).is_ok());
    kill(Pid::from_raw(run.pid() as i32), Signal::SIGKILL).unwrap();
    run.finish();
    let output = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(TcpStream::connect(&port).is_err());
    assert!(!run.dir().join("work").exists());
}

#[test]
fn rehearses_until_it_is_killed_and_cleanup_drops_the_schema() {
    let Some(server) = Server::shared() else {
        return;
    };
    let store = format!(
        "postgres://changeover:SECRET@127.0.0.1:{}/postgres",
        server.port()
    );
    let mut run = Rehearsal::start(&["--metadata-store", &store]);
    run.until("load", |kind| matches!(kind, EventKind::LoadDone));
    kill(Pid::from_raw(run.pid() as i32), Signal::SIGKILL).unwrap();
    run.finish();
    assert!(!everything(&run.dir()).contains("SECRET"));
    let left = schemas(&server);
    assert_eq!(left.len(), 1);
    let output = changeover().arg("cleanup").arg(run.dir()).output().unwrap();
    let told = told(&output);
    assert!(
        told.contains(&format!("removed: schema {}", left[0])),
        "{told}"
    );
    assert!(schemas(&server).is_empty());
    run.assert_no_orphans();
}
