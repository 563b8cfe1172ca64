//! Several workloads at once.

use super::call::Call;
use super::draw::seed_of;
use super::set::{SetOperation, SetWorkload};
use super::{Capabilities, Capability, WorkloadKind, append, bank, counter, register};

/// What a client does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// An operation of the `set` workload, in the target's own words.
    Set(SetOperation),
    /// An operation of another model, in SQL.
    Call(Call),
    /// Operation `n` of the client in the plan's script.
    Script {
        /// The number.
        n: u64,
    },
}

/// The workloads of a plan that have operations. Each client takes them in turn, so that all have the same share.
#[derive(Debug, Clone)]
pub struct Mix {
    kinds: Vec<WorkloadKind>,
    seed: u64,
    clients: u64,
    set: SetWorkload,
    interactive: bool,
    identifiers: bool,
}

impl Mix {
    /// The workloads of a plan's workload seed, shared by `clients` clients (at least 1), for a target that can do this.
    pub fn new(
        kinds: &[WorkloadKind],
        seed: &str,
        clients: u32,
        capabilities: &Capabilities,
    ) -> Self {
        let kinds = kinds.iter().copied().filter(|kind| kind.has_operations());
        Mix {
            kinds: kinds.collect(),
            seed: seed_of(seed),
            clients: u64::from(clients.max(1)),
            set: SetWorkload::new(seed, clients),
            interactive: capabilities.contains(&Capability::InteractiveTransactions),
            identifiers: capabilities.contains(&Capability::Identifiers),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Operation `n` (0, 1, …) of client `client` (0, 1, …); `None` if there is nothing to do.
    pub fn operation(&self, client: u64, n: u64) -> Option<Next> {
        let kinds = self.kinds.len() as u64;
        let kind = self.kinds[usize::try_from(n.checked_rem(kinds)?).ok()?];
        let n = n / kinds;
        Some(match kind {
            WorkloadKind::Register => {
                Next::Call(register::operation(self.seed, self.clients, client, n))
            }
            WorkloadKind::Counter => {
                Next::Call(counter::operation(self.seed, client, n, self.identifiers))
            }
            WorkloadKind::Bank => {
                Next::Call(bank::operation(self.seed, client, n, self.interactive))
            }
            WorkloadKind::Append => {
                Next::Call(append::operation(self.seed, self.clients, client, n))
            }
            WorkloadKind::Script => Next::Script { n },
            _ => Next::Set(self.set.operation(client, n)),
        })
    }
}
