//! What is examined around a hand-over besides what clients see: what the target describes in `[examine]`.
//!
//! It looks and records. Whether an answer is right is the judge's to say.

use crate::client::{Client, ClientError};
use crate::leader_api::{Answer, LeaderApi};
use crate::record::{About, Recorder};
use crate::surroundings::{ClientSide, client_addr};
use changeover_model::event::{EventKind, Examination, PromoteResult, StatusSeen};
use changeover_model::history::{ErrorKind, Outcome};
use changeover_model::status::DeploymentStatus;
use changeover_model::target::{Examine, Status, Target};
use changeover_runtime::InstanceSpec;
use std::time::Duration;
use tokio::time::Instant;

/// How long an examined query may take at most: who waits longer than this learns nothing more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Examines instances of one run.
pub(crate) struct Examiner {
    recorder: Recorder,
    examine: Examine,
}

impl Examiner {
    pub(crate) fn new(recorder: Recorder, target: &Target) -> Self {
        Examiner {
            recorder,
            examine: match target.status {
                Status::LeaderApi => target.examine.clone(),
                // What is examined is the leader API's.
                Status::Http(_) | Status::Query => Examine::default(),
            },
        }
    }

    /// Promotes an instance that says this very moment that it is not ready. Returns what came of it if that may have been
    /// taken: between the two questions the instance may have become ready.
    pub(crate) async fn early_promotion(&self, new: &InstanceSpec) -> Option<PromoteResult> {
        let body = self.examine.early_promotion.as_ref()?;
        let api = LeaderApi::new(new.http_addr);
        let asked = Instant::now();
        if api.status().await != StatusSeen::Status(DeploymentStatus::Initializing) {
            return None;
        }
        let began = Instant::now();
        let (answer, result) = api.answer_to_promotion().await;
        let doubt = match &result {
            PromoteResult::Acknowledged => Some(format!(
                "it may have become ready since it said Initializing, at most {} ms before",
                asked.elapsed().as_millis()
            )),
            _ => unanswered(&answer),
        };
        let expected = format!("400 {body}");
        self.tell(
            new,
            Examination::EarlyPromotion,
            expected,
            Found {
                found: answer.text,
                doubt,
            },
            began,
        );
        result.may_be_taken().then_some(result)
    }

    /// Promotes the leader, which must change nothing.
    pub(crate) async fn second_promotion(&self, leader: &InstanceSpec) {
        let Some(body) = &self.examine.second_promotion else {
            return;
        };
        let began = Instant::now();
        let (answer, _) = LeaderApi::new(leader.http_addr).answer_to_promotion().await;
        let doubt = unanswered(&answer);
        let expected = format!("200 {body}");
        self.tell(
            leader,
            Examination::SecondPromotion,
            expected,
            Found {
                found: answer.text,
                doubt,
            },
            began,
        );
    }

    /// Writes to and reads from an instance that was not promoted.
    pub(crate) async fn read_only(&self, clients: &ClientSide, new: &InstanceSpec) {
        if let Some((write, refusal)) = &self.examine.read_only_write {
            let began = Instant::now();
            let found = match query(clients, new, write, clients.operation_timeout).await {
                Ok(()) => Found::of("acknowledged"),
                Err(error) => Found::from(error),
            };
            self.tell(
                new,
                Examination::ReadOnlyWrite,
                refusal.clone(),
                found,
                began,
            );
        }
        if let Some(read) = &self.examine.read_only_read {
            let began = Instant::now();
            let found = match query(clients, new, read, clients.operation_timeout).await {
                Ok(()) => Found::of(ANSWERED),
                Err(error) => Found::from(error),
            };
            self.tell(
                new,
                Examination::ReadOnlyRead,
                ANSWERED.to_owned(),
                found,
                began,
            );
        }
    }

    /// Asks a new leader's catalog for the first time.
    pub(crate) async fn catalog(&self, clients: &ClientSide, leader: &InstanceSpec) {
        let Some((asked, ms)) = &self.examine.catalog_query else {
            return;
        };
        let bound = Duration::from_millis(*ms);
        let expected = format!("{ANSWERED} within {ms} ms");
        let began = Instant::now();
        let found = match query(clients, leader, asked, bound.max(PATIENCE)).await {
            Ok(()) if began.elapsed() <= bound => Found::of(&expected),
            Ok(()) => Found::of(ANSWERED),
            Err(error) => Found::from(error),
        };
        self.tell(leader, Examination::CatalogQuery, expected, found, began);
    }

