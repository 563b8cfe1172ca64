//! Generations over one store: read-only mode, catching up, promotion, fencing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use crate::client::Sql;
use crate::in_place;
use crate::instance::{DEADLINE, Instance, wait_for};
use crate::world::{World, on_both_stores};

on_both_stores!(
    a_promotion_keeps_every_acknowledged_write,
    an_idle_leader_notices_that_it_is_fenced,
    read_only_mode_refuses_every_write,
    definitions_changed_while_catching_up_cause_a_restart_and_are_picked_up,
    definitions_changed_when_ready_are_followed,
    a_generation_slower_than_the_leader_is_never_ready,
    a_leader_that_was_stopped_answers_nothing_after_its_successor,
    skipping_the_catch_up_makes_ready_at_once_and_loses_nothing,
    of_two_processes_of_one_generation_exactly_one_survives,
    a_skipped_generation_learns_that_it_is_fenced,
    the_acknowledgement_log_tells_of_both_leaders,
    a_leader_that_is_outlived_while_it_hydrates_is_fenced,
    a_leader_whose_migration_waits_notices_that_it_is_fenced,
);

/// Promotes a ready instance as a supervisor would, until it answers SQL as the leader.
pub(crate) fn promote(instance: &mut Instance) {
    instance.wait_status("ReadyToPromote");
    assert_eq!(
        instance.promote(),
        (200, r#"{"result":"Success"}"#.to_owned())
    );
    if !instance.release().promotes_in_place {
        assert_eq!(
            instance.wait_exit(),
            166,
            "a promoted process asks to be restarted"
        );
        instance.restart();
    }
    instance.wait_status("IsLeader");
    instance.wait_ready();
    assert!(instance.is_running());
}

fn a_promotion_keeps_every_acknowledged_write(world: World) {
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

fn an_idle_leader_notices_that_it_is_fenced(world: World) {
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

fn read_only_mode_refuses_every_write(world: World) {
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

fn definitions_changed_while_catching_up_cause_a_restart_and_are_picked_up(world: World) {
    let old = world.leader("old", "v0.1.0", 0);
    let writer = Sql::connect(&old);
    writer.ok("CREATE TABLE t (a int)");
    for n in 0..40 {
        writer.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    // Too slow to catch up before the definitions change; when it has, they are the only record it has not read.
    let mut new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hydration-rate", "20")
        .start();
    new.wait_log("booting in read-only mode");
    writer.ok("CREATE TABLE u (b int); INSERT INTO u VALUES (7)");
    assert_eq!(new.status(), "Initializing");
    assert_eq!(new.wait_exit(), 166);
    assert!(new.log().contains("CREATE TABLE \"u\""), "{}", new.log());
    assert!(!new.log().contains("ready to promote"), "{}", new.log());
    new.restart();
    promote(&mut new);
    assert_eq!(Sql::connect(&new).value("SELECT b FROM u"), "7");
    assert_eq!(Sql::connect(&new).int("SELECT count(*) FROM t"), 40);
}

fn definitions_changed_when_ready_are_followed(world: World) {
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

fn a_generation_slower_than_the_leader_is_never_ready(world: World) {
    let old = world.leader("old", "v0.1.0", 0);
    let writer = Sql::connect(&old);
    writer.ok("CREATE TABLE t (a int)");
    for n in 0..20 {
        writer.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    let mut new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hydration-rate", "20")
        .arg("--max-wait", "3")
        .start();
    new.wait_log("booting in read-only mode");
    // A second to read what is there; what comes meanwhile is more than may be missing, and it goes on.
    while new.is_running() {
        assert_ne!(new.status(), "ReadyToPromote");
        for _ in 0..50 {
            writer.ok("INSERT INTO t VALUES (1)");
        }
    }
    assert_eq!(new.wait_exit(), 1);
    let log = new.log();
    assert!(log.contains("hydrated up to log position"), "{log}");
    assert!(log.contains("not caught up within 3s"), "{log}");
    assert!(!log.contains("ready to promote"), "{log}");
    writer.ok("INSERT INTO t VALUES (1)");
}

/// What a client sends before it asks anything.
pub(crate) const STARTUP: &[u8] = b"\x00\x00\x00\x13\x00\x03\x00\x00user\x00test\x00\x00";

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(((body.len() + 4) as u32).to_be_bytes());
    message.extend(body);
    message
}

/// Reads up to the end of an answer.
pub(crate) fn read_answer(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = Vec::new();
    let ready = |answer: &[u8], state: u8| answer.ends_with(&[b'Z', 0, 0, 0, 5, state]);
    while !b"ITE".iter().any(|state| ready(&answer, *state)) {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).expect("an answer");
        assert!(count > 0, "closed after {answer:?}");
        answer.extend(&part[..count]);
    }
    answer
}

fn a_leader_that_was_stopped_answers_nothing_after_its_successor(world: World) {
    let query = |sql: &str| message(b'Q', format!("{sql}\0").as_bytes());
    // Whatever rests on data: rows, plans, definitions, errors.
    let describe = [
        message(b'P', b"\0SELECT * FROM t WHERE n = $1\0\0\0"),
        message(b'D', b"S\0"),
        message(b'S', b""),
    ]
    .concat();
    let describe_error = [
        message(b'P', b"\0SELECT * FROM nothing\0\0\0"),
        message(b'D', b"S\0"),
        message(b'S', b""),
    ]
    .concat();
    let questions = [
        query("SELECT n FROM t"),
        query("SELECT nope FROM t"),
        query("EXPLAIN SELECT n FROM t"),
        query("EXPLAIN SELECT nope FROM t"),
        query("SHOW log_position"),
        describe,
        describe_error,
    ];
    let in_place = in_place::release();
    let mut old = world.leader("0", in_place, 0);
    Sql::connect(&old).ok("CREATE TABLE t (n int8)");
    // One that led from its start, two that were promoted in place, two that were restarted.
    for (release, round) in [in_place, in_place, "current", "current", "current"]
        .into_iter()
        .zip(1..)
    {
        let mut new = world.instance(&round.to_string(), release, round).start();
        new.wait_status("ReadyToPromote");
        let mut clients: Vec<TcpStream> = questions
            .iter()
            .flat_map(|question| [question; 3])
            .map(|question| {
                let mut stream = TcpStream::connect(&old.sql).unwrap();
                stream.write_all(STARTUP).unwrap();
                read_answer(&mut stream);
                // Asked once while it leads, so that everything is warm.
                stream.write_all(question).unwrap();
                read_answer(&mut stream);
                stream
            })
            .collect();
        let mut definer = TcpStream::connect(&old.sql).unwrap();
        definer.write_all(STARTUP).unwrap();
        read_answer(&mut definer);
        let define = query("CREATE TABLE IF NOT EXISTS t (n int8)");
        for text in [&query("BEGIN"), &define] {
            definer.write_all(text).unwrap();
            read_answer(&mut definer);
        }
        old.signal(Signal::SIGSTOP);
        promote(&mut new);
        Sql::connect(&new).ok(&format!("INSERT INTO t VALUES ({round})"));
        for (stream, question) in clients
            .iter_mut()
            .zip(questions.iter().flat_map(|question| [question; 3]))
        {
            stream.write_all(question).unwrap();
        }
        definer.write_all(&define).unwrap();
        clients.push(definer);
        old.signal(Signal::SIGCONT);
        for (n, mut stream) in clients.into_iter().enumerate() {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            // What was parsed may be told; that rests on nothing.
            let answer = answer.strip_prefix(b"1\0\0\0\x04").unwrap_or(&answer);
            assert!(
                answer.is_empty(),
                "round {round}, client {n}: {}",
                String::from_utf8_lossy(answer)
            );
        }
        assert_eq!(old.wait_exit(), 0);
        old = new;
    }
}

fn skipping_the_catch_up_makes_ready_at_once_and_loses_nothing(world: World) {
    for release in ["v0.2.0", in_place::release()] {
        skip_the_catch_up(&world.another(), release);
    }
}

fn skip_the_catch_up(world: &World, release: &str) {
    let old = world.leader("old", "v0.1.0", 0);
    let writer = Sql::connect(&old);
    writer.ok("CREATE TABLE t (a int)");
    for n in 0..50 {
        writer.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    let mut new = world
        .instance("new", release, 1)
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

fn of_two_processes_of_one_generation_exactly_one_survives(world: World) {
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

fn a_skipped_generation_learns_that_it_is_fenced(world: World) {
    let _old = world.leader("old", "v0.1.0", 0);
    let mut skipped = world.instance("skipped", "v0.2.0", 1).start();
    skipped.wait_status("ReadyToPromote");
    let mut new = world.instance("new", "v0.3.0", 2).start();
    promote(&mut new);
    assert_eq!(skipped.wait_exit(), 0);
}

fn the_acknowledgement_log_tells_of_both_leaders(world: World) {
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

fn a_leader_that_is_outlived_while_it_hydrates_is_fenced(world: World) {
    let mut old = world.leader("old", "v0.1.0", 0);
    let sql = Sql::connect(&old);
    sql.ok("CREATE TABLE t (a int, b int)");
    // More than one portion of hydration.
    for n in 0..1100 {
        sql.ok(&format!(
            "INSERT INTO t SELECT g, {n} FROM generate_series(1, 20) AS g"
        ));
    }
    let mut new = world.instance("new", "current", 1).start();
    new.wait_status("ReadyToPromote");
    old.kill();
    std::fs::remove_dir_all(old.data()).unwrap();
    old.restart();
    wait_for("hydration", || {
        match old.log().matches("reading the log up to").count() {
            2 => Ok(()),
            _ => Err(old.log()),
        }
    });
    old.signal(Signal::SIGSTOP);
    promote(&mut new);
    new.wait_log("migrated the store");
    old.signal(Signal::SIGCONT);
    assert_eq!(old.wait_exit(), 0);
    assert!(!old.log().contains(" ERROR "), "{}", old.log());
    // It did not read to the end first, and so never answered.
    assert_eq!(
        old.log().matches("answering SQL").count(),
        1,
        "{}",
        old.log()
    );
}

fn a_leader_whose_migration_waits_notices_that_it_is_fenced(world: World) {
    let old = world.leader("old", "v0.1.0", 0);
    let sql = Sql::connect(&old);
    sql.ok("CREATE TABLE t (a int)");
    for n in 0..400 {
        sql.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    let mut leader = world
        .instance("leader", "v0.2.0", 1)
        .env("CHANGEOVER_TEST_MIGRATION_CHUNK", "1")
        .start();
    let mut new = world.instance("new", "current", 2).start();
    promote(&mut leader);
    // It has its turn to write, and so the migration has not.
    let address = leader.sql.clone();
    let sleeper = std::thread::spawn(move || {
        let sql = Sql::try_connect(&address).expect("the leader");
        sql.run("BEGIN; INSERT INTO t VALUES (-1); SELECT pg_sleep(3600)")
    });
    let writer = Sql::connect(&leader);
    wait_for("the writer's turn", || {
        match writer.run("INSERT INTO t VALUES (-2)") {
            Err(error) if crate::client::state(&error) == "40001" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(!leader.log().contains("migrated the store"), "too late");
    promote(&mut new);
    assert_eq!(leader.wait_exit(), 0);
    assert!(sleeper.join().unwrap().is_err());
}
