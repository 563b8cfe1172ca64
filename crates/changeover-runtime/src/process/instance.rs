//! One instance: a process at a time, its group, its log.

use super::ledger::{Ledger, Line};
use super::log_tail;
use super::mark::Mark;
use super::proc_fs;
use crate::{Disturbance, Ended, Instance, InstanceSpec, RuntimeError};
use async_trait::async_trait;
use changeover_model::event::ProcessEnd;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What of our own environment a process gets: where programs, home and temporary files are, and the language of
/// messages. Everything else would make a run depend on who started it.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// How often, and how many times, it is looked whether a process has stopped. One that writes to a disk may take long.
const STOPPING_LOOK: Duration = Duration::from_millis(1);
const STOPPING_LOOKS: u32 = 2000;

#[derive(Debug)]
pub(super) struct ProcessInstance {
    spec: InstanceSpec,
    mark: Mark,
    ledger: Arc<Ledger>,
    child: Child,
    pid: u32,
    ended: Option<Ended>,
    /// Nothing of it can be left: it was stopped, helpers included.
    cleared: bool,
}

impl ProcessInstance {
    pub(super) fn start(
        spec: InstanceSpec,
        mark: Mark,
        ledger: Arc<Ledger>,
    ) -> Result<Self, RuntimeError> {
        let (child, pid) = start_process(&spec, &mark, &ledger)?;
        Ok(ProcessInstance {
            spec,
            mark,
            ledger,
            child,
            pid,
            ended: None,
            cleared: false,
        })
    }

    /// Signals the process's group. Only while the process is not reaped: its number, and so the group's, is surely
    /// still ours.
    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // The group may be gone already; that is what we want.
            let _ = killpg(Pid::from_raw(pid), signal);
        }
    }

    /// Waits until the kernel has stopped the process: a signal is delivered, not obeyed at once.
    async fn stands_still(&self) -> Result<(), RuntimeError> {
        for _ in 0..STOPPING_LOOKS {
            match proc_fs::state(self.pid) {
                Some('T' | 't') => return Ok(()),
                Some('Z' | 'X') | None => break,
                Some(_) => tokio::time::sleep(STOPPING_LOOK).await,
            }
        }
        Err(RuntimeError::new(format!(
            "process {} of instance {} was sent SIGSTOP and did not stop",
            self.pid, self.spec.slot
        )))
    }

    fn note_end(&mut self, status: std::io::Result<ExitStatus>, by_us: bool) -> Ended {
        let ended = Ended {
            end: status.map_or(
                // Nobody else waits for our children, so this cannot happen; a process that is not there was killed.
                ProcessEnd::Signal(Signal::SIGKILL as i32),
                process_end,
            ),
            by_us,
        };
        self.ended = Some(ended);
        ended
    }
}

fn process_end(status: ExitStatus) -> ProcessEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => ProcessEnd::Code(code),
        (None, signal) => ProcessEnd::Signal(signal.unwrap_or_default()),
    }
}

fn start_process(
    spec: &InstanceSpec,
    mark: &Mark,
    ledger: &Ledger,
) -> Result<(Child, u32), RuntimeError> {
    let refuse = |message: String| Err(RuntimeError::new(message));
    let Some((program, arguments)) = spec.command.split_first() else {
        return refuse(format!(
            "instance {} of generation {} has an empty command; name a program in the target",
            spec.slot, spec.generation
        ));
    };
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&spec.log)
        .and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = match log {
        Ok(files) => files,
        Err(error) => {
            return refuse(format!(
                "the log {} cannot be written: {error}; make its directory writable",
                spec.log.display()
            ));
        }
    };
    let instance = mark.instance.clone().unwrap_or_default();
    let unrecorded = |error: std::io::Error| {
        RuntimeError::new(format!(
            "the process cannot be recorded in {}: {error}; make room or make it writable",
            ledger.path().display()
        ))
    };
    ledger
        .append(&Line::Starting {
            instance: instance.clone(),
            command: spec.command.clone(),
        })
        .map_err(unrecorded)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(PASSED_ON.iter().filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some((name, value))
        }))
        .envs(spec.env.iter().map(|(name, value)| (name, value.reveal())))
        // Last: nothing in a target may take the mark away.
        .envs(mark.variables())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .kill_on_drop(true);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let advice = match error.kind() {
                std::io::ErrorKind::NotFound => "; install it, or correct the target's command",
                std::io::ErrorKind::PermissionDenied => "; make it executable",
                _ => "; see that the machine can start programs",
            };
            return refuse(format!(
                "program {program:?} of instance {} cannot be started: {error}{advice}",
                spec.slot
            ));
        }
    };
    let Some(pid) = child.id() else {
        return refuse(format!(
            "program {program:?} has no process number; start again"
        ));
    };
    // An ended process that nobody has waited for is still in /proc, so its start can be read; if it cannot, no
    // process will match the record.
    let start = proc_fs::start_of(pid).unwrap_or(0);
    let recorded = ledger.append(&Line::Started {
        instance,
        pid,
        start,
    });
    if let Err(error) = recorded {
        // Dropping the child ends it: what is not recorded must not run.
        drop(child);
        return Err(unrecorded(error));
    }
    Ok((child, pid))
}

