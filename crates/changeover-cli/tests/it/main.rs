//! The real binary, from the outside.

mod harness;
mod psycopg;
mod ladder;
mod rehearse;
mod transcripts;
