//! Integration tests of the executor.

mod clients;
mod driver;
mod pg_stub;
mod replayed;
