//! `probe.json`, and what a verdict says about a probe: the measurement of an endpoint that somebody else upgrades.

use crate::format::{FormatError, Kind};
use crate::history::{Class, Connection, LANES, LaneId, OwnLane};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a probe does. It holds no password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// `changeover.probe/1`.
    pub format: String,
    /// Where clients connect, without any password; `None` when only HTTP is probed.
    pub endpoint: Option<String>,
    /// Milliseconds from one operation of a lane to its next.
    pub probe_interval_ms: u64,
    /// How long an operation may take, connecting included, in milliseconds.
    pub timeout_ms: u64,
    /// The table that is written to; `None` when nothing is written.
    pub write_table: Option<String>,
    /// The user's own queries.
    pub sql: Vec<String>,
    /// The HTTP endpoints.
    pub http: Vec<String>,
    /// The leader APIs that are asked for their status.
    pub leader_apis: Vec<String>,
    /// Budgets by name, in milliseconds.
    pub budgets: BTreeMap<String, f64>,
    /// How long to measure, in milliseconds; `None` until it is told to end.
    pub lasts_ms: Option<u64>,
    /// The command that measures like this again.
    pub reproduce: String,
}

impl Probe {
    /// The lanes, in the order of reports, and in which they fire within an interval.
    pub fn lanes(&self) -> Vec<LaneId> {
        let mut lanes = Vec::new();
        if self.endpoint.is_some() {
            let writes = self.write_table.is_some();
            let those = |lane: &LaneId| writes || lane.class != Class::Write;
            lanes.extend(LANES.into_iter().filter(those));
        }
        let numbers = |count: usize| 1..=u8::try_from(count).unwrap_or(u8::MAX);
        for number in numbers(self.sql.len()) {
            lanes.push(LaneId::own(OwnLane::Sql(number), Connection::Held));
        }
        for number in numbers(self.http.len()) {
            for connection in [Connection::Held, Connection::New] {
                lanes.push(LaneId::own(OwnLane::Http(number), connection));
            }
        }
        lanes
    }

    /// What is probed, in a few words.
    pub fn what(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.http.join(", "),
        }
    }

    /// The probe as its file holds it: pretty-printed JSON and a newline.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a probe holds nothing that JSON cannot");
        text.push('\n');
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it is no probe, or one of another major version.
    pub fn from_json(text: &str) -> Result<Self, ProbeError> {
        let probe: Probe = serde_json::from_str(text).map_err(ProbeError::Json)?;
        Kind::Probe
            .accept(&probe.format)
            .map_err(ProbeError::Format)?;
        Ok(probe)
    }
}

/// A file that is no probe.
#[derive(Debug)]
pub enum ProbeError {
    /// Not the JSON object it must be.
    Json(serde_json::Error),
    /// The format mark.
    Format(FormatError),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Json(error) => write!(f, "{error}"),
            ProbeError::Format(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ProbeError {}

/// What a probe saw, beside what every verdict says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Where clients connected, without any password.
    pub endpoint: String,
    /// When the lanes began, in seconds since the run's zero.
    pub began_s: f64,
    /// How long the lanes ran, in milliseconds.
    pub lasted_ms: f64,
    /// Milliseconds from one operation of a lane to its next.
    pub probe_interval_ms: u64,
    /// A row a lane.
    pub lanes: Vec<LaneReport>,
    /// The gaps, in the order of time.
    pub gaps: Vec<SeenGap>,
    /// How many gaps there were beyond those.
    #[serde(default)]
    pub gaps_not_listed: u64,
    /// Markers, and what leader APIs said, in the order of time.
    pub moments: Vec<Moment>,
    /// How many moments there were beyond those.
    #[serde(default)]
    pub moments_not_listed: u64,
}

/// What became of a lane's operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneReport {
    /// Its name, such as `read/held` or `sql-1/held`.
    pub lane: String,
    /// Operations sent, or due and not sent.
    pub total: u64,
    /// Acknowledged.
    pub ok: u64,
    /// Certainly without effect.
    pub fail: u64,
    /// Perhaps with effect.
    pub unknown: u64,
    /// Why they were not acknowledged, by kind of error.
    pub errors: BTreeMap<String, u64>,
    /// The median latency of successes, from the intended send, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
    /// The largest.
    pub max_ms: Option<f64>,
}

/// A gap of a lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenGap {
    /// The lane's name.
    pub lane: String,
    /// When it began: the intended send of the last success before, in seconds since the run's zero.
    pub from_s: f64,
    /// How long it lasted, in milliseconds.
    pub ms: f64,
    /// How finely that was measured, in milliseconds.
    pub resolution_ms: f64,
    /// Whether its end was seen; otherwise it lasted at least so long.
    pub ended: bool,
    /// What failed of the operations that were due in it, by kind of error.
    pub errors: BTreeMap<String, u64>,
}

/// A moment on record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// In seconds since the run's zero.
    pub at_s: f64,
    /// Who said it: `marker`, or a leader API's address.
    pub who: String,
    /// What.
    pub what: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Probe {
        Probe {
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
            reproduce: "changeover probe postgres://me@h:5432/d".to_owned(),
        }
    }

    fn names(probe: &Probe) -> Vec<String> {
        probe.lanes().iter().map(LaneId::to_string).collect()
    }

    #[test]
    fn lanes_are_what_was_asked_for() {
        let mut probe = probe();
        assert_eq!(probe.lanes(), LANES);
        probe.write_table = None;
        probe.sql = vec!["SELECT 1".to_owned()];
        assert_eq!(
            names(&probe),
            ["read/held", "read/new", "connect/new", "sql-1/held"]
        );
        probe.endpoint = None;
        probe.sql.clear();
        probe.http = vec!["http://h/health".to_owned()];
        assert_eq!(names(&probe), ["http-1/held", "http-1/new"]);
        assert_eq!(probe.what(), "http://h/health");
    }

    #[test]
    fn a_probe_survives_its_file() {
        let probe = probe();
        assert_eq!(Probe::from_json(&probe.to_json()).unwrap(), probe);
        let other = probe.to_json().replace("probe/1", "probe/2");
        assert!(matches!(
            Probe::from_json(&other),
            Err(ProbeError::Format(_))
        ));
        assert!(matches!(Probe::from_json("{}"), Err(ProbeError::Json(_))));
    }
}
