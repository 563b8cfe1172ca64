//! A Docker engine for the tests: started by hand where nobody else starts one, as in a container without systemd.

use crate::run::succeeds;
use anyhow::{Result, bail};
use std::fs::File;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Succeeds when an engine answers.
pub(crate) const PROBE: [&str; 4] = ["docker", "version", "--format", "{{.Server.Version}}"];

/// How long an engine may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// What it is started with, the first way that works: not every kernel has the file system that it likes best, and not
/// every one lets it write rules for packets.
const WAYS: [&[&str]; 4] = [
    &[],
    &["--storage-driver=vfs"],
    &["--iptables=false"],
    &["--storage-driver=vfs", "--iptables=false"],
];

fn answers() -> bool {
    succeeds(Command::new(PROBE[0]).args(&PROBE[1..]))
}

/// Starts an engine unless one answers. It stays when we end, as one that the system had started would.
///
/// # Errors
///
/// When none can be started; its log tells why.
pub(crate) fn start() -> Result<()> {
    let log = std::env::temp_dir().join("changeover-dockerd.log");
    for way in WAYS {
        if answers() {
            return Ok(());
        }
        let file = File::options().create(true).append(true).open(&log)?;
        let mut engine = Command::new("setsid")
            .arg("dockerd")
            .args(way)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        let began = Instant::now();
        while began.elapsed() < DEADLINE {
            if answers() {
                return Ok(());
            }
            if engine.try_wait()?.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(200));
        }
        // It neither answers nor ends: the next way wants its place.
        let _ = engine.kill();
        let _ = engine.wait();
    }
    bail!(
        "the Docker engine was installed and cannot be started: see {}, or start dockerd yourself",
        log.display()
    )
}
