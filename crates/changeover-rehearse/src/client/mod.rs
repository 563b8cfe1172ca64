//! Clients: one connection, one operation at a time, and an honest word on how each ended.
//!
//! A target is talked to in SQL or over HTTP; who uses a client need not know which. Either way the connection's I/O
//! runs inside the operation and not in a task of its own: that saves two wake-ups for each operation, and leaves no
//! moment between "the operation was given up" and "nothing more is sent".

mod error;
mod http;
mod place;
mod sql;
mod stream;

pub use error::{ClientError, UrlError};
pub use http::Expected;
pub(crate) use sql::classify::definite;
pub use sql::{Asking, Endpoint, EndpointError};

use changeover_model::history::{ErrorKind, OpError, Outcome};
use changeover_model::target::ClientTemplate;
use changeover_model::workload::{Call, Line};
use http::{HttpClient, HttpLanguage};
use place::Place;
use serde_json::Value;
use sql::{SqlClient, SqlLanguage};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An address and what to say there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientTarget(Arc<TargetInner>);

#[derive(Debug)]
struct TargetInner {
    timeout: Duration,
    language: Language,
}

#[derive(Debug)]
enum Language {
    Sql(Arc<SqlLanguage>),
    Http(Arc<HttpLanguage>),
}

impl ClientTarget {
    /// What the template says, at this address; every operation there is given `timeout`.
    ///
    /// # Errors
    ///
    /// When the template is none that a client can use.
    pub fn new(
        template: &ClientTemplate,
        addr: SocketAddr,
        timeout: Duration,
    ) -> Result<Self, UrlError> {
        let url = template.url_at(&addr.to_string());
        let place = Place::Addr(addr);
        let language = match template.speaks_http() {
            true => Language::Http(Arc::new(HttpLanguage::new(template, &url, place)?)),
            false => Language::Sql(Arc::new(SqlLanguage::new(template, url, place)?)),
        };
        Ok(ClientTarget(Arc::new(TargetInner { timeout, language })))
    }

    /// A database by its URL; `write` and `read` are the statements, with `{id}` and `{value}` in them.
    pub fn of_endpoint(
        endpoint: &Endpoint,
        (write, read): (String, String),
        timeout: Duration,
    ) -> Self {
        let language = Language::Sql(Arc::new(SqlLanguage::of_endpoint(endpoint, write, read)));
        ClientTarget(Arc::new(TargetInner { timeout, language }))
    }

    /// An HTTP endpoint by its URL, of which every answer is expected to be such.
    ///
    /// # Errors
    ///
    /// When the URL is none.
    pub fn of_http(url: &str, expected: Expected, timeout: Duration) -> Result<Self, UrlError> {
        let language = Language::Http(Arc::new(HttpLanguage::of_url(url, expected)?));
        Ok(ClientTarget(Arc::new(TargetInner { timeout, language })))
    }

    /// How long an operation may take, and a connect including the startup.
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }
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
    /// An operation of another model, in SQL.
    Call(Box<Call>),
    /// A statement of the plan's script; no model judges it.
    Script(Box<Line>),
    /// A connection, ready for a query, and nothing more.
    Connect,
    /// What the user asks for, and none of the model.
    Own(Arc<OwnRequest>),
}

/// A request of the user's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnRequest {
    /// The lane it belongs to, as the history has it; `None` for one of those that every run has.
    pub key: Option<String>,
    /// The query; an HTTP endpoint's URL says what is asked.
    pub sql: String,
    /// What must come back: columns with `|` between them, rows with a newline.
    pub expected: Option<String>,
}

impl Request {
    /// Whether it may change anything.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Request::Add { .. } => true,
            Request::Read { .. } | Request::Connect | Request::Own(_) => false,
            Request::Call(call) => call.writes,
            // Nobody knows what it does.
            Request::Script(_) => true,
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Acknowledged, certainly without effect, or unknown.
    pub outcome: Outcome,
    /// What came back: of a set's read its elements as an array of integers, of another model what it says,
    /// of a script's statement its rows and how many it changed.
    pub result: Value,
    /// Why it is not `ok`.
    pub error: Option<OpError>,
}

impl Answer {
    /// Acknowledged, with what came back.
    fn ok(result: Value) -> Self {
        Answer {
            outcome: Outcome::Ok,
            result,
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
        Answer::failed(ClientError::timeout().into_op_error())
    }

    /// Never sent: too many were in flight.
    pub(crate) fn not_sent() -> Self {
        Answer::failed(OpError {
            kind: ErrorKind::NotSent,
            sqlstate: None,
        })
    }
}

/// One connection.
pub struct Client(Link);

enum Link {
    Sql(Box<SqlClient>),
    Http(HttpClient),
}

impl Client {
    /// Connects. In SQL: TCP, startup, `ReadyForQuery`. Over HTTP: TCP; whether anybody is there the first answer tells.
    ///
    /// # Errors
    ///
    /// When that did not happen by `deadline`, or for the reason the other end gave.
    pub async fn connect(target: ClientTarget, deadline: Instant) -> Result<Self, ClientError> {
        Ok(Client(match &target.0.language {
            Language::Sql(sql) => Link::Sql(Box::new(SqlClient::connect(sql, deadline).await?)),
            Language::Http(http) => Link::Http(HttpClient::connect(http, deadline).await?),
        }))
    }

    /// Performs an operation, by `deadline` at the latest. Never fails: an [`Answer`] is the answer.
    ///
    /// A write is `fail` only if no byte of it was sent or the server said so in a way that rules an effect out; every
    /// other write without an acknowledgement is `unknown`. After an operation that left the connection in doubt,
    /// [`Client::is_dead`] is true.
    pub async fn perform(&mut self, request: &Request, deadline: Instant) -> Answer {
        let sent_before = self.sent();
        let result = match &mut self.0 {
            Link::Sql(client) => client.ask(request, deadline).await,
            Link::Http(client) => client.ask(request, deadline).await,
        };
        result.map_or_else(
            |error| {
                let without_effect =
                    !request.writes() || self.sent() == sent_before || error.definite;
                Answer {
                    outcome: match without_effect {
                        true => Outcome::Fail,
                        false => Outcome::Unknown,
                    },
                    result: Value::Null,
                    error: Some(error.into_op_error()),
                }
            },
            Answer::ok,
        )
    }

    /// Asks something that is no recorded operation, such as the creation of the clients' tables, and returns what came
    /// back as rows of text.
    ///
    /// # Errors
    ///
    /// What the server said, or why it could not.
    pub async fn execute(
        &mut self,
        text: &str,
        deadline: Instant,
    ) -> Result<Vec<Vec<Option<String>>>, ClientError> {
        match &mut self.0 {
            Link::Sql(client) => client.execute(text, deadline).await,
            Link::Http(client) => client.execute(text, deadline).await,
        }
    }

    /// Whether the connection is known to be over or in doubt: closed by the other end, or an operation was given up
    /// on it.
    pub fn is_dead(&mut self) -> bool {
        match &mut self.0 {
            Link::Sql(client) => client.is_dead(),
            Link::Http(client) => client.is_dead(),
        }
    }

    /// Says goodbye. Dropping a client closes its connection as well, without the word.
    pub async fn close(self) {
        match self.0 {
            Link::Sql(client) => client.close().await,
            // The end of the connection is all the goodbye there is.
            Link::Http(_) => {}
        }
    }

    /// How many bytes were sent so far.
    fn sent(&self) -> u64 {
        match &self.0 {
            Link::Sql(client) => client.sent(),
            Link::Http(client) => client.sent(),
        }
    }
}
