//! What people read while a rehearsal runs and after it.
//!
//! Everything here consumes events, load counters and verdicts, and nothing else: no reporter looks at a clock, asks
//! an instance or changes what happens. A stored run therefore reads the same as a live one.
//!
//! - [`plain`]: a line per notable event, for pipes and CI.
//! - [`live`]: the terminal view of a run that is under way.
//! - [`strips`]: the same of a probe, a strip a lane.
//! - [`human`]: the end: steps, findings, budgets and one sentence.
//! - [`summary`]: that sentence alone.
//! - [`page`]: a run as one HTML file; [`junit`]: as cases for CI; [`markdown`]: for a pull request. They take a
//!   [`Record`], which is gathered from the run's files line by line.
//! - [`compare`]: two runs, figure by figure.
//! - [`checked`]: what became of histories that were checked on their own.

pub mod checked;
pub mod compare;
pub mod human;
pub mod junit;
pub mod live;
pub mod markdown;
pub mod page;
pub mod plain;
mod probe;
mod series;
pub mod strips;
pub mod summary;

mod describe;
mod look;
mod numbers;
mod record;
mod screen;
mod table;

pub use live::{Live, LoadSnapshot};
pub use look::Look;
pub use record::Record;
