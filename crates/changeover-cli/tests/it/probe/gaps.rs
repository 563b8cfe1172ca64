//! Every gap against the truth: the fault's own clock, or the server's log.

use super::{Session, end, gaps_of, often, start, until_closed, until_operations, url};
use crate::postgres_server::Server;
use crate::targets::Servers;
use changeover_model::probe::SeenGap;
use changeover_model::verdict::{Verdict, VerdictOutcome};
use changeover_rehearse::front_door::FrontDoor;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

const LANES: [&str; 5] = [
    "read/held",
    "write/held",
    "read/new",
    "write/new",
    "connect/new",
];

/// How long faults last.
const FAULT: Duration = Duration::from_millis(700);

fn assert_truth(gap: &SeenGap, truth: Duration) {
    let truth = truth.as_secs_f64() * 1000.0;
    let tolerance = 2.0 * gap.resolution_ms + 5.0;
    assert!(
        (gap.ms - truth).abs() <= tolerance,
        "{gap:?} was {truth} ms long, ± {tolerance}"
    );
    assert!(gap.ended, "{gap:?}");
}

/// The gaps of a lane that are as long as a fault: what a server that comes back needs to catch its breath is another
/// matter.
fn outages<'a>(verdict: &'a Verdict, lane: &str) -> Vec<&'a SeenGap> {
    let mut gaps = gaps_of(verdict, lane);
    gaps.retain(|gap| gap.ms > FAULT.as_secs_f64() * 500.0);
    gaps
}

/// When a line of a log was written that says so: the first at or after `from`.
fn said_at(log: &str, what: &str, from: Option<jiff::Timestamp>) -> jiff::Timestamp {
    let moment = |line: &str| {
        let words: Vec<&str> = line.split(' ').take(2).collect();
        let text = words.join("T") + "Z";
        text.parse::<jiff::Timestamp>().ok()
    };
    let lines = log.lines().filter(|line| line.contains(what));
    let mut moments = lines.filter_map(moment);
    let found = moments.find(|at| from.is_none_or(|from| *at >= from));
    found.unwrap_or_else(|| panic!("{what:?} is not in {log}"))
}

fn between(from: jiff::Timestamp, to: jiff::Timestamp) -> Duration {
    Duration::from_nanos(
        u64::try_from((to - from).total(jiff::Unit::Nanosecond).unwrap() as i128).unwrap(),
    )
}

#[test]
fn rehearses_a_probe_through_a_pause_and_a_restart() {
    let settings = ["log_line_prefix=%m ", "log_timezone=UTC"];
    let Some(server) = Server::start(&settings) else {
        return;
    };
    // What hangs in the pause is served at once after it, by a process each: few of them, or the burst is what is measured.
    let mut run = start(&[&url(&server), "--probe-interval", "100ms"]);
    until_operations(&run, 100);
    server.freeze();
    let frozen = Instant::now();
    thread::sleep(FAULT);
    let pause = frozen.elapsed();
    server.thaw();
    until_closed(&run, LANES.len());
    until_operations(&run, 250);
    server.stop();
    thread::sleep(FAULT);
    server.start_again();
    until_closed(&run, 2 * LANES.len());
    until_operations(&run, 400);
    let (code, told, verdict) = end(&mut run);
    // Without a budget, whatever was seen passes; a busy machine may make it doubtful.
    assert!(matches!(code, 0 | 3), "{told}");
    let log = server.log();
    let stopped = said_at(&log, "received immediate shutdown request", None);
    let ready = said_at(
        &log,
        "database system is ready to accept connections",
        Some(stopped),
    );
    for lane in LANES {
        let gaps = outages(&verdict, lane);
        assert_eq!(gaps.len(), 2, "{lane}: {gaps:?}");
        assert_truth(gaps[0], pause);
        assert_truth(gaps[1], between(stopped, ready));
        assert!(gaps[1].errors.contains_key("refused"), "{:?}", gaps[1]);
        assert!(
            told.contains(&format!("{lane} is away: no success since")),
            "{told}"
        );
        assert!(told.contains(&format!("{lane} is back after")), "{told}");
    }
    assert_no_loss(&verdict);
}

fn assert_no_loss(verdict: &Verdict) {
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    let writes = verdict.operations.acknowledged_writes;
    assert!(writes.is_some_and(|writes| writes > 0));
}

