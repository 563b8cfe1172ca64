//! A target described as data: how to start it, watch it and talk to it.

mod check;
mod container;
mod file;
mod http;
mod lines;
mod points;
mod read;
mod template;

pub use container::{
    ContainerTemplate, DATA_DIR, Licence, LoopTemplate, Recipe, SHARED_DIR, SHARED_VOLUME,
    Surroundings, Variant,
};
pub use file::TargetFile;
pub use http::{HttpTemplate, http_template};
pub use lines::line_of_key;
pub use points::{PointsTemplate, Reach};
pub use read::TargetError;
pub use template::{fill, has, placeholders};

use crate::fault::Fault;
use crate::plan::Timeout;
use crate::status::DeploymentStatus;
use crate::version::PathVersion;
use crate::workload::Capabilities;
use std::collections::BTreeMap;

/// A target, as its file says it, with defaults where the file says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name and runtime.
    pub target: TargetHead,
    /// Where its instances come from.
    pub instances: Instances,
    /// How they are started in containers; `None` where nobody says.
    pub container: Option<ContainerTemplate>,
    /// Where instances keep their data beside the metadata store, unless told otherwise: an address for `{blob_store}`,
    /// as processes and as containers have it.
    pub blob_store: BlobStores,
    /// How an instance says where it stands.
    pub status: Status,
    /// How an instance is told to take over.
    pub promote: Promote,
    /// What is asked to see whether an instance serves; `None` if that is the version.
    pub ready: Option<String>,
    /// What is examined around a hand-over besides what clients see.
    pub examine: Examine,
    /// How the points of a step are reached at which a fault can happen.
    pub points: PointsTemplate,
    /// How clients talk to it.
    pub client: ClientTemplate,
    /// What workloads other than `set` can do with it.
    pub workload: WorkloadTemplate,
    /// Where its versions are listed; nowhere for a target with a release catalog.
    pub versions: Option<Versions>,
    /// What a plan says unless told otherwise.
    pub defaults: LoadDefaults,
    /// Deadlines in milliseconds; see [`Timeout`]. All are there.
    pub timeouts_ms: BTreeMap<String, u64>,
    /// Budgets in milliseconds; see [`BUDGETS`](crate::plan::BUDGETS). All are there.
    pub budgets: BTreeMap<String, f64>,
    /// The directory its file lies in, for `{target_dir}`; empty for a built-in target. The reader of the file knows.
    pub dir: String,
}

/// `[target]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHead {
    /// The name in plans and reports.
    pub name: String,
    /// The runtime it runs on by default.
    pub runtime: String,
    /// Where its images are, without a tag; `None` for a target without images.
    pub image: Option<String>,
    /// The kind of metadata store that its generations share by default.
    pub metadata_store: String,
    /// Schemas that must be there in one in PostgreSQL.
    pub metadata_schemas: Vec<String>,
}

/// Where instances keep their data beside the metadata store, with placeholders; empty for a target that does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlobStores {
    /// For processes.
    pub process: String,
    /// For containers.
    pub container: String,
}

/// `[instance]`: where instances come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// They are started.
    Started(InstanceTemplate),
    /// They run already: where, the first leader first.
    Attached(Vec<Endpoint>),
    /// Nobody says: the target can be planned, not rehearsed.
    Unknown,
}

/// How an instance is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceTemplate {
    /// Program and arguments, with placeholders. No shell. Never empty.
    pub command: Vec<String>,
    /// Environment variables, with placeholders.
    pub env: BTreeMap<String, String>,
    /// Variables of our own environment that it gets, those that are set; they win.
    pub pass_env: Vec<String>,
    /// Files that are written before it is started, by path, both with placeholders.
    pub files: BTreeMap<String, String>,
    /// Exit codes that ask for a restart in place.
    pub restart_exit_codes: Vec<i32>,
    /// Exit codes that say "I was fenced".
    pub fenced_exit_codes: Vec<i32>,
}

/// Where an endpoint answers that runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, an IPv6 one in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// `[status]`: how an instance says where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// By the leader API at `{http_addr}`.
    LeaderApi,
    /// By a document of its own.
    Http(StatusTemplate),
    /// Not at all. It answers a query or it does not; and whether it was promoted, the driver knows.
    Query,
}

/// A status document of a service's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusTemplate {
    /// What is asked, an http URL with placeholders.
    pub url: String,
    /// Where the answer has its word for it (RFC 6901).
    pub json_pointer: String,
    /// What the service's words mean.
    pub map: BTreeMap<String, DeploymentStatus>,
}

