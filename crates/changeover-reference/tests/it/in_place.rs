//! Promotion in place: the process that followed goes on as the leader, and so do its clients.

use std::io::Write;
use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::client::{Sql, state};
use crate::instance::{Instance, wait_for};
use crate::upgrade::{STARTUP, message, promote, read_answer};
use crate::world::{World, on_both_stores};

on_both_stores!(
    clients_of_the_new_generation_stay_and_may_write,
    a_transaction_begun_in_read_only_mode_ends_with_the_promotion,
    rows_read_in_read_only_mode_are_not_handed_out_by_a_leader,
    it_leads_only_when_it_has_read_the_log_to_its_end,
    killed_before_it_leads_it_leads_after_the_restart,
);

/// The first release that promotes in place.
pub(crate) fn release() -> &'static str {
    let releases = changeover_reference::releases();
    let found = releases.iter().find(|release| release.promotes_in_place);
    found.expect("one promotes in place").version
}

/// A leader with a table `t (n)` of one row, and a generation in read-only mode that is ready.
fn pair(world: &World) -> (Instance, Instance) {
    let old = world.leader("old", "v0.1.0", 0);
    Sql::connect(&old).ok("CREATE TABLE t (n int8); INSERT INTO t VALUES (1)");
    let new = world.instance("new", release(), 1).start();
    new.wait_status("ReadyToPromote");
    new.wait_ready();
    (old, new)
}

fn clients_of_the_new_generation_stay_and_may_write(world: World) {
    let acknowledged = world.path("ack.log");
    let mut old = world.leader("old", "v0.1.0", 0);
    Sql::connect(&old).ok("CREATE TABLE t (n int8); INSERT INTO t VALUES (1)");
    let mut new = world
        .instance("new", release(), 1)
        .arg("--ack-log", acknowledged.to_str().expect("UTF-8"))
        .start();
    new.wait_status("ReadyToPromote");
    new.wait_ready();
    let client = Sql::connect(&new);
    let prepared = client.prepare("INSERT INTO t VALUES ($1)").unwrap();
    assert_eq!(client.refused("INSERT INTO t VALUES (2)"), "25006");
    assert_eq!(client.int("SELECT count(*) FROM t"), 1);
    assert_eq!(client.value("SHOW transaction_read_only"), "on");

    promote(&mut new);
    assert_eq!(old.wait_exit(), 0);
    assert_eq!(client.execute_prepared(&prepared, &[&2i64]).unwrap(), 1);
    assert_eq!(client.int("SELECT count(*) FROM t"), 2);
    assert_eq!(client.value("SHOW transaction_read_only"), "off");
    client.ok("ALTER TABLE t ADD COLUMN s text; UPDATE t SET s = 'x'");
    assert_eq!(new.promote().0, 200, "promoting a leader changes nothing");
    assert_eq!(client.int("SELECT count(*) FROM t WHERE s = 'x'"), 2);

    // Only what it has acknowledged as the leader.
    wait_for("the acknowledgements", || {
        let text = std::fs::read_to_string(&acknowledged).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        match (line["writes"].as_u64(), line["reads"].as_u64()) {
            (Some(2), Some(2)) => Ok(()),
            _ => Err(text),
        }
    });

    // Its own successor, which restarts, finds everything.
    let mut next = world.instance("next", "current", 2).start();
    promote(&mut next);
    assert_eq!(new.wait_exit(), 0);
    assert_eq!(Sql::connect(&next).int("SELECT count(*) FROM t"), 2);
}

fn a_transaction_begun_in_read_only_mode_ends_with_the_promotion(world: World) {
    let (old, mut new) = pair(&world);
    let reader = Sql::connect(&new);
    reader.ok("BEGIN; SELECT n FROM t");
    let writer = Sql::connect(&new);
    writer.ok("BEGIN; SAVEPOINT s; SELECT n FROM t");
    // Has read nothing yet, and so nothing old.
    let idle = Sql::connect(&new);
    idle.ok("BEGIN");
    Sql::connect(&old).ok("INSERT INTO t VALUES (2)");
    promote(&mut new);
    for (client, text) in [
        (&reader, "SELECT n FROM t"),
        (&writer, "INSERT INTO t VALUES (3)"),
    ] {
        assert_eq!(client.refused(text), "40001");
        assert_eq!(client.refused("SELECT 1"), "25P02");
        client.ok("ROLLBACK");
        assert_eq!(client.int("SELECT count(*) FROM t"), 2);
    }
    idle.ok("SELECT n FROM t; INSERT INTO t VALUES (4); COMMIT");
    assert_eq!(reader.int("SELECT count(*) FROM t"), 3);
}

