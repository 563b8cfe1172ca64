//! `ddl`: objects are created, renamed and dropped at the moments at which a change is most easily missed.
//!
//! At each moment tables are made, one of the same moment of the step before is renamed, another dropped, and a view and
//! an index of a third are made. So no statement rests on another of its step: what is missed is missing, and nothing
//! else goes wrong. Objects are named in events as the target's catalog names them: `column T.C` and `index I`.

use super::asking::{Asking, answered, millis};
use super::moments::target_at;
use crate::client::{Client, ClientError};
use crate::record::About;
use changeover_model::event::EventKind;
use changeover_model::history::Outcome;
use changeover_model::observation::{Moment, Observation};
use changeover_model::workload::WorkloadKind;
use std::collections::BTreeSet;
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
    /// The tables that are there to be worked on in the next step.
    tables: BTreeSet<String>,
    /// The tables of this step that have no row yet.
    empty: Vec<String>,
    /// The views that are asked.
    views: Vec<String>,
}

/// A statement, and what it makes and drops.
struct Step {
    sql: String,
    makes: Vec<String>,
    drops: Vec<String>,
    does: Does,
}

/// What there is once a statement was acknowledged.
enum Does {
    Table(String),
    View(String),
    Other,
}

impl Ddl {
    pub(super) fn new(asking: Asking, door: SocketAddr) -> Self {
        let state = State {
            tables: LETTERS
                .iter()
                .flat_map(|letter| tables(&base(0, letter)))
                .collect(),
            ..State::default()
        };
        Ddl {
            asking,
            door,
            state: Mutex::new(state),
        }
    }

    /// What must be there before: as if there had been a step before the first.
    pub(super) fn create() -> Vec<String> {
        let of = |letter: &&str| {
            let base = base(0, letter);
            let made = tables(&base).map(|name| create_table(&name));
            made.into_iter().chain([fill(&base)])
        };
        LETTERS.iter().flat_map(of).collect()
    }

    /// Everything of a moment.
    pub(super) async fn change(&self, moment: Moment, about: &About) {
        let step = about.step.unwrap_or(0);
        let letter = letter(moment);
        let (before, now) = (base(step.saturating_sub(1), letter), base(step, letter));
        let deadline = Instant::now() + self.asking.timeout * PATIENCE;
        let mut client = None;
        let there = self.lock().tables.clone();
        for step in steps(&before, &now, &there) {
            if self.run(&mut client, &step, about, deadline).await == Outcome::Ok {
                let mut state = self.lock();
                match step.does {
                    Does::Table(name) => {
                        if name == now {
                            state.empty.push(name.clone());
                        }
                        state.tables.insert(name);
                    }
                    Does::View(name) => state.views.push(name),
                    Does::Other => {}
                }
            }
        }
        if let Some(client) = client {
            client.close().await;
        }
        let made = view(&now);
        if self.lock().views.contains(&made) {
            // What it answers now is what it must answer later.
            self.ask_for(&made, moment, about).await;
        }
    }

    /// After a step: asks the views, and fills the tables that the next step works on.
    pub(super) async fn ask(&self, moment: Moment, about: &About) {
        let (views, empty) = {
            let mut state = self.lock();
            (state.views.clone(), std::mem::take(&mut state.empty))
        };
        for view in views {
            self.ask_for(&view, moment, about).await;
        }
        let mut client = None;
        for name in empty {
            let fill = Step {
                sql: fill(&name),
                makes: Vec::new(),
                drops: Vec::new(),
                does: Does::Other,
            };
            let deadline = Instant::now() + self.asking.timeout;
            self.run(&mut client, &fill, about, deadline).await;
        }
        if let Some(client) = client {
            client.close().await;
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
    async fn run(
        &self,
        client: &mut Option<Client>,
        step: &Step,
        about: &About,
        deadline: Instant,
    ) -> Outcome {
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
            Err(error) => (error.outcome(), for_good(&error)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether asking again is of no use: class 42 is about the statement, 0A about what the target can do.
fn for_good(error: &ClientError) -> bool {
    let state = error.sqlstate().unwrap_or_default();
    state.starts_with("42") || state.starts_with("0A")
}

/// The moments, as names have them.
const LETTERS: [&str; 3] = ["a", "b", "c"];

fn letter(moment: Moment) -> &'static str {
    LETTERS[match moment {
        Moment::CatchUp => 0,
        Moment::Ready => 1,
        _ => 2,
    }]
}

/// The table that a moment of a step makes; its other objects are named after it.
fn base(step: u32, letter: &str) -> String {
    format!("changeover_ddl_{step}_{letter}")
}

/// The tables of a moment: to stay, to be renamed, to be dropped.
fn tables(base: &str) -> [String; 3] {
    [
        base.to_owned(),
        format!("{base}_old"),
        format!("{base}_drop"),
    ]
}

fn view(base: &str) -> String {
    format!("{base}_view")
}

fn create_table(name: &str) -> String {
    format!("CREATE TABLE {name} (id BIGINT NOT NULL, note TEXT)")
}

fn fill(name: &str) -> String {
    format!("INSERT INTO {name} (id, note) VALUES (1, '{name}')")
}

/// Everything that a moment changes, of what is there of the step before.
fn steps(before: &str, now: &str, there: &BTreeSet<String>) -> Vec<Step> {
    let columns = |table: &str| {
        let names = COLUMNS.iter();
        names
            .map(|column| format!("column {table}.{column}"))
            .collect::<Vec<_>>()
    };
    let mut steps: Vec<Step> = tables(now)
        .into_iter()
        .map(|name| Step {
            sql: create_table(&name),
            makes: columns(&name),
            drops: Vec::new(),
            does: Does::Table(name),
        })
        .collect();
    let [stays, old, doomed] = tables(before);
    if there.contains(&stays) {
        let (view, index) = (view(now), format!("{now}_index"));
        steps.push(Step {
            sql: format!("CREATE VIEW {view} AS SELECT id, note FROM {stays}"),
            makes: columns(&view),
            drops: Vec::new(),
            does: Does::View(view),
        });
        steps.push(Step {
            sql: format!("CREATE INDEX {index} ON {stays} (id)"),
            makes: vec![format!("index {index}")],
            drops: Vec::new(),
            does: Does::Other,
        });
    }
    if there.contains(&old) {
        let new = format!("{before}_new");
        steps.push(Step {
            sql: format!("ALTER TABLE {old} RENAME TO {new}"),
            makes: columns(&new),
            drops: columns(&old),
            does: Does::Other,
        });
    }
    if there.contains(&doomed) {
        steps.push(Step {
            sql: format!("DROP TABLE {doomed}"),
            makes: Vec::new(),
            drops: columns(&doomed),
            does: Does::Other,
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_statement_of_a_step_rests_on_another_of_it() {
        let there = tables("t0").into_iter().collect();
        let steps = steps("t0", "t1", &there);
        assert_eq!(steps.len(), 7);
        for step in &steps {
            // It names what it makes, or what the step before has made.
            let made = step
                .makes
                .iter()
                .any(|name| step.sql.contains(&name["column ".len()..name.len() - 3]));
            assert!(made || step.sql.contains("t0"), "{}", step.sql);
        }
        // What was not acknowledged then is left alone.
        assert_eq!(super::steps("t0", "t1", &BTreeSet::new()).len(), 3);
    }
}
