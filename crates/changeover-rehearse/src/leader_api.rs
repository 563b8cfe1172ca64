//! The leader API: what an instance says about itself, and how it is told to take over.
//!
//! Every request has a connection of its own and a deadline, every answer is bounded, and whatever comes back is an
//! answer: the server under test is not trusted to speak HTTP.

use bytes::Bytes;
use changeover_model::event::{PromoteResult, StatusSeen};
use changeover_model::status::DeploymentStatus;
use changeover_model::text::harmless_cut;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a status request may take.
pub const STATUS_DEADLINE: Duration = Duration::from_secs(1);

/// How long a promotion request may take. Longer than a status: a promotion that is deemed lost is a finding, and a
/// server that is only slow should not earn it.
pub const PROMOTE_DEADLINE: Duration = Duration::from_secs(5);

/// How much of an answer is read, in bytes. Answers of the protocol have less than a hundred.
const BODY_LIMIT: usize = 4096;

/// How much of an answer that is none is quoted, in characters.
const QUOTED_CHARS: usize = 200;

/// A client of one instance's leader API.
#[derive(Debug, Clone)]
pub struct LeaderApi {
    addr: SocketAddr,
    status_deadline: Duration,
    promote_deadline: Duration,
}

/// Why there is no whole answer.
enum Failure {
    /// Nobody listens: nothing was sent.
    Refused,
    /// The connection died, or ended without a byte.
    Died,
    /// Something came that is not HTTP, or too much of it.
    Nonsense(String),
}

impl LeaderApi {
    /// A client for the instance that answers the leader API at `addr`.
    pub fn new(addr: SocketAddr) -> Self {
        LeaderApi {
            addr,
            status_deadline: STATUS_DEADLINE,
            promote_deadline: PROMOTE_DEADLINE,
        }
    }

    /// The same with other deadlines for a request.
    #[must_use]
    pub fn with_deadlines(self, status: Duration, promote: Duration) -> Self {
        LeaderApi {
            status_deadline: status,
            promote_deadline: promote,
            ..self
        }
    }

    /// Asks for the status, once. Cancel-safe.
    pub async fn status(&self) -> StatusSeen {
        let exchange = self.exchange(Method::GET, "/api/leader/status");
        match timeout(self.status_deadline, exchange).await {
            Err(_) => StatusSeen::Silent,
            Ok(Err(Failure::Refused | Failure::Died)) => StatusSeen::Unreachable,
            Ok(Err(Failure::Nonsense(text))) => StatusSeen::Nonsense(text),
            Ok(Ok((code, body))) => read_status(code, &body),
        }
    }

    /// Sends the promotion, once.
    pub async fn promote(&self) -> PromoteResult {
        let exchange = self.exchange(Method::POST, "/api/leader/promote");
        match timeout(self.promote_deadline, exchange).await {
            Err(_) | Ok(Err(Failure::Died)) => PromoteResult::Lost,
            Ok(Err(Failure::Refused)) => {
                PromoteResult::Refused("connection refused: not sent".to_owned())
            }
            Ok(Err(Failure::Nonsense(text))) => PromoteResult::Unclear(text),
            Ok(Ok((code, body))) => read_promotion(code, &body),
        }
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<(StatusCode, Vec<u8>), Failure> {
        let stream = TcpStream::connect(self.addr)
            .await
            .map_err(|_| Failure::Refused)?;
        // Only speed is lost without it.
        let _ = stream.set_nodelay(true);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failure(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.addr.to_string())
            .header("connection", "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Failure::Nonsense(error.to_string()))?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| failure(&error))?;
            read_bounded(response).await
        };
        // The connection is driven here and not in a task of its own: dropping this future drops the socket.
        let mut answer = pin!(answer);
        let mut connection = pin!(connection);
        let mut driven = false;
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                // Its error, if any, arrives with the answer too.
                _ = &mut connection, if !driven => driven = true,
            }
        }
    }
}

async fn read_bounded(response: Response<Incoming>) -> Result<(StatusCode, Vec<u8>), Failure> {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure(&error))?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(&data[..data.len().min(BODY_LIMIT + 1 - bytes.len())]);
            if bytes.len() > BODY_LIMIT {
                return Err(Failure::Nonsense(format!(
                    "{} with an answer of more than {BODY_LIMIT} bytes: {}",
                    head.status.as_u16(),
                    quoted(&bytes)
                )));
            }
        }
    }
    Ok((head.status, bytes))
}

