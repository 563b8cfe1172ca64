//! SIGINT, SIGTERM and SIGHUP end a run in good order.

use crate::error::CliError;
use crate::exit::Exit;
use changeover_model::event::EventKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What signals do to rehearsals. Lives until the process ends.
pub(crate) struct Signals {
    run: Arc<Mutex<Option<Running>>>,
}

/// A run that a signal ends in good order.
struct Running {
    cancel: CancellationToken,
    tell: Option<Tell>,
}

/// Takes the name of a signal.
type Tell = Box<dyn FnOnce(&str) + Send>;

impl Signals {
    /// Listens. As long as nothing runs, a signal ends the process at once.
    ///
    /// # Errors
    ///
    /// When a signal cannot be listened for.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let mut ends = Ends::listen()?;
        let run: Arc<Mutex<Option<Running>>> = Arc::default();
        let heard = Arc::clone(&run);
        tokio::spawn(async move {
            loop {
                let name = ends.next().await;
                let mut run = heard.lock().unwrap_or_else(|e| e.into_inner());
                let Some(run) = run.as_mut() else {
                    std::process::exit(Exit::Interrupted.code().into());
                };
                if let Some(tell) = run.tell.take() {
                    tell(name);
                    run.cancel.cancel();
                }
            }
        });
        Ok(Signals { run })
    }

    /// From now on the first signal cancels `cancel`, after telling `tell` its name. Further ones change nothing as
    /// long as instances run: ending them takes seconds at most.
    pub(crate) fn cancel(
        &self,
        cancel: CancellationToken,
        tell: impl FnOnce(&str) + Send + 'static,
    ) {
        self.set(Some(Running {
            cancel,
            tell: Some(Box::new(tell)),
        }));
    }

    /// There is nothing left to be ended in good order: the next signal ends the process at once.
    pub(crate) fn exit_from_now_on(&self) {
        self.set(None);
    }

    fn set(&self, run: Option<Running>) {
        *self.run.lock().unwrap_or_else(|e| e.into_inner()) = run;
    }
}

/// What signals do to a probe. Lives until the process ends.
pub(crate) struct ProbeSignals {
    nothing_left: Arc<AtomicBool>,
}

impl ProbeSignals {
    /// There is nothing left to be ended in good order: the next signal ends the process at once.
    pub(crate) fn exit_from_now_on(&self) {
        self.nothing_left.store(true, Ordering::Release);
    }
}

/// The first of these signals ends a probe regularly: it cancels `end`. The second one cancels
/// `abort`, and the third ends the process. SIGUSR1 is a marker. `event` takes what is to go on record.
///
/// # Errors
///
/// When a signal cannot be listened for.
pub(crate) fn end_on_signal(
    end: CancellationToken,
    abort: CancellationToken,
    event: impl Fn(EventKind) + Send + 'static,
) -> Result<ProbeSignals, CliError> {
    let mut ends = Ends::listen()?;
    let mut marks = listen(SignalKind::user_defined1())?;
    let nothing_left = Arc::new(AtomicBool::new(false));
    let signals = ProbeSignals {
        nothing_left: Arc::clone(&nothing_left),
    };
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
