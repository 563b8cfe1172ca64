//! Addresses, rights and schemas: what is asked for is there, or a sentence says what is not.

use std::sync::Arc;

use crate::bad_input::check;
use crate::client::Sql;
use crate::instance::Instance;
use crate::postgres_server::Server;
use crate::upgrade::promote;
use crate::world::World;

#[test]
fn an_instance_holds_few_connections() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let world = World::on(Arc::new(server));
    let leader = world.leader("old", "v0.3.0", 0);
    let new = world.instance("new", "current", 1).start();
    new.wait_status("ReadyToPromote");
    let clients: Vec<Sql> = (0..20).map(|_| Sql::connect(&leader)).collect();
    clients[0].ok("CREATE TABLE t (n int8)");
    for (n, sql) in clients.iter().enumerate() {
        sql.ok(&format!("INSERT INTO t VALUES ({n}); SELECT * FROM t"));
    }
    let held =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'changeover-reference'";
    // Two of the leader's, one of the follower's.
    assert_eq!(Sql::to_store(&world.store()).int(held), 3);
}

#[test]
fn several_stores_share_a_database_and_a_socket_is_an_address_too() {
    let Some(server) = Server::shared() else {
        return;
    };
    let world = World::sqlite();
    let socket = |schema: &str| {
        let (directory, port) = (server.directory().display(), server.port());
        format!("postgres://changeover@/postgres?host={directory}&port={port}&schema={schema}")
    };
    let start = |name: &str, version: &str, schema: &str| -> Instance {
        let setup = world.instance(name, version, 0).store(&socket(schema));
        let instance = setup.start();
        instance.wait_ready();
        instance
    };
    let one = start("one", "v0.1.0", "one");
    let other = start("other", "current", "other");
    Sql::connect(&one).ok("CREATE TABLE t (n int8); INSERT INTO t VALUES (1)");
    Sql::connect(&other).ok("CREATE TABLE t (n int8); INSERT INTO t VALUES (2)");
    let mut next = world
        .instance("next", "v0.2.0", 1)
        .store(&socket("one"))
        .start();
    promote(&mut next);
    assert_eq!(Sql::connect(&next).int("SELECT n FROM t"), 1);
    assert_eq!(Sql::connect(&other).int("SELECT n FROM t"), 2);
    // And goes without a trace.
    drop((one, next));
    let store = Sql::to_store(&server.address("schema=other"));
    store.ok("DROP SCHEMA one CASCADE");
    assert_eq!(store.int("SELECT upper FROM fence"), 1);
}

#[test]
fn what_cannot_be_reached_is_told_in_a_sentence() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let world = World::sqlite();
    let start = |store: &str| world.instance("a", "current", 0).store(store).run_to_end();
    let port = server.port();

    let rules = server.directory().join("data/pg_hba.conf");
    let strict = "host all guarded 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    std::fs::write(&rules, strict).unwrap();
    Sql::to_store(&server.address("schema=x")).ok(
        "CREATE ROLE guarded LOGIN PASSWORD 'right:SECRET'; GRANT CREATE ON DATABASE postgres TO guarded;
         SELECT pg_reload_conf()",
    );
    let guarded =
        |password: &str| format!("postgres://guarded{password}@127.0.0.1:{port}/postgres");
    // The server takes its new rules in a moment of its own.
    crate::instance::wait_for("the new rules", || match start(&guarded(":wrongSECRET")) {
        (4, log) => Ok(log),
        other => Err(format!("{other:?}")),
    });
    let without_log = || std::fs::remove_file(world.path("a.log")).unwrap();
    without_log();
    check(
        start(&guarded(":wrongSECRET")),
        4,
        &[
            "password authentication failed",
            "postgres://guarded@127.0.0.1",
        ],
    );
    let log = std::fs::read_to_string(world.path("a.log")).unwrap();
    assert!(!log.contains("SECRET"), "{log}");
    without_log();
    check(start(&guarded("")), 4, &["password missing"]);
    for setup in [
        world
            .instance("b", "current", 0)
            .store(&guarded(":right%3ASECRET")),
        world
            .instance("b", "current", 0)
            .store(&guarded(""))
            .env("PGPASSWORD", "right:SECRET"),
    ] {
        let instance = setup.start();
        instance.wait_ready();
        assert!(!instance.log().contains("SECRET"), "{}", instance.log());
    }

    without_log();
    let nowhere = format!("postgres://changeover@127.0.0.1:{port}/nowhere");
    check(start(&nowhere), 4, &["database \"nowhere\" does not exist"]);
    without_log();
    server.stop();
    check(
        start(&server.address("schema=x")),
        4,
        &["cannot reach the metadata store postgres://", "refused"],
    );
    for (bad, wanted) in [
        ("postgres://h/d?schema=1", "cannot be a schema"),
        ("mysql://me:SECRET@h/d", "`mysql` is no kind"),
    ] {
        without_log();
        let (code, log) = start(bad);
        assert!(!log.contains("SECRET"), "{log}");
        check((code, log), 2, &["--metadata-store", wanted]);
    }
}

#[test]
fn stores_in_postgres() {
    let Some(world) = World::postgres() else {
        return;
    };
    let server = Server::shared().expect("the world's");
    let foreign = server.fresh();
    let (_, schema) = foreign.split_once("schema=").unwrap();
    let sql = Sql::to_store(&foreign);
    sql.ok(&format!(
        "CREATE SCHEMA {schema}; CREATE TABLE fence (id int)"
    ));
    check(
        world
            .instance("a", "current", 0)
            .store(&foreign)
            .run_to_end(),
        2,
        &["another product", "schema=NAME"],
    );
    assert_eq!(
        sql.int(&format!(
            "SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace"
        )),
        1,
        "nothing of ours was put beside it"
    );

    let mut leader = world.leader("b", "v0.3.0", 0);
    Sql::connect(&leader).ok("CREATE TABLE t (a int)");
    for n in 0..3 {
        Sql::connect(&leader).ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    leader.kill();
    let store = Sql::to_store(&world.store());
    let refused = |name: &str, generation: u64, wanted: &[&str]| {
        let setup = world.instance(name, "current", generation);
        check(setup.run_to_end(), 1, wanted);
    };
    store.ok("UPDATE fence SET format = 'from-the-future'");
    refused("c", 0, &["`from-the-future`", "`row-runs`"]);
    store.ok("UPDATE fence SET format = 'checked-rows'");
    store.ok("UPDATE log SET parts[1] = '\\x00112233445566' WHERE position = 2");
    refused("d", 1, &["damaged", "record 2"]);
    store.ok("DELETE FROM log WHERE position = 1");
    refused("e", 1, &["damaged", "record 1 is missing"]);
    store.ok("DROP TABLE log");
    refused("f", 1, &["damaged", "\"log\" does not exist"]);
    store.ok("DELETE FROM fence");
    refused("g", 1, &["damaged", "the fence is missing"]);
}
