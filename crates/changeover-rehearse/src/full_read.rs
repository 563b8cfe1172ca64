//! The full read: one read of everything that was written, so that everything acknowledged can be compared.

use crate::client::{Answer, Client, ClientTarget, Request};
use crate::record::Recorder;
use crate::tally::{Seat, Sending, operation};
use changeover_model::history::{Outcome, Source};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections that read at the same time.
const CONNECTIONS: usize = 8;

/// Between two attempts at the same key. Lanes and workload go on meanwhile and are not to be disturbed.
const PAUSE: Duration = Duration::from_millis(20);

/// What came of a full read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullRead {
    /// How many keys were to be read.
    pub keys: u64,
    /// How many of them could not be read.
    pub unread: u64,
}

/// Performs `reads` through `target`, the front door. An attempt that fails is made again until `deadline`; each is
/// recorded as one operation, the read that succeeded or else the last attempt (`not-sent` if there was none). Takes
/// at most until `deadline`.
pub async fn full_read(
    recorder: &Recorder,
    target: &ClientTarget,
    reads: Vec<Request>,
    deadline: Instant,
) -> FullRead {
    let count = reads.len() as u64;
    let queue = Arc::new(Mutex::new(reads.into_iter()));
    let mut readers = JoinSet::new();
    for _ in 0..CONNECTIONS.min(count as usize) {
        let reader = Reader {
            recorder: recorder.clone(),
            target: target.clone(),
            deadline,
            client: None,
        };
        readers.spawn(reader.run(Arc::clone(&queue)));
    }
    FullRead {
        keys: count,
        unread: readers.join_all().await.into_iter().sum(),
    }
}

struct Reader {
    recorder: Recorder,
    target: ClientTarget,
    deadline: Instant,
    client: Option<Client>,
}

impl Reader {
    /// Reads until there is no more to read. Returns how much it could not.
    async fn run(mut self, queue: Arc<Mutex<std::vec::IntoIter<Request>>>) -> u64 {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let seat = Seat::new(&self.recorder);
        let mut unread = 0;
        while let Some(request) = next() {
            unread += u64::from(!self.read(seat, request).await);
        }
        if let Some(client) = self.client {
            client.close().await;
        }
        unread
    }

    async fn read(&mut self, seat: Seat, request: Request) -> bool {
        let clock = self.recorder.clock();
        let mut invoke = clock.now();
        let mut ended = invoke;
        let mut answer = Answer::not_sent();
        while Instant::now() < self.deadline {
            invoke = clock.now();
            answer = self.attempt(&request).await;
            ended = clock.now();
            if answer.outcome == Outcome::Ok {
                break;
            }
            tokio::time::sleep_until(self.deadline.min(Instant::now() + PAUSE)).await;
        }
        let read = answer.outcome == Outcome::Ok;
        let sending = Sending {
            source: Source::FullRead,
            class: None,
            connection: None,
            client: Some(seat.client),
            process: seat.process,
            intended: None,
            lateness: None,
            invoke,
            instance: None,
        };
        let operation = operation(sending, request, answer, ended);
        self.recorder.operation(&operation);
        read
    }

    async fn attempt(&mut self, request: &Request) -> Answer {
        let deadline = self.deadline.min(Instant::now() + self.target.timeout());
        let mut client = match self.client.take() {
            Some(client) => client,
            None => match Client::connect(self.target.clone(), deadline).await {
                Ok(client) => client,
                Err(error) => return Answer::failed(error.into_op_error()),
            },
        };
        let answer = client.perform(request, deadline).await;
        if !client.is_dead() {
            self.client = Some(client);
        }
        answer
    }
}
