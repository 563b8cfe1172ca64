//! Where instances run: one trait, and the runtimes behind it.
//!
//! A runtime starts *instances* and reports how their processes end. It judges nothing: whether an end asks for a
//! restart, is a fence or a crash is the driver's business.

pub mod attached;
mod container;
pub mod docker;
pub mod postgres;
pub mod process;

pub use container::{Container, ImageSeen, RestartLoop};

use async_trait::async_trait;
use changeover_model::Secret;
use changeover_model::event::ProcessEnd;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What an instance is started with.
#[derive(Debug, Clone)]
pub struct InstanceSpec {
    /// The slot, such as `mz_1`.
    pub slot: String,
    /// The deploy generation.
    pub generation: u64,
    /// Program and arguments; no shell. Empty for an instance that runs already.
    pub command: Vec<String>,
    /// Environment variables on top of what the runtime passes on.
    pub env: BTreeMap<String, Secret>,
    /// Where it will answer SQL.
    pub sql_addr: SocketAddr,
    /// Where it will answer the leader API.
    pub http_addr: SocketAddr,
    /// Where its output goes; appended to.
    pub log: PathBuf,
    /// The container it runs in; `None` for a process of this machine.
    pub container: Option<Container>,
}

impl InstanceSpec {
    /// Whether the instance runs already, so that it is neither started nor ended.
    pub fn is_attached(&self) -> bool {
        self.command.is_empty() && self.container.is_none()
    }
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub end: ProcessEnd,
    /// Whether a call of [`Instance::stop`] ended it.
    pub by_us: bool,
}

/// What a fault does to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// It is killed, without a chance to do anything more.
    Kill,
    /// It is asked to end, softly, and after this long killed.
    End(Duration),
    /// It stands still: it keeps its connections, and answers nothing.
    Pause,
    /// It goes on.
    Resume,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disturbance::Kill => "killed",
            Disturbance::End(_) => "ended",
            Disturbance::Pause => "paused",
            Disturbance::Resume => "resumed",
        })
    }
}

/// Why a runtime could not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeError {
    /// What was tried, on what, what happened and what to do: one sentence.
    pub message: String,
}

impl RuntimeError {
    /// An error with this sentence.
    pub fn new(message: impl Into<String>) -> Self {
        RuntimeError {
            message: message.into(),
        }
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuntimeError {}

/// Where instances run.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Two addresses, for SQL and for the leader API, that nobody listens on.
    ///
    /// # Errors
    ///
    /// When there are none to be had.
    async fn reserve_addresses(&self) -> Result<(SocketAddr, SocketAddr), RuntimeError>;

    /// Starts an instance's first process.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    async fn spawn(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, RuntimeError>;

    /// What of this run is still there. After every instance was stopped it should be nothing; what is found is
    /// removed.
    async fn sweep(&self) -> Vec<String>;
}

/// One generation of a service in a slot. Dropping it ends its process the hard way.
#[async_trait]
pub trait Instance: Send {
    /// What it was started with.
    fn spec(&self) -> &InstanceSpec;

    /// The process that runs now or ran last.
    fn pid(&self) -> u32;

    /// Waits until the present process has ended. Cancel-safe; once it has ended, answers at once until
    /// [`Instance::restart`].
    async fn ended(&mut self) -> Ended;

    /// Starts a process again in place, with the same addresses, log and data.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    async fn restart(&mut self) -> Result<(), RuntimeError>;

    /// Ends the process: softly, and after `grace` the hard way. Returns how it ended; at once if it already had.
    async fn stop(&mut self, grace: Duration) -> Ended;

    /// Breaks its process on purpose, or mends what was broken. Returns once the process is what it was to become; its
    /// end is then seen by [`Instance::ended`], like any other's.
    ///
    /// # Errors
    ///
    /// When there is no such process, or nobody here can do that to it.
    async fn disturb(&mut self, how: Disturbance) -> Result<(), RuntimeError> {
        Err(RuntimeError::new(format!(
            "instance {} cannot be {how}: its process is not ours to break",
            self.spec().slot
        )))
    }

    /// What its process does now, in words, such as `process 17 is stopped`.
    async fn condition(&mut self) -> String {
        format!("process {}", self.pid())
    }

    /// The image that it really runs, if it is a container.
    fn image(&self) -> Option<&ImageSeen> {
        None
    }

    /// The last `lines` lines of its log, made harmless for a terminal.
    fn log_tail(&self, lines: usize) -> Vec<String>;
}

/// A metadata store's server that belongs to a run, and can be broken on purpose.
#[async_trait]
pub trait StoreServer: Send {
    /// Breaks it, or lets it go on. Returns how it ended, if it did.
    ///
    /// # Errors
    ///
    /// When it does not run, or nobody here can do that to it.
    async fn disturb(&mut self, how: Disturbance) -> Result<Option<Ended>, RuntimeError>;

    /// Starts it again with the same data and address, and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    async fn start_again(&mut self) -> Result<(), RuntimeError>;

    /// What it does now, in words.
    async fn condition(&mut self) -> String;

    /// How its process has ended, if it has. Waits for nothing.
    async fn ended(&mut self) -> Option<Ended>;

    /// Ends it for good.
    async fn stop(self: Box<Self>, grace: Duration);
}
