//! The real binary, from the outside.

mod harness;
mod psycopg;
mod rehearse;
mod transcripts;
