//! The real binary, from the outside.

mod psycopg;
mod transcripts;
