//! Rehearsals on a real Docker engine, with images made from files of this machine.

mod cleanup;
mod engine;
mod materialize;
mod metadata_store;
// What the reference database's own tests start, too.
#[path = "../../../changeover-reference/tests/it/postgres_server.rs"]
#[allow(dead_code)]
mod postgres_server;
mod reference;
mod refusals;
mod scenarios;
mod upgrader;
