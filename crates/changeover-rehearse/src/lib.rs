//! Executes a plan: the hand-over driver, the front door, the clients. Emits events and operations, judges nothing.

pub mod clock;
pub mod record;
