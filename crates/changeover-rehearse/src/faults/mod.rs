//! What is broken on purpose, and where upgrades are called off.
//!
//! A step goes through its points ([`Point`]). Where an instance can be made to wait at a point (`hold`), it does so until
//! everything that is planned there has been done; otherwise the driver says when it sees that a point is reached, or
//! `seen` does, and what is done is done after it. Each fault is announced with the state of its subject, and recorded
//! with what shows that it took effect; what lasts is ended by a task of its own, at the latest with its step. Nothing
//! here knows what a fault should lead to.

mod calls;
mod ddl;
mod happening;
mod hold;
mod links;
mod overlap;
mod process;
mod seen;
mod store;

use happening::Happening;

use crate::control::Control;
use crate::driver::{Launch, Running, STOP_GRACE};
use crate::link::Link;
use crate::metadata_store::SharedServer;
use crate::record::{About, Recorder};
use crate::supervisor::{Excuse, ExitRules, Handle};
use crate::tally::Live;
use changeover_model::event::{EventKind, StopReason};
use changeover_model::fault::{self, Action, Delay, Fault, Party, Point, Subject};
use changeover_model::plan::Plan;
use changeover_model::target::{ClientTemplate, Reach, Target, fill};
use changeover_runtime::{InstanceSpec, Runtime, RuntimeError};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often it is looked whether enough was written since a point.
const LOOK: Duration = Duration::from_millis(1);

/// How long the driver waits for an instance to come to the point where it waits for us: it has said that it is there,
/// and is on its way.
const ARRIVAL: Duration = Duration::from_secs(1);

/// How long after something that all instances need is whole again those who failed without it may need: the longest
/// time that one of them waits before it tries again.
const AFTERMATH: Duration = Duration::from_secs(1);

/// An instance as far as it can be broken, and asked.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its process.
    pub handle: Handle,
    /// How it is asked and promoted.
    pub control: Control,
}

/// An instance that is started beside those of the step, if a fault wants it.
pub(crate) struct Spare {
    pub(crate) launch: Launch,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) rules: ExitRules,
    /// How long it may take to get ready.
    pub(crate) patience: Duration,
}

/// How clients talk to the leader.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    pub(crate) template: ClientTemplate,
    pub(crate) door: SocketAddr,
    /// How long an operation may take.
    pub(crate) timeout: Duration,
}

/// What faults need of the rest of a rehearsal.
pub(crate) struct Around {
    pub(crate) recorder: Recorder,
    /// A directory for sockets; it goes with the run.
    pub(crate) sockets: PathBuf,
    pub(crate) live: Arc<OnceLock<Arc<Live>>>,
    pub(crate) store: SharedServer,
    pub(crate) clients_side: Clients,
    /// Held while something is broken that all instances need.
    pub(crate) excuse: Excuse,
}

/// The slot of what is started beside a step's instances.
pub(crate) const SPARE_SLOT: &str = "mz_3";

/// The faults and call-offs of a run.
pub(crate) struct Faults {
    shared: Arc<Shared>,
}

struct Shared {
    recorder: Recorder,
    /// The plan's.
    faults: Vec<Fault>,
    /// The steps that are called off.
    called_off: BTreeMap<u32, Point>,
    /// How each point of interest is reached.
    reach: BTreeMap<Point, Reach>,
    /// Arguments that make an instance wait, with placeholders.
    hold: Vec<String>,
    /// Whether that is possible.
    can_hold: bool,
    /// Where sockets are made.
    sockets: PathBuf,
    live: Arc<OnceLock<Arc<Live>>>,
    store: SharedServer,
    /// Between instances and the metadata store, by generation.
    links: Mutex<BTreeMap<u64, Arc<Link>>>,
    /// Between clients and the front door.
    clients: OnceLock<Arc<Link>>,
    /// Held while something is broken that all instances need.
    excuse: Excuse,
    /// The step that goes on.
    step: Mutex<Step>,
    new: watch::Sender<Option<Instance>>,
    /// The points of this step at which everything planned has been done.
    done: watch::Sender<BTreeSet<Point>>,
    /// The phase in which the old instance is to leave has begun.
    retiring: watch::Sender<bool>,
    /// Where the step is called off, once it is.
    off: watch::Sender<Option<Point>>,
    /// Told when somebody else was promoted over the new instance.
    overtaken: Notify,
    clients_side: Clients,
}

