//! The commands, a module each.

pub(crate) mod bugs;
pub(crate) mod cleanup;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod plan;
pub(crate) mod rehearse;
pub(crate) mod releases;
pub(crate) mod route;
