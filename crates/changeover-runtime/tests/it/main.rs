//! The process runtime, with real processes.

mod attached;
mod process;
