//! The SQL client: one connection, one operation at a time, and an honest word on how each ended.
//!
//! Operations are simple queries with quoted literals. Prepared statements would cost a round trip on every new
//! connection (four of five lanes would measure it), and do not survive a change of the instance; the literals are
//! keys and numbers of our own making, and quoted all the same.
//!
//! The connection's I/O runs inside the operation and not in a task of its own: that saves two wake-ups for each
//! operation, and leaves no moment between "the operation was given up" and "nothing more is sent".

mod classify;
mod stream;

pub use classify::SqlError;

use changeover_model::history::{ErrorKind, OpError, Outcome};
use changeover_model::target::{ClientTemplate, fill};
use classify::{connect_error, definite, of_postgres, timed_out};
use serde_json::Value;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use stream::{Counted, SentBytes};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Config, Connection, NoTls, SimpleQueryMessage};

/// How long a finished connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(100);

/// An address and what to say there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqlTarget(Arc<TargetInner>);

#[derive(Debug)]
struct TargetInner {
    addr: SocketAddr,
    config: Config,
    write: String,
    read: String,
    timeout: Duration,
}

/// Why a target's `client.url` cannot be used.
#[derive(Debug, Error)]
pub enum UrlError {
    /// It is no such URL.
    #[error(
        "client.url {url:?} is no postgres URL: {reason}; write postgres://USER@{{sql_addr}}/DATABASE"
    )]
    Url {
        /// The URL.
        url: String,
        /// What its parser says.
        reason: String,
    },
    /// It names no user.
    #[error("client.url {url:?} names no user; write postgres://USER@{{sql_addr}}/DATABASE")]
    User {
        /// The URL.
        url: String,
    },
}

impl SqlTarget {
    /// What the template says, at this address; every operation there is given `timeout`.
    ///
    /// # Errors
    ///
    /// When the template's URL is none that a client can use.
    pub fn new(
        template: &ClientTemplate,
        addr: SocketAddr,
        timeout: Duration,
    ) -> Result<Self, UrlError> {
        let url = fill(&template.url, &[("sql_addr", &addr.to_string())]);
        let mut config: Config = url.parse().map_err(|e: tokio_postgres::Error| {
            let reason = match e.into_source() {
                Some(source) => source.to_string(),
                None => "it does not parse".to_owned(),
            };
            UrlError::Url {
                url: url.clone(),
                reason,
            }
        })?;
        if config.get_user().is_none() {
            return Err(UrlError::User { url });
        }
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        Ok(SqlTarget(Arc::new(TargetInner {
            addr,
            config,
            write: template.write.clone(),
            read: template.read.clone(),
            timeout,
        })))
    }

    /// The address.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// How long an operation may take, and a connect including the startup.
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    fn sql(&self, request: &Request) -> Option<String> {
        match request {
            Request::Add { key, value } => {
                let values = [("id", &*quoted(key)), ("value", &*value.to_string())];
                Some(fill(&self.0.write, &values))
            }
            Request::Read { key } => Some(fill(&self.0.read, &[("id", &quoted(key))])),
            Request::Connect => None,
        }
    }
}

/// A string literal. Backslashes mean themselves (`standard_conforming_strings`, on since PostgreSQL 9.1).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Adds `value` to the set `key`.
    Add {
        /// The set.
        key: String,
        /// The element, at least 0.
        value: i64,
    },
    /// Reads the set `key`.
    Read {
        /// The set.
        key: String,
    },
    /// A connection, ready for a query, and nothing more.
    Connect,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Acknowledged, certainly without effect, or unknown.
    pub outcome: Outcome,
    /// A read's elements as an array of integers, else null.
    pub result: Value,
    /// Why it is not `ok`.
    pub error: Option<OpError>,
}

impl Answer {
    /// Acknowledged, without a result.
    pub(crate) fn ok() -> Self {
        Answer {
            outcome: Outcome::Ok,
            result: Value::Null,
            error: None,
        }
    }

    /// Certainly without effect.
    pub(crate) fn failed(error: OpError) -> Self {
        Answer {
            outcome: Outcome::Fail,
            result: Value::Null,
            error: Some(error),
        }
    }

