//! The SQL client.
//!
//! Operations are simple queries with quoted literals. Prepared statements would cost a round trip on every new
//! connection (four of five lanes would measure it), and do not survive a change of the instance; the literals are
//! keys and numbers of our own making, and quoted all the same.

pub(crate) mod classify;
mod door;
mod endpoint;
mod tls;

pub use endpoint::{Asking, Endpoint, EndpointError};

use super::place::Place;
use super::stream::SentBytes;
use super::{ClientError, OwnRequest, Request, UrlError};
use changeover_model::target::{ClientTemplate, fill};
use changeover_model::workload::{Call, Reply};
use classify::of_postgres;
use door::{Door, Driven, Session};
use serde_json::{Value, json};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Client as PgClient, Config, SimpleQueryMessage};

/// How long a finished connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(100);

/// What to say in SQL, and how to connect.
#[derive(Debug)]
pub(super) struct SqlLanguage {
    /// Where to connect; the first that lets us in.
    doors: Vec<Door>,
    write: String,
    read: String,
}

impl SqlLanguage {
    /// What the template says; `url` is its own, with the address in it.
    pub(super) fn new(
        template: &ClientTemplate,
        url: String,
        place: Place,
    ) -> Result<Self, UrlError> {
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
        Ok(SqlLanguage {
            doors: vec![Door::plain(place, config)],
            write: template.write.clone(),
            read: template.read.clone(),
        })
    }

    pub(super) fn of_endpoint(endpoint: &Endpoint, write: String, read: String) -> Self {
        SqlLanguage {
            doors: endpoint.doors().to_vec(),
            write,
            read,
        }
    }

    fn sql(&self, request: &Request) -> Option<String> {
        match request {
            Request::Add { key, value } => {
                let values = [("id", &*quoted(key)), ("value", &*value.to_string())];
                Some(fill(&self.write, &values))
            }
            Request::Read { key } => Some(fill(&self.read, &[("id", &quoted(key))])),
            Request::Own(own) => Some(own.sql.clone()),
            Request::Script(line) => Some(line.sql.clone()),
            Request::Connect | Request::Call(_) => None,
        }
    }
}

/// A string literal. Backslashes mean themselves (`standard_conforming_strings`, on since PostgreSQL 9.1).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// One connection to a database.
pub(super) struct SqlClient {
    language: Arc<SqlLanguage>,
    client: PgClient,
    connection: Driven,
    sent: SentBytes,
    dead: bool,
}

impl SqlClient {
    /// TCP, TLS if wanted, startup, `ReadyForQuery`: at the first door that lets us in.
    pub(super) async fn connect(
        language: &Arc<SqlLanguage>,
        deadline: Instant,
    ) -> Result<Self, ClientError> {
        let Session {
            client,
            connection,
            sent,
        } = door::first_open(&language.doors, deadline).await?;
        Ok(SqlClient {
            language: Arc::clone(language),
            client,
            connection,
            sent,
            dead: false,
        })
    }

