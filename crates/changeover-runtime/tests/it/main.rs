//! The process runtime, with real processes.

mod process;
