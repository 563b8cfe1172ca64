//! The words of Changeover as data: versions, catalogs, plans, events, histories, verdicts.
//!
//! Everything here is plain data and total functions on it. This crate knows no clock, no file, no socket and no
//! randomness; whoever has those hands in what they produced. All files that other programs may read are defined
//! here, one module each, and carry `"format": "changeover.<kind>/<major>"` first (see [`format`]).

pub mod catalog;
pub mod check;
pub mod checked;
pub mod date;
pub mod event;
pub mod fault;
pub mod figure;
pub mod format;
pub mod history;
pub mod nearest;
pub mod observation;
pub mod plan;
pub mod probe;
pub mod scenario;
pub mod secret;
pub mod service;
pub mod status;
pub mod target;
pub mod text;
pub mod user_check;
pub mod verdict;
pub mod version;
pub mod workload;

pub use catalog::{Catalog, Release};
pub use check::{Check, Severity};
pub use date::Date;
pub use event::{Event, EventKind};
pub use fault::Fault;
pub use history::{Operation, Outcome};
pub use plan::Plan;
pub use probe::Probe;
pub use secret::Secret;
pub use service::ServiceArgs;
pub use status::DeploymentStatus;
pub use target::Target;
pub use verdict::Verdict;
pub use version::{PathVersion, Version};
