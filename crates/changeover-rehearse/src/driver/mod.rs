//! The hand-over driver: starts the first service, and upgrades from one service to the next.
//!
//! It follows the protocol to the letter, announces and reports every action as an event, and judges nothing. What it
//! does not know itself, it asks its [`Surroundings`]: whether a query answers, where clients are sent, who watches.

mod call_off;
mod overtaken;
mod phases;
mod running;

pub use running::Running;

use crate::control::Control;
use crate::faults::Instance;
use crate::record::{About, Recorder, image_seen};
use crate::supervisor::{Excuse, ExitRules, Supervisor, until_gone};
use changeover_model::event::{EventKind, Phase, PromoteResult, StopReason};
use changeover_model::fault::Point;
use changeover_model::plan::{Plan, StepPlan, Timeout};
use changeover_model::status::DeploymentStatus;
use changeover_model::target::Target;
use changeover_model::version::PathVersion;
use changeover_runtime::{InstanceSpec, Runtime};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a process that is stopped may take to leave by itself.
pub const STOP_GRACE: Duration = Duration::from_secs(3);

/// How long after a promotion's answer the next one is sent at the earliest, or the step given up. A server that
/// says it is ready after it refused, or took, a promotion is of two minds, or slow to say what it does; give it time.
/// Polling goes on meanwhile, so nothing is seen later for it.
pub const BETWEEN_PROMOTIONS: Duration = Duration::from_millis(250);

/// What the driver needs of the rest of the rehearsal. The hooks must return at once, as clients wait meanwhile; but
/// [`Surroundings::ready`], before which nothing has happened to them.
pub trait Surroundings: Send + Sync {
    /// Whether a query answers on this instance, past the front door: one attempt, connecting included. It may hang;
    /// the driver bounds it. The error says what was missing.
    fn serves(&self, instance: &InstanceSpec) -> impl Future<Output = Result<(), String>> + Send;

    /// The version that answers through the front door: one attempt, as [`Surroundings::serves`]. `None` if the target
    /// does not say how to ask for it.
    fn version(&self) -> impl Future<Output = Result<Option<String>, String>> + Send;

    /// Points the front door at this instance.
    fn switch(&self, instance: &InstanceSpec);

    /// The new instance has answered for the first time: it may be observed directly from now on.
    fn answers(&self, new: &InstanceSpec);

    /// The new instance has said for the first time where it stands. Clients do not wait meanwhile, the hand-over does.
    /// Returns what came of a promotion that was sent to see it refused, if it may have been taken.
    fn initializing(
        &self,
        _new: &InstanceSpec,
    ) -> impl Future<Output = Option<PromoteResult>> + Send {
        std::future::ready(None)
    }

    /// The new instance is ready. Its promotion is sent when this returns; it must return.
    fn ready(&self, _new: &InstanceSpec) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// A promotion is about to be sent to the new instance. Called again for each attempt.
    fn promoting(&self, new: &InstanceSpec);

    /// The new instance has said that it leads: the old one may be observed from now on.
    fn leads(&self, new: &InstanceSpec, old: &InstanceSpec);

    /// The new instance was started.
    fn spawned(&self, _new: Instance) {}

    /// The step has reached a point. What is planned there happens before this returns.
    fn at(&self, _point: Point) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Waits until the step is to be called off, and says where.
    fn called_off(&self) -> impl Future<Output = Point> + Send {
        std::future::pending()
    }

    /// Waits until somebody else was promoted over the new instance, and leads.
    fn overtaken(&self) -> impl Future<Output = Running> + Send {
        std::future::pending()
    }

    /// Whether that may still happen when the new instance leads.
    fn races(&self) -> bool {
        false
    }

    /// An old instance has left, or a new one was given up: nobody needs to observe it any more.
    fn gone(&self, instance: &InstanceSpec);
}

