//! A run's directory: made before anything starts, filled while it goes on, read back to be judged and reported.

mod dir;
mod files;
mod read;
mod series;

pub(crate) use dir::{RunDir, write_whole};
pub(crate) use files::FileSink;
pub(crate) use read::{StoredRun, Tail};
pub(crate) use series::{Stored, StoredSeries, is_run, runs_within};

/// Where runs are kept unless `--out` says otherwise.
pub(crate) const RUNS: &str = ".changeover/runs";
