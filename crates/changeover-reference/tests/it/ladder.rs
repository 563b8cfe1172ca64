//! Neighbouring releases really differ, and every migration survives its own death.

use std::collections::BTreeSet;

use changeover_reference::Release;

use crate::client::Sql;
use crate::upgrade::promote;
use crate::world::{World, on_both_stores};

on_both_stores!(
    neighbouring_releases_differ_and_the_newer_migrates,
    a_migration_can_skip_all_releases_between,
    the_whole_ladder_with_two_slots,
    only_the_withdrawn_release_migrates_all_at_once,
);

/// From one release to a newer one: the newer follows the older's store without touching it, is promoted, is killed
/// half-way through its migration and completes it; what is stored then are other bytes, which the older refuses.
fn climb(world: &World, from: &Release, to: &Release) {
    let mut old = world.leader("old", from.version, 0);
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
        .instance("new", to.version, 1)
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

    let mut again = world.instance("again", to.version, 1).start();
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
    let mut fresh = world.instance("fresh", to.version, 1).start();
    fresh.wait_ready();
    assert_eq!(
        Sql::connect(&fresh).rows("SELECT * FROM t WHERE n < 1000 ORDER BY n"),
        before
    );
    fresh.kill();

    let (code, log) = world.instance("late", from.version, 0).run_to_end();
    assert_eq!(code, 0, "a fenced generation is fenced first of all: {log}");
    for generation in [1, 2] {
        let (code, log) = world
            .instance("refused", from.version, generation)
            .run_to_end();
        assert_eq!(code, 1, "{log}");
        assert!(
            log.contains(from.format) && log.contains(to.format),
            "both formats are named: {log}"
        );
    }
}

fn neighbouring_releases_differ_and_the_newer_migrates(world: World) {
    let steps = changeover_reference::releases().windows(2);
    std::thread::scope(|scope| {
        for pair in steps {
            let world = world.another();
            scope.spawn(move || climb(&world, &pair[0], &pair[1]));
        }
    });
}

fn a_migration_can_skip_all_releases_between(world: World) {
    if let [first, .., last] = changeover_reference::releases() {
        climb(&world, first, last);
    }
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
    // Newer formats list their DDL apart, also what older releases wrote.
    leader.wait_log("migrated the store");
    let listed = world.catalog();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].starts_with("CREATE TABLE \"t\""), "{listed:?}");
}

/// The defect that v0.4.0 was withdrawn for, and that no other release has.
fn only_the_withdrawn_release_migrates_all_at_once(world: World) {
    for pair in changeover_reference::releases().windows(2) {
        let world = world.another();
        let mut old = world.leader("old", pair[0].version, 0);
        let sql = Sql::connect(&old);
        sql.ok("CREATE TABLE t (a int8)");
        for n in 0..130 {
            sql.ok(&format!("INSERT INTO t VALUES ({n})"));
        }
        let mut new = world.instance("new", pair[1].version, 1).start();
        promote(&mut new);
        assert_eq!(old.wait_exit(), 0);
        let portions = match pair[1].withdrawn {
            Some(_) => "portions: 1",
            None => "portions: 3",
        };
        new.wait_log(portions);
        let warned = new.log().contains("was withdrawn");
        assert_eq!(warned, pair[1].withdrawn.is_some(), "{}", new.log());
    }
}