/// The deadlines of a plan. See [`Timeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Spawn → first status answer (in step 0 → `IsLeader`).
    pub boot: Duration,
    /// → `ReadyToPromote`.
    pub catch_up: Duration,
    /// Promotion sent → `IsLeader`.
    pub promote: Duration,
    /// → a query answers.
    pub bootstrap: Duration,
    /// → the old process has left.
    pub retire: Duration,
    /// One query.
    pub operation: Duration,
}

impl Timeouts {
    /// Those of a plan that was validated.
    pub fn of(plan: &Plan) -> Self {
        Self::from_ms(|timeout| plan.timeout_ms(timeout))
    }

    /// Those of a target as it was read.
    pub fn of_target(target: &Target) -> Self {
        Self::from_ms(|timeout| target.timeout_ms(timeout))
    }

    fn from_ms(ms: impl Fn(Timeout) -> u64) -> Self {
        let of = |timeout| Duration::from_millis(ms(timeout));
        Timeouts {
            boot: of(Timeout::Boot),
            catch_up: of(Timeout::CatchUp),
            promote: of(Timeout::Promote),
            bootstrap: of(Timeout::Bootstrap),
            retire: of(Timeout::Retire),
            operation: of(Timeout::Operation),
        }
    }
}

/// An instance to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// How.
    pub spec: InstanceSpec,
    /// What it must answer when it is asked for its version.
    pub expected_version: String,
    /// How it is asked for its status, and promoted.
    pub control: Control,
}

/// The end of a step that did not complete.
#[derive(Debug)]
pub struct StepFailed {
    /// Why, in a sentence.
    pub reason: String,
    /// The new instance could not even be spawned.
    pub not_spawned: bool,
    /// The run was cancelled; nothing is wrong with the step.
    pub interrupted: bool,
    /// No promotion can have been taken, and the new instance never said that it leads: the old instance still leads, and the new one is gone.
    pub called_off: bool,
    /// It was called off, as planned: where, and whether the old instance still said that it leads.
    pub as_planned: Option<(Point, bool)>,
    /// The new instance, if the front door points at it already. Otherwise it was stopped.
    pub new: Option<Running>,
}

impl fmt::Display for StepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for StepFailed {}

/// Why a step cannot go on.
enum Obstacle {
    Interrupted,
    Failed(String),
    CalledOff(Point),
    Overtaken(Box<Running>),
}

/// How far a step has got: decides what a failure means.
#[derive(Default)]
struct Course {
    /// A promotion may have been taken; or the new instance took the leadership, told to or not.
    promoted: bool,
    /// The front door points at the new instance.
    switched: bool,
}

impl Course {
    /// Takes down what the new instance said.
    fn said(&mut self, status: DeploymentStatus) {
        // Whoever leads, or is about to, has fenced out the old one or will: there is nothing left to call off.
        self.promoted |= matches!(
            status,
            DeploymentStatus::Promoting | DeploymentStatus::IsLeader
        );
    }
}

/// Drives the hand-overs of one run.
pub struct Driver<S> {
    /// Where instances run.
    pub runtime: Arc<dyn Runtime>,
    /// The rest of the rehearsal.
    pub surroundings: S,
    /// Takes the events.
    pub recorder: Recorder,
    /// What exit codes mean.
    pub rules: ExitRules,
    /// The deadlines.
    pub timeouts: Timeouts,
    /// Cancelled when the run is to end: a step then ends at its next wait.
    pub cancel: CancellationToken,
    /// Held while crashes count for nothing.
    pub excuse: Excuse,
}

impl<S: Surroundings> Driver<S> {
    /// Step 0: starts the first service and sends the clients there.
    ///
    /// # Errors
    ///
    /// When it does not lead and serve in time, cannot be started, or ends for good. It was stopped then.
    pub async fn start_first(
        &self,
        to: &PathVersion,
        launch: Launch,
    ) -> Result<Running, StepFailed> {
        let about = step_about(0, &launch.spec);
        self.recorder.event(
            &about,
            EventKind::StepStarted {
                from: None,
                to: to.clone(),
            },
        );
        let mut new = None;
        let mut course = Course::default();
        let result = self
            .unless_cancelled(async {
                let new = self.spawn(0, &launch, &about, &mut new).await?;
                let gone = until_gone(new.supervisor().watch());
                new.lead();
                let name = name(new.spec());
                tokio::select! {
                    biased;
                    gone = gone => Err(Obstacle::Failed(format!("{name} {gone}, before its start was complete"))),
                    done = self.first_phases(new, &launch.expected_version, &mut course) => done,
                }
            })
            .await;
        self.conclude(&about, result, new, &course).await
    }

