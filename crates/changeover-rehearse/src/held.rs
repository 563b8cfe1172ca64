//! Clients that keep their connection and take operations one after the other.

use crate::client::{Answer, Client, ClientError, ClientTarget, Request};
use crate::clock::nanos;
use crate::schedule::Due;
use crate::tally::{Seat, Sending, Tally};
use changeover_model::history::{Class, Connection, Source};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How many operations may be in flight, waiting ones included: in a lane, and for a client of the workload.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

/// A connection that is kept, and made anew when an operation finds it gone.
pub(crate) struct HeldConnection {
    target: ClientTarget,
    link: Link,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Client, ClientError>> + Send>>;

enum Link {
    Down,
    /// An attempt outlives the operation that began it: after a long outage the operations in the queue have little
    /// time left each, and none of them alone could ever connect.
    Dialing(Attempt),
    Up(Client),
}

impl HeldConnection {
    pub(crate) fn new(target: ClientTarget) -> Self {
        HeldConnection {
            target,
            link: Link::Down,
        }
    }

    /// Performs an operation by `deadline`, connecting first if there is no connection.
    pub(crate) async fn perform(&mut self, request: &Request, deadline: Instant) -> Answer {
        if let Link::Up(client) = &mut self.link
            && client.is_dead()
        {
            self.link = Link::Down;
        }
        let inherited = matches!(self.link, Link::Dialing(_));
        if !matches!(self.link, Link::Up(_)) {
            let mut connected = self.dial(deadline).await;
            if inherited && matches!(&connected, Some(Err(_))) {
                // The failure was the older attempt's; this operation has made none yet.
                connected = self.dial(deadline).await;
            }
            match connected {
                None => return Answer::too_late(),
                Some(Err(error)) => return Answer::failed(error.into_op_error()),
                Some(Ok(client)) => self.link = Link::Up(client),
            }
        }
        let Link::Up(client) = &mut self.link else {
            unreachable!("connected above");
        };
        let answer = client.perform(request, deadline).await;
        if client.is_dead() {
            self.link = Link::Down;
        }
        answer
    }

    /// Goes on with the attempt to connect, or begins one. `None` if it is still under way at `deadline`.
    async fn dial(&mut self, deadline: Instant) -> Option<Result<Client, ClientError>> {
        if !matches!(self.link, Link::Dialing(_)) {
            let end = Instant::now() + self.target.timeout();
            self.link = Link::Dialing(Box::pin(Client::connect(self.target.clone(), end)));
        }
        let Link::Dialing(attempt) = &mut self.link else {
            unreachable!("begun above");
        };
        let connected = timeout_at(deadline, attempt).await.ok()?;
        self.link = Link::Down;
        Some(connected)
    }

    pub(crate) async fn close(self) {
        if let Link::Up(client) = self.link {
            client.close().await;
        }
    }
}

/// Whether an operation that had to wait for its client has less time for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The time runs from the intended send.
    FromIntended,
    /// The time runs from the moment the client takes it. One that has waited for the whole time is not sent at all.
    FromInvoke,
}

impl Patience {
    /// When an operation that is taken at `invoke` must have ended; `None` if it must not be sent any more.
    fn deadline(self, intended: u64, invoke: u64, timeout: u64) -> Option<u64> {
        let patience = intended + timeout;
        (invoke < patience).then_some(match self {
            Patience::FromIntended => patience,
            Patience::FromInvoke => invoke + timeout,
        })
    }
}

/// What the operations of a group of held clients have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    pub(crate) source: Source,
    pub(crate) class: Option<Class>,
    pub(crate) connection: Option<Connection>,
    pub(crate) patience: Patience,
}

/// A held client as its schedule sees it. It ends after its last operation when this is dropped.
pub(crate) struct HeldClient {
    seat: Seat,
    group: Group,
    tally: Arc<Tally>,
    /// Operations in flight, here and at whoever shares the bound.
    in_flight: Arc<AtomicUsize>,
    jobs: mpsc::UnboundedSender<(Due, Request)>,
}

impl HeldClient {
    /// A client and the task that does its work, to be spawned. `in_flight` bounds it together with others.
    pub(crate) fn new(
        target: ClientTarget,
        group: Group,
        tally: Arc<Tally>,
        in_flight: Arc<AtomicUsize>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let seat = Seat::new(tally.recorder());
        // Bounded by `in_flight`.
        let (jobs, queue) = mpsc::unbounded_channel();
        let task = work(
            target,
            group,
            seat,
            Arc::clone(&tally),
            Arc::clone(&in_flight),
            queue,
        );
        let client = HeldClient {
            seat,
            group,
            tally,
            in_flight,
            jobs,
        };
        (client, task)
    }

    /// Hands it an operation, or records that it was not sent.
    pub(crate) fn fire(&self, due: Due, request: Request) {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) < MAX_IN_FLIGHT {
            // The client only ends when this is dropped.
            let _ = self.jobs.send((due, request));
        } else {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            let group = self.group;
            not_sent(
                &self.tally,
                (group.source, group.class, group.connection),
                Some(self.seat.client),
                due,
                request,
            );
        }
    }
}

/// Records an operation that the harness did not send. It took no time; its process is nobody else's, because the
/// client whose turn it was has an operation in flight.
pub(crate) fn not_sent(
    tally: &Tally,
    (source, class, connection): (Source, Option<Class>, Option<Connection>),
    client: Option<u64>,
    due: Due,
    request: Request,
) {
    let sending = Sending {
        source,
        class,
        connection,
        client,
        process: tally.recorder().new_process(),
        intended: Some(due.intended),
        lateness: Some(due.fired - due.intended),
        invoke: due.intended,
        instance: None,
    };
    tally.record(sending, request, Answer::not_sent(), due.intended);
}

