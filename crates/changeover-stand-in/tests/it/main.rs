//! Rehearsals on a real Docker engine, with images made from files of this machine.

mod cleanup;
mod engine;
mod materialize;
mod reference;
mod refusals;
mod scenarios;
mod upgrader;
