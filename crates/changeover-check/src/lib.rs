//! Judges a run: events and history in, verdict out. Pure.
//!
//! [`Judge`] takes the lines of `events.jsonl` and `history.jsonl` as they are read and gives a
//! [`Verdict`](changeover_model::Verdict). [`Checker`] takes the lines of anybody's history and says whether its answers
//! can be right. This crate knows no clock, no file, no thread and no randomness; the same
//! lines give the same verdict, on every machine.
//!
//! [`of_series`] makes one verdict of those of several runs of a plan.
//! [`ProbeJudge`] does the same as [`Judge`] for a [`probe`], which may last for hours, and keeps little of what it takes.
//!
//! A module each: [`gap`] how long clients would have waited, [`latency`] how fast they were served, `register`, `set`,
//! `counter`, `append` and `bank` whether the answers were right (`search` where only trying helps), `protocol` whether the hand-over kept to its rules, [`budget`] whether it was good enough,
//! [`quality`] and `circumstances` whether the measurement can be trusted, and [`verdict`] the outcome.

mod append;
mod bank;
mod bits;
pub mod budget;
mod call_off;
mod checker;
mod circumstances;
mod clients;
mod cliff;
mod counter;
mod evidence;
mod examined;
mod faults;
mod findings;
pub mod gap;
mod intern;
mod judge;
pub mod lanes;
pub mod latency;
mod lines;
mod models;
mod observed;
mod ops;
pub mod probe;
mod processes;
mod protocol;
pub mod quality;
mod register;
mod rolling;
mod scalar;
mod search;
mod series;
mod set;
pub mod stats;
mod subhistory;
pub mod timeline;
pub mod verdict;

#[cfg(test)]
mod testing;

pub use checker::{BadInput, Checker, Consistency, ModelReport, Options, Report};
pub use evidence::{history_name, name_histories};
pub use examined::{EXAMINED, PROBED, examined, probed};
pub use findings::{Found, LISTED};
pub use judge::Judge;
pub use lines::{LONGEST_LINE, Lines, LinesError};
pub use probe::ProbeJudge;
pub use rolling::Rolling;
pub use series::{OneRun, of_series};
pub use subhistory::SubHistory;
pub use verdict::sort_found;
