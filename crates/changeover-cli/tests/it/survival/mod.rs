//! What becomes of a run when something happens to the harness itself, or around it.

mod circumstances;
mod killed;
mod secrets;
mod strangers;