    /// Given up before a byte of it was sent, because its time was over.
    pub(crate) fn too_late() -> Self {
        Answer::failed(timed_out())
    }

    /// Never sent: too many were in flight.
    pub(crate) fn not_sent() -> Self {
        Answer::failed(OpError {
            kind: ErrorKind::NotSent,
            sqlstate: None,
        })
    }
}

/// One connection to a database.
pub struct SqlClient {
    target: SqlTarget,
    client: Client,
    connection: Connection<Counted<TcpStream>, NoTlsStream>,
    sent: SentBytes,
    dead: bool,
}

impl SqlClient {
    /// Connects: TCP, startup, `ReadyForQuery`.
    ///
    /// # Errors
    ///
    /// When that did not happen by `deadline`, or for the reason the other end gave.
    pub async fn connect(target: SqlTarget, deadline: Instant) -> Result<Self, SqlError> {
        let attempt = async {
            let stream = TcpStream::connect(target.0.addr)
                .await
                .map_err(|e| connect_error(&e))?;
            stream.set_nodelay(true).map_err(|e| connect_error(&e))?;
            let (stream, sent) = Counted::new(stream);
            let (client, connection) = target
                .0
                .config
                .connect_raw(stream, NoTls)
                .await
                .map_err(|e| of_postgres(&e))?;
            Ok((client, connection, sent))
        };
        let (client, connection, sent) = timeout_at(deadline, attempt)
            .await
            .unwrap_or_else(|_| Err(SqlError::timeout()))?;
        Ok(SqlClient {
            target,
            client,
            connection,
            sent,
            dead: false,
        })
    }

    /// Performs an operation, by `deadline` at the latest. Never fails: an [`Answer`] is the answer.
    ///
    /// A write is `fail` only if no byte of it was sent or the server said so with an SQLSTATE that rules an effect
    /// out; every other write without an acknowledgement is `unknown`. After an operation that left the connection
    /// in doubt, [`SqlClient::is_dead`] is true.
    pub async fn perform(&mut self, request: &Request, deadline: Instant) -> Answer {
        let Some(sql) = self.target.sql(request) else {
            return Answer::ok();
        };
        let sent_before = self.sent.get();
        let result = self.exchange(&sql, deadline).await.and_then(|messages| {
            let result = match request {
                Request::Read { .. } => elements(&messages),
                _ => acknowledged(&messages).then_some(Value::Null),
            };
            result.ok_or_else(|| SqlError::wrong_answer("an answer of another shape"))
        });
        match result {
            Ok(result) => Answer {
                result,
                ..Answer::ok()
            },
            Err(error) => {
                let without_effect = matches!(request, Request::Read { .. })
                    || self.sent.get() == sent_before
                    || error.sqlstate().is_some_and(definite);
                // What an answer that makes no sense leaves in the stream would be taken for the next one.
                self.dead |= error.kind() == ErrorKind::WrongAnswer;
                Answer {
                    outcome: if without_effect {
                        Outcome::Fail
                    } else {
                        Outcome::Unknown
                    },
                    result: Value::Null,
                    error: Some(error.into_op_error()),
                }
            }
        }
    }

    /// Runs a statement that is no recorded operation, such as the creation of the clients' tables, and returns its
    /// rows as text.
    ///
    /// # Errors
    ///
    /// What the server said, or why it could not.
    pub async fn execute(
        &mut self,
        sql: &str,
        deadline: Instant,
    ) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        let messages = self.exchange(sql, deadline).await?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|column| row.get(column).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Whether the connection is known to be over or in doubt: closed by the other end, or an operation was given up
    /// on it.
    pub fn is_dead(&mut self) -> bool {
        if !self.dead {
            let mut context = Context::from_waker(Waker::noop());
            self.dead = drive(&mut self.connection, &mut context).is_some();
        }
        self.dead
    }

    /// Says goodbye. Dropping a client closes its connection as well, without the word.
    pub async fn close(self) {
        let SqlClient {
            client, connection, ..
        } = self;
        // Without its client, the connection sends the goodbye and ends.
        drop(client);
        let _ = tokio::time::timeout(GOODBYE, connection).await;
    }

