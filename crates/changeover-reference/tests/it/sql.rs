//! SQL: what clients may rely on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::{Sql, state};
use crate::instance::wait_for;
use crate::world::{World, on_both_stores};

on_both_stores!(
    types_and_parameters,
    errors_have_the_states_that_clients_know,
    transactions,
    conflicts_are_told_and_an_idle_writer_is_ended,
    a_long_scan_does_not_block_writers,
    row_effects_are_replayed_exactly,
    a_statement_can_be_cancelled,
    a_prepared_statement_follows_changed_definitions,
    every_text_is_kept_as_it_is,
    a_client_that_does_not_read_its_answer_holds_up_nobody,
    a_newer_protocol_is_negotiated_down,
);

fn texts(rows: &[Vec<Option<String>>]) -> Vec<String> {
    rows.iter()
        .map(|row| {
            row.iter()
                .map(|field| field.clone().unwrap_or_else(|| "NULL".into()))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

fn types_and_parameters(world: World) {
    let leader = world.leader("a", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (k text PRIMARY KEY, a int2, b int4, c int8, d float4, e float8, f varchar(5), g bool, h bytea)");
    let insert = "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sql.execute(
        insert,
        &[
            &"x",
            &-7i16,
            &70_000i32,
            &i64::MIN,
            &1.5f32,
            &f64::INFINITY,
            &"ä",
            &true,
            &vec![0u8, 255],
        ],
    )
    .unwrap();
    let row = &sql
        .query(
            "SELECT * FROM t WHERE c = $1 AND g = $2",
            &[&i64::MIN, &true],
        )
        .unwrap()[0];
    assert_eq!(
        (
            row.get::<_, &str>(0),
            row.get::<_, i16>(1),
            row.get::<_, i32>(2),
            row.get::<_, i64>(3)
        ),
        ("x", -7, 70_000, i64::MIN)
    );
    assert_eq!(
        (
            row.get::<_, f32>(4),
            row.get::<_, f64>(5),
            row.get::<_, &str>(6)
        ),
        (1.5, f64::INFINITY, "ä")
    );
    assert_eq!(
        (row.get::<_, bool>(7), row.get::<_, Vec<u8>>(8)),
        (true, vec![0, 255])
    );
    let none: Option<i64> = None;
    sql.execute("INSERT INTO t (k, c) VALUES ($1, $2)", &[&"y", &none])
        .unwrap();
    assert_eq!(
        sql.query("SELECT c FROM t WHERE k = 'y'", &[]).unwrap()[0].get::<_, Option<i64>>(0),
        None
    );
    let row = &sql.query("SELECT count(*), sum(b), max(c), avg(e), k || 'z', $1::int4 + 1, b > 1, coalesce(c, 0) FROM t WHERE k = $2 GROUP BY k, b, c", &[&41i32, &"x"]).unwrap()[0];
    assert_eq!(
        (
            row.get::<_, i64>(0),
            row.get::<_, i64>(1),
            row.get::<_, i64>(2)
        ),
        (1, 70_000, i64::MIN)
    );
    assert_eq!(
        (
            row.get::<_, f64>(3),
            row.get::<_, &str>(4),
            row.get::<_, i32>(5)
        ),
        (f64::INFINITY, "xz", 42)
    );
    assert_eq!(
        (row.get::<_, bool>(6), row.get::<_, i64>(7)),
        (true, i64::MIN)
    );
    sql.ok("CREATE VIEW v AS SELECT count(*) AS n, sum(c) AS s FROM t WHERE c > 0");
    assert_eq!(
        sql.query("SELECT * FROM v", &[]).unwrap()[0].get::<_, i64>("n"),
        0
    );
    assert_eq!(
        sql.query(
            "SELECT k FROM t ORDER BY k LIMIT $1 OFFSET $2",
            &[&1i64, &1i64]
        )
        .unwrap()[0]
            .get::<_, &str>(0),
        "y"
    );
    assert_eq!(
        sql.query("INSERT INTO t (k) VALUES ($1) RETURNING k", &[&"z"])
            .unwrap()[0]
            .get::<_, &str>(0),
        "z"
    );
    assert_eq!(
        sql.execute(
            "UPDATE t SET a = $1 WHERE k IN ($2, $3)",
            &[&1i16, &"y", &"z"]
        )
        .unwrap(),
        2
    );
}

fn errors_have_the_states_that_clients_know(world: World) {
    let leader = world.leader("a", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (a int2 PRIMARY KEY, b text NOT NULL DEFAULT 'x', c bool CHECK (c), d int REFERENCES t (a)); INSERT INTO t VALUES (1)");
    for (text, wanted) in [
        ("SELEC", "42601"),
        ("SELECT FROM WHERE", "42601"),
        ("SELECT * FROM nope", "42P01"),
        ("SELECT nope FROM t", "42703"),
        ("SELECT \"nope\" FROM t", "42703"),
        ("SELECT nope(1)", "42883"),
        ("INSERT INTO t VALUES (1)", "23505"),
        ("INSERT INTO t VALUES (2, NULL)", "23502"),
        ("INSERT INTO t (b) VALUES ('x')", "23502"),
        ("INSERT INTO t VALUES (2, 'x', false)", "23514"),
        ("INSERT INTO t VALUES (2, 'x', true, 9)", "23503"),
        ("INSERT INTO t VALUES ('abc')", "22P02"),
        ("INSERT INTO t VALUES (70000)", "22003"),
        ("SELECT 'abc'::int", "22P02"),
        ("SELECT 99999999999999999999::int8", "22003"),
        ("CREATE TABLE t (a int)", "42P07"),
        ("CREATE TABLE u (a nonsense)", "42704"),
        ("CREATE TEMP TABLE u (a int)", "0A000"),
        (
            "CREATE TABLE u (a int REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED)",
            "0A000",
        ),
        (
            "CREATE TABLE u (a int, FOREIGN KEY (a) REFERENCES t (a) INITIALLY DEFERRED)",
            "0A000",
        ),
        (
            "ALTER TABLE t ADD COLUMN e int REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED",
            "0A000",
        ),
        (
            "CREATE TABLE u (a int PRIMARY KEY, b int REFERENCES u (a) ON UPDATE CASCADE)",
            "0A000",
        ),
        (
            "CREATE TABLE u (a int PRIMARY KEY, b int REFERENCES U ON UPDATE SET NULL)",
            "0A000",
        ),
        (
            "ALTER TABLE t ADD COLUMN e int REFERENCES t (a) ON UPDATE SET NULL",
            "0A000",
        ),
        (
            "CREATE TABLE u (a int PRIMARY KEY, b int REFERENCES w (a) ON UPDATE CASCADE);
             CREATE TABLE w (a int PRIMARY KEY REFERENCES u (a) ON UPDATE CASCADE)",
            "0A000",
        ),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "0A000"),
        ("CREATE TABLE __changeover_x (a int)", "42939"),
        ("CREATE TABLE u (\"_ROWID_\" int)", "42939"),
        ("CREATE TABLE u (oid int)", "42939"),
        ("ALTER TABLE t RENAME COLUMN b TO \"_RowId_\"", "42939"),
        ("ALTER TABLE t RENAME COLUMN b TO __changeover_b", "42939"),
        ("ALTER TABLE t ADD COLUMN \"RowID\" int", "42939"),
        ("SELECT * FROM __changeover_meta", "42P01"),
        ("SELECT * FROM sqlite_master", "42P01"),
        ("DROP TABLE __changeover_meta", "42P01"),
        ("DROP TABLE nope", "42P01"),
        ("COPY t FROM STDIN", "0A000"),
        ("SHOW nope", "42704"),
        ("SET client_encoding = 'LATIN1'", "22023"),
        ("SAVEPOINT x", "25P01"),
        ("ROLLBACK TO x", "25P01"),
        ("ATTACH DATABASE 'x' AS y", "0A000"),
    ] {
        assert_eq!(sql.refused(text), wanted, "{text}");
        sql.ok("SELECT 1");
    }
    assert_eq!(
        sql.rows("SELECT a, b, c, d FROM t"),
        vec![vec![Some("1".into()), Some("x".into()), None, None]]
    );
}

fn transactions(world: World) {
    let leader = world.leader("a", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (a int PRIMARY KEY, b int)");
    sql.ok("BEGIN; INSERT INTO t VALUES (1, 1); ROLLBACK");
    sql.ok("BEGIN; INSERT INTO t VALUES (2, 2); SAVEPOINT s; INSERT INTO t VALUES (3, 3); ROLLBACK TO s; INSERT INTO t VALUES (4, 4); RELEASE s; COMMIT");
    assert_eq!(texts(&sql.rows("SELECT a FROM t ORDER BY a")), ["2", "4"]);
    // Names of savepoints differ by case, and one hides another of the same name.
    sql.ok("BEGIN; SAVEPOINT \"S\"; INSERT INTO t VALUES (90, 0); SAVEPOINT s; INSERT INTO t VALUES (91, 0); ROLLBACK TO \"S\"");
    assert_eq!(sql.refused("RELEASE s"), "3B001");
    sql.ok("ROLLBACK TO \"S\"; SAVEPOINT x; INSERT INTO t VALUES (92, 0); SAVEPOINT x; INSERT INTO t VALUES (93, 0)");
    sql.ok("ROLLBACK TO x; RELEASE x; ROLLBACK TO x; RELEASE x; COMMIT");
    // An error aborts the block; COMMIT then rolls back.
    sql.ok("BEGIN; INSERT INTO t VALUES (5, 5)");
    assert_eq!(sql.refused("INSERT INTO t VALUES (2, 0)"), "23505");
    assert_eq!(sql.refused("SELECT 1"), "25P02");
    sql.ok("COMMIT");
    // A failed statement in a savepoint can be taken back.
    sql.ok("BEGIN; SAVEPOINT s");
    assert_eq!(sql.refused("INSERT INTO t VALUES (6, 6), (2, 0)"), "23505");
    sql.ok("ROLLBACK TO s; INSERT INTO t VALUES (7, 7); COMMIT");
    // Several statements in one text are one transaction.
    assert_eq!(
        sql.refused("INSERT INTO t VALUES (8, 8); INSERT INTO t VALUES (2, 0)"),
        "23505"
    );
    assert_eq!(
        texts(&sql.rows("SELECT a FROM t ORDER BY a")),
        ["2", "4", "7"]
    );
    sql.ok("BEGIN READ ONLY");
    assert_eq!(sql.refused("DELETE FROM t"), "25006");
    sql.ok("ROLLBACK");
    let position = sql.int("SHOW log_position");
    sql.ok("INSERT INTO t VALUES (9, 9)");
    assert_eq!(sql.int("SHOW log_position"), position + 1);
}

fn conflicts_are_told_and_an_idle_writer_is_ended(world: World) {
    let leader = world.leader("a", "current", 0);
    let (one, two) = (Sql::connect(&leader), Sql::connect(&leader));
    one.ok("CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 0)");
    // A snapshot that is no longer the newest cannot write.
    one.ok("BEGIN; SELECT b FROM t");
    two.ok("UPDATE t SET b = 1");
    assert_eq!(one.value("SELECT b FROM t"), "0", "a snapshot stays");
    assert_eq!(one.refused("UPDATE t SET b = b + 1"), "40001");
    one.ok("ROLLBACK");
    // A writer keeps others out for a while.
    one.ok("BEGIN; UPDATE t SET b = 2");
    assert_eq!(two.refused("UPDATE t SET b = 3"), "40001");
    // Idle, it is ended: others may write, and it must learn so even from COMMIT.
    wait_for("the writer's turn", || {
        two.run("UPDATE t SET b = 4").map_err(|e| state(&e))
    });
    assert_eq!(one.refused("COMMIT"), "40001");
    assert_eq!(one.value("SELECT b FROM t"), "4");
    one.ok("BEGIN; UPDATE t SET b = 5");
    wait_for("the writer's turn", || {
        two.run("UPDATE t SET b = 6").map_err(|e| state(&e))
    });
    assert_eq!(one.refused("UPDATE t SET b = 7"), "40001");
    assert_eq!(one.refused("SELECT 1"), "25P02");
    one.ok("ROLLBACK");
    assert_eq!(one.value("SELECT b FROM t"), "6");
}

fn a_long_scan_does_not_block_writers(world: World) {
    let mut leader = world.leader("a", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT g FROM generate_series(1, 1000) AS g");
    let ended = Arc::new(AtomicBool::new(false));
    let scan = {
        let (ended, address) = (Arc::clone(&ended), leader.sql.clone());
        std::thread::spawn(move || {
            let scanner = Sql::try_connect(&address).unwrap();
            // Minutes, if nobody ends it.
            let result =
                scanner.run("BEGIN; SELECT count(*) FROM t; SELECT a, pg_sleep(0.2) FROM t");
            ended.store(true, Ordering::SeqCst);
            result.is_err()
        })
    };
    for n in 2000..2300 {
        sql.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    assert_eq!(sql.int("SELECT count(*) FROM t"), 1300);
    assert!(!ended.load(Ordering::SeqCst), "the scan is still going on");
    leader.kill();
    assert!(scan.join().unwrap());
}

fn row_effects_are_replayed_exactly(world: World) {
    let mut leader = world.leader("a", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE keys (id bigserial PRIMARY KEY, v text); CREATE TABLE t (a int8 PRIMARY KEY, b float8, c bytea, \"Odd \"\"name\" text);
        CREATE TABLE child (p int8 REFERENCES t (a) ON DELETE CASCADE ON UPDATE CASCADE, n int); CREATE UNIQUE INDEX u ON keys (v)");
    sql.ok("INSERT INTO keys (v) VALUES ('a'), ('b'), ('c'); UPDATE keys SET id = id + 10; UPDATE keys SET id = -id WHERE v = 'b'; DELETE FROM keys WHERE v = 'c'");
    sql.ok("INSERT INTO keys (v) VALUES ('d')");
    sql.ok("INSERT INTO t VALUES (9223372036854775807, 'Infinity'::float8, '\\x00ff'::bytea, ''), (-9223372036854775808, -0.0, NULL, NULL), (3, 1e-320, '\\x'::bytea, 'ü''\"')");
    sql.ok("INSERT INTO child VALUES (3, 1), (3, 2), (9223372036854775807, 3); UPDATE t SET a = 4 WHERE a = 3; DELETE FROM t WHERE a > 4");
    sql.ok("INSERT INTO t (a, b) VALUES (4, 5) ON CONFLICT (a) DO UPDATE SET b = excluded.b + t.b");
    sql.ok("INSERT INTO t (a, b) VALUES (4, 5) ON CONFLICT DO NOTHING");
    sql.ok("CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree (id) ON DELETE SET NULL ON UPDATE NO ACTION, t int8 REFERENCES t (a) ON UPDATE SET NULL);
        INSERT INTO tree VALUES (1, 1, 4), (2, 1, 4), (3, 2, 4); DELETE FROM tree WHERE id = 1; UPDATE t SET a = 5 WHERE a = 4; UPDATE t SET a = 4 WHERE a = 5");
    sql.ok("ALTER TABLE child ADD COLUMN note text DEFAULT 'none'; UPDATE child SET note = 'x' WHERE n = 1; ALTER TABLE child DROP COLUMN n");
    assert_eq!(
        sql.refused("INSERT INTO t (a) VALUES (100), (101), (4)"),
        "23505"
    );
    sql.ok("BEGIN; INSERT INTO t (a) VALUES (200); ROLLBACK; TRUNCATE keys; INSERT INTO keys (v) VALUES ('e')");
    let all = |sql: &Sql| {
        [
            "SELECT * FROM keys ORDER BY id",
            "SELECT * FROM t ORDER BY a",
            "SELECT * FROM child ORDER BY note",
            "SELECT * FROM tree ORDER BY id",
            "SELECT * FROM information_schema.columns",
        ]
        .map(|query| texts(&sql.rows(query)))
    };
    let before = all(&sql);
    assert_eq!(
        before[0],
        ["13 e"],
        "a number once given is not given again"
    );
    leader.kill();
    // The copy is made anew from the log.
    std::fs::remove_dir_all(leader.data()).unwrap();
    leader.restart();
    leader.wait_ready();
    let sql = Sql::connect(&leader);
    assert_eq!(all(&sql), before);
    assert_eq!(
        sql.value("INSERT INTO keys (v) VALUES ('f') RETURNING id"),
        "14"
    );
}

fn a_statement_can_be_cancelled(world: World) {
    let leader = world.leader("a", "current", 0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (host, port) = leader.sql.rsplit_once(':').unwrap();
    let config = format!("host={host} port={port} user=test dbname=test");
    for text in [
        "SELECT count(*) FROM generate_series(1, 100000000000)",
        "SELECT pg_sleep(3600)",
    ] {
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls)
                .await
                .unwrap();
            tokio::spawn(connection);
            let token = client.cancel_token();
            let query = tokio::spawn(async move { client.batch_execute(text).await });
            // A cancellation that comes before the statement does nothing, so it is repeated.
            let deadline = std::time::Instant::now() + crate::instance::DEADLINE;
            while !query.is_finished() {
                assert!(std::time::Instant::now() < deadline, "{text}");
                let _ = token.cancel_query(tokio_postgres::NoTls).await;
            }
            assert_eq!(state(&query.await.unwrap().unwrap_err()), "57014", "{text}");
        });
    }
}

fn a_prepared_statement_follows_changed_definitions(world: World) {
    let leader = world.leader("a", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (a int8); INSERT INTO t VALUES (1)");
    assert!(sql.prepare("SELECT a FROM nope").is_err());
    assert_eq!(
        sql.query("SELECT a FROM t WHERE a = $1", &[&1i64])
            .unwrap()
            .len(),
        1
    );
    sql.ok("DROP TABLE t; CREATE TABLE t (a text); INSERT INTO t VALUES ('1')");
    assert_eq!(
        sql.query("SELECT a FROM t WHERE a = $1", &[&"1"]).unwrap()[0].get::<_, &str>(0),
        "1"
    );
}

fn every_text_is_kept_as_it_is(world: World) {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let leader = world.leader("a", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (a text)");
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let text = prop_oneof!["['\"\\\\$a -]{0,8}", "[^\0]{0,12}"];
    runner
        .run(&text, |text| {
            let quoted = text.replace('\'', "''");
            let name = format!("c{}", text.replace('"', "\"\""));
            sql.ok(&format!("DELETE FROM t; INSERT INTO t VALUES ('{quoted}')"));
            prop_assert_eq!(&sql.value("SELECT a FROM t"), &text);
            prop_assert_eq!(
                &sql.value(&format!("SELECT a AS \"{name}\" FROM t WHERE a = '{quoted}'")),
                &text
            );
            let rows = sql
                .query("SELECT $1::text, a FROM t WHERE a = $1", &[&text])
                .unwrap();
            prop_assert_eq!(rows[0].get::<_, String>(0), text.clone());
            let escaped = quoted.replace('\\', "\\\\");
            prop_assert_eq!(&sql.value(&format!("SELECT E'{escaped}'")), &text);
            // As a name too: of a table and its column, in the statements that the log keeps as text.
            sql.ok(&format!(
                "CREATE TABLE \"{name}\" (\"{name}\" text PRIMARY KEY DEFAULT '{quoted}', CHECK (\"{name}\" = '{quoted}'));
                 INSERT INTO \"{name}\" DEFAULT VALUES"
            ));
            let row = &sql.query(&format!("SELECT * FROM \"{name}\""), &[]).unwrap()[0];
            prop_assert_eq!(row.columns()[0].name(), format!("c{text}"));
            prop_assert_eq!(row.get::<_, String>(0), text);
            sql.ok(&format!("DROP TABLE \"{name}\""));
            Ok(())
        })
        .unwrap();
}

fn a_client_that_does_not_read_its_answer_holds_up_nobody(world: World) {
    use std::io::{Read, Write};
    let leader = world.leader("a", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (a int, b text)");
    let mut deaf = std::net::TcpStream::connect(&leader.sql).unwrap();
    let text = "BEGIN; INSERT INTO t SELECT g, 'a long text, so that no socket takes it all' || g FROM generate_series(1, 300000) AS g RETURNING a, b\0";
    deaf.write_all(b"\x00\x00\x00\x13\x00\x03\x00\x00user\x00test\x00\x00Q")
        .unwrap();
    deaf.write_all(&(text.len() as u32 + 4).to_be_bytes())
        .unwrap();
    deaf.write_all(text.as_bytes()).unwrap();
    // It writes by now, as its answer begins to arrive; up to the first row it is read.
    let mut seen: Vec<u8> = Vec::new();
    while !seen.windows(11).any(|part| part == b"a long text") {
        let mut part = [0; 256];
        let count = deaf.read(&mut part).unwrap();
        assert!(count > 0, "{seen:?}");
        seen.extend(&part[..count]);
    }
    wait_for("the turn to write", || {
        sql.run("INSERT INTO t VALUES (-1, '')")
            .map_err(|e| state(&e))
    });
    assert_eq!(sql.int("SELECT count(*) FROM t"), 1);
}

fn a_newer_protocol_is_negotiated_down(world: World) {
    use std::io::{Read, Write};
    let leader = world.leader("a", "current", 0);
    let mut stream = std::net::TcpStream::connect(&leader.sql).unwrap();
    stream
        .write_all(b"\x00\x00\x00\x13\x00\x03\x00\x02user\x00test\x00\x00")
        .unwrap();
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(
        &answer,
        b"v\x00\x00\x00\x0c\x00\x03\x00\x00\x00\x00\x00\x00"
    );
}
