//! The real binary, from the outside.

mod bugs;
mod compose;
mod faults;
mod guide;
mod harness;
mod ladder;
mod postgres;
mod probe;
// What the reference database's own tests start, too.
#[path = "../../../changeover-reference/tests/it/postgres_server.rs"]
#[allow(dead_code)]
mod postgres_server;
mod psycopg;
mod rehearse;
mod reports;
mod runs;
mod series;
mod survival;
mod targets;
mod terminal;
mod transcripts;
mod upgrader;
mod workloads;
