//! Neighbouring releases really differ, and every migration survives its own death.

use std::collections::BTreeSet;

use crate::client::Sql;
use crate::upgrade::promote;
use crate::world::{World, on_both_stores};

on_both_stores!(
    v0_1_0_to_v0_2_0,
    v0_2_0_to_v0_3_0,
    v0_3_0_to_current,
    v0_1_0_to_current,
    the_whole_ladder_with_two_slots,
);

fn climb(world: &World, from: &str, to: &str) {
    let releases = changeover_reference::releases();
    let format = |version: &str| {
        releases
            .iter()
            .find(|release| release.version == version)
            .expect("known")
            .format
    };
    let mut old = world.leader("old", from, 0);
    let sql = Sql::connect(&old);
    sql.ok(
        "CREATE TABLE t (n int8 PRIMARY KEY, x bytea, d float8, s text); CREATE INDEX i ON t (s)",
    );
    for n in 0..40i64 {
        sql.execute(
            "INSERT INTO t VALUES ($1, $2, $3, $4)",
            &[
                &n,
                &vec![n as u8; 3],
                &(n as f64 / 3.0),
                &format!("text {n}"),
            ],
        )
        .unwrap();
    }
    sql.ok("UPDATE t SET n = n + 100 WHERE n >= 20; DELETE FROM t WHERE n < 5");
    let before = sql.rows("SELECT * FROM t ORDER BY n");
    let bytes = world.log();

    let held = world
        .instance("new", to, 1)
        .env("CHANGEOVER_TEST_MIGRATION_CHUNK", "7")
        .env("CHANGEOVER_TEST_MIGRATION_HOLD_AFTER", "2");
    let mut new = held.start();
    // The newer follows the older's store without touching it.
    new.wait_status("ReadyToPromote");
    new.wait_ready();
    assert_eq!(
        Sql::connect(&new).rows("SELECT * FROM t ORDER BY n"),
        before,
        "{to} reads what {from} wrote"
    );
    assert_eq!(world.log(), bytes);
    promote(&mut new);
    assert_eq!(old.wait_exit(), 0);
    new.wait_log("migration held at 14");
    let marks: BTreeSet<u8> = world.log().iter().map(|record| record.1).collect();
    assert_eq!(marks.len(), 2, "half migrated: {marks:?}");
    Sql::connect(&new).ok("INSERT INTO t VALUES (1000, NULL, NULL, NULL)");
    new.kill();

    let mut again = world.instance("again", to, 1).start();
    again.wait_ready();
    again.wait_log("migrated the store");
    let sql = Sql::connect(&again);
    assert_eq!(
        sql.rows("SELECT * FROM t WHERE n < 1000 ORDER BY n"),
        before
    );
    assert_eq!(sql.int("SELECT count(*) FROM t"), before.len() as i64 + 1);
    let after = world.log();
    let marks: BTreeSet<u8> = after.iter().map(|record| record.1).collect();
    assert_eq!(marks.len(), 1, "{marks:?}");
    let bodies: BTreeSet<&Vec<u8>> = bytes.iter().map(|record| &record.2).collect();
    assert!(
        after.iter().all(|record| !bodies.contains(&record.2)),
        "the stored bytes differ"
    );
    again.terminate();
    assert_eq!(again.wait_exit(), 143);

    // From nothing but the migrated log.
    let mut fresh = world.instance("fresh", to, 1).start();
    fresh.wait_ready();
    assert_eq!(
        Sql::connect(&fresh).rows("SELECT * FROM t WHERE n < 1000 ORDER BY n"),
        before
    );
    fresh.kill();

    let (code, log) = world.instance("late", from, 0).run_to_end();
    assert_eq!(code, 0, "a fenced generation is fenced first of all: {log}");
    for generation in [1, 2] {
        let (code, log) = world.instance("refused", from, generation).run_to_end();
        assert_eq!(code, 1, "{log}");
        assert!(
            log.contains(format(from)) && log.contains(format(to)),
            "both formats are named: {log}"
        );
    }
}

fn v0_1_0_to_v0_2_0(world: World) {
    climb(&world, "v0.1.0", "v0.2.0");
}

fn v0_2_0_to_v0_3_0(world: World) {
    climb(&world, "v0.2.0", "v0.3.0");
}

fn v0_3_0_to_current(world: World) {
    climb(&world, "v0.3.0", "current");
}

fn v0_1_0_to_current(world: World) {
    climb(&world, "v0.1.0", "current");
}

fn the_whole_ladder_with_two_slots(world: World) {
    let mut leader = world.leader("g0", "v0.1.0", 0);
    Sql::connect(&leader).ok("CREATE TABLE t (a int8)");
    for (generation, release) in changeover_reference::releases().iter().enumerate().skip(1) {
        Sql::connect(&leader).ok(&format!("INSERT INTO t VALUES ({generation})"));
        let mut next = world
            .instance(
                &format!("g{generation}"),
                release.version,
                generation as u64,
            )
            .start();
        promote(&mut next);
        assert_eq!(leader.wait_exit(), 0);
        leader = next;
        let sql = Sql::connect(&leader);
        assert_eq!(sql.value("SELECT changeover_version()"), release.version);
        assert_eq!(sql.int("SELECT count(*) FROM t"), generation as i64);
    }
    // Only the last format lists its DDL apart, also what older releases wrote.
    leader.wait_log("migrated the store");
    let listed = world.catalog();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].starts_with("CREATE TABLE \"t\""), "{listed:?}");
}
