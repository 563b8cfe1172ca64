//! The reference database: a small, honest SQL database that is upgraded the way Materialize is.
//!
//! One program plays every release of its ladder ([`releases`]). [`run`] serves one instance: SQL over pgwire, and
//! the leader API over HTTP. What it promises and what it does not is in docs/reference-database.md.

mod acklog;
mod args;
mod bug;
mod commit;
mod confirm;
mod copy;
mod deployment;
mod engine;
mod exit;
mod follow;
mod hex;
mod hold;
mod ladder;
mod leader_api;
mod lock;
mod log;
mod migration;
mod serve;
mod session;
mod sql;
mod store;

pub use args::ServeArgs;
pub use bug::{Facts, bugs, bugs_json, bugs_text};
pub use ladder::{Release, UnknownVersion, find, releases};
pub use log::{Also, Listener, tell_also};
pub use serve::run;
pub use store::{
    PostgresAddress, StoreAddress, StoreTrouble, look, look_for_database, make_database, remove,
    remove_database,
};
