//! What the service is started with.

use std::path::PathBuf;

/// Options of `reference serve`.
///
/// Names and values are checked when the service starts, not when they are parsed, so that every mistake is told in
/// one sentence and ends with exit code 2.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Release to play, such as v0.1.0, or current
    #[arg(long, value_name = "V", default_value = "current")]
    pub version: String,

    /// Deploy generation; a higher one fences out all lower ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub deploy_generation: u64,

    /// The store that all generations share: sqlite:PATH or postgres://user@host:port/database?schema=NAME
    #[arg(long, value_name = "STORE")]
    pub metadata_store: String,

    /// Address to answer SQL on (pgwire); port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6875")]
    pub sql_addr: String,

    /// Address to answer the leader API on (HTTP); port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6878")]
    pub http_addr: String,

    /// Write both addresses to this file, as JSON, once they are bound
    #[arg(long, value_name = "FILE")]
    pub address_file: Option<PathBuf>,

    /// Keep the private copy here, across restarts in place [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Read at most this many log records (transactions) a second before leading [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub hydration_rate: Option<u64>,

    /// Read at most this many log records a second at any time, as on a slow machine [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub read_rate: Option<u64>,

    /// Give up if not caught up within this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub max_wait: u64,

    /// Keep a record of the first and last acknowledged operations in this file
    #[arg(long, value_name = "FILE")]
    pub ack_log: Option<PathBuf>,

    /// Wait at this point of a hand-over until whoever listens at the socket hangs up (repeatable)
    #[arg(long, value_name = "POINT=SOCKET")]
    pub hold: Vec<String>,

    /// Have this bug, for whoever tests what tests upgrades; NAME@N: only generation N. `reference bugs` lists them
    #[arg(long, value_name = "NAME[@GENERATION]")]
    pub planted_bug: Option<String>,
}