    fn tell(
        &self,
        instance: &InstanceSpec,
        what: Examination,
        expected: String,
        found: Found,
        began: Instant,
    ) {
        let Found { found, doubt } = found;
        let about = About {
            step: None,
            slot: Some(instance.slot.clone()),
            generation: Some(instance.generation),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.recorder.event(
            &about,
            EventKind::Examined {
                what,
                expected,
                found,
                doubt,
                took_ms,
            },
        );
    }
}

/// What came of an examination, and why that proves nothing, if it does not.
struct Found {
    found: String,
    doubt: Option<String>,
}

impl Found {
    fn of(found: &str) -> Self {
        Found {
            found: found.to_owned(),
            doubt: None,
        }
    }
}

impl From<ClientError> for Found {
    /// Only what the server says of the query itself is an answer; not that it goes away, nor that nobody listens.
    fn from(error: ClientError) -> Self {
        let answered = match error.sqlstate() {
            Some(state) => !["08", "57P"].iter().any(|class| state.starts_with(class)),
            None => error.outcome() == Outcome::Fail && error.kind() != ErrorKind::Refused,
        };
        Found {
            doubt: (!answered).then(|| NOBODY.to_owned()),
            found: error.to_string(),
        }
    }
}

/// Why an exchange with the leader API proves nothing.
fn unanswered(answer: &Answer) -> Option<String> {
    (!answer.is_one).then(|| NOBODY.to_owned())
}

/// The doubt about what nobody answered.
const NOBODY: &str = "nobody answered";

/// That a query was answered, whatever with.
const ANSWERED: &str = "answered";

/// Asks an instance directly, on a connection of its own.
async fn query(
    clients: &ClientSide,
    instance: &InstanceSpec,
    text: &str,
    patience: Duration,
) -> Result<(), ClientError> {
    let addr = client_addr(instance, &clients.client);
    // A sound URL has been used all along.
    let Ok(target) = clients.target(addr) else {
        return Ok(());
    };
    let deadline = Instant::now() + patience;
    let mut client = Client::connect(target, deadline).await?;
    let answer = client.execute(text, deadline).await;
    client.close().await;
    answer.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::record::Sink;
    use changeover_model::event::Event;
    use changeover_model::history::Operation;
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const INITIALIZING: &str = r#"{"status":"Initializing"}"#;
    const READY: &str = r#"{"status":"ReadyToPromote"}"#;
    const SUCCESS: &str = r#"{"result":"Success"}"#;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<EventKind>>>);

    impl Sink for Kept {
        fn event(&mut self, event: &Event) {
            self.0.lock().unwrap().push(event.kind.clone());
        }

        fn operation(&mut self, _: &Operation) {}
    }

    /// Answers these, a connection each; nothing at all where there is no text. Returns what was asked.
    async fn serve(listener: TcpListener, answers: Vec<(u16, &'static str)>) -> Vec<String> {
        let mut asked = Vec::new();
        for (code, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            asked.push(text.split(' ').nth(1).unwrap_or_default().to_owned());
            if body.is_empty() {
                continue;
            }
            let answer = format!(
                "HTTP/1.1 {code} X\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    }

    /// What an early promotion comes to, how often it was sent, and what is on record of it.
    async fn early(
        answers: Vec<(u16, &'static str)>,
    ) -> (
        Option<PromoteResult>,
        usize,
        Option<(String, Option<String>)>,
    ) {
        let kept = Kept::default();
        let examiner = Examiner {
            recorder: Recorder::new(Clock::start(), Box::new(kept.clone())),
            examine: Examine {
                early_promotion: Some("no".to_owned()),
                ..Examine::default()
            },
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let spec = InstanceSpec {
            slot: "mz_2".to_owned(),
            generation: 1,
            command: Vec::new(),
            env: BTreeMap::new(),
            sql_addr: nowhere,
            http_addr: listener.local_addr().unwrap(),
            log: "log".into(),
            container: None,
        };
        let (result, asked) =
            tokio::join!(examiner.early_promotion(&spec), serve(listener, answers));
        let sent = asked
            .iter()
            .filter(|path| path.ends_with("/promote"))
            .count();
        let told = kept.0.lock().unwrap().iter().find_map(|kind| match kind {
            EventKind::Examined { found, doubt, .. } => Some((found.clone(), doubt.clone())),
            _ => None,
        });
        (result, sent, told)
    }

    #[tokio::test]
    async fn who_is_ready_by_now_is_not_promoted_early() {
        assert_eq!(early(vec![(200, READY)]).await, (None, 0, None));
        assert_eq!(early(vec![(503, "no")]).await, (None, 0, None));
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_is_not_doubted() {
        let told = Some(("400 no".to_owned(), None));
        let answers = vec![(200, INITIALIZING), (400, "no")];
        assert_eq!(early(answers).await, (None, 1, told));
    }

    #[tokio::test]
    async fn what_was_promoted_by_accident_is_told_and_held_against_nobody() {
        let (result, sent, told) = early(vec![(200, INITIALIZING), (200, SUCCESS)]).await;
        assert_eq!((result, sent), (Some(PromoteResult::Acknowledged), 1));
        let (found, doubt) = told.unwrap();
        assert_eq!(found, format!("200 {SUCCESS}"));
        assert!(doubt.unwrap().contains("may have become ready"));
        // It may have been taken, and nobody knows.
        let (result, _, told) = early(vec![(200, INITIALIZING), (0, "")]).await;
        assert_eq!(result, Some(PromoteResult::Lost));
        assert_eq!(told.unwrap().1.as_deref(), Some(NOBODY));
    }

    #[test]
    fn only_what_the_server_says_of_a_query_is_an_answer() {
        use crate::client::ClientError;
        for (error, doubted) in [
            (ClientError::timeout(), true),
            (ClientError::reset(), true),
            (ClientError::of_server("57P01"), true),
            (ClientError::of_server("08006"), true),
            (ClientError::of_server("25006"), false),
            (ClientError::of_server("XX000"), false),
        ] {
            let told = error.to_string();
            assert_eq!(Found::from(error).doubt.is_some(), doubted, "{told}");
        }
    }
}