    /// Performs an operation. A connection is ready once it is there, so `Connect` has nothing left to do.
    pub(super) async fn ask(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Value, ClientError> {
        if let Request::Call(call) = request {
            return self.call(call, deadline).await;
        }
        let Some(sql) = self.language.sql(request) else {
            return Ok(Value::Null);
        };
        let messages = self.exchange(&sql, deadline).await?;
        let result = match request {
            Request::Read { .. } => elements(&messages),
            Request::Own(own) => as_expected(own, &messages).then_some(Value::Null),
            Request::Script(_) => {
                let reply = reply(&messages);
                Some(json!({ "rows": reply.rows, "count": reply.count }))
            }
            _ => acknowledged(&messages).then_some(Value::Null),
        };
        if result.is_none() && !matches!(request, Request::Own(_)) {
            // What an answer that makes no sense leaves in the stream would be taken for the next one.
            self.dead = true;
        }
        result.ok_or_else(|| ClientError::wrong_answer("an answer of another shape"))
    }

    /// Performs an operation of another model, statement by statement.
    async fn call(&mut self, call: &Call, deadline: Instant) -> Result<Value, ClientError> {
        let mut replies = Vec::with_capacity(call.statements.len());
        for sql in &call.statements {
            match self.exchange(sql, deadline).await {
                Ok(messages) => replies.push(reply(&messages)),
                Err(error) => {
                    // Whatever was done so far must not be part of what comes next on this connection.
                    if call.statements.len() > 1
                        && !self.dead
                        && self.exchange("ROLLBACK", deadline).await.is_err()
                    {
                        self.dead = true;
                    }
                    return Err(error);
                }
            }
        }
        call.result(&replies).ok_or_else(|| {
            self.dead = true;
            ClientError::wrong_answer("an answer of another shape")
        })
    }

    /// Runs a statement; the rows as text.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        deadline: Instant,
    ) -> Result<Vec<Vec<Option<String>>>, ClientError> {
        let messages = self.exchange(sql, deadline).await?;
        Ok(reply(&messages).rows)
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Whether the connection is known to be over or in doubt: closed by the other end, or an operation was given up
    /// on it.
    pub(super) fn is_dead(&mut self) -> bool {
        if !self.dead {
            let mut context = Context::from_waker(Waker::noop());
            self.dead = drive(&mut self.connection, &mut context).is_some();
        }
        self.dead
    }

    /// Says goodbye. Dropping a client closes its connection as well, without the word.
    pub(super) async fn close(self) {
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
    ) -> Result<Vec<SimpleQueryMessage>, ClientError> {
        let SqlClient {
            client,
            connection,
            dead,
            ..
        } = self;
        if *dead {
            return Err(ClientError::reset());
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
                Err(ClientError::timeout())
            }
        }
    }
}

/// Moves what can be moved on the connection now; `Some` with the reason when it is over.
fn drive(connection: &mut Driven, context: &mut Context<'_>) -> Option<ClientError> {
    match connection.as_mut().poll(context) {
        Poll::Ready(Ok(())) => Some(ClientError::reset()),
        Poll::Ready(Err(error)) => Some(of_postgres(&error)),
        Poll::Pending => None,
    }
}

/// What came back for a statement.
fn reply(messages: &[SimpleQueryMessage]) -> Reply {
    let mut reply = Reply::default();
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => reply.rows.push(
                (0..row.len())
                    .map(|column| row.get(column).map(str::to_owned))
                    .collect(),
            ),
            SimpleQueryMessage::CommandComplete(count) => reply.count = *count,
            _ => {}
        }
    }
    reply
}

/// Whether the server said that the statement was carried out.
fn acknowledged(messages: &[SimpleQueryMessage]) -> bool {
    matches!(
        messages.last(),
        Some(SimpleQueryMessage::CommandComplete(_))
    )
}

/// The rows of an answer as text.
fn rows(messages: &[SimpleQueryMessage]) -> Vec<Vec<Option<String>>> {
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns = (0..row.len()).map(|column| row.get(column).map(str::to_owned));
            Some(columns.collect())
        }
        _ => None,
    });
    rows.collect()
}

/// Whether an answer is complete, and the one that the user wants.
fn as_expected(own: &OwnRequest, messages: &[SimpleQueryMessage]) -> bool {
    let as_text = || {
        let line = |row: Vec<Option<String>>| {
            let columns: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            columns.join("|")
        };
        let lines: Vec<String> = rows(messages).into_iter().map(line).collect();
        lines.join("\n")
    };
    acknowledged(messages)
        && own
            .expected
            .as_ref()
            .is_none_or(|expected| as_text() == *expected)
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
            version: None,
            catalog: None,
        }
    }

    fn target(url: &str) -> Result<SqlLanguage, UrlError> {
        let template = template(url);
        let url = template.url_at("127.0.0.1:5");
        SqlLanguage::new(&template, url, Place::Socket("/".into()))
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
