//! A run's directory: made before anything starts, filled while it goes on, read back to be judged.

mod dir;
mod files;

pub(crate) use dir::RunDir;
pub(crate) use files::{FileSink, judge, judge_probe};
