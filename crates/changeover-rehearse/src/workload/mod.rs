//! The workload: what is judged for correctness. It never retries.
//!
//! Send k of the schedule is operation `k / clients` of client `k mod clients`, and an operation of a client is a pure
//! function of the seed (see [`Mix`]). Every client holds one connection; one that is busy makes its operations wait,
//! never the schedule.

pub(crate) mod aged;
mod asking;
mod ddl;
pub(crate) mod moments;
pub(crate) mod script;
mod sessions;

use crate::client::{ClientTarget, Request};
use crate::held::{Group, HeldClient, Patience};
use crate::schedule::Due;
use crate::tally::Tally;
use changeover_model::history::Source;
use changeover_model::plan::WorkloadPlan;
use changeover_model::target::{Target, WorkloadTemplate};
use changeover_model::workload::{
    self, Capabilities, Mix, Next, Objects, Script, SetOperation, WorkloadKind,
};
use ddl::Ddl;
use sessions::Sessions;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio_util::task::TaskTracker;

/// What is created before the load, through the front door.
pub(crate) fn create(plan: &WorkloadPlan, target: &Target) -> Vec<String> {
    let mut statements = target.client.create.clone();
    let WorkloadTemplate {
        capabilities,
        create,
        ..
    } = &target.workload;
    if plan.has(WorkloadKind::Set) {
        statements.extend(create.iter().cloned());
    }
    statements.extend(workload::create(&plan.kinds(), capabilities));
    // A plan that was validated has files that parse.
    let details = &plan.details;
    if let Some(Ok(objects)) = details.objects.as_deref().map(Objects::parse) {
        statements.extend(objects.create);
    }
    if let Some(Ok(script)) = details.script.as_deref().map(Script::parse) {
        statements.extend(script.setup);
    }
    if plan.has(WorkloadKind::Ddl) {
        statements.extend(Ddl::create());
    }
    if plan.has(WorkloadKind::Session) {
        statements.extend(Sessions::create());
    }
    statements
}

/// The clients of the workload.
pub(crate) struct Workload {
    operations: Mix,
    script: Option<Script>,
    seed: String,
    clients: Vec<HeldClient>,
}

impl Workload {
    pub(crate) fn new(
        plan: &WorkloadPlan,
        capabilities: &Capabilities,
        script: Option<Script>,
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
            operations: Mix::new(&plan.kinds(), &plan.seed, plan.clients, capabilities),
            script,
            seed: plan.seed.clone(),
            clients: clients.collect(),
        }
    }

    /// Hands an operation to the client whose turn it is.
    pub(crate) fn fire(&self, due: Due) {
        let clients = self.clients.len() as u64;
        let (client, n) = (due.n % clients, due.n / clients);
        let Some(next) = self.operations.operation(client, n) else {
            return;
        };
        let request = match next {
            Next::Set(SetOperation::Add { key, value }) => Request::Add { key, value },
            Next::Set(SetOperation::Read { key }) => Request::Read { key },
            Next::Call(call) => Request::Call(Box::new(call)),
            Next::Script { n } => match &self.script {
                Some(script) => Request::Script(Box::new(script.operation(&self.seed, client, n))),
                None => return,
            },
        };
        self.clients[client as usize].fire(due, request);
    }
}
