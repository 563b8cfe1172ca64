//! Generations over one store: read-only mode, catching up, promotion, fencing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::Sql;
use crate::instance::{Instance, World, wait_for};

/// Promotes a ready instance as a supervisor would, until it answers SQL.
pub(crate) fn promote(instance: &mut Instance) {
    instance.wait_status("ReadyToPromote");
    assert_eq!(
        instance.promote(),
        (200, r#"{"result":"Success"}"#.to_owned())
    );
    assert_eq!(
        instance.wait_exit(),
        166,
        "a promoted process asks to be restarted"
    );
    instance.restart();
    instance.wait_status("IsLeader");
    instance.wait_ready();
}

#[test]
fn a_promotion_keeps_every_acknowledged_write() {
    let world = World::new();
    let mut old = world.leader("old", "v0.1.0", 0);
    Sql::connect(&old).ok("CREATE TABLE t (n int8 PRIMARY KEY)");
    let mut new = world.instance("new", "v0.2.0", 1).start();

    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, address) = (Arc::clone(&stop), old.sql.clone());
        std::thread::spawn(move || {
            let sql = Sql::try_connect(&address).expect("the old leader");
            let mut acknowledged = Vec::new();
            for n in 0i64.. {
                if stop.load(Ordering::Relaxed)
                    || sql.execute("INSERT INTO t VALUES ($1)", &[&n]).is_err()
                {
                    break;
                }
                acknowledged.push(n);
            }
            acknowledged
        })
    };
    new.wait_status("ReadyToPromote");
    new.wait_ready();
    let reader = Sql::connect(&new);
    // It follows: what is written now becomes visible on the generation that may only read.
    let seen = reader.int("SELECT count(*) FROM t");
    wait_for("a later write", || {
        let now = reader.int("SELECT count(*) FROM t");
        if now > seen {
            Ok(())
        } else {
            Err(format!("{now} rows"))
        }
    });
    promote(&mut new);
    stop.store(true, Ordering::Relaxed);
    assert_eq!(old.wait_exit(), 0, "the old leader was fenced");
    assert!(
        old.log().contains("exiting (0): fenced by generation 1"),
        "{}",
        old.log()
    );
    let acknowledged = writer.join().expect("the writer");

    let sql = Sql::connect(&new);
    assert_eq!(sql.value("SELECT changeover_version()"), "v0.2.0");
    let rows: Vec<i64> = sql
        .query("SELECT n FROM t ORDER BY n", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(
        rows.starts_with(&acknowledged),
        "{} acknowledged, {} there",
        acknowledged.len(),
        rows.len()
    );
    assert!(
        rows.len() <= acknowledged.len() + 1,
        "at most the unanswered one more"
    );
    sql.ok("INSERT INTO t VALUES (-1)");

    // Started again, the old generation is fenced out at once.
    old.restart_expecting_end();
    assert_eq!(old.wait_exit(), 0);
}

#[test]
fn an_idle_leader_notices_that_it_is_fenced() {
    let world = World::new();
    let mut old = world.leader("old", "current", 3);
    let mut new = world.instance("new", "current", 5).start();
    promote(&mut new);
    assert_eq!(old.wait_exit(), 0);
    assert!(
        old.log().contains("fenced by generation 5"),
        "{}",
        old.log()
    );
}

