//! A store that is down, restarted, slow, silent or full: clean errors or the end of the process, never a lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{compare, write};
use crate::client::{Sql, state};
use crate::instance::{DEADLINE, Instance, wait_for};
use crate::postgres_server::Server;
use crate::upgrade::promote;
use crate::world::World;

/// A server of our own with these settings, and a leader with a table.
fn leader(settings: &[&str]) -> Option<(Arc<Server>, World, Instance)> {
    let server = Arc::new(Server::start(settings)?);
    let world = World::on(Arc::clone(&server));
    let leader = world.leader("leader", "current", 0);
    Sql::connect(&leader).ok("CREATE TABLE t (n int8, filling text)");
    Some((server, world, leader))
}

#[test]
fn an_idle_leader_outlives_a_restart_of_the_store() {
    let Some((server, _world, mut leader)) = leader(&[]) else {
        return;
    };
    let sql = Sql::connect(&leader);
    sql.ok("INSERT INTO t VALUES (1, '')");
    for _ in 0..2 {
        server.stop();
        // Nothing was under way, so nothing is unknown.
        assert_eq!(sql.refused("INSERT INTO t VALUES (2, '')"), "58030");
        assert_eq!(sql.refused("SELECT n FROM t"), "58030");
        leader.wait_log("WARN cannot reach the metadata store");
        server.start_again();
        sql.ok("INSERT INTO t VALUES (3, '')");
        assert_eq!(sql.int("SELECT count(*) FROM t WHERE n <> 3"), 1);
    }
    leader.wait_log("the metadata store answers again");
    assert!(leader.is_running());
}

