//! Looks for contradictions while a run goes on, from a thread of its own: what is certain is shown at once, and the load
//! waits for nothing.

use crate::watch::Findings;
use changeover_model::event::{Event, EventKind};
use changeover_model::history::{Header, Operation};
use changeover_rehearse::record::Sink;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// The thread that looks.
pub(crate) struct Rolling(JoinHandle<()>);

/// Passes everything on, and operations to that thread too.
pub(crate) struct RollingSink {
    inner: Box<dyn Sink>,
    /// Until the run is over.
    operations: Option<Sender<Operation>>,
}

impl Rolling {
    /// Starts looking at what goes through the sink that is returned: a history that begins with this line.
    pub(crate) fn start(
        inner: Box<dyn Sink>,
        header: &Header,
        findings: Findings,
    ) -> (RollingSink, Self) {
        let (operations, receiver) = mpsc::channel();
        let rolling = changeover_check::Rolling::new(header);
        let thread = std::thread::spawn(move || look(rolling, &receiver, &findings));
        let sink = RollingSink {
            inner,
            operations: Some(operations),
        };
        (sink, Rolling(thread))
    }

    /// Returns when the thread has ended, as it does when the run is over.
    pub(crate) fn finish(self) {
        // If it panicked it has said so; the full check is still to come.
        let _ = self.0.join();
    }
}

fn look(
    mut rolling: changeover_check::Rolling,
    operations: &Receiver<Operation>,
    findings: &Findings,
) {
    let mut next = Instant::now() + PERIOD;
    loop {
        match operations.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(operation) => rolling.take(&operation),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if Instant::now() >= next {
            for finding in rolling.look() {
                findings.show(&finding);
            }
            // However long that took, the load has the next second.
            next = Instant::now() + PERIOD;
        }
    }
}

impl Sink for RollingSink {
    fn event(&mut self, event: &Event) {
        self.inner.event(event);
        if event.kind == EventKind::RunEnded {
            self.operations = None;
        }
    }

    fn operation(&mut self, operation: &Operation) {
        self.inner.operation(operation);
        if let Some(operations) = &self.operations {
            // Without that thread the run is none the worse.
            let _ = operations.send(operation.clone());
        }
    }
}