fn failure(error: &hyper::Error) -> Failure {
    // A body that is cut short is an I/O error too; and so is one that is framed wrongly, but of these kinds.
    let cut = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| {
            !matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            )
        });
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() || cut {
        return Failure::Died;
    }
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    Failure::Nonsense(harmless_cut(&format!("no HTTP ({text})"), QUOTED_CHARS))
}

fn quoted(body: &[u8]) -> String {
    harmless_cut(String::from_utf8_lossy(body).trim(), QUOTED_CHARS)
}

fn read_status(code: StatusCode, body: &[u8]) -> StatusSeen {
    if code != StatusCode::OK {
        return StatusSeen::Nonsense(format!("{}: {}", code.as_u16(), quoted(body)));
    }
    if body.is_empty() {
        return StatusSeen::Unreachable;
    }
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let status = json
        .as_ref()
        .and_then(|json| json.get("status")?.as_str())
        .and_then(DeploymentStatus::from_name);
    match status {
        Some(status) => StatusSeen::Status(status),
        None => StatusSeen::Nonsense(quoted(body)),
    }
}

fn read_promotion(code: StatusCode, body: &[u8]) -> PromoteResult {
    if code == StatusCode::OK && body.is_empty() {
        return PromoteResult::Lost;
    }
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let result = json.as_ref().and_then(|json| json.get("result")?.as_str());
    let answer = || format!("{}: {}", code.as_u16(), quoted(body));
    match code {
        StatusCode::OK if result == Some("Success") => PromoteResult::Acknowledged,
        StatusCode::BAD_REQUEST => PromoteResult::Refused(answer()),
        _ => PromoteResult::Unclear(answer()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, body: &str) -> StatusSeen {
        read_status(StatusCode::from_u16(code).unwrap(), body.as_bytes())
    }

    #[test]
    fn only_the_four_words_are_statuses() {
        assert_eq!(
            status(200, r#"{"status":"ReadyToPromote","more":1}"#),
            StatusSeen::Status(DeploymentStatus::ReadyToPromote)
        );
        for body in [
            r#"{"status":"readytopromote"}"#,
            r#"{"status":4}"#,
            r#"{"state":"IsLeader"}"#,
            r#"["IsLeader"]"#,
            "IsLeader",
        ] {
            assert_eq!(status(200, body), StatusSeen::Nonsense(body.to_owned()));
        }
        assert_eq!(status(200, ""), StatusSeen::Unreachable);
        assert_eq!(
            status(500, r#"{"status":"IsLeader"}"#),
            StatusSeen::Nonsense(r#"500: {"status":"IsLeader"}"#.to_owned())
        );
    }

    #[test]
    fn quotes_are_short_and_harmless() {
        let StatusSeen::Nonsense(text) = status(200, &format!("\x1b[2J{}", "x".repeat(900))) else {
            panic!("not nonsense");
        };
        assert!(text.starts_with("\\u{1b}[2Jxxx") && text.chars().count() == QUOTED_CHARS + 1);
    }

    #[test]
    fn only_success_is_an_acknowledgement() {
        let promotion = |code: u16, body: &str| {
            read_promotion(StatusCode::from_u16(code).unwrap(), body.as_bytes())
        };
        assert_eq!(
            promotion(200, r#"{"result":"Success"}"#),
            PromoteResult::Acknowledged
        );
        assert_eq!(promotion(200, ""), PromoteResult::Lost);
        let refused =
            r#"{"result":{"Failure":{"message":"cannot promote leader while initializing"}}}"#;
        assert_eq!(
            promotion(400, refused),
            PromoteResult::Refused(format!("400: {refused}"))
        );
        assert_eq!(
            promotion(201, r#"{"result":"Success"}"#),
            PromoteResult::Unclear(r#"201: {"result":"Success"}"#.to_owned())
        );
        assert!(matches!(promotion(200, "ok"), PromoteResult::Unclear(_)));
    }
}
