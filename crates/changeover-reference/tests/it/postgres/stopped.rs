//! A process that is stopped holds no lock, at whatever moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use super::{compare, write};
use crate::client::{Sql, state};
use crate::instance::wait_for;
use crate::upgrade::promote;
use crate::world::World;

#[test]
fn a_stopped_leader_blocks_neither_the_fence_nor_a_promotion() {
    let Some(world) = World::postgres() else {
        return;
    };
    let mut leader = world.leader("old", "v0.3.0", 0);
    Sql::connect(&leader).ok("CREATE TABLE t (n int8, filling text)");
    let mut new = world.instance("new", "current", 1).start();
    new.wait_status("ReadyToPromote");
    let stop = Arc::new(AtomicBool::new(false));
    // Narrow rows, and such as do not fit into a socket's buffer: those are cut anywhere.
    let writers = [
        write(&leader, 0, 10, &stop),
        write(&leader, 1_000_000, 10, &stop),
        write(&leader, 2_000_000, 1_000_000, &stop),
    ];
    let store = Sql::to_store(&world.store());
    let upper = || store.int("SELECT upper FROM fence");
    let mut seen = upper();
    for round in 0..150 {
        wait_for("an append", || {
            let now = upper();
            if now > seen {
                seen = now;
                Ok(())
            } else {
                Err(format!("upper is still {now}"))
            }
        });
        leader.signal(Signal::SIGSTOP);
        // What the server has got is done without the leader; then nothing of it is under way.
        store.ok("BEGIN; SET LOCAL lock_timeout = '10s'; SELECT FROM fence FOR UPDATE; COMMIT");
        let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
        assert_eq!(store.int(open), 0, "round {round}");
        seen = upper();
        leader.signal(Signal::SIGCONT);
    }
    leader.signal(Signal::SIGSTOP);
    promote(&mut new);
    // Its turn to write may be the migration's for a while.
    let writer = Sql::connect(&new);
    wait_for("a turn to write", || {
        match writer.run("INSERT INTO t VALUES (-1, '')") {
            Err(error) if state(&error) == "40001" => Err(error.to_string()),
            outcome => Ok(outcome),
        }
    })
    .expect("a row");
    leader.signal(Signal::SIGCONT);
    assert_eq!(leader.wait_exit(), 0);
    stop.store(true, Ordering::Relaxed);
    let mut written: Vec<_> = writers.into_iter().map(|w| w.join().unwrap()).collect();
    written.push(super::Written {
        acknowledged: vec![-1],
        unknown: None,
    });
    compare(&new, &written);
}
