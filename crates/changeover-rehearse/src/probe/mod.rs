//! Probes an endpoint that somebody else upgrades: the lanes alone, for as long as it takes.
//!
//! It gives up on nothing while the endpoint is away. What it makes is a table, and that is gone afterwards.

pub mod board;
mod markers;
mod table;

pub use markers::MarkerFile;
pub use table::{Found, TableName};

use crate::client::{ClientTarget, OwnRequest};
use crate::full_read::full_read;
use crate::lanes::{self, HELD_CLIENTS, Lane, Requests};
use crate::leader_api::LeaderApi;
use crate::record::{About, Recorder};
use crate::schedule::Ticker;
use crate::tally::{Keys, Live, Tally};
use board::Board;
use changeover_model::event::{EventKind, StatusSeen};
use changeover_model::history::{Class, Connection, LaneId, OwnLane};
use changeover_model::probe::Probe;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// From the start to the first send, in nanoseconds: long enough that the first is not late because of the start.
const LEAD: u64 = 5_000_000;

/// Between two looks at the board and at the file of markers: how late a marker may be noticed.
const LOOK: Duration = Duration::from_millis(20);

/// How long the endpoint may take to come back for the full read at the end.
const FULL_READ: Duration = Duration::from_secs(10);
const FULL_READ_KEY: Duration = Duration::from_millis(20);

/// Everything that a probe needs.
pub struct Setup {
    /// What is to be done.
    pub probe: Probe,
    /// The run's name.
    pub run: String,
    /// The database, if one is probed.
    pub sql: Option<ClientTarget>,
    /// What must come back from the user's queries, in their order.
    pub expected: Vec<Option<String>>,
    /// The HTTP endpoints, in the probe's order.
    pub http: Vec<ClientTarget>,
    /// The table, if anything is written.
    pub table: Option<Table>,
    /// The leader APIs, by what they are called.
    pub leader_apis: Vec<(String, LeaderApi)>,
    /// Where scripts write markers.
    pub markers: Option<MarkerFile>,
    /// Takes events and operations.
    pub recorder: Recorder,
    /// Sees the operations too, by way of the recorder's sink.
    pub board: Arc<Board>,
    /// The load's figures appear here once it runs.
    pub live: Arc<OnceLock<Arc<Live>>>,
    /// Cancelled to end in good order.
    pub cancel: CancellationToken,
    /// Cancelled to end at once, but for what is to be removed.
    pub abort: CancellationToken,
}

/// The table to write to.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Whether it is to be made; otherwise it was there, and has our shape.
    pub make: bool,
    /// Whether it stays.
    pub keep: bool,
    /// What our keys begin with.
    pub prefix: String,
}

/// What a probe costs whom the endpoint belongs to, in a sentence.
pub fn cost(probe: &Probe, table: Option<&Table>) -> String {
    let lanes = probe.lanes();
    let per_second = |lanes: usize| {
        let rate = lanes as f64 * 1000.0 / probe.probe_interval_ms.max(1) as f64;
        match rate >= 10.0 || rate.fract() == 0.0 {
            true => format!("{rate:.0}"),
            false => format!("{rate:.1}"),
        }
    };
    let held = lanes
        .iter()
        .filter(|lane| lane.connection == Connection::Held)
        .count();
    let lane = |n: usize| if n == 1 { "lane" } else { "lanes" };
    let mut cost = format!(
        "{} {} every {} ms: {} operations and {} new connections a second, {} connections held",
        lanes.len(),
        lane(lanes.len()),
        probe.probe_interval_ms,
        per_second(lanes.len()),
        per_second(lanes.len() - held),
        held * HELD_CLIENTS
    );
    match table {
        None => cost.push_str(", nothing is written"),
        Some(table) => {
            let writes = lanes.iter().filter(|l| l.class == Class::Write).count();
            let fate = match (table.make, table.keep) {
                (true, false) => "is created and dropped at the end",
                (true, true) => "is created and kept",
                (false, false) => "was there and stays, our rows are deleted at the end",
                (false, true) => "was there and stays, with our rows",
            };
            cost.push_str(&format!(
                ", {} rows a second in table {}, which {fate}",
                per_second(writes),
                table.name.sql().replace('"', "")
            ));
        }
    }
    cost
}

