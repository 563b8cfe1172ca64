//! The HTTP client: requests that a target's file describes, one after the other on a connection that is kept.
//!
//! 2xx is an acknowledgement. 4xx is a refusal that rules an effect out. After any other answer to a write its outcome
//! is unknown: a 5xx tells that something went wrong, not before what.

use super::place::Place;
use super::stream::{Counted, SentBytes, Socket};
use super::{ClientError, Request, UrlError};
use crate::http::{Failure, HttpUrl, failure, quoted, read_bounded};
use bytes::Bytes;
use changeover_model::history::ErrorKind;
use changeover_model::target::{ClientTemplate, HttpTemplate, fill, http_template};
use http_body_util::Full;
use hyper::StatusCode;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::time::{Instant, timeout_at};

/// How much of an answer is read, in bytes: a set has at most a hundred elements.
const BODY_LIMIT: usize = 1 << 20;

/// What to say over HTTP.
#[derive(Debug)]
pub(super) struct HttpLanguage {
    url: HttpUrl,
    write: HttpTemplate,
    read: HttpTemplate,
    /// What is asked to see that a connection is good for something.
    hello: HttpTemplate,
    place: Place,
    expected: Expected,
}

/// What the answer to a request of the user's own must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The status; `None` for any 2xx.
    pub status: Option<u16>,
    /// What its body must contain.
    pub body: Option<String>,
}

impl Expected {
    fn check(&self, code: StatusCode, body: &[u8]) -> Result<(), ClientError> {
        let good = match self.status {
            Some(status) => code.as_u16() == status,
            None => code.is_success(),
        };
        if !good {
            return Err(of_answer(code, body));
        }
        match &self.body {
            Some(wanted) if !String::from_utf8_lossy(body).contains(wanted.as_str()) => Err(
                ClientError::wrong_answer(format!("without {wanted:?}: {}", quoted(body))),
            ),
            _ => Ok(()),
        }
    }
}

impl HttpLanguage {
    /// What the template says; `url` is its own, with the address in it.
    pub(super) fn new(
        template: &ClientTemplate,
        url: &str,
        place: Place,
    ) -> Result<Self, UrlError> {
        let unusable = |what: String| UrlError::Request(what);
        let request = |text: &str| http_template(text).map_err(unusable);
        let mut url =
            HttpUrl::parse(url).ok_or_else(|| unusable(format!("{url:?} is no http URL")))?;
        // What it says is put before every request's own path.
        url.path.truncate(url.path.trim_end_matches('/').len());
        Ok(HttpLanguage {
            url,
            write: request(&template.write)?,
            read: request(&template.read)?,
            hello: request(template.version.as_deref().unwrap_or(&template.read))?,
            place,
            expected: Expected::default(),
        })
    }

    /// What is asked by GET, at an endpoint that may move.
    pub(super) fn of_url(url: &str, expected: Expected) -> Result<Self, UrlError> {
        let no_url = || UrlError::Http(url.to_owned());
        let mut url = HttpUrl::parse(url).ok_or_else(no_url)?;
        let (host, port) = url.authority.rsplit_once(':').ok_or_else(no_url)?;
        let port = port.parse().map_err(|_| no_url())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let place = match host.is_empty() {
            true => return Err(no_url()),
            false => Place::Host(host.to_owned(), port),
        };
        let get = HttpTemplate {
            method: "GET".to_owned(),
            path: std::mem::take(&mut url.path),
            body: String::new(),
        };
        let language = HttpLanguage {
            url,
            write: get.clone(),
            read: get.clone(),
            hello: get.clone(),
            place,
            expected,
        };
        // What the library would refuse every time.
        language.request(&get, &[]).map_err(|_| no_url())?;
        Ok(language)
    }

    fn request(
        &self,
        template: &HttpTemplate,
        values: &[(&str, &str)],
    ) -> Result<hyper::Request<Full<Bytes>>, ClientError> {
        let HttpTemplate { method, path, body } = template;
        let body = fill(body, values);
        let json = body.starts_with(['{', '[', '"']);
        hyper::Request::builder()
            .method(method.as_str())
            .uri(format!("{}{}", self.url.path, fill(path, values)))
            .header("host", &self.url.authority)
            .header(
                "content-type",
                if json {
                    "application/json"
                } else {
                    "text/plain"
                },
            )
            .body(Full::from(body))
            .map_err(|error| ClientError::new(ErrorKind::Other, error.to_string()))
    }
}

