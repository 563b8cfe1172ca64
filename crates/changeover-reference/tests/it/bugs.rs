//! Planted bugs are there on request only, and say so.

use nix::sys::signal::Signal;

use crate::client::Sql;
use crate::in_place;
use crate::instance::Instance;
use crate::upgrade::promote;
use crate::world::World;

#[test]
fn an_instance_with_a_bug_warns_of_it_and_others_do_not_have_it() {
    let world = World::sqlite();
    let bug = changeover_reference::bugs()
        .find(|bug| bug.check == "wrong-version")
        .unwrap();
    let planted = format!("{}@1", bug.name);
    let warning = format!(
        " WARN planted bug {}, on request: {}",
        bug.name, bug.symptom
    );
    let spared = world
        .instance("a", "v0.2.0", 0)
        .arg("--planted-bug", &planted)
        .start();
    spared.wait_log("answering SQL as the leader");
    assert!(!spared.log().contains("planted"), "{}", spared.log());
    assert!(spared.log().contains("reference database v0.2.0"));
    let meant = world
        .instance("b", "v0.3.0", 1)
        .arg("--planted-bug", &planted)
        .start();
    meant.wait_log("read-only mode");
    let log = meant.log();
    let second = log.lines().nth(1).unwrap_or_default();
    assert!(second.ends_with(&warning), "{log}");
    // And has it.
    assert!(log.contains("reference database v0.2.0"), "{log}");
}

/// The bug of a class that this check is to find, planted in the generation of the setup.
fn bug_of(class: u8, check: &str) -> &'static str {
    let mut bugs = changeover_reference::bugs();
    let found = bugs.find(|bug| bug.classes.contains(&class) && bug.check == check);
    found
        .unwrap_or_else(|| panic!("no bug of class {class} is caught by {check}"))
        .name
}

/// A leader of v0.1.0 with a table `t (n)` of one row.
fn leader(world: &World) -> (Instance, Sql) {
    let old = world.leader("old", "v0.1.0", 0);
    let client = Sql::connect(&old);
    client.ok("CREATE TABLE t (n int8); INSERT INTO t VALUES (1)");
    (old, client)
}

/// A generation in read-only mode with that bug.
fn next(world: &World, version: &str, generation: u64, bug: &str) -> Instance {
    let setup = world.instance(&format!("new-{generation}"), version, generation);
    setup.arg("--planted-bug", bug).start()
}

// What a plain rehearsal does not show is shown here: that these bugs are some.

#[test]
fn a_promotion_is_taken_too_early() {
    let world = World::sqlite();
    let (mut old, client) = leader(&world);
    (0..50).for_each(|n| client.ok(&format!("INSERT INTO t VALUES ({n})")));
    let new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hydration-rate", "1")
        .arg("--planted-bug", bug_of(25, "illegal-transition"))
        .start();
    new.wait_log("booting in read-only mode");
    assert_eq!(new.promote().0, 200);
    assert_eq!(old.wait_exit(), 0);
}

#[test]
fn an_upgrade_that_was_called_off_leaves_something_behind() {
    let world = World::sqlite();
    let (mut old, client) = leader(&world);
    let mut new = next(&world, "v0.2.0", 1, bug_of(7, "abort-noticed"));
    new.wait_status("ReadyToPromote");
    new.kill();
    // The leader goes on, but not for another time.
    client.ok("INSERT INTO t VALUES (2)");
    old.kill();
    old.restart_expecting_end();
    assert_eq!(old.wait_exit(), 1, "{}", old.log());

    let world = World::sqlite();
    let (_old, client) = leader(&world);
    let bug = bug_of(24, "abort-noticed");
    let mut called_off = next(&world, "v0.2.0", 1, bug);
    called_off.wait_status("ReadyToPromote");
    called_off.kill();
    client.ok("INSERT INTO t VALUES (2)");
    let again = world.instance("again", "v0.2.0", 2);
    let (code, log) = again.arg("--planted-bug", bug).run_to_end();
    assert_eq!(code, 1, "{log}");
}

#[test]
fn a_leader_that_was_stopped_answers_a_stale_read() {
    let world = World::sqlite();
    let old = world
        .instance("old", "v0.1.0", 0)
        .arg("--planted-bug", bug_of(21, "stale-read"))
        .start();
    old.wait_log("answering SQL as the leader");
    let client = Sql::connect(&old);
    client.ok("CREATE TABLE t (n int8)");
    old.signal(Signal::SIGSTOP);
    let mut new = world.instance("new", "v0.2.0", 1).start();
    promote(&mut new);
    Sql::connect(&new).ok("INSERT INTO t VALUES (1)");
    old.signal(Signal::SIGCONT);
    assert_eq!(client.int("SELECT count(*) FROM t"), 0);
}

#[test]
fn definitions_are_missed_and_come_back() {
    let world = World::sqlite();
    let (_old, client) = leader(&world);
    client.ok("DROP TABLE t");
    let mut new = next(&world, "v0.2.0", 1, bug_of(6, "ddl-missed"));
    promote(&mut new);
    assert_eq!(Sql::connect(&new).int("SELECT count(*) FROM t"), 1);

    let world = World::sqlite();
    let (_old, client) = leader(&world);
    (0..8).for_each(|n| client.ok(&format!("INSERT INTO t VALUES ({n})")));
    let new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hydration-rate", "20")
        .arg("--planted-bug", bug_of(15, "ddl-missed"))
        .start();
    new.wait_log("booting in read-only mode");
    client.ok("CREATE TABLE missed (n int8)");
    new.wait_status("ReadyToPromote");
    new.wait_ready();
    assert_eq!(Sql::connect(&new).refused("SELECT n FROM missed"), "42P01");
}

#[test]
fn a_number_is_given_again() {
    let world = World::sqlite();
    let (_old, client) = leader(&world);
    client.ok("CREATE TABLE s (id bigserial PRIMARY KEY, n int8)");
    client.ok("INSERT INTO s (n) VALUES (1), (2), (3); DELETE FROM s WHERE id = 3");
    let mut new = next(&world, "v0.2.0", 1, bug_of(10, "duplicated-effect"));
    promote(&mut new);
    let client = Sql::connect(&new);
    assert_eq!(client.int("INSERT INTO s (n) VALUES (4) RETURNING id"), 3);
}

#[test]
fn a_session_loses_its_settings() {
    let world = World::sqlite();
    let (_old, _) = leader(&world);
    let mut new = next(&world, in_place::release(), 1, bug_of(30, "session-state"));
    new.wait_status("ReadyToPromote");
    new.wait_ready();
    let client = Sql::connect(&new);
    client.ok("SET application_name TO 'kept'");
    promote(&mut new);
    assert_eq!(client.value("SHOW application_name"), "");
}
