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
    /// How an instance is started in a container. Without it the target has no runtime docker.
    pub(super) container: Option<Container>,
    /// How an instance says where it stands. Without it, it is asked by the leader API; an attached one by a query.
    pub(super) status: Option<Status>,
    /// How an instance is told to take over. Without it, by the leader API.
    pub(super) promote: Option<Promote>,
    /// What is asked to see whether an instance serves.
    pub(super) ready: Option<Ready>,
    /// What is examined around a hand-over besides what clients see.
    pub(super) examine: Option<Examine>,
    /// How it is seen, or brought about, that a step has reached a point at which a fault is planned.
    #[serde(default)]
    pub(super) points: Points,
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
    /// Schemas that must be in a metadata store in PostgreSQL before an instance is started.
    #[serde(default)]
    pub(super) metadata_schemas: Vec<String>,
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
    /// Variables of Changeover's own environment that it gets, those that are set; they win. Their values are recorded
    /// nowhere.
    pub(super) pass_env: Option<Vec<String>>,
    /// Files that are written before it is started, by path, both with placeholders.
    pub(super) files: Option<BTreeMap<String, String>>,
    /// What `{blob_store}` is unless `--blob-store` says otherwise, with placeholders.
    pub(super) blob_store: Option<String>,
    /// Exit codes that ask for a restart in place; 166 unless told otherwise.
    pub(super) restart_exit_codes: Option<Vec<i32>>,
    /// Exit codes that say "I was fenced, do not restart me"; 0 unless told otherwise.
    pub(super) fenced_exit_codes: Option<Vec<i32>>,
    /// The URLs of endpoints that run already, the first leader first. They may differ in host and port only.
    pub(super) attach: Option<Vec<String>>,
}

/// How an instance is started in a container. `{sql_addr}` and `{http_addr}` are where it is to listen in there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Container {
    /// The image of services that name none, with its tag; `{program}` makes one of the changeover binary.
    pub(super) image: Option<String>,
    /// Arguments behind the image's entrypoint, with placeholders.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// Environment variables, with placeholders.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// Variables of Changeover's own environment that it gets, those that are set; they win. Their values are recorded
    /// nowhere.
    #[serde(default)]
    pub(super) pass_env: Vec<String>,
    /// Files that are put into it, by path, with placeholders.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// The port in it that answers SQL.
    pub(super) sql_port: u16,
    /// The port in it that answers the leader API.
    pub(super) http_port: u16,
    /// More ports that are published, each at some free port of 127.0.0.1.
    #[serde(default)]
    pub(super) ports: Vec<u16>,
    /// Volumes that all containers of a run share, and where they have them.
    #[serde(default)]
    pub(super) volumes: BTreeMap<String, String>,
    /// Directories in memory.
    #[serde(default)]
    pub(super) tmpfs: Vec<String>,
    /// Security options, as the engine knows them.
    #[serde(default)]
    pub(super) security_opt: Vec<String>,
    /// Budgets that containers have instead of the target's, in milliseconds.
    #[serde(default)]
    pub(super) budgets: BTreeMap<String, f64>,
    /// What `{blob_store}` is unless `--blob-store` says otherwise, with placeholders.
    pub(super) blob_store: Option<String>,
    /// The loop in the image that starts its process again, if it has one.
    pub(super) restart_loop: Option<RestartLoop>,
    /// The licence key that it wants.
    pub(super) licence: Option<Licence>,
    /// Exit codes that ask for a restart in place; 166 unless told otherwise.
    pub(super) restart_exit_codes: Option<Vec<i32>>,
    /// Exit codes that say "I was fenced, do not restart me"; 0 unless told otherwise.
    pub(super) fenced_exit_codes: Option<Vec<i32>>,
    /// What is added for some versions.
    #[serde(default)]
    pub(super) when: Vec<When>,
}

/// What is added for some versions, by SemVer precedence. The current version is newer than every other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    /// For this version and later ones.
    pub(super) from: Option<String>,
    /// For earlier versions than this.
    pub(super) below: Option<String>,
    /// More arguments.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// More environment variables; they win.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// More files; they win.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
}

/// What a loop in an image says when its process ended. The container goes on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestartLoop {
    /// The end of the line that says it will be started again, with `{code}`.
    pub(super) restarts: String,
    /// The end of the line that says it ended with 0 and will not.
    pub(super) sleeps: String,
    /// How long it waits before it starts it again.
    pub(super) pause_ms: u64,
}

/// The licence key of a target.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Licence {
    /// From this version on it is given, if there is one.
    pub(super) given_from: String,
    /// From this version on there must be one.
    pub(super) needed_from: String,
    /// The variable that names its file to the instance, and that it is taken from.
    pub(super) variable: String,
    /// Where the container has it.
    pub(super) path: String,
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

/// What is examined around a hand-over besides what clients see. What is left out is not examined.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Examine {
    /// What the leader API answers, with 400, to a promotion of an instance that is not ready.
    pub(super) early_promotion: Option<String>,
    /// What it answers, with 200, to a promotion of the leader, which changes nothing.
    pub(super) second_promotion: Option<String>,
    /// A write without effect, sent to an instance that was not promoted.
    pub(super) read_only_write: Option<String>,
    /// What it is refused with: message and SQLSTATE, as in `cannot write in read-only mode (SQLSTATE 25006)`.
    pub(super) read_only_refusal: Option<String>,
    /// A read, sent to an instance that was not promoted. That it gets no answer is a warning.
    pub(super) read_only_read: Option<String>,
    /// The first query to the catalog after a promotion, which is timed by itself.
    pub(super) catalog_query: Option<String>,
    /// How long that may take.
    pub(super) catalog_query_ms: Option<u64>,
}

/// How a step's points are reached. Most are seen by the status, by how a process ends, or are calls of our own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Points {
    /// Arguments that make an instance wait at a point until it is released, with `{point}` and `{socket}`: it connects
    /// to that Unix socket and goes on when the connection is closed. Processes only.
    pub(super) hold: Option<Vec<String>>,
    /// What a line of an instance's log contains when it has reached a point, by the point's name.
    #[serde(default)]
    pub(super) log: BTreeMap<String, String>,
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
    /// What is broken on purpose in every plan, such as `new:kill@ready`.
    #[serde(default)]
    pub(super) faults: Vec<String>,
}