/// Probes until it is told to end, or its time is over.
///
/// # Errors
///
/// When nothing could be measured at all: why, in a sentence.
pub async fn probe(setup: Setup) -> Result<(), String> {
    let Setup {
        probe,
        run,
        sql,
        expected,
        http,
        table,
        leader_apis,
        markers,
        recorder,
        board,
        live,
        cancel,
        abort,
    } = setup;
    let nobody = About::default();
    let event = |kind| recorder.event(&nobody, kind);
    event(EventKind::RunStarted {
        run,
        changeover: env!("CARGO_PKG_VERSION").to_owned(),
        cores: std::thread::available_parallelism().map_or(1, |n| n.get()),
    });
    event(EventKind::ProbeStarted {
        endpoint: probe.what(),
        cost: cost(&probe, table.as_ref()),
    });
    let written = table.zip(sql.clone());
    if let Some((table, target)) = written.as_ref().filter(|(table, _)| table.make) {
        event(EventKind::PrepareIntent);
        table.name.create(target).await.map_err(|e| {
            event(EventKind::RunEnded);
            format!(
                "the table {} could not be created: {e}; name another with --write-table, or write nothing with --read-only",
                table.name.sql()
            )
        })?;
        event(EventKind::PrepareDone);
    }
    event(EventKind::LoadIntent);
    let prefix = written.as_ref().map_or("", |(table, _)| &table.prefix);
    let load = Lanes {
        probe: &probe,
        sql: sql.as_ref(),
        expected: &expected,
        http: &http,
        prefix,
    };
    let load = load
        .start(&recorder, &board)
        .map_err(|e| format!("the lanes could not be started: {e}"))?;
    event(EventKind::LoadDone);
    let _ = live.set(Arc::clone(load.tally.live()));
    let keys = Arc::clone(load.tally.keys());
    let watching = TaskTracker::new();
    let end = CancellationToken::new();
    let (lanes_ended, nobody_left) = (CancellationToken::new(), TaskTracker::new());
    let news = watch(recorder.clone(), Arc::clone(&board), lanes_ended.clone());
    nobody_left.spawn(news);
    nobody_left.close();
    if let Some(markers) = markers {
        watching.spawn(mark(recorder.clone(), markers, end.clone()));
    }
    for (name, api) in leader_apis {
        let pace = Duration::from_millis(probe.probe_interval_ms.clamp(50, 250));
        watching.spawn(follow(recorder.clone(), name, api, pace, end.clone()));
    }
    match probe.lasts_ms {
        Some(lasts) => {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(lasts)) => {
                    event(EventKind::ProbeEnding { reason: "its time is over".to_owned() });
                }
            }
        }
        None => cancel.cancelled().await,
    }
    event(EventKind::LoadEndIntent);
    tokio::select! {
        () = load.stop() => {
            lanes_ended.cancel();
            nobody_left.wait().await;
            event(EventKind::LoadEndDone);
        }
        () = abort.cancelled() => lanes_ended.cancel(),
    }
    if let Some((table, target)) = &written {
        tokio::select! {
            // A read that was cut short is no full read: there is no event of its end.
            () = abort.cancelled() => {}
            () = read_back(&recorder, target, &table.name, &keys) => {}
        }
    }
    end.cancel();
    watching.close();
    watching.wait().await;
    if let Some((table, target)) = written.filter(|(table, _)| !table.keep) {
        event(EventKind::CleanUpIntent);
        let removed = table
            .name
            .remove(&target, table.make, &table.prefix, &abort);
        event(EventKind::CleanUpDone {
            left: removed.await.err(),
        });
    }
    event(EventKind::RunEnded);
    Ok(())
}

/// What lanes are made of.
struct Lanes<'a> {
    probe: &'a Probe,
    sql: Option<&'a ClientTarget>,
    expected: &'a [Option<String>],
    http: &'a [ClientTarget],
    prefix: &'a str,
}

/// Running lanes.
struct Running {
    ticker: Ticker,
    tasks: TaskTracker,
    tally: Arc<Tally>,
}

impl Lanes<'_> {
    fn start(&self, recorder: &Recorder, board: &Board) -> io::Result<Running> {
        let tally = Arc::new(Tally::new(recorder.clone()));
        let tasks = TaskTracker::new();
        let ids = self.probe.lanes();
        let lanes: Vec<Lane> = ids
            .iter()
            .filter_map(|id| {
                let target = self.target(id)?;
                let (class, connection) = (id.class, id.connection);
                let requests = self.requests(id);
                Some(Lane::new(
                    class, connection, requests, target, &tally, &tasks,
                ))
            })
            .collect();
        let clock = tally.clock();
        let start = clock.now() + LEAD;
        let interval = self.probe.probe_interval_ms * 1_000_000;
        let paces = (0..lanes.len())
            .map(|lane| lanes::pace(lane, lanes.len(), start, interval))
            .collect();
        board.begin(start);
        let ticker = Ticker::start(clock, paces, move |due| {
            if let Some(lane) = lanes.get(due.schedule) {
                lane.fire(due);
            }
        })?;
        Ok(Running {
            ticker,
            tasks,
            tally,
        })
    }

    fn target(&self, id: &LaneId) -> Option<&ClientTarget> {
        match id.own {
            Some(OwnLane::Http(number)) => self.http.get(usize::from(number) - 1),
            _ => self.sql,
        }
    }

    fn requests(&self, id: &LaneId) -> Requests {
        let own = |key: Option<OwnLane>, sql: &str, expected: Option<&Option<String>>| {
            Requests::Own(Arc::new(OwnRequest {
                key: key.map(|key| key.to_string()),
                sql: sql.to_owned(),
                expected: expected.cloned().flatten(),
            }))
        };
        match id.own {
            Some(OwnLane::Sql(number)) => {
                let place = usize::from(number) - 1;
                let sql = self.probe.sql.get(place).map_or("", String::as_str);
                own(id.own, sql, self.expected.get(place))
            }
            Some(OwnLane::Http(_)) => own(id.own, "", None),
            // There is nothing of ours to be read.
            None if self.probe.write_table.is_none() && id.class == Class::Read => {
                own(None, "SELECT 1", None)
            }
            None => Requests::Set {
                prefix: self.prefix.into(),
            },
        }
    }
}

