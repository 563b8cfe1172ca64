//! What clients do: operation n of client c is a pure function of (seed, c, n).
//!
//! A module a model: what its operations are, the SQL that they are sent as, and what the replies mean. The SQL is the
//! same for all targets: what it needs beyond the plain is a [`Capability`] that a target says it has.

pub mod aged;
mod append;
pub mod bank;
mod call;
mod counter;
mod draw;
mod kind;
mod mix;
mod objects;
mod register;
mod script;
mod set;
mod statements;
#[cfg(test)]
mod tests;

pub use call::{Call, Meaning, Reply};
pub use kind::{Capability, WorkloadKind};
pub use mix::{Mix, Next};
pub use objects::{Objects, Query};
pub use script::{Expect, Line, Script, Statement};
pub use set::{ELEMENTS_PER_KEY, SetOperation, SetWorkload};
pub use statements::FileError;

use std::collections::BTreeSet;

/// What a target can do that not all can.
pub type Capabilities = BTreeSet<Capability>;

/// What creates what the operations of these workloads work on. Idempotent, and what an earlier run has left there is
/// gone after it.
pub fn create(workloads: &[WorkloadKind], capabilities: &Capabilities) -> Vec<String> {
    let of = |workload: &WorkloadKind| match workload {
        WorkloadKind::Register => register::create(),
        WorkloadKind::Counter => counter::create(capabilities.contains(&Capability::Identifiers)),
        WorkloadKind::Bank => bank::create(),
        WorkloadKind::Append => append::create(),
        _ => Vec::new(),
    };
    workloads.iter().flat_map(of).collect()
}

/// What reads back what an operation may have written, each by a name that is the same for the same.
pub fn read_back(call: &Call) -> Vec<(String, Call)> {
    if !call.writes {
        return Vec::new();
    }
    let named = |key: &str, read: Call| (format!("{}/{key}", call.workload), read);
    let key = call.key.as_deref().unwrap_or_default();
    match call.workload {
        WorkloadKind::Register => vec![named(key, register::read(key))],
        // Nothing of it stays.
        WorkloadKind::Counter if key == counter::GONE => Vec::new(),
        WorkloadKind::Counter => vec![named(key, counter::read(key))],
        WorkloadKind::Bank => vec![named("all", bank::read())],
        WorkloadKind::Append => {
            let lists = append::appended(&call.value);
            lists
                .iter()
                .map(|key| named(key, append::read(&[key])))
                .collect()
        }
        _ => Vec::new(),
    }
}
