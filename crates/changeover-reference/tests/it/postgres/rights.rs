//! Servers, roles and schemas that cannot hold a store: said in a sentence, before anything is made.

use std::sync::Arc;

use changeover_reference::{PostgresAddress, StoreTrouble, look, remove};

use crate::bad_input::check;
use crate::client::Sql;
use crate::postgres_server::Server;
use crate::world::World;

fn parsed(address: &str) -> PostgresAddress {
    address.parse().expect("an address")
}

#[test]
fn rights_that_a_role_lacks_are_named() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let world = World::on(Arc::new(server));
    let owner = Sql::to_store(&world.store());
    owner.ok("CREATE ROLE guest LOGIN");
    let as_guest = world.store().replace("changeover@", "guest@");
    let (_, schema) = as_guest.split_once("schema=").expect("a schema");
    let refused = |name: &str, wanted: &[&str]| {
        let start = world.instance(name, "current", 0).store(&as_guest);
        check(start.run_to_end(), 4, wanted);
        let told = look(&parsed(&as_guest)).expect_err("the same");
        assert!(matches!(told, StoreTrouble::Unreachable(_)), "{told}");
    };

    refused("a", &["lacks rights", ": CREATE on the database"]);
    owner.ok(&format!("CREATE SCHEMA {schema}"));
    refused("b", &["USAGE on the schema, CREATE on the schema"]);
    owner.ok(&format!("GRANT USAGE ON SCHEMA {schema} TO guest"));
    refused("c", &["granted: CREATE on the schema"]);
    assert_eq!(
        owner.int("SELECT count(*) FROM pg_class WHERE relname = 'fence'"),
        0
    );

    drop(world.leader("owner", "current", 0));
    owner.ok("GRANT SELECT ON fence, log TO guest; GRANT INSERT ON log, catalog TO guest");
    refused(
        "d",
        &["UPDATE on the table fence", "UPDATE on the table log"],
    );
    owner.ok("GRANT UPDATE ON fence, log TO guest");
    let guest = world.instance("e", "current", 0).store(&as_guest).start();
    guest.wait_ready();
    Sql::connect(&guest).ok("CREATE TABLE t (n int8); INSERT INTO t VALUES (1)");
    drop(guest);
    // Its use is allowed, its removal not.
    let told = remove(&parsed(&as_guest)).expect_err("not the owner's");
    assert!(
        matches!(&told, StoreTrouble::Unreachable(told) if told.contains("must be owner")),
        "{told}"
    );

    owner.ok("ALTER ROLE guest SET default_transaction_read_only = on");
    refused("f", &["takes no writes"]);
}

#[test]
fn a_standby_is_no_store() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let server = Arc::new(server);
    let world = World::on(Arc::clone(&server));
    let mut leader = world.leader("leader", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE t (n int8)");
    server.stop();
    let signal = server.directory().join("data/standby.signal");
    std::fs::write(&signal, "").unwrap();
    server.give(&signal);
    server.start_again();
    // Its fence can be read, and says nothing about who leads.
    assert_eq!(sql.refused("SELECT n FROM t"), "58030");
    assert_eq!(sql.refused("INSERT INTO t VALUES (1)"), "58030");
    assert!(leader.log().contains("takes no writes"), "{}", leader.log());
    let asked = format!("{}&target_session_attrs=any", world.store());
    for (name, store) in [("a", world.store()), ("b", asked)] {
        let start = world.instance(name, "current", 1).store(&store);
        check(
            start.run_to_end(),
            4,
            &["takes no writes", "name the primary"],
        );
    }

    server.stop();
    std::fs::remove_file(&signal).unwrap();
    server.start_again();
    sql.ok("INSERT INTO t VALUES (2)");
    assert_eq!(sql.int("SELECT n FROM t"), 2);
    assert!(leader.is_running());
}

#[test]
fn a_schema_with_anything_in_it_is_another_products() {
    let Some(server) = Server::shared() else {
        return;
    };
    for thing in [
        "FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "TYPE colour AS ENUM ('red')",
        "DOMAIN percent AS int",
        "SEQUENCE s",
    ] {
        let address = server.fresh();
        let (_, schema) = address.split_once("schema=").unwrap();
        let sql = Sql::to_store(&address);
        sql.ok(&format!("CREATE SCHEMA {schema}; CREATE {thing}"));
        for told in [look(&parsed(&address)), remove(&parsed(&address))] {
            let told = told.expect_err(thing);
            assert!(matches!(told, StoreTrouble::Foreign(_)), "{thing}: {told}");
        }
    }
}

#[test]
fn a_schema_may_have_a_name_that_needs_quotes() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (mixed, lower) = ("schema=Select", "schema=select");
    let world = World::sqlite();
    for (name, schema) in [("mixed", mixed), ("lower", lower)] {
        let start = world.instance(name, "current", 0);
        start.store(&server.address(schema)).start().wait_ready();
    }
    remove(&parsed(&server.address(mixed))).unwrap();
    let left = "SELECT string_agg(nspname, ',') FROM pg_namespace WHERE lower(nspname) = 'select'";
    assert_eq!(
        Sql::to_store(&server.address("schema=x")).value(left),
        "select"
    );
    remove(&parsed(&server.address(lower))).unwrap();
}
