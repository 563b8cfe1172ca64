//! The lanes: five steady streams of operations that measure availability.
//!
//! A lane's operation n is the same in every run. The write lane of a kind of connection adds n to the set
//! `lane.KIND.(n / 100)`, and the read lane of that kind reads the set which is being filled at n, so that a read can
//! be judged for freshness.

use crate::client::{Answer, Client, ClientTarget, OwnRequest, Request};
use crate::held::{Group, HeldClient, MAX_IN_FLIGHT, Patience, not_sent};
use crate::schedule::{Due, Pace};
use crate::tally::{Seat, Sending, Tally};
use changeover_model::history::{Class, Connection, Source};
use changeover_model::workload::ELEMENTS_PER_KEY;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

pub use changeover_model::history::{LANES, LaneId};

/// Clients of a lane with held connections; they take the operations in turn.
pub(crate) const HELD_CLIENTS: usize = 8;

/// Operation `n` of a lane.
pub fn lane_request(class: Class, connection: Connection, n: u64) -> Request {
    let key = || format!("lane.{}.{}", connection.name(), n / ELEMENTS_PER_KEY);
    match class {
        Class::Write => Request::Add {
            key: key(),
            value: i64::try_from(n).unwrap_or(i64::MAX),
        },
        Class::Read => Request::Read { key: key() },
        Class::Connect => Request::Connect,
    }
}

/// When lane number `lane` of so many fires: every `interval` nanoseconds from about `start` on, each lane its share of
/// the interval after the one before, so that they do not measure each other.
pub(crate) fn pace(lane: usize, lanes: usize, start: u64, interval: u64) -> Pace {
    let share = interval / lanes.max(1) as u64;
    Pace::every(start + lane as u64 * share, interval)
}

/// What a lane asks for.
#[derive(Debug, Clone)]
pub(crate) enum Requests {
    /// [`lane_request`], with this before its keys.
    Set {
        /// Keeps keys of several runs on one table apart.
        prefix: Arc<str>,
    },
    /// Always the same.
    Own(Arc<OwnRequest>),
}

impl Requests {
    /// Keys as a rehearsal has them, whose tables are its own.
    pub(crate) fn of_set() -> Self {
        Requests::Set { prefix: "".into() }
    }

    fn at(&self, class: Class, connection: Connection, n: u64) -> Request {
        match self {
            Requests::Own(own) => Request::Own(Arc::clone(own)),
            Requests::Set { prefix } => {
                let mut request = lane_request(class, connection, n);
                if let Request::Add { key, .. } | Request::Read { key } = &mut request {
                    key.insert_str(0, prefix);
                }
                request
            }
        }
    }
}

/// One lane.
pub(crate) enum Lane {
    Held {
        class: Class,
        requests: Requests,
        clients: Vec<HeldClient>,
    },
    New(NewLane),
}

impl Lane {
    pub(crate) fn new(
        class: Class,
        connection: Connection,
        requests: Requests,
        target: &ClientTarget,
        tally: &Arc<Tally>,
        tasks: &TaskTracker,
    ) -> Self {
        if connection != Connection::Held {
            return Lane::New(NewLane {
                class,
                connection,
                requests,
                target: target.clone(),
                tally: Arc::clone(tally),
                tasks: tasks.clone(),
                runtime: Handle::current(),
                seats: Arc::new(Seats(Mutex::default())),
            });
        }
        let group = Group {
            source: Source::Lane,
            class: Some(class),
            connection: Some(connection),
            patience: Patience::FromIntended,
        };
        let in_flight = Arc::new(AtomicUsize::new(0));
        let clients = (0..HELD_CLIENTS).map(|_| {
            let (client, task) = HeldClient::new(
                target.clone(),
                group,
                Arc::clone(tally),
                Arc::clone(&in_flight),
            );
            tasks.spawn(task);
            client
        });
        Lane::Held {
            class,
            requests,
            clients: clients.collect(),
        }
    }

    /// Sends an operation, or records that it could not be.
    pub(crate) fn fire(&self, due: Due) {
        match self {
            Lane::Held {
                class,
                requests,
                clients,
            } => {
                let turn = (due.n % HELD_CLIENTS as u64) as usize;
                let request = requests.at(*class, Connection::Held, due.n);
                clients[turn].fire(due, request);
            }
            Lane::New(lane) => lane.fire(due),
        }
    }
}