#[test]
fn read_only_mode_refuses_every_write() {
    let world = World::new();
    let old = world.leader("old", "v0.2.0", 0);
    Sql::connect(&old).ok("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    let new = world.instance("new", "v0.3.0", 1).start();
    new.wait_ready();
    let sql = Sql::connect(&new);
    for text in [
        "INSERT INTO t VALUES (2)",
        "UPDATE t SET a = 2",
        "DELETE FROM t",
        "TRUNCATE t",
        "WITH x AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM x",
        "SELECT * FROM t FOR UPDATE",
        "CREATE TABLE u (a int)",
        "CREATE INDEX i ON t (a)",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE t ADD COLUMN b int",
        "DROP TABLE t",
        "COPY t FROM STDIN",
        "CREATE SEQUENCE s",
        "DISCARD ALL",
        "BEGIN; INSERT INTO t VALUES (2); COMMIT",
    ] {
        let error = sql.run(text).expect_err(text);
        let error = error.as_db_error().expect(text);
        assert_eq!(
            (error.code().code(), error.message()),
            ("25006", "cannot write in read-only mode"),
            "{text}"
        );
        let _ = sql.run("ROLLBACK");
    }
    // By the extended protocol too.
    assert_eq!(
        crate::client::state(
            &sql.execute("INSERT INTO t VALUES ($1)", &[&2i32])
                .unwrap_err()
        ),
        "25006"
    );
    // In a block the error aborts it.
    sql.ok("BEGIN; SELECT a FROM t");
    assert_eq!(sql.refused("DELETE FROM t"), "25006");
    assert_eq!(sql.refused("SELECT a FROM t"), "25P02");
    sql.ok("ROLLBACK");
    for text in [
        "SELECT 1",
        "SHOW server_version",
        "SET timezone = 'UTC'",
        "EXPLAIN SELECT * FROM t",
        "BEGIN; SELECT a FROM t; COMMIT",
    ] {
        sql.ok(text);
    }
    assert_eq!(sql.value("SELECT a FROM t"), "1");
}

#[test]
fn definitions_changed_while_catching_up_cause_a_restart_and_are_picked_up() {
    let world = World::new();
    let old = world.leader("old", "v0.1.0", 0);
    let writer = Sql::connect(&old);
    writer.ok("CREATE TABLE t (a int)");
    for n in 0..40 {
        writer.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    // Too slow to catch up before the definitions change.
    let mut new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hydration-rate", "40")
        .start();
    new.wait_log("booting in read-only mode");
    new.wait_ready();
    let before = new.log().matches("booting in read-only mode").count();
    for n in 0..60 {
        writer.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    writer.ok("CREATE TABLE u (b int); INSERT INTO u VALUES (7)");
    if new.status() == "ReadyToPromote" {
        // The machine was fast enough to be ready before; then the definition was simply followed.
        assert_eq!(before, 1);
    } else {
        assert_eq!(new.wait_exit(), 166);
        assert!(new.log().contains("CREATE TABLE \"u\""), "{}", new.log());
        new.restart();
    }
    promote(&mut new);
    assert_eq!(Sql::connect(&new).value("SELECT b FROM u"), "7");
    assert_eq!(Sql::connect(&new).int("SELECT count(*) FROM t"), 100);
}

#[test]
fn definitions_changed_when_ready_are_followed() {
    let world = World::new();
    let old = world.leader("old", "v0.1.0", 0);
    let mut new = world.instance("new", "v0.2.0", 1).start();
    new.wait_status("ReadyToPromote");
    let writer = Sql::connect(&old);
    writer.ok("CREATE TABLE u (b int); INSERT INTO u VALUES (7); ALTER TABLE u ADD COLUMN c text DEFAULT 'x'");
    writer.ok("ALTER TABLE u RENAME TO w; ALTER TABLE w RENAME COLUMN b TO d; INSERT INTO w VALUES (8, 'y'); CREATE VIEW v AS SELECT count(*) AS n FROM w");
    new.wait_ready();
    let reader = Sql::connect(&new);
    wait_for("the view", || {
        reader
            .try_rows("SELECT n FROM v")
            .map_err(|e| e.to_string())
    });
    assert!(new.is_running());
    promote(&mut new);
    let sql = Sql::connect(&new);
    assert_eq!(sql.int("SELECT n FROM v"), 2);
    sql.ok("INSERT INTO w (d) VALUES (9); ALTER TABLE w DROP COLUMN c; DROP VIEW v; DROP TABLE w");
}

#[test]
fn a_generation_slower_than_the_leader_is_never_ready() {
    let world = World::new();
    let old = world.leader("old", "v0.1.0", 0);
    let writer = Sql::connect(&old);
    writer.ok("CREATE TABLE t (a int)");
    for n in 0..100 {
        writer.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    let mut new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hydration-rate", "20")
        .arg("--max-wait", "2")
        .start();
    assert_eq!(new.wait_exit(), 1);
    assert!(
        new.log().contains("not caught up within 2s"),
        "{}",
        new.log()
    );
    assert!(!new.log().contains("ready to promote"));
    writer.ok("INSERT INTO t VALUES (1)");
}

#[test]
fn skipping_the_catch_up_makes_ready_at_once_and_loses_nothing() {
    let world = World::new();
    let old = world.leader("old", "v0.1.0", 0);
    let writer = Sql::connect(&old);
    writer.ok("CREATE TABLE t (a int)");
    for n in 0..50 {
        writer.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    let mut new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hydration-rate", "1")
        .start();
    wait_for("catching up", || {
        match new.http("POST", "/api/leader/skip-catchup") {
            Ok((204, _, body)) if body.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    promote(&mut new);
    assert_eq!(Sql::connect(&new).int("SELECT count(*) FROM t"), 50);
}

#[test]
fn of_two_processes_of_one_generation_exactly_one_survives() {
    let world = World::new();
    let mut first = world.leader("first", "current", 0);
    let mut second = world.leader("second", "current", 0);
    assert_eq!(first.wait_exit(), 1);
    assert!(first.log().contains("fenced by epoch 2"), "{}", first.log());
    Sql::connect(&second).ok("CREATE TABLE t (a int)");
    // Both at once.
    second.terminate();
    assert_eq!(second.wait_exit(), 143);
    let mut both = [
        world.instance("a", "current", 0).start(),
        world.instance("b", "current", 0).start(),
    ];
    wait_for("the end of one of them", || {
        let running: Vec<bool> = both.iter_mut().map(Instance::is_running).collect();
        if running.contains(&false) {
            Ok(())
        } else {
            Err(format!("{running:?}"))
        }
    });
    let survivor = both
        .iter_mut()
        .position(Instance::is_running)
        .expect("one survives");
    assert_eq!(both[1 - survivor].wait_exit(), 1);
    both[survivor].wait_ready();
    Sql::connect(&both[survivor]).ok("INSERT INTO t VALUES (1)");
}

#[test]
fn a_skipped_generation_learns_that_it_is_fenced() {
    let world = World::new();
    let _old = world.leader("old", "v0.1.0", 0);
    let mut skipped = world.instance("skipped", "v0.2.0", 1).start();
    skipped.wait_status("ReadyToPromote");
    let mut new = world.instance("new", "v0.3.0", 2).start();
    promote(&mut new);
    assert_eq!(skipped.wait_exit(), 0);
}

#[test]
fn the_acknowledgement_log_tells_of_both_leaders() {
    let world = World::new();
    let path = world.path("ack.log");
    let path = path.to_str().expect("UTF-8");
    let old = world
        .instance("old", "v0.1.0", 0)
        .arg("--ack-log", path)
        .start();
    old.wait_ready();
    Sql::connect(&old).ok("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    let mut new = world
        .instance("new", "v0.2.0", 1)
        .arg("--ack-log", path)
        .start();
    promote(&mut new);
    Sql::connect(&new).ok("INSERT INTO t VALUES (2)");
    // An acknowledgement is noted when it has been sent.
    wait_for("both acknowledgements", || {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let number = |n: usize, key: &str| lines[n][key].as_u64().unwrap();
        assert_eq!(lines.len(), 2, "only leaders acknowledge: {text}");
        assert_eq!((number(0, "generation"), number(1, "generation")), (0, 1));
        let both = number(0, "writes") == 1 && number(1, "writes") == 1;
        if both && number(0, "last_write") < number(1, "first_write") {
            Ok(())
        } else {
            Err(text)
        }
    });
}
