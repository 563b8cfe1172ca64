//! Keeps one instance's process running by the rules of the protocol, and gives up by them.
//!
//! A task owns the instance, so that a process that asks for a restart gets it at once, whatever else the rehearsal
//! is busy with. It publishes what became of the process; who wants to know watches.

use crate::record::{About, Recorder};
use changeover_model::event::{EndMeaning, EventKind, ProcessEnd, RestartReason, StopReason};
use changeover_model::status::DeploymentStatus;
use changeover_model::target::{ContainerTemplate, Instances};
use changeover_runtime::{Disturbance, Ended, Instance, InstanceSpec, RuntimeError};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// How long after a crash the process is started again.
pub const CRASH_PAUSE: Duration = Duration::from_millis(100);

/// So many crashes in a row, none getting further than the one before, are a crash loop.
pub const CRASHES_OF_A_LOOP: usize = 3;

/// A process that nobody asked how far it got (between steps, and an old leader while the new one catches up) and that
/// lived so long got somewhere: its crash begins a new row. Who was asked is judged by what was answered, however long
/// it lived.
pub const STEADY: Duration = Duration::from_secs(10);

/// How many lines of the log a crash loop is reported with.
const LOG_LINES: usize = 20;

/// What the exit codes of a target mean. All others are crashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitRules {
    /// Codes that ask for a restart in place.
    pub restart: Vec<i32>,
    /// Codes that say "I was fenced, do not restart me".
    pub fenced: Vec<i32>,
}

impl From<&Instances> for ExitRules {
    /// Who is not started has no exit codes.
    fn from(instances: &Instances) -> Self {
        let (restart, fenced) = match instances {
            Instances::Started(template) => (
                template.restart_exit_codes.clone(),
                template.fenced_exit_codes.clone(),
            ),
            Instances::Attached(_) | Instances::Unknown => Default::default(),
        };
        ExitRules { restart, fenced }
    }
}

impl From<&ContainerTemplate> for ExitRules {
    fn from(container: &ContainerTemplate) -> Self {
        ExitRules {
            restart: container.restart_exit_codes.clone(),
            fenced: container.fenced_exit_codes.clone(),
        }
    }
}

impl ExitRules {
    /// What an end means.
    pub fn meaning(&self, end: ProcessEnd) -> EndMeaning {
        match end {
            ProcessEnd::Code(code) if self.fenced.contains(&code) => EndMeaning::Fenced,
            ProcessEnd::Code(code) if self.restart.contains(&code) => EndMeaning::Restart,
            _ => EndMeaning::Crash,
        }
    }
}

/// Why no crash counts for now: something that all instances need is broken on purpose. Cheap to clone; all clones are
/// one.
#[derive(Debug, Clone, Default)]
pub struct Excuse(Arc<AtomicU32>);

impl Excuse {
    /// Lets crashes count for nothing as long as the guard lives.
    pub fn hold(&self) -> ExcuseGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        ExcuseGuard(self.clone())
    }

    fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// As long as it lives, crashes count for nothing.
#[derive(Debug)]
pub struct ExcuseGuard(Excuse);

impl ExcuseGuard {
    /// Lets crashes count again after so long. Must be called within a runtime.
    pub fn drop_after(self, time: Duration) {
        tokio::spawn(async move {
            sleep(time).await;
            drop(self);
        });
    }
}

impl Drop for ExcuseGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How far a process has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// It has not answered.
    #[default]
    Nothing,
    /// It answered `Initializing`.
    Initializing,
    /// It answered `ReadyToPromote`.
    ReadyToPromote,
    /// It answered `Promoting`.
    Promoting,
    /// It answered `IsLeader`.
    IsLeader,
    /// A query was answered.
    Serving,
}

impl From<DeploymentStatus> for Progress {
    fn from(status: DeploymentStatus) -> Self {
        match status {
            DeploymentStatus::Initializing => Progress::Initializing,
            DeploymentStatus::ReadyToPromote => Progress::ReadyToPromote,
            DeploymentStatus::Promoting => Progress::Promoting,
            DeploymentStatus::IsLeader => Progress::IsLeader,
        }
    }
}

