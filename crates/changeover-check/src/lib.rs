//! Judges a run: events and history in, verdict out. Pure.
//!
//! [`Judge`] takes the lines of `events.jsonl` and `history.jsonl` as they are read and gives a
//! [`Verdict`](changeover_model::Verdict). This crate knows no clock, no file, no thread and no randomness; the same
//! lines give the same verdict, on every machine.
//!
//! [`ProbeJudge`] does the same for a [`probe`], which may last for hours, and keeps little of what it takes.
//!
//! A module each: [`gap`] how long clients would have waited, [`latency`] how fast they were served, `set` whether
//! the answers were right, `protocol` whether the hand-over kept to its rules, [`budget`] whether it was good enough,
//! [`quality`] whether the measurement can be trusted, and [`verdict`] the outcome.

mod bits;
pub mod budget;
mod clients;
mod cliff;
mod findings;
pub mod gap;
mod intern;
mod judge;
pub mod lanes;
pub mod latency;
pub mod probe;
mod protocol;
pub mod quality;
mod set;
pub mod stats;
pub mod timeline;
pub mod verdict;

#[cfg(test)]
mod testing;

pub use findings::LISTED;
pub use judge::Judge;
pub use probe::ProbeJudge;
