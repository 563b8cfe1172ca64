//! Executes a plan: the hand-over driver, the front door, the clients. Emits events and operations, judges nothing.

pub mod client;
pub mod clock;
pub mod control;
pub mod driver;
mod examine;
pub mod front_door;
pub mod full_read;
mod held;
mod http;
pub mod lanes;
pub mod launcher;
pub mod leader_api;
pub mod load;
pub mod metadata_store;
pub mod observers;
pub mod poll;
mod premises;
pub mod probe;
pub mod record;
pub mod rehearsal;
pub mod schedule;
pub mod supervisor;
mod surroundings;
pub mod tally;
pub mod upgrader;
pub mod user_checks;
mod workload;