    /// One step: brings up the new service beside the old one, promotes it, sends the clients there and sees the old
    /// one leave. When this returns `Ok`, or `Err` with `called_off` unset, the old one may be gone; who leads is said
    /// by the result.
    ///
    /// # Errors
    ///
    /// When the new service does not become ready, does not lead or does not serve in time; or ends for good; or the
    /// run was cancelled. What was to be seen is in the events.
    pub async fn upgrade(
        &self,
        step: &StepPlan,
        old: &mut Running,
        launch: Launch,
    ) -> Result<Running, StepFailed> {
        let about = step_about(step.number, &launch.spec);
        old.supervisor().enter_step(step.number);
        self.recorder.event(
            &about,
            EventKind::StepStarted {
                from: Some(step.from.clone()),
                to: step.to.clone(),
            },
        );
        let mut new = None;
        let mut course = Course::default();
        let result = self
            // On the heap: what goes on in a step is too much for a small stack.
            .unless_cancelled(Box::pin(self.unless_planned_otherwise(async {
                self.surroundings.at(Point::BeforeBoot).await;
                // Called off, it is not started any more.
                tokio::task::yield_now().await;
                let new = self.spawn(step.number, &launch, &about, &mut new).await?;
                self.surroundings.spawned(new.instance());
                self.surroundings.at(Point::Booting).await;
                let gone = until_gone(new.supervisor().watch());
                let name = name(new.spec());
                tokio::select! {
                    biased;
                    gone = gone => {
                        self.race_ends().await;
                        Err(Obstacle::Failed(format!(
                            "{name} {gone}, before the hand-over was complete"
                        )))
                    }
                    done = self.phases(new, old, &launch.expected_version, &mut course) => done,
                }?;
                self.race_ends().await;
                Ok(())
            })))
            .await;
        if let Err(Obstacle::Overtaken(winner)) = result {
            let gave_way = self
                .unless_cancelled(Box::pin(self.give_way(
                    &winner,
                    new.take(),
                    old,
                    &launch.expected_version,
                    &mut course,
                )))
                .await;
            let new = self
                .conclude(&about, gave_way, Some(*winner), &course)
                .await?;
            old.stop(StopReason::Lingered, STOP_GRACE).await;
            return Ok(new);
        }
        if let Err(Obstacle::CalledOff(point)) = result {
            return Err(Box::pin(self.call_off(&about, point, new, old, &course)).await);
        }
        let new = self.conclude(&about, result, new, &course).await?;
        // It is gone; what it may have left behind is not worth a millisecond of the step.
        old.stop(StopReason::Lingered, STOP_GRACE).await;
        Ok(new)
    }

    /// One step that leaves whoever leads after it in `leader`: the new instance, also when the step failed with the
    /// clients sent there already; else the old one. Whoever does not is gone.
    ///
    /// # Errors
    ///
    /// Those of [`Driver::upgrade`]; [`StepFailed::new`] is `None`.
    pub async fn replace(
        &self,
        leader: &mut Running,
        step: &StepPlan,
        launch: Launch,
    ) -> Result<(), StepFailed> {
        match self.upgrade(step, leader, launch).await {
            Ok(new) => {
                *leader = new;
                Ok(())
            }
            Err(mut failed) => {
                if let Some(new) = failed.new.take() {
                    leader.stop(StopReason::StepFailed, STOP_GRACE).await;
                    *leader = new;
                }
                Err(failed)
            }
        }
    }

