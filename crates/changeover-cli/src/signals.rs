//! SIGINT, SIGTERM and SIGHUP end a run in good order.

use crate::error::CliError;
use crate::exit::Exit;
use changeover_model::event::EventKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What signals do. Lives until the process ends.
pub(crate) struct Signals {
    nothing_left: Arc<AtomicBool>,
}

impl Signals {
    fn new() -> (Self, Arc<AtomicBool>) {
        let nothing_left = Arc::new(AtomicBool::new(false));
        let signals = Signals {
            nothing_left: Arc::clone(&nothing_left),
        };
        (signals, nothing_left)
    }

    /// There is nothing left to be ended in good order: the next signal ends the process at once.
    pub(crate) fn exit_from_now_on(&self) {
        self.nothing_left.store(true, Ordering::Release);
    }
}

/// Cancels `cancel` at the first of these signals, after telling `tell` its name. Further ones change nothing as long
/// as instances run: ending them takes seconds at most.
///
/// # Errors
///
/// When a signal cannot be listened for.
pub(crate) fn cancel_on_signal(
    cancel: CancellationToken,
    tell: impl FnOnce(&str) + Send + 'static,
) -> Result<Signals, CliError> {
    let mut ends = Ends::listen()?;
    let (signals, nothing_left) = Signals::new();
    tokio::spawn(async move {
        let mut tell = Some(tell);
        loop {
            let name = ends.next().await;
            if nothing_left.load(Ordering::Acquire) {
                std::process::exit(Exit::Interrupted.code().into());
            }
            if let Some(tell) = tell.take() {
                tell(name);
                cancel.cancel();
            }
        }
    });
    Ok(signals)
}

/// The same for a probe, which the first of these signals ends regularly: it cancels `end`. The second one cancels
/// `abort`, and the third ends the process. SIGUSR1 is a marker. `event` takes what is to go on record.
///
/// # Errors
///
/// When a signal cannot be listened for.
pub(crate) fn end_on_signal(
    end: CancellationToken,
    abort: CancellationToken,
    event: impl Fn(EventKind) + Send + 'static,
) -> Result<Signals, CliError> {
    let mut ends = Ends::listen()?;
    let mut marks = listen(SignalKind::user_defined1())?;
    let (signals, nothing_left) = Signals::new();
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                name = ends.next() => name,
                _ = marks.recv() => {
                    let name = "SIGUSR1".to_owned();
                    event(EventKind::Marker { name });
                    continue;
                }
            };
            if nothing_left.load(Ordering::Acquire) || abort.is_cancelled() {
                std::process::exit(Exit::Interrupted.code().into());
            }
            if end.is_cancelled() {
                let signal = name.to_owned();
                event(EventKind::Interrupted { signal });
                abort.cancel();
            } else {
                let reason = name.to_owned();
                event(EventKind::ProbeEnding { reason });
                end.cancel();
            }
        }
    });
    Ok(signals)
}

fn listen(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|e| {
        CliError::cannot_run_here(format!("cannot listen for signals: {e}; run it elsewhere"))
    })
}

/// The signals that end a run.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Ends {
    fn listen() -> Result<Self, CliError> {
        Ok(Ends {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            // Under `nohup` a hang-up shall not end the run.
            hangup: match ignores_hangup() {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hung_up => "SIGHUP",
        }
    }
}

/// Whether whoever started us asked for SIGHUP to be ignored.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal n is bit n - 1, and SIGHUP is 1.
    ignored.is_some_and(|mask| mask & 1 == 1)
}