fn rows_read_in_read_only_mode_are_not_handed_out_by_a_leader(world: World) {
    let (old, mut new) = pair(&world);
    Sql::connect(&old).ok("INSERT INTO t VALUES (2)");
    let reader = Sql::connect(&new);
    wait_for("both rows", || match reader.int("SELECT count(*) FROM t") {
        2 => Ok(()),
        count => Err(format!("{count}")),
    });
    let mut client = TcpStream::connect(&new.sql).unwrap();
    client.write_all(STARTUP).unwrap();
    read_answer(&mut client);
    let mut ask = |messages: &[Vec<u8>]| {
        client.write_all(&messages.concat()).unwrap();
        read_answer(&mut client)
    };
    let one_row = message(b'E', b"p\0\x00\x00\x00\x01");
    let sync = message(b'S', b"");
    ask(&[message(b'Q', b"BEGIN\0")]);
    let first = ask(&[
        message(b'P', b"\0SELECT n FROM t\0\0\0"),
        message(b'B', b"p\0\0\0\0\0\0\0\0"),
        one_row.clone(),
        sync.clone(),
    ]);
    // Portal suspended: there is more.
    assert!(
        first.windows(5).any(|bytes| bytes == b"s\0\0\0\x04"),
        "{first:?}"
    );
    promote(&mut new);
    let answer = ask(&[one_row, sync]);
    let text = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with(b"E") && text.contains("C40001"),
        "{text}"
    );
}

/// How many records the new generation of [`behind`] has to read after its promotion.
const BEHIND: usize = 600;

/// A generation that is promoted the moment it wakes up, far behind the leader; with a client of it.
fn behind(world: &World) -> (Instance, Instance, Sql) {
    let (old, new) = pair(world);
    let client = Sql::connect(&new);
    new.signal(Signal::SIGSTOP);
    let writer = Sql::connect(&old);
    for n in 1..=BEHIND {
        writer.ok(&format!(
            "INSERT INTO t SELECT {n} FROM generate_series(1, 20)"
        ));
    }
    let mut api = TcpStream::connect(&new.http).unwrap();
    api.write_all(b"POST /api/leader/promote HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    new.signal(Signal::SIGCONT);
    (old, new, client)
}

fn it_leads_only_when_it_has_read_the_log_to_its_end(world: World) {
    let (mut old, new, client) = behind(&world);
    let mut seen = 0;
    loop {
        let leads = new.status() == "IsLeader";
        match client.query("SELECT count(*) FROM t", &[]) {
            Ok(rows) => {
                let count: i64 = rows[0].get(0);
                assert!(seen <= count, "{seen}, then {count}");
                seen = count;
            }
            // It became the leader in the middle of the statement.
            Err(error) if !leads && state(&error) == "40001" => {}
            Err(error) => panic!("{error:?}"),
        }
        if leads {
            break;
        }
    }
    assert_eq!(seen, 1 + 20 * BEHIND as i64);
    assert_eq!(old.wait_exit(), 0);
}

fn killed_before_it_leads_it_leads_after_the_restart(world: World) {
    let (mut old, mut new, _client) = behind(&world);
    new.wait_log("promoted in place");
    new.kill();
    assert_eq!(old.wait_exit(), 0, "the fence was taken");
    new.restart();
    new.wait_status("IsLeader");
    new.wait_ready();
    let sql = Sql::connect(&new);
    assert_eq!(sql.int("SELECT count(*) FROM t"), 1 + 20 * BEHIND as i64);
    sql.ok("INSERT INTO t VALUES (0)");
}
