//! Turns a catalog, a strategy and a seed into a plan.
//!
//! Everything here is pure and synchronous: the same request, target and catalog give the same plan, byte for byte.
//! This crate knows no clock, no file, no socket and no source of randomness; what is random comes from the seed that
//! the caller hands in.

mod attempts;
mod by_version;
pub mod compose;
mod draw;
mod error;
mod faults;
mod knowledge;
mod legality;
mod mersenne_twister;
pub mod newer;
mod parameters;
mod path;
mod planner;
pub mod python;
mod request;
mod review;
pub mod route;
pub mod rules;
pub mod scenario;
mod seed;
mod services;
mod stream;
pub mod tree;
mod workloads;

pub use attempts::{AbortRequest, AfterAbort};
pub use draw::{
    Anchors, Draw, DrawError, PathRandom, draw_anchored_path, draw_path,
    generate_random_upgrade_path,
};
pub use error::PlanRequestError;
pub use faults::FaultRequest;
pub use knowledge::{Knowledge, LearnError, UnknownTarget};
pub use parameters::{ParameterError, ParameterMode, Parameters, parse_assignment};
pub use path::{admit_stop, parse_version, parse_versions};
pub use planner::plan;
pub use request::{DrawRequest, Generator, ParameterRequest, Request, Strategy, UnknownName};
pub use review::review;
pub use seed::{DEFAULT_SEED, Seed, SeedError};
pub use services::generate_upgrade_args;
pub use stream::Stream;
pub use workloads::WorkloadRequest;