async fn work(
    target: ClientTarget,
    group: Group,
    mut seat: Seat,
    tally: Arc<Tally>,
    in_flight: Arc<AtomicUsize>,
    mut jobs: mpsc::UnboundedReceiver<(Due, Request)>,
) {
    let clock = tally.clock();
    let timeout = nanos(target.timeout());
    let mut connection = HeldConnection::new(target);
    let mut free_since = 0;
    while let Some((due, request)) = jobs.recv().await {
        let invoke = clock.now();
        // A client that was busy when the operation was handed out is the target's doing; a free one that was not
        // on the processor in time is ours.
        let lateness = if due.fired < free_since {
            due.fired - due.intended
        } else {
            invoke - due.intended
        };
        let answer = match group.patience.deadline(due.intended, invoke, timeout) {
            None => Answer::too_late(),
            Some(deadline) => connection.perform(&request, clock.instant(deadline)).await,
        };
        let ended = clock.now();
        let outcome = answer.outcome;
        let sending = Sending {
            source: group.source,
            class: group.class,
            connection: group.connection,
            client: Some(seat.client),
            process: seat.process,
            intended: Some(due.intended),
            lateness: Some(lateness),
            invoke,
            instance: None,
        };
        tally.record(sending, request, answer, ended);
        seat.after(outcome, tally.recorder());
        in_flight.fetch_sub(1, Ordering::Relaxed);
        free_since = ended;
    }
    connection.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use changeover_model::target::ClientTemplate;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn connection() -> (TcpListener, HeldConnection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let template = ClientTemplate {
            url: "postgres://u@{sql_addr}/d".to_owned(),
            create: Vec::new(),
            write: String::new(),
            read: "READ {id}".to_owned(),
            version: None,
            catalog: None,
        };
        let addr = listener.local_addr().unwrap();
        let target = ClientTarget::new(&template, addr, Duration::from_secs(60)).unwrap();
        (listener, HeldConnection::new(target))
    }

    fn read() -> Request {
        Request::Read {
            key: "k".to_owned(),
        }
    }

    #[test]
    fn waiting_takes_from_a_lanes_time_and_ends_anyones_patience() {
        let deadline = |patience: Patience, invoke| Patience::deadline(patience, 1000, invoke, 500);
        assert_eq!(deadline(Patience::FromIntended, 1400), Some(1500));
        assert_eq!(deadline(Patience::FromInvoke, 1400), Some(1900));
        assert_eq!(deadline(Patience::FromIntended, 1500), None);
        assert_eq!(deadline(Patience::FromInvoke, 1500), None);
    }

    #[tokio::test]
    async fn an_attempt_to_connect_outlives_the_operation_that_began_it() {
        let (listener, mut connection) = connection().await;
        for _ in 0..3 {
            let deadline = Instant::now() + Duration::from_millis(20);
            let answer = connection.perform(&read(), deadline).await;
            assert_eq!(answer, Answer::too_late());
        }
        // All three waited for one connection: behind it nobody else is in the queue.
        let (mut first, _) = listener.accept().await.unwrap();
        drop(connection);
        let mut startup = Vec::new();
        first.read_to_end(&mut startup).await.unwrap();
        let listener = listener.into_std().unwrap();
        let error = listener.accept().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn an_operation_that_inherits_an_attempt_that_fails_makes_its_own() {
        let (listener, mut connection) = connection().await;
        let deadline = Instant::now() + Duration::from_millis(20);
        let answer = connection.perform(&read(), deadline).await;
        assert_eq!(answer, Answer::too_late());
        drop(listener.accept().await.unwrap());
        // Its own is in the listener's queue, where it gets no answer; the failure is not its own.
        let deadline = Instant::now() + Duration::from_millis(20);
        let answer = connection.perform(&read(), deadline).await;
        assert_eq!(answer, Answer::too_late());
        let accepted = listener.accept().await;
        assert!(accepted.is_ok());
    }

    #[tokio::test]
    async fn a_connection_that_ended_between_two_turns_costs_no_operation() {
        let (listener, mut connection) = connection().await;
        let (hang_up, mut hung_up) = mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut peer, _) = listener.accept().await.unwrap();
                let length = peer.read_u32().await.unwrap() as usize;
                peer.read_exact(&mut vec![0; length - 4]).await.unwrap();
                peer.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")
                    .await
                    .unwrap();
                let mut query = [0; b"Q\0\0\0\x04READ 'k'\0".len()];
                peer.read_exact(&mut query).await.unwrap();
                peer.write_all(b"C\0\0\0\x0dSELECT 0\0Z\0\0\0\x05I")
                    .await
                    .unwrap();
                // Not before the client is done with the answer.
                let () = hung_up.recv().await.unwrap();
            }
        });
        for _ in 0..2 {
            let deadline = Instant::now() + Duration::from_secs(60);
            let answer = connection.perform(&read(), deadline).await;
            assert_eq!(answer.outcome, changeover_model::history::Outcome::Ok);
            hang_up.send(()).unwrap();
            // Until the end has arrived.
            while let Link::Up(client) = &mut connection.link
                && !client.is_dead()
            {
                tokio::task::yield_now().await;
            }
        }
        server.await.unwrap();
    }
}
