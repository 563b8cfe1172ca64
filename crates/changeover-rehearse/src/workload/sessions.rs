//! `session`: sessions that are held over a promotion, with all that a session has.
//!
//! One through the front door, on the leader that will be fenced out, and one straight to the instance that will be
//! promoted. Each is two connections: one with a setting, a prepared statement and a temporary table, the other in
//! the middle of a transaction. After the promotion each is asked for what it had; an error, or the end of the
//! connection, is an answer that a client can live with.

use crate::client::definite;
use crate::record::{About, Recorder};
use changeover_model::event::{EventKind, SessionAnswer};
use changeover_model::observation::Observation;
use changeover_model::target::ClientTemplate;
use changeover_model::workload::WorkloadKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, Statement};

/// What the setting is set to, and what the prepared statement and the temporary table hold.
const MARK: &str = "changeover-held";

/// Between two looks at what has become of a transaction.
const AGAIN: Duration = Duration::from_millis(20);

/// How long such a look may take, in times of an operation.
const PATIENCE: u32 = 5;

/// The sessions that are held.
pub(super) struct Sessions {
    recorder: Recorder,
    template: ClientTemplate,
    held: Vec<Held>,
    limit: Duration,
}

struct Held {
    name: &'static str,
    about: About,
    calm: Option<Wire>,
    prepared: Option<Statement>,
    temporary: bool,
    busy: Option<(Wire, Transaction)>,
}

/// What a transaction that is open has done.
enum Transaction {
    /// It has inserted this row.
    Wrote(String),
    /// It has counted so many rows, and would again.
    Read(String),
}

