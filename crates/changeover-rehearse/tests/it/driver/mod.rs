//! The hand-over driver against scripted servers: real sockets, invented processes.
//!
//! [`scripted`] is the server, [`bench`] the rest of a small rehearsal; each other module is a group of stories.

pub(crate) mod bench;
mod calm;
mod http;
mod promotion;
pub(crate) mod replay;
mod restarts;
pub(crate) mod scripted;
mod trouble;