#[async_trait]
impl Instance for ProcessInstance {
    fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    async fn ended(&mut self) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        let status = self.child.wait().await;
        self.note_end(status, false)
    }

    async fn restart(&mut self) -> Result<(), RuntimeError> {
        if self.ended.is_none() {
            return Err(RuntimeError::new(format!(
                "instance {} still runs as process {}; stop it before it is restarted",
                self.spec.slot, self.pid
            )));
        }
        // Helpers of the process that ended are left alone: the next one may take them over.
        let (child, pid) = start_process(&self.spec, &self.mark, &self.ledger)?;
        self.child = child;
        self.pid = pid;
        self.ended = None;
        self.cleared = false;
        Ok(())
    }

    async fn stop(&mut self, grace: Duration) -> Ended {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.note_end(Ok(status), false);
        }
        let ended = match self.ended {
            Some(ended) => ended,
            None => {
                self.signal_group(Signal::SIGTERM);
                // One that a fault has stopped must go on to leave.
                self.signal_group(Signal::SIGCONT);
                let status = match timeout(grace, self.child.wait()).await {
                    Ok(status) => status,
                    Err(_) => {
                        self.signal_group(Signal::SIGKILL);
                        self.child.wait().await
                    }
                };
                self.note_end(status, true)
            }
        };
        let mark = self.mark.clone();
        // Waiting for helpers to die must not hold up whoever else runs on this thread.
        let cleared = tokio::task::spawn_blocking(move || mark.end_carriers()).await;
        self.cleared = cleared.is_ok();
        ended
    }

    async fn disturb(&mut self, how: Disturbance) -> Result<(), RuntimeError> {
        if self.ended.is_some() || self.child.id().is_none() {
            return Err(RuntimeError::new(format!(
                "process {} of instance {} has ended, and cannot be {how}",
                self.pid, self.spec.slot
            )));
        }
        match how {
            Disturbance::Kill => self.signal_group(Signal::SIGKILL),
            Disturbance::End(grace) => {
                self.signal_group(Signal::SIGTERM);
                // Not noted: whoever waits for its end shall see it.
                if timeout(grace, self.child.wait()).await.is_err() {
                    self.signal_group(Signal::SIGKILL);
                }
            }
            // Helpers may have groups of their own, as those of a PostgreSQL server have.
            Disturbance::Pause => {
                self.mark.signal_carriers(Signal::SIGSTOP);
                self.stands_still().await?;
            }
            Disturbance::Resume => self.mark.signal_carriers(Signal::SIGCONT),
        }
        Ok(())
    }

    async fn condition(&mut self) -> String {
        let pid = self.pid;
        match (self.ended, proc_fs::state(pid)) {
            (Some(Ended { end, .. }), _) => format!("process {pid} has ended ({end})"),
            (None, Some('T' | 't')) => format!("process {pid} is stopped"),
            (None, Some('Z' | 'X') | None) => format!("process {pid} has ended"),
            (None, Some(_)) => format!("process {pid} runs"),
        }
    }

    fn log_tail(&self, lines: usize) -> Vec<String> {
        log_tail::tail(&self.spec.log, lines)
    }
}

impl Drop for ProcessInstance {
    fn drop(&mut self) {
        if self.cleared {
            return;
        }
        self.signal_group(Signal::SIGKILL);
        // The mark finds what the group does not: helpers of earlier processes, or with a group of their own.
        self.mark.end_carriers();
    }
}