/// A connection and the task that moves it.
struct Wire {
    client: Client,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sessions {
    /// What must be there before.
    pub(super) fn create() -> Vec<String> {
        vec![
            "CREATE TABLE IF NOT EXISTS changeover_session (id TEXT NOT NULL)".to_owned(),
            "DELETE FROM changeover_session".to_owned(),
        ]
    }

    /// Opens both: through the front door, and straight to the instance that is ready.
    pub(super) async fn open(
        recorder: &Recorder,
        template: &ClientTemplate,
        at: [(SocketAddr, About); 2],
        limit: Duration,
    ) -> Self {
        let [(door, of_door), (new, of_new)] = at;
        let mut sessions = Sessions {
            recorder: recorder.clone(),
            template: template.clone(),
            held: Vec::new(),
            limit,
        };
        // The transaction that writes comes last: it may keep others waiting until the promotion.
        let direct = sessions.hold("straight to the new instance", new, of_new, false);
        let direct = direct.await;
        let through = sessions.hold("through the front door", door, of_door, true);
        let through = through.await;
        sessions.held = vec![direct, through];
        sessions
    }

    async fn hold(&self, name: &'static str, addr: SocketAddr, about: About, leads: bool) -> Held {
        let mut held = Held {
            name,
            calm: None,
            prepared: None,
            temporary: false,
            busy: None,
            about,
        };
        let skip = |part: &str, why: String| {
            self.recorder.observed(
                &held.about,
                Observation::Skipped {
                    workload: WorkloadKind::Session,
                    part: format!("{part} of the session {name}"),
                    why,
                },
            );
        };
        match self.connect(addr).await {
            Err(why) => skip("everything", why),
            Ok(wire) => {
                let set = format!("SET application_name = '{MARK}'");
                if let Err(end) = self.tell(&wire, &set).await {
                    skip("the setting", end.words());
                }
                let prepare = wire.client.prepare("SELECT 'changeover-held'");
                match timeout(self.limit, prepare).await {
                    Ok(Ok(statement)) => held.prepared = Some(statement),
                    Ok(Err(error)) => skip("the prepared statement", error.to_string()),
                    Err(_) => skip("the prepared statement", "no answer in time".to_owned()),
                }
                // Whoever only reads has none.
                if leads {
                    let made = self
                        .tell(
                            &wire,
                            "CREATE TEMPORARY TABLE changeover_temporary (id TEXT)",
                        )
                        .await;
                    let filled = format!("INSERT INTO changeover_temporary VALUES ('{MARK}')");
                    match made {
                        Ok(_) => match self.tell(&wire, &filled).await {
                            Ok(_) => held.temporary = true,
                            Err(end) => skip("the temporary table", end.words()),
                        },
                        Err(end) => skip("the temporary table", end.words()),
                    }
                }
                held.calm = Some(wire);
            }
        }
        match self.connect(addr).await {
            Err(why) => skip("the transaction", why),
            Ok(wire) => match self.begin(&wire, &held.about, leads).await {
                Ok(transaction) => held.busy = Some((wire, transaction)),
                Err(end) => skip("the transaction", end.words()),
            },
        }
        held
    }

    async fn begin(&self, wire: &Wire, about: &About, leads: bool) -> Result<Transaction, End> {
        if leads {
            let row = format!("step-{}", about.step.unwrap_or(0));
            self.tell(wire, "BEGIN").await?;
            let insert = format!("INSERT INTO changeover_session (id) VALUES ('{row}')");
            self.tell(wire, &insert).await?;
            return Ok(Transaction::Wrote(row));
        }
        self.tell(wire, "BEGIN ISOLATION LEVEL REPEATABLE READ")
            .await?;
        let count = self.tell(wire, "SELECT count(*) FROM changeover_session");
        Ok(Transaction::Read(count.await?.unwrap_or_default()))
    }

    /// Asks every session for what it had. `door` tells what has become of a transaction.
    pub(super) async fn ask(mut self, door: SocketAddr) {
        for held in std::mem::take(&mut self.held) {
            if let Some(wire) = &held.calm {
                let asked = self.tell(wire, "SHOW application_name").await;
                self.saw(&held, "the setting application_name", MARK, asked);
                if let Some(statement) = &held.prepared {
                    let asked = self.execute(wire, statement).await;
                    self.saw(&held, "a prepared statement", MARK, asked);
                }
                if held.temporary {
                    let sql = "SELECT id FROM changeover_temporary";
                    let asked = self.tell(wire, sql).await;
                    self.saw(&held, "a temporary table", MARK, asked);
                }
            }
            match &held.busy {
                Some((wire, Transaction::Read(count))) => {
                    let sql = "SELECT count(*) FROM changeover_session";
                    let asked = self.tell(wire, sql).await;
                    self.saw(&held, "the snapshot of an open transaction", count, asked);
                }
                Some((wire, Transaction::Wrote(row))) => {
                    self.end(&held, wire, row, door).await;
                }
                None => {}
            }
        }
    }

    /// Commits a transaction that was open, and looks whether that did what was said.
    async fn end(&self, held: &Held, wire: &Wire, row: &str, door: SocketAddr) {
        let committed = self.commit(wire).await;
        let expected = match &committed {
            Ok(()) => "1",
            Err(End::Refused(state)) if definite(state) => "0",
            Err(end) => {
                self.saw(held, "an open transaction", "its end", Err(end.clone()));
                return;
            }
        };
        let sql = format!("SELECT count(*) FROM changeover_session WHERE id = '{row}'");
        let deadline = Instant::now() + self.limit * PATIENCE;
        loop {
            let asked = match self.connect(door).await {
                Ok(wire) => self.tell(&wire, &sql).await,
                Err(why) => Err(End::Ended(why)),
            };
            if asked.is_ok() || Instant::now() >= deadline {
                let what = match expected {
                    "1" => "the row of an open transaction whose COMMIT was acknowledged",
                    _ => "nothing of an open transaction that was refused",
                };
                self.saw(held, what, expected, asked);
                return;
            }
            sleep(AGAIN).await;
        }
    }

    /// Commits. A statement goes before: a transaction that was aborted refuses it, while its COMMIT would be answered
    /// as a rollback, of which the protocol makes no error.
    async fn commit(&self, wire: &Wire) -> Result<(), End> {
        self.tell(wire, "SELECT 1").await?;
        self.tell(wire, "COMMIT").await?;
        Ok(())
    }

    fn saw(&self, held: &Held, what: &str, expected: &str, asked: Result<Option<String>, End>) {
        let what = format!("{what} (session {})", held.name);
        let answer = match asked {
            Ok(told) => SessionAnswer::Told(told.unwrap_or_default()),
            Err(End::Refused(state)) => SessionAnswer::Refused(state),
            Err(End::Ended(_)) => SessionAnswer::Ended,
            Err(End::Silent) => {
                let seen = Observation::SessionSilent {
                    state: what,
                    waited_ms: u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX),
                };
                self.recorder.observed(&held.about, seen);
                return;
            }
        };
        let expected = expected.to_owned();
        let kind = EventKind::SessionSeen {
            what,
            expected,
            answer,
        };
        self.recorder.event(&held.about, kind);
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Wire, String> {
        let mut config: Config = self
            .template
            .url_at(&addr.to_string())
            .parse()
            .map_err(|e: tokio_postgres::Error| e.to_string())?;
        config.ssl_mode(SslMode::Disable);
        match timeout(self.limit, config.connect(NoTls)).await {
            Ok(Ok((client, connection))) => Ok(Wire {
                client,
                task: tokio::spawn(async move {
                    // Why it ended, its client is told.
                    let _ = connection.await;
                }),
            }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// The first value of the first row.
    async fn tell(&self, wire: &Wire, sql: &str) -> Result<Option<String>, End> {
        let messages = timeout(self.limit, wire.client.simple_query(sql)).await;
        let messages = messages.map_err(|_| End::Silent)?.map_err(End::of)?;
        Ok(messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    async fn execute(&self, wire: &Wire, statement: &Statement) -> Result<Option<String>, End> {
        let rows = timeout(self.limit, wire.client.query(statement, &[])).await;
        let rows = rows.map_err(|_| End::Silent)?.map_err(End::of)?;
        Ok(rows
            .first()
            .and_then(|row| row.try_get::<_, String>(0).ok()))
    }
}

/// Why a session gave no answer.
#[derive(Debug, Clone)]
enum End {
    /// An error, by its SQLSTATE.
    Refused(String),
    /// The connection is over.
    Ended(String),
    /// Nothing came in time.
    Silent,
}

impl End {
    fn of(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(state) => End::Refused(state.code().to_owned()),
            None => End::Ended(error.to_string()),
        }
    }

    fn words(&self) -> String {
        match self {
            End::Refused(state) => format!("SQLSTATE {state}"),
            End::Ended(why) => why.clone(),
            End::Silent => "no answer in time".to_owned(),
        }
    }
}
