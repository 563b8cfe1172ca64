//! Getting in: one server's place, and how it is talked to there.

use super::super::ClientError;
use super::super::place::{Place, share};
use super::super::stream::{Counted, SentBytes, Socket};
use super::classify::of_postgres;
use changeover_model::history::ErrorKind;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client as PgClient, Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection's I/O, to be driven by whoever waits for an answer.
pub(super) type Driven =
    Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static>>;

/// A connection that is ready for a query.
pub(super) struct Session {
    pub(super) client: PgClient,
    pub(super) connection: Driven,
    pub(super) sent: SentBytes,
}

/// One server, and how to get in there.
#[derive(Clone)]
pub(super) struct Door {
    place: Place,
    config: Config,
    /// How to encrypt, and the name that the certificate must bear.
    tls: Option<(MakeRustlsConnect, String)>,
    /// How long one attempt may take; `None` for what the operation has left.
    patience: Option<Duration>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration's own keeps the password to itself.
        f.debug_struct("Door")
            .field("place", &self.place)
            .field("config", &self.config)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Door {
    /// A door without encryption; `config` says so too.
    pub(super) fn plain(place: Place, config: Config) -> Self {
        Door {
            place,
            config,
            tls: None,
            patience: None,
        }
    }

    /// A door with encryption as `config` has it.
    pub(super) fn encrypted(
        place: Place,
        config: Config,
        tls: MakeRustlsConnect,
        name: String,
    ) -> Self {
        Door {
            tls: Some((tls, name)),
            ..Door::plain(place, config)
        }
    }

    /// The same, with so much time for one attempt.
    pub(super) fn patient(self, patience: Option<Duration>) -> Self {
        Door { patience, ..self }
    }

    async fn enter(&self, deadline: Instant) -> Result<Session, ClientError> {
        let (stream, sent) = self.place.dial(deadline).await?;
        let (client, mut connection) = self.start(stream).await.map_err(|e| of_postgres(&e))?;
        self.check_session(&client, &mut connection).await?;
        Ok(Session {
            client,
            connection,
            sent,
        })
    }

    async fn start(
        &self,
        stream: Counted<Socket>,
    ) -> Result<(PgClient, Driven), tokio_postgres::Error> {
        let Some((tls, name)) = &self.tls else {
            let (client, connection) = self.config.connect_raw(stream, NoTls).await?;
            return Ok((client, Box::pin(connection)));
        };
        let mut make = tls.clone();
        // Making one cannot fail: there is nothing that it does.
        let Ok(connect) = <MakeRustlsConnect as MakeTlsConnect<Counted<Socket>>>::make_tls_connect(
            &mut make, name,
        );
        let (client, connection) = self.config.connect_raw(stream, connect).await?;
        Ok((client, Box::pin(connection)))
    }

    /// Asks for what the URL wants of a session: one that takes writes, or one that does not.
    async fn check_session(
        &self,
        client: &PgClient,
        connection: &mut Driven,
    ) -> Result<(), ClientError> {
        let wanted = match self.config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => "off",
            TargetSessionAttrs::ReadOnly => "on",
            _ => return Ok(()),
        };
        let asked = client.simple_query("SHOW transaction_read_only");
        let messages = tokio::select! {
            biased;
            answer = asked => answer.map_err(|e| of_postgres(&e))?,
            end = connection => return Err(end.map_or_else(|e| of_postgres(&e), |()| ClientError::reset())),
        };
        let found = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        match found {
            Some(found) if found == wanted => Ok(()),
            _ => Err(ClientError::new(
                ErrorKind::ReadOnly,
                "the session is not what target_session_attrs asks for",
            )),
        }
    }
}

/// Gets in at the first door that opens by `deadline`. Each has an equal share of the time that is left: a server that
/// accepts and then says nothing must not hide the next.
pub(super) async fn first_open(doors: &[Door], deadline: Instant) -> Result<Session, ClientError> {
    let mut last = ClientError::timeout();
    for (tried, door) in doors.iter().enumerate() {
        let share = share(deadline, doors.len() - tried);
        let patience = door.patience.map_or(share, |most| most.min(share));
        let end = Instant::now() + patience;
        match timeout_at(end, door.enter(end)).await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(error)) => last = error,
            Err(_) => last = ClientError::timeout(),
        }
    }
    Err(last)
}
