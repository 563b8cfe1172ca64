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
//! - [`checked`]: what became of histories that were checked on their own.

pub mod checked;
pub mod human;
pub mod live;
pub mod plain;
mod probe;
pub mod strips;
pub mod summary;

mod describe;
mod look;
mod numbers;
mod table;

pub use live::{Live, LoadSnapshot};
pub use look::Look;
