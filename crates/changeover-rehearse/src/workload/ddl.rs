//! `ddl`: objects are created, renamed and dropped at the moments at which a change is most easily missed.
//!
//! At each moment a table is made with a row, a view and an index of it, another table is renamed, and one that the
//! moment before has made is dropped. Objects are named in events as the target's catalog names them: `column T.C` and
//! `index I`.

use super::asking::{Asking, answered, millis};
use super::moments::target_at;
use crate::client::{Client, ClientError};
use crate::record::About;
use changeover_model::event::EventKind;
use changeover_model::history::{ErrorKind, Outcome};
use changeover_model::observation::{Moment, Observation};
use changeover_model::workload::WorkloadKind;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const AGAIN: Duration = Duration::from_millis(10);

/// How long a change that is refused is asked for again, in times of an operation: leaders come and go.
const PATIENCE: u32 = 3;

/// The columns of every table.
const COLUMNS: [&str; 2] = ["id", "note"];

/// Changes definitions through the front door.
pub(crate) struct Ddl {
    asking: Asking,
    door: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The table that is dropped next.
    doomed: Option<String>,
    /// What is there to stay, to be asked for.
    there: Vec<String>,
}

/// A statement, and what it makes and drops.
struct Step {
    sql: String,
    makes: Vec<String>,
    drops: Vec<String>,
}

impl Ddl {
    pub(super) fn new(asking: Asking, door: SocketAddr) -> Self {
        Ddl {
            asking,
            door,
            state: Mutex::default(),
        }
    }

    /// Everything of a moment. Ends at the first statement that is not acknowledged: what would follow rests on it.
    pub(super) async fn change(&self, moment: Moment, about: &About) {
        let doomed = self.lock().doomed.take();
        let step = about.step.unwrap_or(0);
        let base = format!("changeover_ddl_{step}_{}", letter(moment));
        let mut client = None;
        for step in steps(&base, doomed.as_deref()) {
            if self.run(&mut client, &step, about).await != Outcome::Ok {
                return;
            }
        }
        self.lock().doomed = Some(format!("{base}_d"));
        let view = format!("{base}_v");
        // What it answers now is what it must answer later.
        self.ask_for(&view, moment, about).await;
        self.lock().there.push(view);
    }

    /// Asks for what is there.
    pub(super) async fn ask(&self, moment: Moment, about: &About) {
        let there = self.lock().there.clone();
        for view in there {
            self.ask_for(&view, moment, about).await;
        }
    }

    async fn ask_for(&self, view: &str, moment: Moment, about: &About) {
        let sql = format!("SELECT id, note FROM {view}");
        let began = Instant::now();
        let deadline = began + self.asking.timeout * PATIENCE;
        let mut client = None;
        let rows = self
            .asking
            .ask(&mut client, self.door, &sql, deadline)
            .await;
        self.asking.recorder.observed(
            about,
            Observation::Query {
                workload: WorkloadKind::Ddl,
                query: view.to_owned(),
                moment,
                ms: millis(began),
                answered: answered(&sql, rows),
            },
        );
        if let Some(client) = client {
            client.close().await;
        }
    }

    /// Runs a statement; what was certainly refused is tried again.
    async fn run(&self, client: &mut Option<Client>, step: &Step, about: &About) -> Outcome {
        let deadline = Instant::now() + self.asking.timeout * PATIENCE;
        let recorder = &self.asking.recorder;
        loop {
            let changes = !(step.makes.is_empty() && step.drops.is_empty());
            if changes {
                let intent = EventKind::DdlIntent {
                    statement: step.sql.clone(),
                    makes: step.makes.clone(),
                    drops: step.drops.clone(),
                };
                recorder.event(about, intent);
            }
            let (outcome, for_good) = self.attempt(client, &step.sql).await;
            if changes {
                recorder.event(about, EventKind::DdlDone { outcome });
            }
            if outcome != Outcome::Fail || for_good || Instant::now() + AGAIN >= deadline {
                return outcome;
            }
            sleep(AGAIN).await;
        }
    }

    async fn attempt(&self, client: &mut Option<Client>, sql: &str) -> (Outcome, bool) {
        let limit = Instant::now() + self.asking.timeout;
        let mut connected = match client.take() {
            Some(client) => client,
            None => {
                let target = target_at(&self.asking.template, self.door, self.asking.timeout);
                let Ok(target) = target else {
                    return (Outcome::Fail, true);
                };
                match Client::connect(target, limit).await {
                    Ok(client) => client,
                    Err(_) => return (Outcome::Fail, false),
                }
            }
        };
        let answer = connected.execute(sql, limit).await;
        if !connected.is_dead() {
            *client = Some(connected);
        }
        match answer {
            Ok(_) => (Outcome::Ok, false),
            Err(error) => (outcome_of(&error), for_good(&error)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome_of(error: &ClientError) -> Outcome {
    match error.rules_out_an_effect() || error.kind() == ErrorKind::Refused {
        true => Outcome::Fail,
        false => Outcome::Unknown,
    }
}

/// Whether asking again is of no use: class 42 is about the statement, 0A about what the target can do.
fn for_good(error: &ClientError) -> bool {
    let state = error.sqlstate().unwrap_or_default();
    state.starts_with("42") || state.starts_with("0A")
}

fn letter(moment: Moment) -> &'static str {
    match moment {
        Moment::CatchUp => "a",
        Moment::Ready => "b",
        _ => "c",
    }
}

/// Everything that a moment changes.
fn steps(base: &str, doomed: Option<&str>) -> Vec<Step> {
    let columns = |table: &str| {
        let names = COLUMNS.iter();
        names
            .map(|column| format!("column {table}.{column}"))
            .collect::<Vec<_>>()
    };
    let table = |name: &str| Step {
        sql: format!("CREATE TABLE {name} (id BIGINT NOT NULL, note TEXT)"),
        makes: columns(name),
        drops: Vec::new(),
    };
    let (view, index) = (format!("{base}_v"), format!("{base}_i"));
    let (old, new, next) = (
        format!("{base}_o"),
        format!("{base}_n"),
        format!("{base}_d"),
    );
    let mut steps = vec![
        table(base),
        Step {
            sql: format!("INSERT INTO {base} (id, note) VALUES (1, '{base}')"),
            makes: Vec::new(),
            drops: Vec::new(),
        },
        Step {
            sql: format!("CREATE VIEW {view} AS SELECT id, note FROM {base}"),
            makes: columns(&view),
            drops: Vec::new(),
        },
        Step {
            sql: format!("CREATE INDEX {index} ON {base} (id)"),
            makes: vec![format!("index {index}")],
            drops: Vec::new(),
        },
        table(&old),
        Step {
            sql: format!("ALTER TABLE {old} RENAME TO {new}"),
            makes: columns(&new),
            drops: columns(&old),
        },
    ];
    if let Some(doomed) = doomed {
        steps.push(Step {
            sql: format!("DROP TABLE {doomed}"),
            makes: Vec::new(),
            drops: columns(doomed),
        });
    }
    steps.push(table(&next));
    steps
}
