//! psycopg talks to the reference database: the driver that most Python programs use, with its prepared statements,
//! its own idea of transactions, and its types.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Debian's interpreter, which sees Debian's modules.
const PYTHON: &str = "/usr/bin/python3";

/// Only a failing test waits so long.
const DEADLINE: Duration = Duration::from_secs(60);

const SCRIPT: &str = r#"
import sys, psycopg
from psycopg import errors

host, port = sys.argv[1].rsplit(":", 1)
with psycopg.connect(host=host, port=port, user="x", dbname="x") as db:
    db.execute("CREATE TABLE t (id BIGINT NOT NULL, name TEXT, ok BOOLEAN)")
    db.commit()
    with db.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s, %s, %s)", [(1, "one", True), (2, None, False)])
    db.commit()
    # The same statement often enough to be prepared on the server.
    for _ in range(8):
        rows = db.execute("SELECT id, name, ok FROM t WHERE id > %s ORDER BY id", (0,)).fetchall()
        assert rows == [(1, "one", True), (2, None, False)], rows
    try:
        with db.transaction():
            db.execute("INSERT INTO t VALUES (%s, %s, %s)", (3, "three", True))
            db.execute("SELECT absent FROM t")
    except errors.UndefinedColumn:
        pass
    else:
        raise AssertionError("an unknown column was accepted")
    assert db.execute("SELECT count(*) FROM t").fetchone() == (2,), "the transaction was not rolled back"
    db.rollback()
with psycopg.connect(host=host, port=port, user="x", dbname="x", autocommit=True) as db:
    assert db.execute("SELECT count(*) FROM t WHERE ok").fetchone() == (1,)
print("psycopg is content")
"#;

/// Ends with the test, however the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has then noticed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_session_with_psycopg() {
    let found = Command::new(PYTHON)
        .args(["-c", "import psycopg"])
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        let provisioned = std::env::var_os("CHANGEOVER_PROVISIONED").is_some_and(|v| v == "1");
        assert!(!provisioned, "psycopg should be here");
        println!("skipped: psycopg not found");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let addresses = place.path().join("addresses.json");
    let mut server = Server(
        Command::new(env!("CARGO_BIN_EXE_changeover"))
            .args([
                "reference",
                "serve",
                "--sql-addr",
                "127.0.0.1:0",
                "--http-addr",
                "127.0.0.1:0",
            ])
            .arg("--metadata-store")
            .arg(format!(
                "sqlite:{}",
                place.path().join("store.db").display()
            ))
            .arg("--address-file")
            .arg(&addresses)
            .env("TMPDIR", place.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let address = sql_address(&mut server.0, &addresses);
    // The listener is bound early, and answers when the instance leads; psycopg waits for its answer.
    let output = Command::new(PYTHON)
        .args(["-c", SCRIPT, &address])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "psycopg is content\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Waits for the file that says where the instance listens.
fn sql_address(server: &mut Child, file: &Path) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let document = std::fs::read_to_string(file)
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        if let Some(address) = document.as_ref().and_then(|d| d["sql"].as_str()) {
            return address.to_owned();
        }
        assert_eq!(server.try_wait().unwrap(), None, "the instance ended");
        assert!(
            Instant::now() < deadline,
            "no addresses; last seen: {document:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
