//! The judge from outside: whole runs, and properties.

mod arbitrary;
mod examined;
mod fuzz;
mod gaps;
mod models;
mod run;
mod set;
#[path = "../../src/testing.rs"]
mod testing;
