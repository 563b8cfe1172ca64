//! Integration tests of the executor.

mod clients;
mod pg_stub;
