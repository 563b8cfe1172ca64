//! The reference database from outside: processes, SQL over pgwire, the leader API.

mod bad_input;
mod bugs;
mod client;
mod durability;
mod hold;
mod in_place;
mod instance;
mod ladder;
mod leader_api;
mod postgres;
mod postgres_server;
mod psql;
mod replaced;
mod sql;
mod upgrade;
mod world;
