//! The mark that every process of a run carries in its environment, and ending what carries it.

use super::proc_fs::{self, Seen};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Names the run.
pub(super) const RUN: &str = "CHANGEOVER_RUN";
/// Tells apart runs of one name: the run's directory.
pub(super) const RUN_DIR: &str = "CHANGEOVER_RUN_DIR";
/// Names the instance within the run: `slot.generation`.
pub(super) const INSTANCE: &str = "CHANGEOVER_INSTANCE";

/// The mark of a run, or of one instance of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) run: String,
    pub(super) run_dir: String,
    pub(super) instance: Option<String>,
    /// When the harness was started, see [`Seen::start`]: what is older is not looked at. That keeps a search cheap
    /// enough for the middle of a measurement.
    pub(super) since: u64,
}

impl Mark {
    /// The mark as environment variables.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![(RUN, self.run.clone()), (RUN_DIR, self.run_dir.clone())];
        if let Some(instance) = &self.instance {
            variables.push((INSTANCE, instance.clone()));
        }
        variables
    }

    /// Whether the process carries it.
    pub(super) fn is_on(&self, pid: u32) -> bool {
        let environment = proc_fs::environment(pid);
        self.variables()
            .iter()
            .all(|(name, value)| environment.contains(&format!("{name}={value}").into_bytes()))
    }

    /// Every process but this one that carries it.
    pub(super) fn carriers(&self) -> Vec<Seen> {
        let mut seen = proc_fs::others();
        seen.retain(|process| process.start >= self.since && self.is_on(process.pid));
        seen
    }

    /// Signals every process that carries it, once.
    pub(super) fn signal_carriers(&self, signal: Signal) {
        for process in self.carriers() {
            self::signal(process.pid, signal);
        }
    }

    /// Ends every process that carries it, the hard way. Blocks until they are gone, at most about a second.
    pub(super) fn end_carriers(&self) {
        end(|| self.carriers());
    }
}

/// Ends what `find` finds, again and again until it finds nothing (what is being killed may still have forked), at
/// most for about a second: a process that the kernel cannot end now will end later.
pub(super) fn end(find: impl Fn() -> Vec<Seen>) {
    let give_up = Instant::now() + Duration::from_secs(1);
    loop {
        let found = find();
        if found.is_empty() || Instant::now() > give_up {
            return;
        }
        for process in found {
            signal(process.pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Asks what `find` finds to leave at once, and gives it about a second. PostgreSQL then removes the memory that it
/// shares, which would outlive it otherwise.
pub(super) fn quit(find: impl Fn() -> Vec<Seen>) {
    let give_up = Instant::now() + Duration::from_secs(1);
    for process in find() {
        signal(process.pid, Signal::SIGQUIT);
    }
    while !find().is_empty() && Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Signals one process. One that is gone is what we want.
fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
