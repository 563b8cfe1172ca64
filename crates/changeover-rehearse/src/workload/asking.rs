//! Queries whose answers must stay the same, asked on connections of their own.

use super::moments::target_at;
use crate::client::Client;
use crate::record::{About, Recorder};
use changeover_model::observation::{Answered, Moment, Observation};
use changeover_model::target::ClientTemplate;
use changeover_model::workload::{Query, WorkloadKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two attempts at the same.
const AGAIN: Duration = Duration::from_millis(10);

/// So many rows of an answer are shown, each cut to so many characters.
const SAMPLE: usize = 3;
const SHOWN: usize = 120;

/// What is asked at every moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Questions {
    pub(super) queries: Vec<(WorkloadKind, Query)>,
    /// What a view and its table say.
    pub(super) agree: Option<String>,
}

impl Questions {
    pub(super) fn add(&mut self, workload: WorkloadKind, queries: Vec<Query>) {
        self.queries
            .extend(queries.into_iter().map(|q| (workload, q)));
    }
}

/// Who asks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(super) recorder: Recorder,
    pub(super) template: ClientTemplate,
    pub(super) timeout: Duration,
}

type Rows = Vec<Vec<Option<String>>>;

impl Asking {
    pub(super) fn new(recorder: Recorder, template: ClientTemplate, timeout: Duration) -> Self {
        Asking {
            recorder,
            template,
            timeout,
        }
    }

    /// Asks everything at this address; each until it is answered, or refused for good, or `deadline`.
    pub(super) async fn ask_all(
        &self,
        addr: SocketAddr,
        questions: &Questions,
        moment: Moment,
        about: &About,
        deadline: Instant,
    ) {
        let mut client = None;
        let began = Instant::now();
        for (workload, query) in &questions.queries {
            let rows = self.ask(&mut client, addr, &query.sql, deadline).await;
            self.recorder.observed(
                about,
                Observation::Query {
                    workload: *workload,
                    query: query.name.clone(),
                    moment,
                    ms: millis(began),
                    answered: answered(&query.sql, rows),
                },
            );
        }
        // Not while everybody waits for the first answer.
        if moment != Moment::Promoted
            && let Some(sql) = &questions.agree
            // An answer that did not come is none, and so none that disagrees.
            && let Ok(rows) = self.ask(&mut client, addr, sql, deadline).await
            && let [row] = rows.as_slice()
        {
            let (view, table) = row.split_at(row.len() / 2);
            self.recorder.observed(
                about,
                Observation::Agreement {
                    moment,
                    view: view.to_vec(),
                    table: table.to_vec(),
                },
            );
        }
        if let Some(client) = client {
            client.close().await;
        }
    }

    /// Asks until there is an answer. What a server refuses is asked again too: right after a promotion it may be on
    /// its way; but not what it will never understand.
    pub(super) async fn ask(
        &self,
        client: &mut Option<Client>,
        addr: SocketAddr,
        sql: &str,
        deadline: Instant,
    ) -> Result<Rows, String> {
        loop {
            let error = match self.attempt(client, addr, sql).await {
                Ok(rows) => return Ok(rows),
                Err((error, for_good)) if for_good || Instant::now() >= deadline => {
                    return Err(error);
                }
                Err((error, _)) => error,
            };
            if Instant::now() + AGAIN >= deadline {
                return Err(error);
            }
            sleep(AGAIN).await;
        }
    }

    async fn attempt(
        &self,
        client: &mut Option<Client>,
        addr: SocketAddr,
        sql: &str,
    ) -> Result<Rows, (String, bool)> {
        let limit = Instant::now() + self.timeout;
        let mut connected = match client.take() {
            Some(client) => client,
            None => {
                let target =
                    target_at(&self.template, addr, self.timeout).map_err(|e| (e, true))?;
                let connected = Client::connect(target, limit).await;
                connected.map_err(|e| (e.to_string(), false))?
            }
        };
        let answer = connected.execute(sql, limit).await;
        if !connected.is_dead() {
            *client = Some(connected);
        }
        // Syntax, names and rights: class 42.
        answer.map_err(|e| {
            let for_good = e.sqlstate().is_some_and(|state| state.starts_with("42"));
            (e.to_string(), for_good)
        })
    }
}

/// The time since then, in whole microseconds.
pub(super) fn millis(began: Instant) -> f64 {
    began.elapsed().as_micros() as f64 / 1e3
}

/// An answer in few words. Without an order asked for, rows are compared as if they had one.
pub(crate) fn answered(sql: &str, rows: Result<Rows, String>) -> Answered {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return Answered::Error(error),
    };
    let text = |row: &Vec<Option<String>>| {
        let values = row.iter().map(|value| match value {
            // Quoted, so that no text is taken for null or for two values.
            Some(text) => format!("{text:?}"),
            None => "null".to_owned(),
        });
        values.collect::<Vec<_>>().join(", ")
    };
    let mut lines: Vec<String> = rows.iter().map(text).collect();
    if !sql.to_ascii_lowercase().contains("order by") {
        lines.sort_unstable();
    }
    Answered::Rows {
        rows: lines.len() as u64,
        digest: digest(&lines),
        sample: lines
            .iter()
            .take(SAMPLE)
            .map(|line| line.chars().take(SHOWN).collect())
            .collect(),
    }
}

/// FNV-1a of 64 bits: nobody forges answers here.
fn digest(lines: &[String]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for line in lines {
        for byte in line.bytes().chain([b'\n']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[Option<&str>]) -> Result<Rows, String> {
        Ok(values.iter().map(|v| vec![v.map(str::to_owned)]).collect())
    }

    #[test]
    fn order_counts_only_where_it_was_asked_for() {
        let (ab, ba) = (rows(&[Some("a"), Some("b")]), rows(&[Some("b"), Some("a")]));
        assert_eq!(
            answered("SELECT v", ab.clone()),
            answered("SELECT v", ba.clone())
        );
        assert_ne!(
            answered("SELECT v Order By v", ab),
            answered("SELECT v Order By v", ba)
        );
    }

    #[test]
    fn null_is_no_text_and_two_values_are_not_one() {
        let of = |rows| answered("SELECT", rows);
        assert_ne!(of(rows(&[None])), of(rows(&[Some("null")])));
        let two = Ok(vec![vec![Some("a".to_owned()), Some("b".to_owned())]]);
        assert_ne!(of(two), of(rows(&[Some("a\", \"b")])));
    }
}