/// Why an instance has no process any more and gets none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// It said that it was fenced.
    Fenced(ProcessEnd),
    /// It crashed again and again: the ends, oldest first.
    CrashLoop(Vec<ProcessEnd>),
    /// Its process could not be started again: why.
    NotRestarted(String),
    /// We stopped it.
    Stopped(ProcessEnd),
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gone::Fenced(end) => write!(f, "ended as fenced ({end})"),
            Gone::CrashLoop(ends) => {
                f.write_str("is in a crash loop (")?;
                for (n, end) in ends.iter().enumerate() {
                    write!(f, "{}{end}", if n == 0 { "" } else { ", " })?;
                }
                f.write_str("); its log tells why")
            }
            Gone::NotRestarted(why) => write!(f, "could not be started again: {why}"),
            Gone::Stopped(end) => write!(f, "was stopped ({end})"),
        }
    }
}

/// What an instance's process does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// It runs.
    Running {
        /// The process.
        pid: u32,
    },
    /// It ended and is about to be started again.
    Restarting,
    /// It ended for good.
    Gone(Gone),
}

/// What a supervisor publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// How many processes there were: tells one from the next.
    pub starts: u64,
    /// How many of them crashed, or were ended by a fault.
    pub crashes: u64,
    /// How the last process ended, and whether a fault did it; `None` before the first end.
    pub last_end: Option<(ProcessEnd, bool)>,
    /// What the process does now.
    pub now: Now,
}

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

/// A handle to an instance for who breaks it on purpose. The instance is the supervisor's.
#[derive(Debug, Clone)]
pub struct Handle {
    spec: InstanceSpec,
    state: watch::Receiver<State>,
    requests: mpsc::Sender<Request>,
}

impl Handle {
    /// What the instance was started with.
    pub fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    /// A receiver of every change.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Does something to the process on purpose. An end that comes of it says nothing of the instance: the process is
    /// started again for this reason, as after a crash, and no crash is counted.
    ///
    /// # Errors
    ///
    /// When there is no process that this could be done to.
    pub async fn disturb(&self, how: Disturbance, why: RestartReason) -> Result<(), RuntimeError> {
        let (done, answer) = oneshot::channel();
        let gone = || RuntimeError::new(format!("{} is gone", self.spec.slot));
        let request = Request::Disturb { how, why, done };
        self.requests.send(request).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// What the process does now, in words.
    pub async fn condition(&self) -> String {
        let (tell, told) = oneshot::channel();
        let asked = self.requests.send(Request::Condition(tell)).await;
        let answer = match asked {
            Ok(()) => told.await.ok(),
            Err(_) => None,
        };
        answer.unwrap_or_else(|| match &self.state.borrow().now {
            Now::Gone(gone) => format!("it {gone}"),
            _ => "it is gone".to_owned(),
        })
    }
}

/// Waits until the instance is gone. Cancel-safe.
pub async fn until_gone(mut state: watch::Receiver<State>) -> Gone {
    loop {
        if let Now::Gone(gone) = &state.borrow_and_update().now {
            return gone.clone();
        }
        if state.changed().await.is_err() {
            // The task ended without a word: it was aborted, and the instance dropped.
            return Gone::Stopped(ProcessEnd::Signal(nix::sys::signal::Signal::SIGKILL as i32));
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

/// Crashes in a row, none getting further than the one before. See also [`STEADY`].
#[derive(Debug, Default)]
struct CrashRow {
    ends: Vec<ProcessEnd>,
    last: Progress,
}

impl CrashRow {
    /// Counts a crash of a process that got so far.
    fn crashed(&mut self, end: ProcessEnd, progress: Progress) {
        if progress > self.last {
            self.ends.clear();
        }
        self.ends.push(end);
        self.last = progress;
    }

    fn is_loop(&self) -> bool {
        self.ends.len() >= CRASHES_OF_A_LOOP
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

    fn row(progress: &[Progress]) -> bool {
        let mut row = CrashRow::default();
        progress.iter().any(|&progress| {
            row.crashed(CRASH, progress);
            row.is_loop()
        })
    }

    #[test]
    fn three_crashes_that_get_no_further_are_a_loop() {
        use Progress::{Initializing, IsLeader, Nothing, ReadyToPromote, Serving};
        assert!(row(&[Nothing, Nothing, Nothing]));
        assert!(row(&[Serving, Serving, Serving]));
        assert!(row(&[IsLeader, Initializing, Initializing]));
        assert!(!row(&[Nothing, Nothing, Initializing]));
        assert!(!row(&[
            Nothing,
            Initializing,
            ReadyToPromote,
            IsLeader,
            Serving
        ]));
        assert!(!row(&[
            IsLeader,
            Initializing,
            ReadyToPromote,
            ReadyToPromote
        ]));
        assert!(row(&[Nothing, Initializing, Initializing, Initializing]));
    }

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