impl Running {
    /// Ends the schedule and waits until the last operation has ended.
    async fn stop(self) {
        self.ticker.stop().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Puts gaps on record as they open and close.
async fn watch(recorder: Recorder, board: Arc<Board>, end: CancellationToken) {
    let mut ticks = interval(LOOK);
    loop {
        let ended = tokio::select! {
            () = end.cancelled() => true,
            _ = ticks.tick() => false,
        };
        for news in board.news(recorder.clock().now()) {
            // What opens after the last operation is no gap: there is nobody left to be served.
            if !(ended && matches!(news, EventKind::GapOpened { .. })) {
                recorder.event(&About::default(), news);
            }
        }
        if ended {
            return;
        }
    }
}

/// Puts the lines of a file on record as they come.
async fn mark(recorder: Recorder, mut file: MarkerFile, end: CancellationToken) {
    let mut ticks = interval(LOOK);
    loop {
        let ended = tokio::select! {
            () = end.cancelled() => true,
            _ = ticks.tick() => false,
        };
        // Reading may wait for a disk; the lanes must not.
        let Ok((back, lines)) = tokio::task::spawn_blocking(move || {
            let lines = file.lines();
            (file, lines)
        })
        .await
        else {
            return;
        };
        file = back;
        for name in lines {
            recorder.event(&About::default(), EventKind::Marker { name });
        }
        if ended {
            return;
        }
    }
}

/// Puts on record what a leader API says, whenever that is something else than before.
async fn follow(
    recorder: Recorder,
    name: String,
    api: LeaderApi,
    pace: Duration,
    end: CancellationToken,
) {
    let about = About {
        slot: Some(name),
        ..About::default()
    };
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut before, mut polls) = (None::<StatusSeen>, 0);
    loop {
        let seen = tokio::select! {
            () = end.cancelled() => return,
            seen = async {
                ticks.tick().await;
                api.status().await
            } => seen,
        };
        polls += 1;
        if before.as_ref() != Some(&seen) {
            let kind = EventKind::StatusSeen {
                seen: seen.clone(),
                polls,
            };
            recorder.event(&about, kind);
            (before, polls) = (Some(seen), 0);
        }
    }
}

/// Reads everything back. An endpoint that is away is waited for a while, gently.
async fn read_back(recorder: &Recorder, target: &ClientTarget, table: &TableName, keys: &Keys) {
    let all = keys.reads();
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let event = |kind| recorder.event(&About::default(), kind);
    event(EventKind::FullReadIntent {
        keys: u64::from(count),
    });
    let back = Instant::now() + FULL_READ;
    let unread = match count == 0 || table.is_back(target, back).await {
        true => {
            let deadline = Instant::now() + FULL_READ + FULL_READ_KEY * count;
            full_read(recorder, target, all, deadline).await.unread
        }
        false => u64::from(count),
    };
    event(EventKind::FullReadDone { unread });
}

#[cfg(test)]
mod tests {
    use super::*;
    use changeover_model::format::Kind;
    use std::collections::BTreeMap;

    #[test]
    fn the_cost_is_told_before_anything_is_done() {
        let mut probe = Probe {
            format: Kind::Probe.mark(),
            endpoint: Some("postgres://me@h:5432/d".to_owned()),
            probe_interval_ms: 250,
            timeout_ms: 2000,
            write_table: Some("changeover_probe".to_owned()),
            sql: Vec::new(),
            http: Vec::new(),
            leader_apis: Vec::new(),
            budgets: BTreeMap::new(),
            lasts_ms: None,
            reproduce: String::new(),
        };
        let table = Table {
            name: TableName::parse("changeover_probe").unwrap(),
            make: true,
            keep: false,
            prefix: String::new(),
        };
        assert_eq!(
            cost(&probe, Some(&table)),
            "5 lanes every 250 ms: 20 operations and 12 new connections a second, 16 connections held, 8 rows a second \
             in table changeover_probe, which is created and dropped at the end"
        );
        probe.write_table = None;
        probe.probe_interval_ms = 2000;
        assert_eq!(
            cost(&probe, None),
            "3 lanes every 2000 ms: 1.5 operations and 1 new connections a second, 8 connections held, nothing is written"
        );
    }
}
