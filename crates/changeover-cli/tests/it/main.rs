//! The real binary, from the outside.

mod harness;
mod ladder;
mod psycopg;
mod rehearse;
mod transcripts;
mod upgrader;
