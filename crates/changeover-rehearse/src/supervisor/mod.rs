//! Keeps one instance's process running by the rules of the protocol, and gives up by them.
//!
//! A task owns the instance, so that a process that asks for a restart gets it at once, whatever else the rehearsal
//! is busy with. It publishes what became of the process; who wants to know watches.

mod crashes;
mod handle;
mod rules;
mod state;

pub use crashes::{CRASHES_OF_A_LOOP, Excuse, ExcuseGuard};
pub use handle::Handle;
pub use rules::ExitRules;
pub use state::{Gone, Now, Progress, State, until_gone};

use crate::record::{About, Recorder};
use changeover_model::event::{EndMeaning, EventKind, ProcessEnd, RestartReason, StopReason};
use changeover_runtime::{Disturbance, Ended, Instance, InstanceSpec, RuntimeError};
use crashes::CrashRow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// How long after a crash the process is started again.
pub const CRASH_PAUSE: Duration = Duration::from_millis(100);

/// A process that nobody asked how far it got (between steps, and an old leader while the new one catches up) and that
/// lived so long got somewhere: its crash begins a new row. Who was asked is judged by what was answered, however long
/// it lived.
pub const STEADY: Duration = Duration::from_secs(10);

/// How many lines of the log a crash loop is reported with.
const LOG_LINES: usize = 20;

struct StopRequest {
    reason: StopReason,
    grace: Duration,
    done: oneshot::Sender<()>,
}

/// What can be asked of the task.
enum Request {
    Stop(StopRequest),
    Disturb {
        how: Disturbance,
        why: RestartReason,
        done: oneshot::Sender<Result<(), RuntimeError>>,
    },
    Condition(oneshot::Sender<String>),
}

/// How far a process got.
#[derive(Debug, Clone, Copy)]
struct Reached {
    /// The process, by [`State::starts`].
    starts: u64,
    /// `None`: nobody has asked it.
    progress: Option<Progress>,
}

impl Reached {
    fn unasked(starts: u64) -> Self {
        Reached {
            starts,
            progress: None,
        }
    }
}

/// A handle to the task that owns an instance. Dropping it ends the instance the hard way.
#[derive(Debug)]
pub struct Supervisor {
    spec: InstanceSpec,
    state: watch::Receiver<State>,
    step: Arc<AtomicU32>,
    progress: Arc<Mutex<Reached>>,
    requests: mpsc::Sender<Request>,
    _task: AbortOnDropHandle<()>,
}

impl Supervisor {
    /// Supervises a spawned instance. Its events belong to `step` until [`Supervisor::enter_step`]. Must be called
    /// within a runtime.
    pub fn start(
        instance: Box<dyn Instance>,
        rules: ExitRules,
        recorder: Recorder,
        step: u32,
        excuse: Excuse,
    ) -> Self {
        let spec = instance.spec().clone();
        let (publish, state) = watch::channel(State {
            starts: 1,
            crashes: 0,
            last_end: None,
            now: Now::Running {
                pid: instance.pid(),
            },
        });
        let (requests, asked) = mpsc::channel(1);
        let step = Arc::new(AtomicU32::new(step));
        let progress = Arc::new(Mutex::new(Reached::unasked(1)));
        let keeper = Keeper {
            instance,
            rules,
            recorder,
            publish,
            step: Arc::clone(&step),
            progress: Arc::clone(&progress),
            row: CrashRow::default(),
            born: Instant::now(),
            restart: None,
            on_purpose: None,
            excuse,
        };
        Supervisor {
            spec,
            state,
            step,
            progress,
            requests,
            _task: AbortOnDropHandle::new(tokio::spawn(keeper.keep(asked))),
        }
    }

    /// What the instance was started with.
    pub fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    /// What the process does now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// A receiver of every change.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// From now on its events belong to this step.
    pub fn enter_step(&self, step: u32) {
        self.step.store(step, Ordering::Relaxed);
    }

    /// Whom its events are about.
    pub fn about(&self) -> About {
        about(&self.spec, &self.step)
    }

    /// Reports how far a process got: the one that was number [`State::starts`] when it was asked. A report about an
    /// earlier process is ignored.
    pub fn reached(&self, starts: u64, progress: Progress) {
        let mut reached = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if reached.starts == starts {
            reached.progress = reached.progress.max(Some(progress));
        }
    }

    /// Reports that the process of that number is being asked how far it got: without an answer, not far.
    pub fn asked(&self, starts: u64) {
        self.reached(starts, Progress::Nothing);
    }

    /// Stops the instance: softly, after `grace` the hard way. Returns when it is gone. One that is gone already only
    /// has what it left behind removed.
    pub async fn stop(&self, reason: StopReason, grace: Duration) {
        let (done, stopped) = oneshot::channel();
        let request = StopRequest {
            reason,
            grace,
            done,
        };
        // When the task is over, so is the instance.
        if self.requests.send(Request::Stop(request)).await.is_ok() {
            let _ = stopped.await;
        }
    }

