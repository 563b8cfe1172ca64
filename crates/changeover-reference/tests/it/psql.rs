//! psql talks to it.

use crate::world::{World, on_both_stores};
use std::process::Command;

on_both_stores!(a_session_with_psql,);

fn a_session_with_psql(world: World) {
    if Command::new("psql").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("CHANGEOVER_PROVISIONED").is_none_or(|value| value != "1"),
            "psql should be here"
        );
        println!("skipped: psql not found");
        return;
    }
    let leader = world.leader("a", "current", 0);
    let (host, port) = leader.sql.rsplit_once(':').unwrap();
    let script =
        "CREATE TABLE t (id bigserial PRIMARY KEY, name text NOT NULL, ok bool DEFAULT true);
        INSERT INTO t (name) VALUES ('one'), ('two') RETURNING *;
        BEGIN;
        UPDATE t SET ok = false WHERE id = 2;
        SELECT count(*), sum(id) FROM t WHERE ok;
        COMMIT;
        INSERT INTO t (name) VALUES (NULL);
        SELECT missing FROM t;
        \\set n 'one'
        SELECT id FROM t WHERE name = :'n';
        \\bind 2
        SELECT name FROM t WHERE id = $1
        \\g
        SHOW transaction isolation level;
        DROP TABLE t;";
    let script_file = world.path("script.sql");
    // `\\bind` came with psql 16.
    let script = match psql_major() {
        Some(major) if major >= 16 => script.replace(
            "        \\bind 2\n        SELECT name FROM t WHERE id = $1\n        \\g\n",
            "        SELECT name FROM t WHERE id = $1 \\bind 2 \\g\n",
        ),
        _ => script.replace(
            "        \\bind 2\n        SELECT name FROM t WHERE id = $1\n        \\g\n",
            "        SELECT name FROM t WHERE id = 2;\n",
        ),
    };
    std::fs::write(&script_file, script).unwrap();
    let output = Command::new("psql")
        .args([
            "-X",
            "-A",
            "-h",
            host,
            "-p",
            port,
            "-U",
            "x",
            "-d",
            "x",
            "-v",
            "VERBOSITY=sqlstate",
            "-f",
        ])
        .arg(&script_file)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let transcript = String::from_utf8(output.stdout).unwrap();
    let expected = "CREATE TABLE\nid|name|ok\n1|one|t\n2|two|t\n(2 rows)\nINSERT 0 2\nBEGIN\nUPDATE 1\ncount|sum\n1|1\n(1 row)\nCOMMIT\nid\n1\n(1 row)\nname\ntwo\n(1 row)\ntransaction_isolation\nserializable\n(1 row)\nDROP TABLE\n";
    assert_eq!(transcript, expected, "{errors}");
    assert!(
        errors.contains("23502") && errors.contains("42703"),
        "{errors}"
    );
}

fn psql_major() -> Option<u32> {
    let output = Command::new("psql").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace()
        .find_map(|word| word.split('.').next()?.parse().ok())
}