/// A step, as far as it has got.
#[derive(Default)]
struct Step {
    number: u32,
    /// The new instance's generation.
    brings_up: Option<u64>,
    old: Option<Instance>,
    /// What is started beside, for faults that want it.
    spares: Vec<(Fault, Spare)>,
    /// Who leads instead of the new instance.
    winner: Option<Running>,
    /// The points that were reached.
    reached: BTreeSet<Point>,
    /// The faults that have not happened.
    pending: Vec<Fault>,
    tasks: TaskTracker,
    /// Cancelled when the step has ended: what has not begun is given up.
    ended: CancellationToken,
    /// Cancelled when nothing is to go on any more: what lasts is ended.
    over: CancellationToken,
}

impl Faults {
    /// Those of a plan; `None` if it has none.
    pub(crate) fn of(plan: &Plan, target: &Target, around: Around) -> Option<Self> {
        let Around {
            recorder,
            sockets,
            live,
            store,
            clients_side,
            excuse,
        } = around;
        let called_off: BTreeMap<u32, Point> = plan
            .steps
            .iter()
            .filter_map(|step| Some((step.number, step.called_off_at?)))
            .collect();
        if plan.faults.is_empty() && called_off.is_empty() {
            return None;
        }
        let points = plan.faults.iter().map(|fault| fault.point);
        let points = points.chain(called_off.values().copied());
        Some(Faults {
            shared: Arc::new(Shared {
                recorder,
                faults: plan.faults.clone(),
                reach: points
                    .map(|point| (point, target.reach(point, &plan.runtime)))
                    .collect(),
                called_off,
                hold: target.points.hold.clone().unwrap_or_default(),
                can_hold: target.reach(Point::OldFenced, &plan.runtime) == Reach::Held,
                sockets,
                live,
                store,
                links: Mutex::default(),
                clients: OnceLock::new(),
                excuse,
                step: Mutex::default(),
                new: watch::Sender::default(),
                done: watch::Sender::default(),
                retiring: watch::Sender::default(),
                off: watch::Sender::default(),
                overtaken: Notify::new(),
                clients_side,
            }),
        })
    }

    /// The arguments that make an instance wait where something is planned: the new one of the step `brings_up`, which
    /// may be the old one of the steps `replaced_in`. Somebody waits for it there from now on.
    ///
    /// # Errors
    ///
    /// When a socket cannot be made.
    pub(crate) fn holds(
        &self,
        generation: u64,
        brings_up: u32,
        replaced_in: &[u32],
    ) -> Result<Vec<String>, RuntimeError> {
        let shared = &self.shared;
        let mut arguments = Vec::new();
        // Whoever is to be broken when it has been fenced must not leave before.
        let stays = replaced_in
            .iter()
            .any(|step| !shared.needs_old(*step).is_empty());
        let mut reach = shared.reach.clone();
        if stays && shared.can_hold {
            reach.insert(Point::OldFenced, Reach::Held);
        }
        for (&point, reach) in &reach {
            let steps: Vec<u32> = match point.party() {
                Party::Driver => Vec::new(),
                Party::New => vec![brings_up],
                Party::Old => replaced_in.to_vec(),
            };
            let planned = steps.iter().any(|step| shared.is_planned(*step, point))
                || (stays && point == Point::OldFenced);
            if *reach != Reach::Held || !planned {
                continue;
            }
            let socket = hold::listen(shared, generation, point, &steps)?;
            let values = [("point", point.name()), ("socket", socket.as_str())];
            arguments.extend(shared.hold.iter().map(|word| fill(word, &values)));
        }
        Ok(arguments)
    }

    /// The faults of a step that start an instance of their own.
    pub(crate) fn overlapping(&self, step: u32) -> impl Iterator<Item = &Fault> {
        let overlaps = |fault: &&Fault| {
            matches!(
                fault.action,
                Action::Rival { .. } | Action::Next | Action::Race
            )
        };
        let mine = move |fault: &&Fault| fault.is_in(step);
        self.shared.faults.iter().filter(mine).filter(overlaps)
    }

    /// A step begins, which brings up a generation, with this leader.
    pub(crate) fn begin(
        &self,
        number: u32,
        brings_up: u64,
        old: Instance,
        spares: Vec<(Fault, Spare)>,
    ) {
        let shared = &self.shared;
        let of_step = shared.faults.iter().filter(|fault| fault.is_in(number));
        *shared.step() = Step {
            number,
            brings_up: Some(brings_up),
            old: Some(old),
            spares,
            pending: of_step.map(|fault| fault.in_step(number)).collect(),
            ..Step::default()
        };
        shared.new.send_replace(None);
        shared.done.send_replace(BTreeSet::new());
        shared.retiring.send_replace(false);
        shared.off.send_replace(None);
    }

    /// The new instance runs.
    pub(crate) fn spawned(&self, new: Instance) {
        seen::watch(&self.shared, &new);
        self.shared.new.send_replace(Some(new));
    }