/// A lane whose operations each take a connection of their own.
pub(crate) struct NewLane {
    class: Class,
    connection: Connection,
    requests: Requests,
    target: ClientTarget,
    tally: Arc<Tally>,
    tasks: TaskTracker,
    runtime: Handle,
    seats: Arc<Seats>,
}

impl NewLane {
    fn fire(&self, due: Due) {
        let request = self.requests.at(self.class, self.connection, due.n);
        let (source, class, connection) = (Source::Lane, Some(self.class), Some(self.connection));
        let Some((number, seat)) = self.seats.take(&self.tally) else {
            not_sent(&self.tally, (source, class, connection), None, due, request);
            return;
        };
        let (target, tally, seats) = (
            self.target.clone(),
            Arc::clone(&self.tally),
            Arc::clone(&self.seats),
        );
        let task = async move {
            let clock = tally.clock();
            let invoke = clock.now();
            let sending = Sending {
                source,
                class,
                connection,
                client: Some(seat.client),
                process: seat.process,
                intended: Some(due.intended),
                lateness: Some(invoke - due.intended),
                invoke,
                instance: None,
            };
            let deadline = due.intended + crate::clock::nanos(target.timeout());
            let (answer, client) = if invoke >= deadline {
                (Answer::too_late(), None)
            } else {
                once(target, &request, clock.instant(deadline)).await
            };
            let ended = clock.now();
            let outcome = answer.outcome;
            tally.record(sending, request, answer, ended);
            seats.give_back(number, seat, outcome, &tally);
            if let Some(client) = client {
                client.close().await;
            }
        };
        self.tasks.spawn_on(task, &self.runtime);
    }
}

/// Performs an operation on a connection of its own, which is left to be closed once the end has been noted.
pub(crate) async fn once(
    target: ClientTarget,
    request: &Request,
    deadline: tokio::time::Instant,
) -> (Answer, Option<Client>) {
    match Client::connect(target, deadline).await {
        Err(error) => (Answer::failed(error.into_op_error()), None),
        Ok(mut client) => {
            let answer = client.perform(request, deadline).await;
            let client = (!client.is_dead()).then_some(client);
            (answer, client)
        }
    }
}

/// The clients of a lane of new connections. Each operation takes the lowest free seat, so that a client has one
/// operation in flight, and few clients do nearly everything.
struct Seats(Mutex<Vec<(Seat, Taken)>>);

type Taken = bool;

impl Seats {
    fn lock(&self) -> MutexGuard<'_, Vec<(Seat, Taken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, tally: &Tally) -> Option<(usize, Seat)> {
        let mut seats = self.lock();
        let number = match seats.iter().position(|(_, taken)| !taken) {
            Some(number) => number,
            None if seats.len() < MAX_IN_FLIGHT => {
                seats.push((Seat::new(tally.recorder()), false));
                seats.len() - 1
            }
            None => return None,
        };
        let (seat, taken) = &mut seats[number];
        *taken = true;
        Some((number, *seat))
    }

    fn give_back(
        &self,
        number: usize,
        mut seat: Seat,
        outcome: changeover_model::history::Outcome,
        tally: &Tally,
    ) {
        seat.after(outcome, tally.recorder());
        self.lock()[number] = (seat, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_lane_reads_what_the_write_lane_fills() {
        for connection in [Connection::Held, Connection::New] {
            for n in [0, 99, 100, 12_345] {
                let Request::Add {
                    key: written,
                    value,
                } = lane_request(Class::Write, connection, n)
                else {
                    panic!("a write lane writes");
                };
                assert_eq!(value, n as i64);
                assert_eq!(
                    lane_request(Class::Read, connection, n),
                    Request::Read { key: written }
                );
            }
        }
        let held = lane_request(Class::Read, Connection::Held, 250);
        assert_eq!(
            held,
            Request::Read {
                key: "lane.held.2".to_owned()
            }
        );
    }

    #[test]
    fn lanes_share_an_interval_evenly() {
        let firsts: Vec<_> = (0..5).map(|lane| pace(lane, 5, 100, 1000).at(0)).collect();
        assert_eq!(firsts, [100, 300, 500, 700, 900]);
        assert_eq!(pace(4, 5, 100, 1000).at(1), 1900);
    }
}
