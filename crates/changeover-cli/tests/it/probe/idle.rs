//! A healthy server that nobody disturbs: a probe of it sees no gap, and its memory stays what it is.

use super::{often, signal, url};
use crate::harness::Rehearsal;
use crate::postgres_server::Server;
use nix::sys::signal::Signal;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long to look, in seconds; `cargo xtask soak` says longer than a test run has time for.
const SECONDS: &str = "CHANGEOVER_SOAK_PROBE_SECONDS";

/// What a probe needs once it runs; all that it adds later must be less than this.
const GROWTH_KIB: u64 = 4096;

fn seconds() -> u64 {
    let said = std::env::var(SECONDS).ok();
    said.map_or(6, |text| text.parse().expect("seconds"))
}

/// What the process has in memory, in KiB.
fn resident_kib(run: &Rehearsal) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap()
}

#[test]
fn rehearses_a_probe_of_an_idle_server_and_sees_no_gap() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let seconds = seconds();
    let soaking = seconds > 60;
    // In a soak as gently as by default, else as a test has time for.
    let mut run = match soaking {
        true => super::start(&[&url(&server)]),
        false => often(&url(&server), &[]),
    };
    super::until_operations(&run, 100);
    let began = Instant::now();
    let early = Duration::from_secs(seconds / 6);
    thread::sleep(early);
    let before = resident_kib(&run);
    thread::sleep(Duration::from_secs(seconds).saturating_sub(began.elapsed()));
    let after = resident_kib(&run);
    signal(&run, Signal::SIGINT);
    let (code, told, verdict) = super::finish(&mut run);
    let probe = verdict.probe.unwrap();
    if soaking {
        println!("{told}");
        // A busy machine is a doubt in a test run; whoever soaks has it to himself.
        assert_eq!((code, probe.gaps.len()), (0, 0), "{told}");
    }
    assert!(matches!(code, 0 | 3), "{told}");
    assert_eq!(
        verdict.operations.fail + verdict.operations.unknown,
        0,
        "{told}"
    );
    assert!(
        after.saturating_sub(before) < GROWTH_KIB,
        "{before} KiB after {early:?}, {after} KiB after {seconds} s"
    );
}