    /// A handle for who breaks it on purpose.
    pub fn handle(&self) -> Handle {
        Handle {
            spec: self.spec.clone(),
            state: self.state.clone(),
            requests: self.requests.clone(),
        }
    }
}

fn about(spec: &InstanceSpec, step: &AtomicU32) -> About {
    About {
        step: Some(step.load(Ordering::Relaxed)),
        slot: Some(spec.slot.clone()),
        generation: Some(spec.generation),
    }
}

/// The task's own side.
struct Keeper {
    instance: Box<dyn Instance>,
    rules: ExitRules,
    recorder: Recorder,
    publish: watch::Sender<State>,
    step: Arc<AtomicU32>,
    progress: Arc<Mutex<Reached>>,
    row: CrashRow,
    /// When the process was started.
    born: Instant,
    /// When the process is to be started again, and why.
    restart: Option<(Instant, RestartReason)>,
    /// Something ended the process on purpose, or is about to: why it is started again.
    on_purpose: Option<RestartReason>,
    excuse: Excuse,
}

impl Keeper {
    async fn keep(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            let running = matches!(self.publish.borrow().now, Now::Running { .. });
            let due = self.restart.map(|(at, _)| at);
            tokio::select! {
                // A stop first: what it ends must not be restarted.
                biased;
                request = requests.recv() => {
                    // Whoever asks may have stopped waiting.
                    match request {
                        None => return,
                        Some(Request::Stop(request)) => {
                            self.stop(&request).await;
                            let _ = request.done.send(());
                            return;
                        }
                        Some(Request::Disturb { how, why, done }) => {
                            let _ = done.send(self.disturb(how, why).await);
                        }
                        Some(Request::Condition(told)) => {
                            let _ = told.send(self.instance.condition().await);
                        }
                    }
                }
                ended = self.instance.ended(), if running => self.ended(ended),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.start_again().await,
            }
        }
    }

    fn event(&self, kind: EventKind) {
        self.recorder
            .event(&about(self.instance.spec(), &self.step), kind);
    }

    fn publish(&self, now: Now) {
        self.publish.send_modify(|state| state.now = now);
    }

    async fn disturb(&mut self, how: Disturbance, why: RestartReason) -> Result<(), RuntimeError> {
        let done = self.instance.disturb(how).await;
        if done.is_ok() && matches!(how, Disturbance::Kill | Disturbance::End(_)) {
            self.on_purpose = Some(why);
        }
        done
    }

    /// Decides what an end means. The event comes first: whoever watches the state may act on it at once.
    fn ended(&mut self, ended: Ended) {
        let Ended { end, by_us } = ended;
        match self.announce_end(ended) {
            // A process that had ended by itself when the fault came has an end of its own.
            EndMeaning::Crash if self.on_purpose.is_some() || self.excuse.holds() => {
                self.ended_for_a_reason();
            }
            _ if by_us => self.publish(Now::Gone(Gone::Stopped(end))),
            EndMeaning::Fenced => self.publish(Now::Gone(Gone::Fenced(end))),
            EndMeaning::Restart => {
                self.row = CrashRow::default();
                self.restart = Some((Instant::now(), RestartReason::Asked));
                self.publish(Now::Restarting);
            }
            EndMeaning::Crash => self.crashed(end),
        }
    }

    fn announce_end(&self, Ended { end, by_us }: Ended) -> EndMeaning {
        let meaning = self.rules.meaning(end);
        let by_fault = self.on_purpose.is_some() && meaning == EndMeaning::Crash;
        self.event(EventKind::ProcessEnded {
            end,
            meaning,
            by_us,
            by_fault,
        });
        self.publish
            .send_modify(|state| state.last_end = Some((end, by_fault)));
        meaning
    }

    /// The process is started again as after a crash, but nothing is held against it: a fault ended it, or keeps from
    /// it what it needs.
    fn ended_for_a_reason(&mut self) {
        let why = self.on_purpose.take().unwrap_or(RestartReason::Fault);
        self.restart = Some((Instant::now() + CRASH_PAUSE, why));
        self.publish.send_modify(|state| {
            state.crashes += 1;
            state.now = Now::Restarting;
        });
    }

    fn crashed(&mut self, end: ProcessEnd) {
        let Reached { progress, .. } =
            *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.is_none() && self.born.elapsed() >= STEADY {
            self.row = CrashRow::default();
        }
        self.row.crashed(end, progress.unwrap_or_default());
        let now = if self.row.is_loop() {
            let ends = self.row.ends.clone();
            self.event(EventKind::CrashLoop {
                ends: ends.clone(),
                log: self.instance.log_tail(LOG_LINES),
            });
            Now::Gone(Gone::CrashLoop(ends))
        } else {
            self.restart = Some((Instant::now() + CRASH_PAUSE, RestartReason::Crashed));
            Now::Restarting
        };
        self.publish.send_modify(|state| {
            state.crashes += 1;
            state.now = now;
        });
    }

    async fn start_again(&mut self) {
        let Some((_, reason)) = self.restart.take() else {
            return;
        };
        self.event(EventKind::RestartIntent { reason });
        if let Err(error) = self.instance.restart().await {
            self.publish(Now::Gone(Gone::NotRestarted(error.message)));
            return;
        }
        self.born = Instant::now();
        self.on_purpose = None;
        let pid = self.instance.pid();
        let starts = self.publish.borrow().starts + 1;
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Reached::unasked(starts);
        self.event(EventKind::RestartDone { pid });
        self.publish.send_modify(|state| {
            state.starts = starts;
            state.now = Now::Running { pid };
        });
    }

    async fn stop(&mut self, request: &StopRequest) {
        let now = self.publish.borrow().now.clone();
        if let Now::Gone(_) = now {
            self.instance.stop(request.grace).await;
            return;
        }
        if self.instance.spec().is_attached() {
            // It goes on running; only we are done with it.
            let Ended { end, .. } = self.instance.stop(request.grace).await;
            self.publish(Now::Gone(Gone::Stopped(end)));
            return;
        }
        self.event(EventKind::StopIntent {
            reason: request.reason,
        });
        let ended = self.instance.stop(request.grace).await;
        if let Now::Running { .. } = now {
            self.announce_end(ended);
        }
        self.event(EventKind::StopDone);
        self.publish(Now::Gone(Gone::Stopped(ended.end)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::record::Sink;
    use async_trait::async_trait;
    use changeover_model::event::Event;
    use changeover_model::history::Operation;
    use changeover_runtime::RuntimeError;
    use std::collections::BTreeMap;

    const CRASH: ProcessEnd = ProcessEnd::Code(101);

    /// Keeps no record.
    struct Nowhere;

    impl Sink for Nowhere {
        fn event(&mut self, _: &Event) {}
        fn operation(&mut self, _: &Operation) {}
    }

    /// Each of its processes crashes after so long.
    struct Crashing {
        spec: InstanceSpec,
        life: Duration,
    }

    #[async_trait]
    impl Instance for Crashing {
        fn spec(&self) -> &InstanceSpec {
            &self.spec
        }

        fn pid(&self) -> u32 {
            1
        }

        async fn ended(&mut self) -> Ended {
            tokio::time::sleep(self.life).await;
            Ended {
                end: CRASH,
                by_us: false,
            }
        }

        async fn restart(&mut self) -> Result<(), RuntimeError> {
            Ok(())
        }

        async fn stop(&mut self, _: Duration) -> Ended {
            Ended {
                end: CRASH,
                by_us: true,
            }
        }

        fn log_tail(&self, _: usize) -> Vec<String> {
            Vec::new()
        }
    }

    /// How many processes there were until a crash loop was found, at most ten. In time that is paused, so that it
    /// takes none.
    async fn processes(life: Duration, asked: bool) -> u64 {
        let addr = "127.0.0.1:1".parse().unwrap();
        let spec = InstanceSpec {
            slot: "one".to_owned(),
            generation: 0,
            command: Vec::new(),
            env: BTreeMap::new(),
            sql_addr: addr,
            http_addr: addr,
            log: "unused".into(),
            container: None,
        };
        let supervisor = Supervisor::start(
            Box::new(Crashing { spec, life }),
            ExitRules {
                restart: vec![166],
                fenced: vec![0],
            },
            Recorder::new(Clock::start(), Box::new(Nowhere)),
            0,
            Excuse::default(),
        );
        let mut state = supervisor.watch();
        // The first one serves, as that of a step does.
        supervisor.reached(1, Progress::Serving);
        loop {
            let State { starts, now, .. } = state.borrow_and_update().clone();
            if starts == 10 || matches!(now, Now::Gone(Gone::CrashLoop(_))) {
                return starts;
            }
            if asked {
                supervisor.asked(starts);
            }
            state.changed().await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn crashes_hours_apart_that_nobody_watches_are_no_loop() {
        let hours = Duration::from_secs(3 * 3600);
        assert_eq!(processes(hours, false).await, 10);
        assert_eq!(processes(STEADY, false).await, 10);
        let short = STEADY - Duration::from_millis(1);
        assert_eq!(processes(short, false).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_crashes_of_one_that_is_asked_and_gets_no_further_are_a_loop() {
        let slow = STEADY + STEADY;
        assert_eq!(processes(slow, true).await, 3);
    }
}