    /// The driver sees that the step has reached a point. What is planned there has been done when this returns, but
    /// where the instance itself waits: then it is done before it goes on.
    pub(crate) async fn at(&self, point: Point) {
        if point == Point::Retiring {
            self.shared.retiring.send_replace(true);
        }
        let number = self.shared.step().number;
        match self.shared.reach.get(&point) {
            Some(Reach::Seen(None)) => self.shared.reached(point, false).await,
            // What comes next is done when the instance has been let go, as far as that depends on us.
            Some(Reach::Held)
                if point.party() == Party::New && self.shared.is_planned(number, point) =>
            {
                let mut done = self.shared.done.subscribe();
                let held = done.wait_for(|done| done.contains(&point));
                let _ = tokio::time::timeout(ARRIVAL, held).await;
            }
            _ => {}
        }
    }

    /// Waits until the step is to be called off, and says where.
    pub(crate) async fn called_off(&self) -> Point {
        let mut off = self.shared.off.subscribe();
        let called = off.wait_for(Option::is_some).await.ok();
        match called.and_then(|point| *point) {
            Some(point) => point,
            // Its sender lives as long as we do.
            None => std::future::pending().await,
        }
    }

    /// Waits until somebody else was promoted over the new instance, and leads.
    pub(crate) async fn overtaken(&self) -> Running {
        loop {
            // Before the look, or what happens in between would be missed.
            let told = self.shared.overtaken.notified();
            if let Some(winner) = self.shared.step().winner.take() {
                return winner;
            }
            told.await;
        }
    }

    /// Whether somebody else may still be promoted over the new instance.
    pub(crate) fn races(&self) -> bool {
        let number = self.shared.step().number;
        let races = |fault: &Fault| fault.is_in(number) && fault.action == Action::Race;
        self.shared.faults.iter().any(races)
    }

    /// The step is over: ends what lasts, and says what did not happen. What is broken and ends by itself is waited for,
    /// until the run is cancelled.
    pub(crate) async fn end(&self, cancel: &CancellationToken) {
        let (tasks, over, number) = {
            let step = self.shared.step();
            step.ended.cancel();
            (step.tasks.clone(), step.over.clone(), step.number)
        };
        tasks.close();
        if cancel.run_until_cancelled(tasks.wait()).await.is_none() {
            over.cancel();
            tasks.wait().await;
        }
        over.cancel();
        let winner = self.shared.step().winner.take();
        if let Some(winner) = winner {
            // Nobody wanted it any more.
            winner.stop(StopReason::StepFailed, STOP_GRACE).await;
        }
        let pending = std::mem::take(&mut self.shared.step().pending);
        for fault in pending {
            let reason = format!("point {} was not reached in step {number}", fault.point);
            self.shared.missed(&fault, reason);
        }
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.shared.step().over.cancel();
    }
}

impl Shared {
    fn step(&self) -> MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The points of a step at which the old instance is to be broken, although it has learned by then that it is fenced.
    fn needs_old(&self, step: u32) -> BTreeSet<Point> {
        let late = |fault: &&Fault| {
            let behind = matches!(
                fault.point,
                Point::FenceWritten | Point::NewRestarting | Point::Leader | Point::Serving
            );
            let of_old = matches!(
                fault.subject,
                Subject::Old | Subject::Link(fault::Link::OldStore)
            );
            fault.is_in(step) && of_old && behind
        };
        let faults = self.faults.iter().filter(late);
        faults.map(|fault| fault.point).collect()
    }

    /// Whether anything is planned at a point of a step.
    fn is_planned(&self, step: u32, point: Point) -> bool {
        let mut faults = self.faults.iter();
        faults.any(|fault| fault.is_in(step) && fault.point == point)
            || self.called_off.get(&step) == Some(&point)
    }

    fn begin(&self, about: About, fault: Fault, before: String) -> Happening {
        Happening::begin(&self.recorder, about, fault, before)
    }

    fn about(&self, instance: Option<&InstanceSpec>) -> About {
        About {
            step: Some(self.step().number),
            slot: instance.map(|spec| spec.slot.clone()),
            generation: instance.map(|spec| spec.generation),
        }
    }

