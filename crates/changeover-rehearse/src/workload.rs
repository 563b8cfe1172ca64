//! The workload: what is judged for correctness. It never retries.
//!
//! Send k of the schedule is operation `k / clients` of client `k mod clients`, and an operation of a client is a pure
//! function of the seed (see [`SetWorkload`]). Every client holds one connection; one that is busy makes its
//! operations wait, never the schedule.

use crate::client::{ClientTarget, Request};
use crate::held::{Group, HeldClient, Patience};
use crate::schedule::Due;
use crate::tally::Tally;
use changeover_model::history::Source;
use changeover_model::plan::WorkloadPlan;
use changeover_model::workload::{SetOperation, SetWorkload};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio_util::task::TaskTracker;

/// The clients of the workload.
pub(crate) struct Workload {
    operations: SetWorkload,
    clients: Vec<HeldClient>,
}

impl Workload {
    pub(crate) fn new(
        plan: &WorkloadPlan,
        target: &ClientTarget,
        tally: &Arc<Tally>,
        tasks: &TaskTracker,
    ) -> Self {
        let group = Group {
            source: Source::Workload,
            class: None,
            connection: None,
            // With little time left for each of many waiting operations, a busy target would never catch up.
            patience: Patience::FromInvoke,
        };
        let clients = (0..plan.clients.max(1)).map(|_| {
            let alone = Arc::new(AtomicUsize::new(0));
            let (client, task) = HeldClient::new(target.clone(), group, Arc::clone(tally), alone);
            tasks.spawn(task);
            client
        });
        Workload {
            operations: SetWorkload::new(&plan.seed, plan.clients),
            clients: clients.collect(),
        }
    }

    /// Hands an operation to the client whose turn it is.
    pub(crate) fn fire(&self, due: Due) {
        let clients = self.clients.len() as u64;
        let (client, n) = (due.n % clients, due.n / clients);
        let request = match self.operations.operation(client, n) {
            SetOperation::Add { key, value } => Request::Add { key, value },
            SetOperation::Read { key } => Request::Read { key },
        };
        self.clients[client as usize].fire(due, request);
    }
}