#[test]
fn rehearses_probes_of_a_switchover_with_several_hosts_and_behind_a_proxy() {
    let Some(servers) = Servers::start_here() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let [primary, standby] = servers
        .ports
        .map(|p| SocketAddr::from((Ipv4Addr::LOCALHOST, p)));
    let door = runtime
        .block_on(FrontDoor::bind((Ipv4Addr::LOCALHOST, 0).into()))
        .unwrap();
    door.switch(Some(primary));
    let hosts = format!(
        "postgres://changeover@{primary},{standby}/postgres?target_session_attrs=read-write"
    );
    let proxy = format!("postgres://changeover@{}/postgres", door.addr());
    // Connecting to two hosts in turn, and two probes at once, take some of the time that the tolerance is.
    let of =
        |url: &str, table: &str| start(&[url, "--write-table", table, "--probe-interval", "100ms"]);
    let mut by_hosts = of(&hosts, "by_hosts");
    let mut by_proxy = of(&proxy, "by_proxy");
    for run in [&by_hosts, &by_proxy] {
        until_operations(run, 75);
    }
    // Long enough to count as a gap in every lane.
    servers.promote_slowly(FAULT);
    servers.promote();
    door.switch(Some(standby));
    let switched = jiff::Timestamp::now();
    for run in [&by_hosts, &by_proxy] {
        until_closed(run, LANES.len());
    }
    let stopped = said_at(
        &servers.log("primary"),
        "received fast shutdown request",
        None,
    );
    let ready = said_at(
        &servers.log("standby"),
        "database system is ready to accept connections",
        Some(stopped),
    );
    for (run, truth) in [
        (&mut by_hosts, between(stopped, ready)),
        (&mut by_proxy, between(stopped, switched)),
    ] {
        let (code, told, verdict) = end(run);
        assert!(matches!(code, 0 | 3), "{told}");
        for lane in LANES {
            let gaps = gaps_of(&verdict, lane);
            let longest = gaps.into_iter().max_by(|a, b| a.ms.total_cmp(&b.ms));
            assert_truth(longest.expect("a gap"), truth);
        }
        // What the old primary acknowledged, the new one has.
        assert_no_loss(&verdict);
    }
}

#[test]
fn rehearses_a_probe_of_a_server_without_a_connection_left() {
    let Some(server) = Server::start(&["max_connections=30", "autovacuum=off"]) else {
        return;
    };
    let mut run = often(&url(&server), &[]);
    until_operations(&run, 200);
    let hog = Session::to(&server);
    let (taken, mut full) = hog.runtime.block_on(async {
        let mut taken = Vec::new();
        let began = Instant::now();
        let mut full = began;
        // New lanes give theirs back all the time: whoever waits takes them.
        while began.elapsed() < FAULT {
            match tokio_postgres::connect(&url(&server), NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    taken.push(client);
                    full = Instant::now();
                }
                Err(error) => {
                    let code = error.code().map(|code| code.code().to_owned());
                    assert_eq!(code.as_deref(), Some("53300"), "{error}");
                }
            }
        }
        (taken, full)
    });
    assert!(!taken.is_empty());
    let full = std::mem::replace(&mut full, Instant::now()).elapsed();
    drop(taken);
    drop(hog);
    until_closed(&run, 3);
    let (code, told, verdict) = end(&mut run);
    assert!(matches!(code, 0 | 3), "{told}");
    for lane in ["read/new", "write/new", "connect/new"] {
        let gaps = outages(&verdict, lane);
        assert_eq!(gaps.len(), 1, "{lane}: {gaps:?}");
        assert_truth(gaps[0], full);
        assert_eq!(
            gaps[0].errors.keys().collect::<Vec<_>>(),
            ["other 53300"],
            "{lane}"
        );
    }
    // Those who were in stayed in.
    for lane in ["read/held", "write/held"] {
        assert!(gaps_of(&verdict, lane).is_empty(), "{lane}");
    }
    assert_no_loss(&verdict);
}

#[test]
fn rehearses_a_probe_with_budgets_as_a_gate() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let budget = |limit: &'static str| ["--max-write-gap", limit, "--max-read-gap", "1m"];
    let mut patient = often(&url(&server), &budget("1m"));
    let args = [&["--write-table", "strict"], &budget("300ms")[..]].concat();
    let mut strict = often(&url(&server), &args);
    for run in [&patient, &strict] {
        until_operations(run, 150);
    }
    server.freeze();
    thread::sleep(FAULT);
    server.thaw();
    for run in [&patient, &strict] {
        until_closed(run, LANES.len());
    }
    let (code, told, verdict) = end(&mut patient);
    assert!(matches!(code, 0 | 3), "{told}");
    assert_ne!(verdict.outcome, VerdictOutcome::Fail);
    let (code, told, verdict) = end(&mut strict);
    assert_eq!(code, 1, "{told}");
    assert_eq!(verdict.outcome, VerdictOutcome::Fail);
    assert!(
        told.contains("more than the write-gap budget of 300 ms"),
        "{told}"
    );
    let budgets: Vec<_> = verdict
        .budgets
        .iter()
        .map(|b| (b.name.as_str(), b.outcome))
        .collect();
    assert_eq!(budgets[1], ("write-gap", VerdictOutcome::Fail));
    assert_ne!(budgets[0].1, VerdictOutcome::Fail);
    // What a probe cannot see is no case that passed.
    let cases = strict.read("junit.xml");
    for (check, followed_by) in [
        ("two-leaders", " time=\"0.000\">\n      <skipped message="),
        ("lost-write", " time=\"0.000\"/>"),
    ] {
        let case = format!("classname=\"changeover.checks\" name=\"{check}\"{followed_by}");
        assert!(cases.contains(&case), "{check}: {cases}");
    }
}
