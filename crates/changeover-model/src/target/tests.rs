//! What a target's file may leave out, and what it may not say.

use super::*;
use std::fmt::Write;

/// A service of one's own in as few lines as it gets.
const SERVICE: &str = r#"[target]
name = "service"
[instance]
command = ["service", "--version={version}", "--listen={http_addr}"]
[client]
url = "http://{http_addr}"
write = "POST /sets/{id} {value}"
read = "GET /sets/{id}"
version = "GET /version"
"#;

/// Endpoints that run already.
const ATTACHED: &str = r#"[target]
name = "pair"
[instance]
attach = ["postgres://u@localhost:5432/d", "postgres://u@[::1]:5433/d"]
[promote]
command = ["./promote", "{host}"]
[ready]
sql = "SELECT 1"
[client]
write = "INSERT INTO s VALUES ({id}, {value})"
read = "SELECT value FROM s WHERE id = {id}"
"#;

#[test]
fn a_short_file_has_sensible_defaults() {
    let target = Target::parse(SERVICE).unwrap();
    let Instances::Started(instance) = &target.instances else {
        panic!("{:?}", target.instances);
    };
    assert_eq!(
        (&instance.restart_exit_codes, &instance.fenced_exit_codes),
        (&vec![166], &vec![0])
    );
    assert_eq!(
        (&target.status, &target.promote),
        (&Status::LeaderApi, &Promote::LeaderApi)
    );
    assert_eq!(target.defaults.probe_interval_ms, 100);
    assert!(target.budgets.values().all(|limit| *limit == 5000.0));
    assert_eq!(target.budgets.len(), 3);
    assert!(Timeout::ALL.iter().all(|(t, _)| target.timeout_ms(*t) > 0));
    assert_eq!(target.probe(), "GET /version");
    assert!(target.client.speaks_http() && target.client.uses_http_addr());
    assert_eq!(target.client.url_at("[::1]:80"), "http://[::1]:80");
}

#[test]
fn attached_endpoints_say_the_clients_url() {
    let target = Target::parse(ATTACHED).unwrap();
    let endpoint = |host: &str, port| Endpoint {
        host: host.to_owned(),
        port,
    };
    assert_eq!(
        target.instances,
        Instances::Attached(vec![endpoint("localhost", 5432), endpoint("[::1]", 5433)])
    );
    assert_eq!(target.client.url, "postgres://u@{sql_addr}/d");
    assert_eq!(target.status, Status::Query);
}

#[test]
fn the_built_in_targets_read() {
    for (name, text) in [
        (
            "reference",
            include_str!("../../../../targets/reference/target.toml"),
        ),
        (
            "materialize",
            include_str!("../../../../targets/materialize/target.toml"),
        ),
    ] {
        assert_eq!(Target::parse(text).unwrap().target.name, name);
    }
}

/// Each change of a sound file, with the sentence about it.
#[test]
fn what_could_not_work_is_refused_with_its_line() {
    let changes: [(&str, &str, &str); 31] = [
        (SERVICE, "[client]", "[client]\nwrites = 3"),
        (SERVICE, "name = \"service\"\n", ""),
        (SERVICE, "\"service\"\n", "\"my service\"\n"),
        (
            SERVICE,
            "read = \"GET /sets/{id}\"",
            "read = \"GET /sets/{id}",
        ),
        (SERVICE, ", \"--listen", " \"--listen"),
        (SERVICE, "--listen={http_addr}", "--listen"),
        (SERVICE, "{version}", "{versoin}"),
        (SERVICE, "{version}", "{metadata_server}"),
        (SERVICE, "[\"service\"", "[] #"),
        (SERVICE, "http://{http_addr}", "ftp://{http_addr}"),
        (SERVICE, "http://{http_addr}", "http://localhost:80"),
        (SERVICE, "url = \"http://{http_addr}\"\n", ""),
        (SERVICE, " {value}", ""),
        (SERVICE, "GET /sets", "SELECT sets"),
        (SERVICE, "version = \"GET /version\"\n", ""),
        (
            SERVICE,
            "[client]",
            "[status]\nurl = \"{http_addr}/s\"\n[client]",
        ),
        (
            SERVICE,
            "[client]",
            "[status]\nurl = \"http://{sql_addr}/s\"\n[client]",
        ),
        (
            SERVICE,
            "[client]",
            "[status]\nurl = \"http://{http_addr}/s\"\njson_pointer = \"state\"\n[client]",
        ),
        (
            SERVICE,
            "[client]",
            "[status]\nurl = \"http://{http_addr}/s\"\nmap = { up = \"Leader\" }\n[client]",
        ),
        (
            SERVICE,
            "version = \"GET /version\"\n",
            "version = \"GET /version\"\ncatalog = \"GET /objects\"\n",
        ),
        (SERVICE, "[client]", "[promote]\nmethod = \"PUT\"\n[client]"),
        (
            SERVICE,
            "[client]",
            "[versions]\nlist = [\n  \"v1.0.0\",\n  \"2.0\",\n]\n[client]",
        ),
        (SERVICE, "[client]", "[timeouts_ms]\nbooot = 5\n[client]"),
        (SERVICE, "[client]", "[budgets]\nwrite-gap = 0\n[client]"),
        (ATTACHED, ", \"postgres://u@[::1]:5433/d\"", ""),
        (ATTACHED, "u@[::1]", "v@[::1]"),
        (
            ATTACHED,
            "[promote]\ncommand = [\"./promote\", \"{host}\"]\n",
            "",
        ),
        (ATTACHED, "{host}", "{http_addr}"),
        (
            ATTACHED,
            "[promote]",
            "[workload]\ncapabilities = [\"identifiers\", \"interactive-transaction\"]\n[promote]",
        ),
        (
            SERVICE,
            "[client]",
            "[workload]\ncapabilities = [\"identifiers\"]\n[client]",
        ),
        (
            SERVICE,
            "[instance]\n",
            "[instance]\npass_env = [\"LEVEL\", \"TOKEN=x\"]\n",
        ),
    ];
    let mut told = String::new();
    for (sound, from, to) in changes {
        assert_eq!(sound.matches(from).count(), 1, "{from:?} is there once");
        match Target::parse(&sound.replace(from, to)) {
            Ok(_) => panic!("{to:?} instead of {from:?} was accepted"),
            Err(error) => writeln!(told, "{error}").unwrap(),
        }
    }
    assert!(told == REFUSALS, "{told}");
}

const REFUSALS: &str = include_str!("refusals.txt");
