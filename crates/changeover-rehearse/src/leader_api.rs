//! The leader API: what an instance says about itself, and how it is told to take over.
//!
//! Every request has a connection of its own and a deadline, every answer is bounded, and whatever comes back is an
//! answer: the server under test is not trusted to speak HTTP.

use crate::http::{Failure, HttpUrl, QUOTED_CHARS, failure, quoted, read_bounded};
use bytes::Bytes;
use changeover_model::event::{PromoteResult, StatusSeen};
use changeover_model::status::DeploymentStatus;
use changeover_model::text::harmless_cut;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
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

/// A client of one instance's leader API, or of what a target has in its place.
#[derive(Debug, Clone)]
pub struct LeaderApi {
    status: HttpUrl,
    /// What a status document of the target's own means; `None` for the leader API's.
    words: Option<StatusWords>,
    promotion: Promotion,
    status_deadline: Duration,
    promote_deadline: Duration,
}

/// What a status document of a target's own means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusWords {
    /// Where it has its word for the status (RFC 6901).
    pub(crate) json_pointer: String,
    /// What the words mean.
    pub(crate) map: BTreeMap<String, DeploymentStatus>,
}

#[derive(Debug, Clone)]
struct Promotion {
    method: String,
    url: HttpUrl,
    /// The target's own: nothing is known of its answers but their codes.
    own: bool,
}

impl LeaderApi {
    /// A client for the instance that answers the leader API at `addr`.
    pub fn new(addr: SocketAddr) -> Self {
        let url = |path: &str| HttpUrl {
            authority: addr.to_string(),
            path: path.to_owned(),
        };
        LeaderApi {
            status: url("/api/leader/status"),
            words: None,
            promotion: Promotion {
                method: "POST".to_owned(),
                url: url("/api/leader/promote"),
                own: false,
            },
            status_deadline: STATUS_DEADLINE,
            promote_deadline: PROMOTE_DEADLINE,
        }
    }

    /// A client for the instance at a URL such as `http://host:6878`, and what it is called; `None` if that is no http
    /// URL. A path in it is where the status is.
    pub fn of_url(url: &str) -> Option<(String, Self)> {
        let mut url = HttpUrl::parse(url)?;
        let name = url.authority.clone();
        if url.path == "/" {
            url.path = "/api/leader/status".to_owned();
        }
        let (host, _) = name.rsplit_once(':')?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let api = LeaderApi {
            status: url,
            ..LeaderApi::new(nowhere)
        };
        (!host.is_empty()).then_some((name, api))
    }

    /// The same with a status document of the target's own.
    pub(crate) fn with_status(self, url: HttpUrl, words: StatusWords) -> Self {
        LeaderApi {
            status: url,
            words: Some(words),
            ..self
        }
    }

    /// The same with a promotion of the target's own.
    pub(crate) fn with_promotion(self, method: String, url: HttpUrl) -> Self {
        let promotion = Promotion {
            method,
            url,
            own: true,
        };
        LeaderApi { promotion, ..self }
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
        let exchange = exchange("GET", &self.status);
        match timeout(self.status_deadline, exchange).await {
            Err(_) => StatusSeen::Silent,
            Ok(Err(Failure::Refused | Failure::Died)) => StatusSeen::Unreachable,
            Ok(Err(Failure::Nonsense(text))) => StatusSeen::Nonsense(text),
            Ok(Ok((code, body))) => match &self.words {
                None => read_status(code, &body),
                Some(words) => words.read(code, &body),
            },
        }
    }

    /// Sends the promotion, once.
    pub async fn promote(&self) -> PromoteResult {
        self.answer_to_promotion().await.1
    }
}

/// What an exchange says that had a deadline.
type Exchanged = Result<Result<(StatusCode, Vec<u8>), Failure>, tokio::time::error::Elapsed>;

/// What came of a promotion.
fn read_exchange(exchanged: &Exchanged, own: bool) -> PromoteResult {
    match exchanged {
        Err(_) | Ok(Err(Failure::Died)) => PromoteResult::Lost,
        Ok(Err(Failure::Refused)) => {
            PromoteResult::Refused("connection refused: not sent".to_owned())
        }
        Ok(Err(Failure::Nonsense(text))) => PromoteResult::Unclear(text.clone()),
        Ok(Ok((code, body))) if own => read_own_promotion(*code, body),
        Ok(Ok((code, body))) => read_promotion(*code, body),
    }
}

/// What an exchange says.
pub(crate) struct Answer {
    /// The code and the text, or what kept an answer from coming.
    pub(crate) text: String,
    /// Whether there was an answer. Without one the call may have gone nowhere.
    pub(crate) is_one: bool,
}

impl From<Exchanged> for Answer {
    fn from(exchanged: Exchanged) -> Self {
        let is_one = matches!(exchanged, Ok(Ok(_)));
        let text = match exchanged {
            Ok(Ok((code, body))) => {
                format!("{} {}", code.as_u16(), String::from_utf8_lossy(&body))
            }
            Ok(Err(Failure::Refused)) => "connection refused".to_owned(),
            Ok(Err(Failure::Died)) => "the connection died".to_owned(),
            Ok(Err(Failure::Nonsense(text))) => text,
            Err(_) => "no answer".to_owned(),
        };
        Answer { text, is_one }
    }
}

