//! `target.toml` as it is written. Its doc comments are the text of `docs/target.schema.json`.

use crate::status::DeploymentStatus;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A target of Changeover: how to start it, watch it and talk to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// Its name and runtime.
    pub(super) target: Head,
    /// How an instance is started, or where instances run already. Without it the target can be planned, not rehearsed.
    pub(super) instance: Option<Instance>,
    /// How an instance says where it stands. Without it, it is asked by the leader API; an attached one by a query.
    pub(super) status: Option<Status>,
    /// How an instance is told to take over. Without it, by the leader API.
    pub(super) promote: Option<Promote>,
    /// What is asked to see whether an instance serves.
    pub(super) ready: Option<Ready>,
    /// How clients talk to it.
    pub(super) client: Client,
    /// What workloads other than `set` can do with it.
    #[serde(default)]
    pub(super) workload: Workload,
    /// Its versions.
    pub(super) versions: Option<Versions>,
    /// The load, unless told otherwise.
    #[serde(default)]
    pub(super) defaults: Defaults,
    /// Deadlines in milliseconds: boot, catch-up, promote, bootstrap, retire, operation.
    #[serde(default)]
    pub(super) timeouts_ms: BTreeMap<String, u64>,
    /// The longest gap that passes, in milliseconds: write-gap, read-gap, connect-gap.
    #[serde(default)]
    pub(super) budgets: BTreeMap<String, f64>,
}

/// Its name and runtime.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The name in plans and reports.
    pub(super) name: String,
    /// The runtime it runs on by default.
    #[serde(default = "process")]
    pub(super) runtime: String,
    /// Where its images are, without a tag.
    pub(super) image: Option<String>,
    /// The kind of metadata store that its generations share by default.
    #[serde(default = "sqlite")]
    pub(super) metadata_store: String,
}

fn process() -> String {
    "process".to_owned()
}

fn sqlite() -> String {
    "sqlite".to_owned()
}

/// Either `command` or `attach`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Instance {
    /// Program and arguments, with placeholders. No shell.
    pub(super) command: Option<Vec<String>>,
    /// Environment variables, with placeholders.
    pub(super) env: Option<BTreeMap<String, String>>,
    /// Exit codes that ask for a restart in place; 166 unless told otherwise.
    pub(super) restart_exit_codes: Option<Vec<i32>>,
    /// Exit codes that say "I was fenced, do not restart me"; 0 unless told otherwise.
    pub(super) fenced_exit_codes: Option<Vec<i32>>,
    /// The URLs of endpoints that run already, the first leader first. They may differ in host and port only.
    pub(super) attach: Option<Vec<String>>,
}

/// How an instance says where it stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    /// What is asked, an http URL with placeholders.
    pub(super) url: String,
    /// Where the answer, a JSON document, has its word for it (RFC 6901).
    #[serde(default = "slash_status")]
    pub(super) json_pointer: String,
    /// What the service's words mean. Without it they are the deployment statuses themselves.
    pub(super) map: Option<BTreeMap<String, DeploymentStatus>>,
}

fn slash_status() -> String {
    "/status".to_owned()
}

/// How an instance is told to take over: by a request or by a command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Promote {
    /// The request's method; POST unless told otherwise.
    pub(super) method: Option<String>,
    /// The request's http URL, with placeholders. 2xx is an acknowledgement, 4xx a refusal.
    pub(super) url: Option<String>,
    /// Program and arguments, with placeholders. No shell. Exit 0 is an acknowledgement.
    pub(super) command: Option<Vec<String>>,
}

/// What is asked to see whether an instance serves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ready {
    /// A query, or `METHOD path body`. An instance that answers it serves.
    pub(super) sql: String,
}

/// How clients talk to it: in SQL, or in requests written as `METHOD path body`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    /// Where, a postgres or http URL with `{sql_addr}` or `{http_addr}`. Not beside `attach`, whose URLs say it.
    pub(super) url: Option<String>,
    /// Creates what the clients need, once, idempotently.
    #[serde(default)]
    pub(super) create: Vec<String>,
    /// Adds `{value}` to the set `{id}`.
    pub(super) write: String,
    /// Returns the elements of the set `{id}`: a row each; over HTTP a JSON array of integers, or an integer a line.
    pub(super) read: String,
    /// Returns the version that answers. Without it nobody checks it, and `[ready]` must be there.
    pub(super) version: Option<String>,
    /// Lists the objects, a row each: a name, and what it is, so that another text is another object. They are compared
    /// after each step. In SQL only; without it nobody compares them.
    pub(super) catalog: Option<String>,
}

/// What workloads can do with it. SQL only.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Workload {
    /// What it can do that not all can: interactive-transactions, identifiers.
    #[serde(default)]
    pub(super) capabilities: Vec<String>,
    /// Creates what `agree` asks for, once, idempotently.
    #[serde(default)]
    pub(super) create: Vec<String>,
    /// A query of one row: what a view says of all sets, and then the same from their table. The halves must agree.
    pub(super) agree: Option<String>,
}

/// Its versions, oldest first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Versions {
    /// The versions.
    pub(super) list: Option<Vec<String>>,
    /// A program and its arguments that print them, one a line. No shell.
    pub(super) command: Option<Vec<String>>,
}

/// The load, unless told otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    /// Workload operations a second.
    pub(super) rate: Option<u32>,
    /// Workload clients.
    pub(super) clients: Option<u32>,
    /// The lanes' interval in milliseconds.
    pub(super) probe_interval_ms: Option<u64>,
}
