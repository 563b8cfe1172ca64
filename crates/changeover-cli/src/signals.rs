//! SIGINT, SIGTERM and SIGHUP end a run in good order.

use crate::error::CliError;
use crate::exit::Exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What signals do. Lives until the process ends.
pub(crate) struct Signals {
    nothing_left: Arc<AtomicBool>,
}

impl Signals {
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
    let listen = |kind| -> Result<Signal, CliError> {
        signal(kind).map_err(|e| {
            CliError::cannot_run_here(format!("cannot listen for signals: {e}; run it elsewhere"))
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    // Under `nohup` a hang-up shall not end the run.
    let mut hangup = match ignores_hangup() {
        true => None,
        false => Some(listen(SignalKind::hangup())?),
    };
    let nothing_left = Arc::new(AtomicBool::new(false));
    let signals = Signals {
        nothing_left: Arc::clone(&nothing_left),
    };
    tokio::spawn(async move {
        let mut tell = Some(tell);
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                _ = hung_up => "SIGHUP",
            };
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