impl LeaderApi {
    /// Sends the promotion, once, to see what is answered, and what that means of a promotion.
    pub(crate) async fn answer_to_promotion(&self) -> (Answer, PromoteResult) {
        let Promotion { method, url, own } = &self.promotion;
        let exchanged = timeout(self.promote_deadline, exchange(method, url)).await;
        let result = read_exchange(&exchanged, *own);
        (exchanged.into(), result)
    }

    /// Asks not to wait for the catch-up any longer, to see what is answered.
    pub(crate) async fn answer_to_skip_catchup(&self) -> Answer {
        let url = HttpUrl {
            path: "/api/leader/skip-catchup".to_owned(),
            ..self.status.clone()
        };
        let exchange = exchange("POST", &url);
        timeout(self.promote_deadline, exchange).await.into()
    }
}

async fn exchange(method: &str, url: &HttpUrl) -> Result<(StatusCode, Vec<u8>), Failure> {
    let stream = TcpStream::connect(&url.authority)
        .await
        .map_err(|_| Failure::Refused)?;
    // Only speed is lost without it.
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(&url.path)
        .header("host", &url.authority)
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::Nonsense(error.to_string()))?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failure(&error))?;
        read_bounded(response, BODY_LIMIT).await
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

impl StatusWords {
    /// The status that a document says. What is no such document is no status yet, as with the leader API; a sound one
    /// whose word nobody has mapped will never be one.
    fn read(&self, code: StatusCode, body: &[u8]) -> StatusSeen {
        if code.is_success() && body.is_empty() {
            return StatusSeen::Unreachable;
        }
        let document = match serde_json::from_slice::<serde_json::Value>(body) {
            Ok(document) if code.is_success() => document,
            _ => return StatusSeen::Nonsense(format!("{}: {}", code.as_u16(), quoted(body))),
        };
        let pointer = &self.json_pointer;
        let Some(found) = document.pointer(pointer) else {
            return StatusSeen::Unmapped(format!(
                "status.json_pointer {pointer:?} finds nothing in the answer {}; correct the pointer",
                quoted(body)
            ));
        };
        let word = found
            .as_str()
            .map_or_else(|| found.to_string(), str::to_owned);
        match self.map.get(&word) {
            Some(status) => StatusSeen::Status(*status),
            None => StatusSeen::Unmapped(format!(
                "status.map has no {:?}, which the answer {} has at {pointer:?}; add it",
                harmless_cut(&word, QUOTED_CHARS),
                quoted(body)
            )),
        }
    }
}

fn read_own_promotion(code: StatusCode, body: &[u8]) -> PromoteResult {
    let answer = || format!("{}: {}", code.as_u16(), quoted(body));
    match code {
        code if code.is_success() => PromoteResult::Acknowledged,
        code if code.is_client_error() => PromoteResult::Refused(answer()),
        _ => PromoteResult::Unclear(answer()),
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
    fn a_document_of_ones_own_is_read_by_pointer_and_map() {
        let words = StatusWords {
            json_pointer: "/node/role".to_owned(),
            map: BTreeMap::from([
                ("primary".to_owned(), DeploymentStatus::IsLeader),
                ("2".to_owned(), DeploymentStatus::ReadyToPromote),
            ]),
        };
        let read = |code: u16, body: &str| {
            words.read(StatusCode::from_u16(code).unwrap(), body.as_bytes())
        };
        let ready = StatusSeen::Status(DeploymentStatus::ReadyToPromote);
        assert_eq!(
            read(200, r#"{"node":{"role":"primary"}}"#),
            StatusSeen::Status(DeploymentStatus::IsLeader)
        );
        assert_eq!(read(200, r#"{"node":{"role":2}}"#), ready);
        assert_eq!(read(200, ""), StatusSeen::Unreachable);
        // Not up yet, and so no reason to give up.
        assert!(matches!(
            read(503, r#"{"node":{"role":2}}"#),
            StatusSeen::Nonsense(_)
        ));
        assert!(matches!(read(200, "starting"), StatusSeen::Nonsense(_)));
        assert_eq!(
            read(200, r#"{"node":{"role":"up"}}"#),
            StatusSeen::Unmapped(
                r#"status.map has no "up", which the answer {"node":{"role":"up"}} has at "/node/role"; add it"#.to_owned()
            )
        );
        assert_eq!(
            read(200, r#"{"role":"up"}"#),
            StatusSeen::Unmapped(
                r#"status.json_pointer "/node/role" finds nothing in the answer {"role":"up"}; correct the pointer"#.to_owned()
            )
        );
    }

    #[test]
    fn a_promotion_of_ones_own_is_read_by_its_code() {
        let promotion = |code: u16| read_own_promotion(StatusCode::from_u16(code).unwrap(), b"so");
        assert_eq!(promotion(204), PromoteResult::Acknowledged);
        assert_eq!(promotion(409), PromoteResult::Refused("409: so".to_owned()));
        assert_eq!(promotion(500), PromoteResult::Unclear("500: so".to_owned()));
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
