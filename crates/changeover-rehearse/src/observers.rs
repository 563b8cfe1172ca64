//! Direct observers: clients that talk to one instance past the front door, to see what it answers when nobody
//! should be asking it.

use crate::client::{Answer, Client, ClientTarget, Request};
use crate::clock::nanos;
use crate::held::HeldConnection;
use crate::lanes::once;
use crate::record::Recorder;
use crate::tally::{Keys, Seat, Sending, operation};
use changeover_model::history::{Connection, Source};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An observer looks about once in so many intervals of the lanes,
const INTERVALS: u32 = 5;
/// but not more often than this.
const SHORTEST: Duration = Duration::from_millis(20);

/// Two clients, one with a held connection and one with a new one each time, that take turns at writing to and
/// reading from an instance. Dropping it ends them at once, without a record of what is in flight.
pub struct Observer {
    gate: Arc<Gate>,
    tasks: Vec<JoinHandle<()>>,
}

impl Observer {
    /// Starts to observe the instance of `generation` in `slot`, which answers SQL at `target` or will. The sets that
    /// are read are the ones in `keys` that are being filled. Must be called within a runtime.
    pub fn start(
        recorder: &Recorder,
        keys: &Arc<Keys>,
        target: &ClientTarget,
        slot: &str,
        generation: u64,
        probe_interval: Duration,
    ) -> Self {
        let gate = Arc::new(Gate::default());
        let period = (probe_interval * INTERVALS).max(SHORTEST);
        let values = Arc::new(AtomicI64::new(0));
        let spawn = |link, after| {
            let look = Look {
                recorder: recorder.clone(),
                keys: Arc::clone(keys),
                gate: Arc::clone(&gate),
                target: target.clone(),
                instance: (slot.to_owned(), generation),
                key: format!("observer.{slot}.{generation}"),
                values: Arc::clone(&values),
                turn: AtomicUsize::new(0),
            };
            tokio::spawn(look.run(link, after, period * 2))
        };
        let held = Link::Held(HeldConnection::new(target.clone()));
        let tasks = vec![spawn(held, Duration::ZERO), spawn(Link::New, period)];
        Observer { gate, tasks }
    }

    /// From now on no operation begins: the `invoke` of every one is earlier than the return of this call.
    pub fn halt(&self) {
        self.gate.shut();
    }

    /// Halts, and waits until what is in flight has ended, which takes at most the time of an operation.
    pub async fn stop(mut self) {
        self.halt();
        for task in &mut self.tasks {
            if let Err(error) = task.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.gate.shut();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Decides whether an operation may begin. Under a lock, because the promotion's time is taken after it was shut and
/// must be later than that of every operation let through.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    shutting: CancellationToken,
}

impl Gate {
    fn shut(&self) {
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shutting.cancel();
    }

    /// The time of the operation that begins now; `None` if none may.
    fn pass(&self, recorder: &Recorder) -> Option<u64> {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        (!*shut).then(|| recorder.clock().now())
    }
}

enum Link {
    Held(HeldConnection),
    New,
}

/// One of an observer's clients.
struct Look {
    recorder: Recorder,
    keys: Arc<Keys>,
    gate: Arc<Gate>,
    target: ClientTarget,
    instance: (String, u64),
    key: String,
    values: Arc<AtomicI64>,
    turn: AtomicUsize,
}

impl Look {
    async fn run(self, mut link: Link, after: Duration, period: Duration) {
        let mut seat = Seat::new(&self.recorder);
        let mut next = Instant::now() + after;
        loop {
            let wait = tokio::time::sleep_until(next);
            if self.gate.shutting.run_until_cancelled(wait).await.is_none() {
                break;
            }
            // From the start of this look, however long it takes: an instance that does not answer is asked by one
            // operation at a time.
            next = Instant::now() + period;
            let write = Request::Add {
                key: self.key.clone(),
                value: self.values.fetch_add(1, Ordering::Relaxed),
            };
            self.perform(&mut link, &mut seat, write).await;
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            if let Some(key) = self.keys.being_filled(turn) {
                self.perform(&mut link, &mut seat, Request::Read { key })
                    .await;
            }
        }
        if let Link::Held(connection) = link {
            connection.close().await;
        }
    }

    async fn perform(&self, link: &mut Link, seat: &mut Seat, request: Request) {
        let Some(invoke) = self.gate.pass(&self.recorder) else {
            return;
        };
        let clock = self.recorder.clock();
        let deadline = clock.instant(invoke + nanos(self.target.timeout()));
        let (answer, client): (Answer, Option<Client>) = match link {
            Link::Held(connection) => (connection.perform(&request, deadline).await, None),
            Link::New => once(self.target.clone(), &request, deadline).await,
        };
        let ended = clock.now();
        let sending = Sending {
            source: Source::Observer,
            class: None,
            connection: Some(Connection::Direct),
            client: Some(seat.client),
            process: seat.process,
            intended: None,
            lateness: None,
            invoke,
            instance: Some(self.instance.clone()),
        };
        seat.after(answer.outcome, &self.recorder);
        self.recorder
            .operation(&operation(sending, request, answer, ended));
        if let Some(client) = client {
            client.close().await;
        }
    }
}
