//! SIGINT, SIGTERM and SIGHUP end a run in good order.

use crate::error::CliError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Cancels `cancel` at the first of these signals, after telling `tell` its name. Abort the task when the run is
/// over.
///
/// # Errors
///
/// When a signal cannot be listened for.
pub(crate) fn cancel_on_signal(
    cancel: CancellationToken,
    tell: impl FnOnce(&str) + Send + 'static,
) -> Result<JoinHandle<()>, CliError> {
    let listen = |kind| -> Result<Signal, CliError> {
        signal(kind).map_err(|e| {
            CliError::cannot_run_here(format!("cannot listen for signals: {e}; run it elsewhere"))
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(tokio::spawn(async move {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = hangup.recv() => "SIGHUP",
        };
        tell(name);
        cancel.cancel();
    }))
}