#[test]
fn nothing_acknowledged_is_lost_when_the_store_crashes_under_load() {
    let Some((server, world, mut leader)) = leader(&[]) else {
        return;
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut written = Vec::new();
    for round in 0..3 {
        let writers: Vec<_> = (0..3)
            .map(|n| write(&leader, (round * 3 + n) * 1_000_000, 10, &stop))
            .collect();
        let upper = || Sql::to_store(&world.store()).int("SELECT upper FROM fence");
        let before = upper();
        wait_for("some appends", || match upper() {
            now if now > before + 50 => Ok(()),
            now => Err(format!("{now} after {before}")),
        });
        server.stop();
        // Three writers write all the time, so one of them is cut off in the middle or refused. A leader that was
        // cut off ends; it must not be asked for more than it knows.
        wait_for("the end or an error", || {
            if !leader.is_running() || leader.log().contains("ERROR cannot reach") {
                Ok(())
            } else {
                Err(leader.log())
            }
        });
        server.start_again();
        if round == 2 {
            stop.store(true, Ordering::Relaxed);
        } else if leader.is_running() {
            leader.kill();
        }
        if !leader.is_running() {
            leader.restart();
            leader.wait_ready();
        }
        written.extend(writers.into_iter().map(|w| w.join().unwrap()));
    }
    compare(&leader, &written);
}

#[test]
fn a_migration_outlives_a_crash_of_the_store() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let server = Arc::new(server);
    let world = World::on(Arc::clone(&server));
    let old = world.leader("old", "v0.1.0", 0);
    let sql = Sql::connect(&old);
    sql.ok("CREATE TABLE t (n int8)");
    for n in 0..400 {
        sql.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    let new = world.instance("new", "current", 1);
    let mut new = new.env("CHANGEOVER_TEST_MIGRATION_CHUNK", "1").start();
    promote(&mut new);
    let migrated = || Sql::to_store(&world.store()).int("SELECT migrated FROM fence");
    wait_for("some of the migration", || match migrated() {
        0..20 => Err("too little".to_owned()),
        _ => Ok(()),
    });
    server.stop();
    // It waits, or ends because a portion was under way.
    wait_for("the migration to notice", || {
        if !new.is_running() || new.log().contains("the migration goes on later") {
            Ok(())
        } else {
            Err(new.log())
        }
    });
    server.start_again();
    assert!(migrated() < 401, "too late");
    if !new.is_running() {
        new.restart();
    }
    new.wait_log("migrated the store");
    let first = 1;
    assert!(world.log().iter().all(|(_, mark, _)| *mark != first));
    assert_eq!(Sql::connect(&new).int("SELECT count(*) FROM t"), 400);
}

#[test]
fn a_migration_outlives_a_store_that_is_too_slow() {
    let Some(world) = World::postgres() else {
        return;
    };
    let old = world.leader("old", "v0.1.0", 0);
    Sql::connect(&old).ok("CREATE TABLE t (n int8)");
    let mut new = world.instance("new", "current", 1).start();
    new.wait_status("ReadyToPromote");
    // Records can be read and the fence be taken, but rewriting waits until the server gives up.
    let store = Sql::to_store(&world.store());
    store.ok("BEGIN; LOCK TABLE log IN SHARE MODE");
    promote(&mut new);
    new.wait_log("statement timeout (57014); the migration goes on later");
    assert_eq!(Sql::connect(&new).int("SELECT count(*) FROM t"), 0);
    store.ok("COMMIT");
    new.wait_log("migrated the store");
    assert!(new.is_running());
}

#[test]
fn a_store_that_pauses_makes_clients_wait() {
    let Some((server, _world, leader)) = leader(&[]) else {
        return;
    };
    let (tell, answers) = std::sync::mpsc::channel();
    server.freeze();
    for n in 1..=2 {
        let (tell, address) = (tell.clone(), leader.sql.clone());
        std::thread::spawn(move || {
            let sql = Sql::try_connect(&address).expect("the leader");
            let answer = sql.run(&format!("INSERT INTO t VALUES ({n}, '')"));
            tell.send(answer).expect("the test waits");
        });
    }
    // One waits for the store, and the other too long for its turn to write.
    let refused = answers
        .recv_timeout(DEADLINE)
        .unwrap()
        .expect_err("no turn");
    assert_eq!(state(&refused), "40001");
    server.thaw();
    answers.recv_timeout(DEADLINE).unwrap().expect("an answer");
    assert_eq!(Sql::connect(&leader).int("SELECT count(*) FROM t"), 1);
}

#[test]
fn a_store_that_hangs_ends_the_writer_and_refuses_readers() {
    let Some((server, _world, mut leader)) = leader(&[]) else {
        return;
    };
    let readers: Vec<Sql> = (0..4).map(|_| Sql::connect(&leader)).collect();
    server.freeze();
    let answers: Vec<_> = readers
        .into_iter()
        .map(|sql| std::thread::spawn(move || sql.run("SELECT n FROM t").expect_err("no answer")))
        .collect();
    for answer in answers {
        assert_eq!(state(&answer.join().unwrap()), "58030");
    }
    let sql = Sql::connect(&leader);
    // Its connection was there, so the append was sent, and nobody can know what became of it.
    let error = sql
        .run("INSERT INTO t VALUES (1, '')")
        .expect_err("no answer");
    assert_eq!(error.code(), None, "{error:?}");
    assert_eq!(leader.wait_exit(), 1);
    let log = leader.log();
    assert!(log.contains("the outcome of an append"), "{log}");
    assert!(log.contains("no answer within 5 s"), "{log}");
    server.thaw();
    leader.restart();
    leader.wait_ready();
    let count = Sql::connect(&leader).int("SELECT count(*) FROM t");
    assert!((0..=1).contains(&count), "{count}");
}

#[test]
fn a_store_without_a_free_connection_is_told_apart() {
    let settings = [
        "max_connections=4",
        "superuser_reserved_connections=0",
        "max_wal_senders=0",
    ];
    let Some((server, world, mut leader)) = leader(&settings) else {
        return;
    };
    let sql = Sql::connect(&leader);
    sql.ok("INSERT INTO t VALUES (1, '')");
    let address = server.address("schema=other");
    let mut others: Vec<Sql> = (0..2).map(|_| Sql::to_store(&address)).collect();
    let (code, log) = world.instance("new", "current", 1).run_to_end();
    assert_eq!(code, 4, "{log}");
    assert!(log.contains("too many clients"), "{log}");
    // Who is connected already goes on.
    sql.ok("INSERT INTO t VALUES (2, '')");

    // Others take the leader's places.
    let ours = "application_name = 'changeover-reference'";
    wait_for("its connections to be taken", || {
        others[0]
            .run(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"
            ))
            .map_err(|e| e.to_string())?;
        while let Ok(other) = Sql::try_to_store(&address) {
            others.push(other);
        }
        match others[0].int(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE {ours}"
        )) {
            0 => Ok(()),
            held => Err(format!("it still has {held}")),
        }
    });
    assert_eq!(sql.refused("INSERT INTO t VALUES (3, '')"), "58030");
    assert_eq!(sql.refused("SELECT n FROM t"), "58030");
    others.truncate(1);
    wait_for("a free connection", || {
        sql.run("INSERT INTO t VALUES (4, '')")
            .map_err(|e| e.to_string())
    });
    assert_eq!(sql.int("SELECT sum(n) FROM t"), 7);
    assert!(leader.is_running());
}
