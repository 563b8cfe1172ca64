//! The client side: front door, SQL client, lanes, workload, observers, full reads. Real sockets throughout.

mod endpoint;
mod front_door;
mod full_read;
mod history;
mod http;
mod lanes;
mod link;
mod observers;
mod outcomes;