/// `[promote]`: how an instance is told to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promote {
    /// By the leader API at `{http_addr}`.
    LeaderApi,
    /// By a request of its own.
    Http {
        /// The method.
        method: String,
        /// An http URL with placeholders.
        url: String,
    },
    /// By a program and its arguments, with placeholders. No shell.
    Command(Vec<String>),
}

/// `[examine]`: see the keys' text in the schema. What is `None` is not examined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examine {
    /// The body of the refusal of a promotion that comes too early.
    pub early_promotion: Option<String>,
    /// The body of the answer to a promotion of the leader.
    pub second_promotion: Option<String>,
    /// A write to an instance that was not promoted, and what it is refused with.
    pub read_only_write: Option<(String, String)>,
    /// A read of an instance that was not promoted.
    pub read_only_read: Option<String>,
    /// A query to the catalog of a new leader, and how long it may take, in milliseconds.
    pub catalog_query: Option<(String, u64)>,
}

/// `[client]`: SQL, or `METHOD path body`, with `{id}` (text) and `{value}` (64-bit integer) as parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTemplate {
    /// The connection URL; `{sql_addr}` or `{http_addr}` is the instance's or the front door's address.
    pub url: String,
    /// Creates what the clients need, once, idempotently.
    pub create: Vec<String>,
    /// Adds `{value}` to the set `{id}`.
    pub write: String,
    /// Returns the elements of the set `{id}`.
    pub read: String,
    /// Returns the version that answers; `None` if nobody checks it.
    pub version: Option<String>,
    /// Lists the objects that clients see, a row each of a name and what it is; `None` if nobody compares them. In SQL
    /// only.
    pub catalog: Option<String>,
}

/// `[workload]`: what workloads can do with a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkloadTemplate {
    /// What it can do that not all can.
    pub capabilities: Capabilities,
    /// Creates what `agree` asks for, once, idempotently.
    pub create: Vec<String>,
    /// A query of one row of which the first half must say what the second does: a view of all sets, and their table.
    pub agree: Option<String>,
}

impl ClientTemplate {
    /// The URL with this address in it, whichever of the instance's it stands for.
    pub fn url_at(&self, addr: &str) -> String {
        fill(&self.url, &[("sql_addr", addr), ("http_addr", addr)])
    }

    /// Whether clients speak HTTP, and not SQL.
    pub fn speaks_http(&self) -> bool {
        self.url.starts_with(HTTP)
    }

    /// Whether clients connect where the leader API is, and not where SQL is.
    pub fn uses_http_addr(&self) -> bool {
        has(&self.url, "http_addr")
    }
}

/// The scheme of URLs that are asked over HTTP. There is no TLS.
pub const HTTP: &str = "http://";

/// `[versions]`: where a target's versions are listed, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Here.
    List(Vec<PathVersion>),
    /// In what a program prints, one a line. No shell.
    Command(Vec<String>),
}

/// `[defaults]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadDefaults {
    /// Workload operations a second.
    pub rate: u32,
    /// Workload clients.
    pub clients: u32,
    /// The lanes' interval in milliseconds.
    pub probe_interval_ms: u64,
    /// What is broken on purpose in every plan.
    pub faults: Vec<Fault>,
}

impl Target {
    /// Reads a target.
    ///
    /// # Errors
    ///
    /// When the text is no target that could work, with the line.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        read::read(text)
    }

    /// A deadline that plans have unless told otherwise, in milliseconds.
    pub fn timeout_ms(&self, timeout: Timeout) -> u64 {
        self.timeouts_ms[timeout.name()]
    }

    /// The budgets that plans have unless told otherwise, on this runtime.
    pub fn budgets_on(&self, runtime: &str) -> BTreeMap<String, f64> {
        let mut budgets = self.budgets.clone();
        if let ("docker", Some(container)) = (runtime, &self.container) {
            budgets.extend(container.budgets.clone());
        }
        budgets
    }

    /// Whether its instances run already, so that they are neither started nor ended.
    pub fn is_attached(&self) -> bool {
        matches!(self.instances, Instances::Attached(_))
    }

    /// What is asked to see whether an instance serves.
    pub fn probe(&self) -> &str {
        let asked = self.ready.as_deref().or(self.client.version.as_deref());
        // A target without both is refused when it is read; one that was put together is asked for nothing in
        // particular.
        asked.unwrap_or("SELECT 1")
    }
}

#[cfg(test)]
mod tests;