    async fn exchange(
        &mut self,
        sql: &str,
        deadline: Instant,
    ) -> Result<Vec<SimpleQueryMessage>, SqlError> {
        let SqlClient {
            client,
            connection,
            dead,
            ..
        } = self;
        if *dead {
            return Err(SqlError::reset());
        }
        let mut query = pin!(client.simple_query(sql));
        let run = std::future::poll_fn(|context| {
            // The first poll puts the request where the connection finds it, the second takes the answer that the
            // connection may have brought.
            if let Poll::Ready(result) = query.as_mut().poll(context) {
                return Poll::Ready(result.map_err(|e| of_postgres(&e)));
            }
            let end = drive(connection, context);
            *dead |= end.is_some();
            match (query.as_mut().poll(context), end) {
                // That the query lost its connection is known; why, the connection knows.
                (Poll::Ready(Err(error)), Some(end)) if error.is_closed() => Poll::Ready(Err(end)),
                (Poll::Ready(result), _) => Poll::Ready(result.map_err(|e| of_postgres(&e))),
                (Poll::Pending, Some(end)) => Poll::Ready(Err(end)),
                (Poll::Pending, None) => Poll::Pending,
            }
        });
        match timeout_at(deadline, run).await {
            Ok(result) => result,
            Err(_) => {
                *dead = true;
                Err(SqlError::timeout())
            }
        }
    }
}

/// Moves what can be moved on the connection now; `Some` with the reason when it is over.
fn drive(
    connection: &mut Connection<Counted<TcpStream>, NoTlsStream>,
    context: &mut Context<'_>,
) -> Option<SqlError> {
    match Pin::new(connection).poll(context) {
        Poll::Ready(Ok(())) => Some(SqlError::reset()),
        Poll::Ready(Err(error)) => Some(of_postgres(&error)),
        Poll::Pending => None,
    }
}

/// Whether the server said that the statement was carried out.
fn acknowledged(messages: &[SimpleQueryMessage]) -> bool {
    matches!(
        messages.last(),
        Some(SimpleQueryMessage::CommandComplete(_))
    )
}

/// The elements of a set: complete, one integer a row.
fn elements(messages: &[SimpleQueryMessage]) -> Option<Value> {
    if !acknowledged(messages) {
        return None;
    }
    let mut elements = Vec::with_capacity(messages.len());
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            if row.len() != 1 {
                return None;
            }
            let element: i64 = row.get(0)?.parse().ok()?;
            elements.push(Value::from(element));
        }
    }
    Some(Value::Array(elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(url: &str) -> ClientTemplate {
        ClientTemplate {
            url: url.to_owned(),
            create: Vec::new(),
            write: "INSERT INTO s VALUES ({id}, {value})".to_owned(),
            read: "SELECT value FROM s WHERE id = {id}".to_owned(),
            version: String::new(),
        }
    }

    fn target(url: &str) -> Result<SqlTarget, UrlError> {
        let addr = "127.0.0.1:5".parse().unwrap();
        SqlTarget::new(&template(url), addr, Duration::from_secs(2))
    }

    #[test]
    fn templates_are_filled_with_literals() {
        let target = target("postgres://u@{sql_addr}/d").unwrap();
        let add = Request::Add {
            key: "it's {value} \\".to_owned(),
            value: 7,
        };
        assert_eq!(
            target.sql(&add).unwrap(),
            r"INSERT INTO s VALUES ('it''s {value} \', 7)"
        );
        let read = Request::Read {
            key: "k".to_owned(),
        };
        assert_eq!(
            target.sql(&read).unwrap(),
            "SELECT value FROM s WHERE id = 'k'"
        );
    }

    #[test]
    fn a_url_that_cannot_be_used_is_shown() {
        let error = target("postgres://{sql_addr}/d").unwrap_err();
        assert!(error.to_string().contains("names no user"), "{error}");
        assert!(error.to_string().contains("127.0.0.1:5"), "{error}");
        let error = target("postgres://u@{sql_addr}/d?port=x").unwrap_err();
        assert!(error.to_string().contains("no postgres URL"), "{error}");
    }
}
