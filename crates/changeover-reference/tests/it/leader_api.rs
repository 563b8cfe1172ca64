//! The leader API, to the letter.

use crate::client::Sql;
use crate::upgrade::promote;
use crate::world::{World, on_both_stores};

on_both_stores!(
    a_leader_answers_as_documented,
    a_promotion_before_it_is_ready_is_refused,
);

fn a_leader_answers_as_documented(world: World) {
    let leader = world.leader("leader", "current", 0);
    let get = |path| leader.http("GET", path).expect(path);
    let (code, head, body) = get("/api/leader/status");
    assert_eq!((code, body.as_str()), (200, r#"{"status":"IsLeader"}"#));
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: application/json"),
        "{head}"
    );
    assert_eq!(
        leader.promote(),
        (200, r#"{"result":"Success"}"#.to_owned()),
        "promoting a leader changes nothing"
    );
    let (code, _, body) = leader.http("POST", "/api/leader/skip-catchup").unwrap();
    assert_eq!((code, body.as_str()), (204, ""));
    assert_eq!(
        (get("/api/readyz").0, get("/api/readyz").2.as_str()),
        (200, "ready")
    );
    assert_eq!(get("/api/readyz?wait=true").0, 200);
    assert_eq!(get("/api/livez").0, 200);
    assert_eq!(get("/nothing").0, 404);
    for (method, path, allowed) in [
        ("GET", "/api/leader/promote", "POST"),
        ("GET", "/api/leader/skip-catchup", "POST"),
        ("POST", "/api/leader/status", "GET,HEAD"),
    ] {
        let (code, head, body) = leader.http(method, path).unwrap();
        assert_eq!((code, body.as_str()), (405, ""), "{method} {path}");
        assert!(
            head.to_ascii_lowercase()
                .contains(&format!("allow: {}", allowed.to_ascii_lowercase())),
            "{head}"
        );
    }
    Sql::connect(&leader).ok("SELECT 1");
}

fn a_promotion_before_it_is_ready_is_refused(world: World) {
    let old = world.leader("old", "v0.1.0", 0);
    let writer = Sql::connect(&old);
    writer.ok("CREATE TABLE t (a int)");
    for n in 0..50 {
        writer.ok(&format!("INSERT INTO t VALUES ({n})"));
    }
    let mut new = world
        .instance("new", "v0.2.0", 1)
        .arg("--hydration-rate", "30")
        .start();
    assert_eq!(new.status(), "Initializing");
    assert_eq!(
        new.promote(),
        (
            400,
            r#"{"result":{"Failure":{"message":"cannot promote leader while initializing"}}}"#
                .to_owned()
        )
    );
    assert_eq!(new.http("GET", "/api/readyz").unwrap().2, "not ready");
    writer.ok("INSERT INTO t VALUES (51)");
    promote(&mut new);
    assert_eq!(Sql::connect(&new).int("SELECT count(*) FROM t"), 51);
}
