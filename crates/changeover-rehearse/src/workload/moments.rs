//! Workloads that act at moments of a step: they hold sessions over a promotion, change definitions, and ask queries
//! whose answers must stay the same.
//!
//! What is done while clients must not wait runs in tasks of its own; a step's tasks have ended before its quiet
//! window begins.

use super::asking::{Asking, Questions, answered};
use super::ddl::Ddl;
use super::sessions::Sessions;
use crate::client::ClientTarget;
use crate::record::{About, Recorder};
use changeover_model::observation::{Moment, Observation};
use changeover_model::plan::WorkloadPlan;
use changeover_model::target::{ClientTemplate, Target};
use changeover_model::workload::{Objects, WorkloadKind, aged};
use changeover_runtime::InstanceSpec;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long the work of a moment may take, in times of an operation.
const PATIENCE: u32 = 5;

/// The workloads of a plan that act at moments, and what they have in flight. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Moments {
    asking: Asking,
    template: ClientTemplate,
    door: SocketAddr,
    questions: Arc<Questions>,
    ddl: Option<Arc<Ddl>>,
    /// How many older releases have made the data.
    aged: u64,
    /// Whether sessions are held.
    holds: bool,
    sessions: Arc<Mutex<Option<Sessions>>>,
    step: Arc<Mutex<u32>>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Moments {
    /// Those of a plan that was validated; clients go through `door`, and each thing they ask for may take `timeout`.
    pub(crate) fn new(
        recorder: &Recorder,
        plan: &WorkloadPlan,
        target: &Target,
        door: SocketAddr,
        timeout: Duration,
    ) -> Self {
        let asking = Asking::new(recorder.clone(), target.client.clone(), timeout);
        let mut questions = Questions::default();
        if let Some(text) = &plan.details.objects
            && let Ok(objects) = Objects::parse(text)
        {
            questions.add(WorkloadKind::Objects, objects.queries);
        }
        let aged = plan.details.aged.len() as u64;
        let made = aged::expected(aged).into_iter().map(|(query, _)| query);
        questions.add(WorkloadKind::Aged, made.collect());
        if plan.has(WorkloadKind::Set) {
            questions.agree.clone_from(&target.workload.agree);
        }
        let ddl = plan.has(WorkloadKind::Ddl);
        Moments {
            ddl: ddl.then(|| Arc::new(Ddl::new(asking.clone(), door))),
            asking,
            template: target.client.clone(),
            door,
            questions: Arc::new(questions),
            aged,
            holds: plan.has(WorkloadKind::Session),
            sessions: Arc::default(),
            step: Arc::default(),
            tasks: Arc::default(),
        }
    }

    /// Everything that needs no load: what the answers are before the first step.
    pub(crate) async fn start(&self) {
        // What they must be is known before anybody is asked.
        for (query, rows) in aged::expected(self.aged) {
            self.asking.recorder.observed(
                &self.about(),
                Observation::Query {
                    workload: WorkloadKind::Aged,
                    answered: answered(&query.sql, Ok(rows)),
                    query: query.name,
                    moment: Moment::Start,
                    ms: 0.0,
                },
            );
        }
        self.ask(self.door, Moment::Start, self.about()).await;
    }

    /// A step begins.
    pub(crate) fn begin(&self, step: u32) {
        *lock(&self.step) = step;
    }

    /// The new instance has answered for the first time.
    pub(crate) fn answers(&self) {
        if let Some(ddl) = self.ddl.clone() {
            let about = self.about();
            self.spawn(async move { ddl.change(Moment::CatchUp, &about).await });
        }
    }

    /// The new instance is ready, and will be promoted when this returns.
    pub(crate) async fn ready(&self, new: &InstanceSpec, addr: SocketAddr) {
        // What was begun while it caught up belongs to that.
        self.settle().await;
        let about = self.about();
        if let Some(ddl) = &self.ddl {
            let change = ddl.change(Moment::Ready, &about);
            let _ = tokio::time::timeout(self.asking.timeout * PATIENCE, change).await;
        }
        let instance = About {
            slot: Some(new.slot.clone()),
            generation: Some(new.generation),
            ..about.clone()
        };
        self.ask(addr, Moment::Ready, instance.clone()).await;
        if self.holds {
            let limit = self.asking.timeout;
            let sessions = Sessions::open(
                &self.asking.recorder,
                &self.template,
                [(self.door, about), (addr, instance)],
                limit,
            )
            .await;
            *lock(&self.sessions) = Some(sessions);
        }
    }

    /// The new instance has said that it leads.
    pub(crate) fn leads(&self) {
        let about = self.about();
        let moments = self.clone();
        let sessions = lock(&self.sessions).take();
        if self.questions.queries.is_empty() && self.ddl.is_none() && sessions.is_none() {
            return;
        }
        self.spawn(async move {
            let sessions = async {
                if let Some(sessions) = sessions {
                    sessions.ask(moments.door).await;
                }
            };
            let ddl = async {
                if let Some(ddl) = &moments.ddl {
                    ddl.change(Moment::Promoted, &about).await;
                }
            };
            let ask = moments.ask(moments.door, Moment::Promoted, about.clone());
            tokio::join!(sessions, ask, ddl);
        });
    }

    /// Waits until everything that was begun has ended. It ends: each part of it has a deadline.
    pub(crate) async fn settle(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        // Those of a step that was not carried through.
        drop(lock(&self.sessions).take());
    }

    /// The step is over.
    pub(crate) async fn after(&self) {
        let about = self.about();
        self.ask(self.door, Moment::After, about.clone()).await;
        if let Some(ddl) = &self.ddl {
            ddl.ask(Moment::After, &about).await;
        }
    }

    async fn ask(&self, addr: SocketAddr, moment: Moment, about: About) {
        let deadline = Instant::now() + self.asking.timeout * PATIENCE;
        self.asking
            .ask_all(addr, &self.questions, moment, &about, deadline)
            .await;
    }

    fn about(&self) -> About {
        About {
            step: Some(*lock(&self.step)),
            ..About::default()
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).spawn(work);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to say at this address.
pub(super) fn target_at(
    template: &ClientTemplate,
    addr: SocketAddr,
    timeout: Duration,
) -> Result<ClientTarget, String> {
    ClientTarget::new(template, addr, timeout).map_err(|e| e.to_string())
}