type Sender = http1::SendRequest<Full<Bytes>>;
type Connection = http1::Connection<TokioIo<Counted<Socket>>, Full<Bytes>>;

/// One connection to a service.
pub(super) struct HttpClient {
    language: Arc<HttpLanguage>,
    sender: Sender,
    connection: Pin<Box<Connection>>,
    sent: SentBytes,
    dead: bool,
}

impl HttpClient {
    /// TCP. Whether anybody is there, only an answer can tell.
    pub(super) async fn connect(
        language: &Arc<HttpLanguage>,
        deadline: Instant,
    ) -> Result<Self, ClientError> {
        let attempt = async {
            let (stream, sent) = language.place.dial(deadline).await?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|e| of_failure(failure(&e)))?;
            Ok(HttpClient {
                language: Arc::clone(language),
                sender,
                connection: Box::pin(connection),
                sent,
                dead: false,
            })
        };
        timeout_at(deadline, attempt)
            .await
            .unwrap_or_else(|_| Err(ClientError::timeout()))
    }

    /// Performs an operation. `Connect` asks for an answer, whatever it says.
    pub(super) async fn ask(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Value, ClientError> {
        match request {
            Request::Add { key, value } => {
                let value = value.to_string();
                let values = [("id", key.as_str()), ("value", &value)];
                let request = self.language.request(&self.language.write, &values)?;
                self.exchange(request, deadline).await?;
                Ok(Value::Null)
            }
            Request::Read { key } => {
                let request = self.language.request(&self.language.read, &[("id", key)])?;
                let body = self.exchange(request, deadline).await?;
                elements(&body).ok_or_else(|| {
                    ClientError::wrong_answer(format!("no list of integers: {}", quoted(&body)))
                })
            }
            // Who plans it sees that the target speaks SQL.
            Request::Call(_) | Request::Script(_) => Err(ClientError::wrong_answer(
                "a target over http has workload set alone",
            )),
            Request::Connect => {
                let request = self
                    .language
                    .request(&self.language.hello, &[("id", "connect")])?;
                self.exchange(request, deadline).await?;
                Ok(Value::Null)
            }
            Request::Own(_) => {
                let request = self.language.request(&self.language.read, &[])?;
                let (code, body) = self.answer(request, deadline).await?;
                self.language.expected.check(code, &body)?;
                Ok(Value::Null)
            }
        }
    }

    /// Sends a request written as `METHOD path body`; the answer's body as one row of one text.
    pub(super) async fn execute(
        &mut self,
        text: &str,
        deadline: Instant,
    ) -> Result<Vec<Vec<Option<String>>>, ClientError> {
        let template = http_template(text).map_err(|e| ClientError::new(ErrorKind::Other, e))?;
        let request = self.language.request(&template, &[])?;
        let body = self.exchange(request, deadline).await?;
        let text = match serde_json::from_slice(&body) {
            Ok(Value::String(text)) => text,
            _ => String::from_utf8_lossy(&body).trim().to_owned(),
        };
        Ok(vec![vec![Some(text)]])
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(super) fn is_dead(&mut self) -> bool {
        if !self.dead {
            let mut context = Context::from_waker(Waker::noop());
            self.dead = self.connection.as_mut().poll(&mut context).is_ready();
        }
        self.dead
    }

    /// The body of an acknowledgement.
    async fn exchange(
        &mut self,
        request: hyper::Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Vec<u8>, ClientError> {
        let (code, body) = self.answer(request, deadline).await?;
        match code.is_success() {
            true => Ok(body),
            false => Err(of_answer(code, &body)),
        }
    }

    /// An answer, whatever it says.
    async fn answer(
        &mut self,
        request: hyper::Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let HttpClient {
            sender,
            connection,
            dead,
            ..
        } = self;
        if *dead {
            return Err(ClientError::reset());
        }
        let answer = async {
            let response = sender.send_request(request).await;
            read_bounded(response.map_err(|e| failure(&e))?, BODY_LIMIT).await
        };
        let mut answer = pin!(answer);
        let run = std::future::poll_fn(|context| {
            // The first poll puts the request where the connection finds it, the second takes the answer that the
            // connection may have brought.
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            if !*dead {
                *dead = connection.as_mut().poll(context).is_ready();
            }
            answer.as_mut().poll(context)
        });
        match timeout_at(deadline, run).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => {
                self.dead = true;
                Err(of_failure(failure))
            }
            Err(_) => {
                self.dead = true;
                Err(ClientError::timeout())
            }
        }
    }
}

fn of_failure(failure: Failure) -> ClientError {
    match failure {
        Failure::Refused => ClientError::new(ErrorKind::Refused, "connection refused"),
        Failure::Died => ClientError::reset(),
        Failure::Nonsense(text) => ClientError::wrong_answer(text),
    }
}

/// What an answer says that is no acknowledgement. There is no code for "read-only" that services agree on, so their
/// words are read.
fn of_answer(code: StatusCode, body: &[u8]) -> ClientError {
    let message = format!("{}: {}", code.as_u16(), quoted(body));
    if !code.is_client_error() && !code.is_server_error() {
        return ClientError::wrong_answer(message);
    }
    let words = message.to_ascii_lowercase();
    let kind = if words.contains("read-only") || words.contains("read only") {
        ErrorKind::ReadOnly
    } else if words.contains("fenced") {
        ErrorKind::Fenced
    } else {
        ErrorKind::Other
    };
    ClientError {
        definite: code.is_client_error(),
        ..ClientError::new(kind, message)
    }
}

/// The elements of a set: a JSON array of integers, or an integer a line.
fn elements(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let elements: Vec<i64> = match text.starts_with('[') {
        true => serde_json::from_str(text).ok()?,
        false => {
            let lines = text.lines().map(|line| line.trim().parse().ok());
            lines.collect::<Option<_>>()?
        }
    };
    Some(Value::from(elements))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_are_an_array_or_lines() {
        assert_eq!(elements(b"[1, 2]\n"), Some(json!([1, 2])));
        assert_eq!(elements(b"1\n2\r\n"), Some(json!([1, 2])));
        assert_eq!(elements(b""), Some(json!([])));
        for bad in [&b"{}"[..], b"[\"1\"]", b"[1", b"1 2", b"\xff"] {
            assert_eq!(elements(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_answer_is_checked_as_the_user_said() {
        let check = |status, wanted: Option<&str>, code, body: &str| {
            let expected = Expected {
                status,
                body: wanted.map(str::to_owned),
            };
            let code = StatusCode::from_u16(code).unwrap();
            expected.check(code, body.as_bytes()).map_err(|e| e.kind())
        };
        assert_eq!(check(None, None, 204, ""), Ok(()));
        assert_eq!(check(None, None, 503, ""), Err(ErrorKind::Other));
        assert_eq!(check(Some(503), None, 503, ""), Ok(()));
        assert_eq!(check(Some(200), None, 204, ""), Err(ErrorKind::WrongAnswer));
        assert_eq!(check(None, Some("up"), 200, "all up\n"), Ok(()));
        let wrong = check(None, Some("up"), 200, "down");
        assert_eq!(wrong, Err(ErrorKind::WrongAnswer));
    }

    #[test]
    fn a_url_says_where_and_what() {
        let place = |url: &str| HttpLanguage::of_url(url, Expected::default()).map(|l| l.place);
        let host = |host: &str, port| Place::Host(host.to_owned(), port);
        assert_eq!(place("http://h/health?x").unwrap(), host("h", 80));
        assert_eq!(place("http://[::1]:81").unwrap(), host("::1", 81));
        for bad in ["https://h/", "http://", "http:///x", "http://h/a b", "h"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_refusal_rules_an_effect_out() {
        let of = |code, body: &str| {
            let error = of_answer(StatusCode::from_u16(code).unwrap(), body.as_bytes());
            (error.kind(), error.definite)
        };
        assert_eq!(
            of(403, "Read-only until promoted"),
            (ErrorKind::ReadOnly, true)
        );
        assert_eq!(of(409, "fenced"), (ErrorKind::Fenced, true));
        assert_eq!(of(404, "?"), (ErrorKind::Other, true));
        assert_eq!(of(500, "?"), (ErrorKind::Other, false));
        assert_eq!(of(302, "fenced"), (ErrorKind::WrongAnswer, false));
    }
}
