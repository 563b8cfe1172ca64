//! A store that is recreated or put back under the processes that use it: they end, and nothing of theirs gets into what
//! is there now.

use crate::client::Sql;
use crate::world::{World, on_both_stores};

on_both_stores!(
    who_used_a_store_that_was_recreated_ends,
    who_used_a_store_that_was_put_back_ends,
);

fn who_used_a_store_that_was_recreated_ends(world: World) {
    let mut leader = world.leader("leader", "current", 0);
    Sql::connect(&leader).ok("CREATE TABLE t (n int8)");
    let mut follower = world.instance("follower", "current", 1).start();
    follower.wait_status("ReadyToPromote");
    world.remove_store();
    // Of the same generation and epoch, and with a log as long.
    let other = world.leader("other", "current", 0);
    let sql = Sql::connect(&other);
    sql.ok("CREATE TABLE u (n int8)");
    for process in [&mut leader, &mut follower] {
        assert_eq!(process.wait_exit(), 1);
        let log = process.log();
        assert!(log.contains("removed or replaced"), "{log}");
    }
    sql.ok("INSERT INTO u VALUES (1)");
    assert_eq!(sql.int("SELECT count(*) FROM u"), 1);
    // Started again, both begin anew with what is there.
    follower.restart();
    follower.wait_status("ReadyToPromote");
    assert_eq!(Sql::connect(&follower).int("SELECT count(*) FROM u"), 1);
}

fn who_used_a_store_that_was_put_back_ends(world: World) {
    let mut leader = world.leader("leader", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (n int8)");
    sql.ok("INSERT INTO t VALUES (1)");
    let mut follower = world.instance("follower", "current", 1).start();
    follower.wait_status("ReadyToPromote");
    follower.wait_ready();
    let reader = Sql::connect(&follower);
    crate::instance::wait_for("the row", || match reader.int("SELECT count(*) FROM t") {
        1 => Ok(()),
        n => Err(format!("{n} rows")),
    });
    // Nobody writes, so only a look can tell.
    world.meddle("DELETE FROM log WHERE position = 2; UPDATE fence SET upper = 1");
    for process in [&mut leader, &mut follower] {
        assert_eq!(process.wait_exit(), 1);
        let log = process.log();
        assert!(
            log.contains("ends at 1, although record 2 was there"),
            "{log}"
        );
    }
    leader.restart();
    leader.wait_ready();
    assert_eq!(Sql::connect(&leader).int("SELECT count(*) FROM t"), 0);
}