    /// The step has reached a point: does what is planned there. Only the first time counts.
    async fn reached(self: &Arc<Self>, point: Point, held: bool) {
        let (number, mine, tasks, ended, over) = {
            let mut step = self.step();
            if !self.is_planned(step.number, point) || !step.reached.insert(point) {
                return;
            }
            let pending = std::mem::take(&mut step.pending);
            let (mine, rest): (Vec<Fault>, Vec<Fault>) =
                pending.into_iter().partition(|fault| fault.point == point);
            step.pending = rest;
            (
                step.number,
                mine,
                step.tasks.clone(),
                step.ended.clone(),
                step.over.clone(),
            )
        };
        let party = match point.party() {
            Party::Driver => None,
            Party::New => self.new.borrow().clone(),
            Party::Old => self.step().old.clone(),
        };
        let about = self.about(party.as_ref().map(|it| it.handle.spec()));
        self.recorder
            .event(&about, EventKind::PointReached { point, held });
        for fault in mine {
            match fault.delay {
                Delay::None => self.happen(fault).await,
                delay => {
                    // A time passes also when the step has ended; writes may never come.
                    let given_up = match delay {
                        Delay::Writes(_) => ended.clone(),
                        _ => over.clone(),
                    };
                    let shared = Arc::clone(self);
                    tasks.spawn(async move {
                        match given_up.run_until_cancelled(shared.wait(delay)).await {
                            Some(()) => shared.happen(fault).await,
                            None => shared.missed(&fault, "the step was over before".to_owned()),
                        }
                    });
                }
            }
        }
        self.done.send_modify(|done| {
            done.insert(point);
        });
        if self.called_off.get(&number) == Some(&point) {
            self.off.send_replace(Some(point));
        }
    }

    async fn wait(&self, delay: Delay) {
        match delay {
            Delay::None => {}
            Delay::Ms(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Delay::Writes(writes) => {
                let acknowledged = || self.live.get().map_or(0, |live| live.writes());
                let enough = acknowledged().saturating_add(writes);
                while acknowledged() < enough {
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    fn missed(&self, fault: &Fault, reason: String) {
        let about = self.about(None);
        self.recorder.event(
            &about,
            EventKind::FaultMissed {
                fault: fault.clone(),
                reason,
            },
        );
    }

    /// Breaks something.
    async fn happen(self: &Arc<Self>, fault: Fault) {
        match (fault.subject, &fault.action) {
            (
                Subject::New | Subject::Old,
                Action::Kill { .. } | Action::Pause { .. } | Action::Restart,
            ) => {
                let instance = match fault.subject {
                    Subject::New => self.new.borrow().clone(),
                    _ => self.step().old.clone(),
                };
                match instance {
                    Some(instance) => process::disturb(self, fault, instance.handle).await,
                    None => self.missed(&fault, "there is no such instance".to_owned()),
                }
            }
            (Subject::MetadataStore, _) => store::disturb(self, fault).await,
            (Subject::Link(link), _) => match self.link(link) {
                Some(link) => links::disturb(self, fault, link).await,
                None => self.missed(&fault, "there is no such link".to_owned()),
            },
            // Where the first promotion waits for us, so does the second; and where nobody serves before the instance goes
            // on, no client is served.
            (_, Action::PromoteTwice) if fault.point == Point::PromoteSent => {
                let shared = Arc::clone(self);
                self.beside(async move { shared.call(fault).await });
            }
            (_, Action::Ddl { .. }) if fault.point >= Point::PromoteSent => {
                let shared = Arc::clone(self);
                self.beside(async move { shared.call(fault).await });
            }
            _ => self.call(fault).await,
        }
    }

    async fn call(self: &Arc<Self>, fault: Fault) {
        let instance = match fault.action {
            Action::PromoteOld => self.step().old.clone(),
            _ => self.new.borrow().clone(),
        };
        match (&fault.action, instance) {
            (
                Action::PromoteEarly
                | Action::PromoteTwice
                | Action::PromoteOld
                | Action::SkipCatchup,
                Some(instance),
            ) => calls::call(self, fault, instance).await,
            (Action::Ddl { .. }, _) => {
                let clients = self.clients_side.clone();
                ddl::change(self, fault, clients).await;
            }
            (_, None) => self.missed(&fault, "there is no such instance".to_owned()),
            _ => {
                let spare = {
                    let mut step = self.step();
                    let place = step
                        .spares
                        .iter()
                        .position(|(of, _)| of.action == fault.action);
                    place.map(|place| step.spares.swap_remove(place).1)
                };
                match spare {
                    Some(spare) => overlap::begin(self, fault, spare).await,
                    None => self.missed(&fault, "there is no instance for it".to_owned()),
                }
            }
        }
    }

    /// Somebody else leads now.
    fn overtake(&self, winner: Running) {
        self.step().winner = Some(winner);
        self.overtaken.notify_waiters();
    }

    /// Runs on beside the step, until it is done or the step is over.
    fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.step().tasks.spawn(work);
    }
}
