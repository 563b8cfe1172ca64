//! Bad input: one sentence, the right exit code.

use crate::client::Sql;
use crate::world::{World, on_both_stores};

on_both_stores!(places, clients_that_do_not_speak_the_protocol_harm_nobody,);

pub(crate) fn check(result: (i32, String), code: i32, wanted: &[&str]) {
    let (found, log) = result;
    assert_eq!(found, code, "{log}");
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" ERROR "))
        .collect();
    assert_eq!(errors.len(), 1, "one sentence: {log}");
    for text in wanted {
        assert!(errors[0].contains(text), "`{text}` in {log}");
    }
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn arguments() {
    let world = World::sqlite();
    check(
        world.instance("a", "v0.1.1", 0).run_to_end(),
        2,
        &["v0.1.1", "`v0.1.0`"],
    );
    check(
        world
            .instance("b", "current", 0)
            .store("postgres:x")
            .run_to_end(),
        2,
        &["sqlite:PATH"],
    );
    check(
        world
            .instance("c", "current", 0)
            .store("sqlite:")
            .run_to_end(),
        2,
        &["path"],
    );
    let known = changeover_reference::bugs().next().unwrap().name;
    for (name, bug, wanted) in [
        ("d", &known[1..], [known, "reference bugs"]),
        ("e", &format!("{known}@first"), ["`first`", "generation"]),
        ("f", "", ["--planted-bug", "reference bugs"]),
    ] {
        check(
            world
                .instance(name, "current", 0)
                .arg("--planted-bug", bug)
                .run_to_end(),
            2,
            &wanted,
        );
    }
}

fn places(world: World) {
    check(
        world
            .instance("a", "current", 0)
            .store("sqlite:/nonexistent/store.db")
            .run_to_end(),
        4,
        &["/nonexistent/store.db"],
    );
    let directory = format!("sqlite:{}", world.directory.path().display());
    check(
        world
            .instance("b", "current", 0)
            .store(&directory)
            .run_to_end(),
        4,
        &["metadata store"],
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, log) = {
        // The setup already gives both addresses; a second value would be refused by the parser, so ask for the file.
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_changeover-reference"))
            .args(["serve", "--metadata-store", &world.store()])
            .args(["--sql-addr", &address, "--http-addr", "127.0.0.1:0"])
            .output()
            .unwrap();
        (
            program.status.code().unwrap(),
            String::from_utf8(program.stderr).unwrap(),
        )
    };
    check((code, log), 4, &[&address, "--sql-addr"]);
    // A data directory belongs to one process.
    let leader = world.leader("x", "current", 0);
    let (code, log) = world.instance("x", "current", 1).run_to_end();
    assert_eq!(code, 4, "{log}");
    assert!(log.contains("in use by another process"), "{log}");
    drop(leader);
    // Nor does a second start of the same generation end the first, whatever it lacks.
    let mut leader = world.leader("y", "current", 0);
    let (code, log) = world.instance("y", "current", 0).run_to_end();
    assert_eq!(code, 4, "{log}");
    let (code, log) = world
        .instance("z", "current", 0)
        .arg("--ack-log", "/nonexistent/ack.log")
        .run_to_end();
    assert_eq!(code, 4, "{log}");
    Sql::connect(&leader).ok("CREATE TABLE t (a int)");
    assert!(leader.is_running());
}

#[test]
fn stores_in_sqlite() {
    let world = World::sqlite();
    std::fs::write(world.file(), vec![b'x'; 5000]).unwrap();
    check(
        world.instance("a", "current", 0).run_to_end(),
        2,
        &["store.db"],
    );
    std::fs::remove_file(world.file()).unwrap();

    rusqlite::Connection::open(world.file())
        .unwrap()
        .execute_batch("CREATE TABLE accounts (id)")
        .unwrap();
    check(
        world.instance("b", "current", 0).run_to_end(),
        2,
        &["another product"],
    );
    std::fs::remove_file(world.file()).unwrap();

    let mut leader = world.leader("c", "v0.3.0", 0);
    let sql = Sql::connect(&leader);
    for text in [
        "CREATE TABLE t (a int)",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES (2)",
    ] {
        sql.ok(text);
    }
    leader.kill();
    let store = rusqlite::Connection::open(world.file()).unwrap();
    store
        .execute_batch("UPDATE meta SET value = 'from-the-future' WHERE key = 'format'")
        .unwrap();
    check(
        world.instance("d", "current", 0).run_to_end(),
        1,
        &["`from-the-future`", "`row-runs`"],
    );
    store
        .execute_batch("UPDATE meta SET value = 'checked-rows' WHERE key = 'format'")
        .unwrap();
    store
        .execute_batch("UPDATE log SET body = x'00112233445566' WHERE position = 2")
        .unwrap();
    drop(store);
    check_damage(&world, "record 2");
    rusqlite::Connection::open(world.file())
        .unwrap()
        .execute_batch("DELETE FROM log WHERE position = 1")
        .unwrap();
    check_damage(&world, "record 1 is missing");
}

fn check_damage(world: &World, wanted: &str) {
    check(
        world
            .instance(&format!("damaged {wanted}"), "v0.3.0", 1)
            .run_to_end(),
        1,
        &["damaged", wanted],
    );
}

fn clients_that_do_not_speak_the_protocol_harm_nobody(world: World) {
    use std::io::{Read, Write};
    let mut leader = world.leader("a", "current", 0);
    let startup = b"\x00\x00\x00\x13\x00\x03\x00\x00user\x00test\x00\x00".as_slice();
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x00\x00\x08",
        b"\x00\x00\x00\x01\x00\x03\x00\x00",
        b"",
        &[startup, b"Q\xff\xff\xff\xff"].concat(),
        &[startup, b"Q\x00\x00\x00\x00"].concat(),
        &[startup, b"B\x00\x00\x00\x0a\x00\x00\xff\xff\xff\xff"].concat(),
        &[startup, b"D\x00\x00\x00\x06Zx"].concat(),
        &[startup, b"E\x00\x00\x00\x09nope\x00"].concat(),
        &[startup, b"F\x00\x00\x00\x04"].concat(),
        &[startup, b"\x00\x00\x00"].concat(),
    ] {
        let mut stream = std::net::TcpStream::connect(&leader.sql).unwrap();
        stream.write_all(garbage).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    assert!(leader.is_running());
    assert!(!leader.log().contains("panicked"), "{}", leader.log());
    assert_eq!(Sql::connect(&leader).value("SELECT 1"), "1");
}
