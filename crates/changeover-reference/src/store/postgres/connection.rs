//! One connection to PostgreSQL, used by one thread at a time: made when it is needed, made again when it broke, and
//! never waited for without end.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{Client, Error, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::PostgresAddress;

/// How long connecting may take, with the handshake, the password and the settings.
const CONNECTING: Duration = Duration::from_secs(5);

/// After this the server gives a statement up, and says so.
const STATEMENT: Duration = Duration::from_secs(4);

/// After this we do not wait any more for a server that does not even say so.
const ANSWER: Duration = Duration::from_secs(5);

/// Why a server that lets us in is none for a store.
const NO_WRITES: &str = "the server takes no writes: it is a standby, or default_transaction_read_only is on; name the \
                         primary, or a role that may write";

/// Why a statement gave no result.
#[derive(Debug)]
pub(super) enum Fault {
    /// It was not sent: there is no connection.
    Unreachable(String),
    /// The server refused it, and rolled it back.
    Refused { state: SqlState, cause: String },
    /// It was sent, and the connection broke, or no answer came in time.
    Lost(String),
}

pub(super) struct Connection {
    address: PostgresAddress,
    connector: MakeRustlsConnect,
    live: Option<Live>,
}

/// The client, and the runtime that moves its bytes while we wait for an answer.
struct Live {
    runtime: Runtime,
    client: Client,
}

impl Live {
    /// Whether the connection is still there, as far as the machine knows by now.
    fn is_open(&self) -> bool {
        self.runtime.block_on(async {
            // Nobody has looked at the socket since the last statement: once to see what came, once to take it in.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
        !self.client.is_closed()
    }

    fn abandon(self) {
        // Looking up a name may hang, on a thread that a plain drop would wait for.
        self.runtime.shutdown_background();
    }
}

impl Connection {
    pub(super) fn new(address: PostgresAddress, connector: MakeRustlsConnect) -> Self {
        Self {
            address,
            connector,
            live: None,
        }
    }

    pub(super) fn address(&self) -> &PostgresAddress {
        &self.address
    }

    /// Asks the server something, and waits for the whole answer.
    pub(super) fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Fault> {
        self.ask_within(ANSWER, question)
    }

    /// Asks for something that takes longer than what a store asks for; so may whatever is asked after it.
    pub(super) fn ask_patiently<T>(
        &mut self,
        patience: Duration,
        question: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Fault> {
        let longer = format!("SET statement_timeout TO {}", patience.as_millis());
        self.ask(async |client| client.batch_execute(&longer).await)?;
        self.ask_within(patience + ANSWER, question)
    }

    fn ask_within<T>(
        &mut self,
        patience: Duration,
        question: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Fault> {
        let live = match self.live.take() {
            Some(live) if live.is_open() => live,
            Some(broken) => {
                broken.abandon();
                self.connect()?
            }
            None => self.connect()?,
        };
        let answer = live
            .runtime
            .block_on(async { tokio::time::timeout(patience, question(&live.client)).await });
        match answer {
            Ok(Ok(answer)) => {
                self.live = Some(live);
                Ok(answer)
            }
            Ok(Err(error)) => match error.as_db_error() {
                Some(refusal) if is_rolled_back(refusal) => {
                    self.live = Some(live);
                    Err(Fault::Refused {
                        state: refusal.code().clone(),
                        cause: cause(&error),
                    })
                }
                _ => {
                    live.abandon();
                    Err(Fault::Lost(cause(&error)))
                }
            },
            Err(_) => {
                live.abandon();
                Err(Fault::Lost(format!(
                    "no answer within {} s",
                    patience.as_secs()
                )))
            }
        }
    }

    fn connect(&self) -> Result<Live, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Fault::Unreachable(e.to_string()))?;
        let settings = settings(self.address.schema());
        let connecting = async {
            let (client, connection) = self
                .address
                .config()
                .connect(self.connector.clone())
                .await?;
            // Its error reaches whoever waits for an answer.
            tokio::spawn(connection);
            let answer = client.simple_query(&settings).await?;
            Ok::<_, Error>((client, says_true(&answer)))
        };
        let connected =
            runtime.block_on(async { tokio::time::timeout(CONNECTING, connecting).await });
        let why = match connected {
            Ok(Ok((client, false))) => return Ok(Live { runtime, client }),
            Ok(Ok((_, true))) => NO_WRITES.to_owned(),
            Ok(Err(error)) => cause(&error),
            Err(_) => format!("no connection within {} s", CONNECTING.as_secs()),
        };
        runtime.shutdown_background();
        Err(Fault::Unreachable(why))
    }
}

/// What our statements rest on, whatever the server's, the database's and the role's settings are; and at last whether
/// the server is a standby, whose fence may be an old one.
fn settings(schema: &str) -> String {
    format!(
        "SET search_path TO \"{schema}\"; SET statement_timeout TO {}; SET client_min_messages TO warning; \
         SET standard_conforming_strings TO on; SET default_transaction_isolation TO 'read committed'; \
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
         SELECT pg_is_in_recovery()",
        STATEMENT.as_millis()
    )
}

/// Whether the last row of an answer is true.
fn says_true(answer: &[SimpleQueryMessage]) -> bool {
    let last = answer.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0) == Some("t")),
        _ => None,
    });
    last.unwrap_or(false)
}

/// Whether the server says with this that nothing of the statement is left. An error that ends the connection may
/// have come after the commit.
fn is_rolled_back(error: &DbError) -> bool {
    let class = &error.code().code()[..2.min(error.code().code().len())];
    error.parsed_severity() == Some(Severity::Error)
        && !matches!(class, "08" | "XX")
        && !error.code().code().starts_with("57P")
        && *error.code() != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
}

/// Whether it is the client itself that found no session that takes writes: no error of the system, which has a number.
fn is_without_writes(source: &(dyn std::error::Error + 'static)) -> bool {
    source.downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
    })
}

/// The reason in one line, without the client's frame around it.
fn cause(error: &Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return format!("{} ({})", refusal.message(), refusal.code().code());
    }
    match error.source() {
        Some(source) if is_without_writes(source) => NO_WRITES.to_owned(),
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