    async fn unless_cancelled(
        &self,
        work: impl Future<Output = Result<(), Obstacle>>,
    ) -> Result<(), Obstacle> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Obstacle::Interrupted),
            result = work => result,
        }
    }

    /// Where another upgrader is at work, who leads is not certain before it has come to its end.
    async fn race_ends(&self) {
        if self.surroundings.races() {
            tokio::time::sleep(self.timeouts.promote).await;
        }
    }

    async fn unless_planned_otherwise(
        &self,
        work: impl Future<Output = Result<(), Obstacle>>,
    ) -> Result<(), Obstacle> {
        tokio::select! {
            biased;
            point = self.surroundings.called_off() => Err(Obstacle::CalledOff(point)),
            winner = self.surroundings.overtaken() => Err(Obstacle::Overtaken(Box::new(winner))),
            result = work => result,
        }
    }

    /// Begins the boot phase. The instance is put where a cancelled step still finds it.
    async fn spawn<'a>(
        &self,
        step: u32,
        launch: &Launch,
        about: &About,
        new: &'a mut Option<Running>,
    ) -> Result<&'a mut Running, Obstacle> {
        let event = |kind| self.recorder.event(about, kind);
        event(EventKind::PhaseStarted { phase: Phase::Boot });
        let attached = launch.spec.is_attached();
        if !attached {
            event(EventKind::SpawnIntent {
                command: launch.spec.command.clone(),
            });
        }
        let instance = self
            .runtime
            .spawn(launch.spec.clone())
            .await
            .map_err(|error| Obstacle::Failed(error.message))?;
        event(match attached {
            true => EventKind::Attached {
                addr: launch.spec.sql_addr.to_string(),
            },
            false => EventKind::SpawnDone {
                pid: instance.pid(),
            },
        });
        if let Some(image) = instance.image() {
            event(image_seen(image));
        }
        let supervisor = Supervisor::start(
            instance,
            self.rules.clone(),
            self.recorder.clone(),
            step,
            self.excuse.clone(),
        );
        let control = launch.control.clone();
        Ok(new.insert(Running::new(supervisor, control, self.recorder.clone())))
    }

    /// Ends the step: hands over the new instance, or stops it.
    async fn conclude(
        &self,
        about: &About,
        result: Result<(), Obstacle>,
        new: Option<Running>,
        course: &Course,
    ) -> Result<Running, StepFailed> {
        let event = |kind| self.recorder.event(about, kind);
        let (obstacle, new) = match (result, new) {
            (Ok(()), Some(new)) => {
                event(EventKind::StepEnded { completed: true });
                return Ok(new);
            }
            (Ok(()), None) => unreachable!("the phases run only with an instance"),
            (Err(obstacle), new) => (obstacle, new),
        };
        let (reason, interrupted) = match obstacle {
            Obstacle::Failed(reason) => (reason, false),
            Obstacle::Interrupted => ("the run was interrupted".to_owned(), true),
            Obstacle::CalledOff(_) | Obstacle::Overtaken(_) => {
                unreachable!("that is no failure of a step")
            }
        };
        if !interrupted {
            event(EventKind::StepFailed {
                reason: reason.clone(),
            });
        }
        let not_spawned = new.is_none() && !interrupted;
        let new = match new {
            // It may hold what was acknowledged since: the caller still wants to read it.
            Some(new) if course.switched && !interrupted => Some(new),
            Some(new) => {
                let why = if interrupted {
                    StopReason::RunOver
                } else {
                    StopReason::StepFailed
                };
                new.stop(why, STOP_GRACE).await;
                self.surroundings.gone(new.spec());
                None
            }
            None => None,
        };
        event(EventKind::StepEnded { completed: false });
        Err(StepFailed {
            reason,
            not_spawned,
            interrupted,
            called_off: !course.promoted,
            as_planned: None,
            new,
        })
    }
}

fn step_about(step: u32, spec: &InstanceSpec) -> About {
    About {
        step: Some(step),
        slot: Some(spec.slot.clone()),
        generation: Some(spec.generation),
    }
}

/// An instance in a sentence.
pub(crate) fn name(spec: &InstanceSpec) -> String {
    format!("{} (generation {})", spec.slot, spec.generation)
}
