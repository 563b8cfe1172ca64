//! The load: lanes and workload on one schedule, through the front door.

use crate::client::ClientTarget;
use crate::lanes::{self, LANES, Lane, LaneId, Requests};
use crate::record::Recorder;
use crate::schedule::{Pace, Ticker};
use crate::tally::{Keys, Live, Tally};
use crate::workload::Workload;
use crate::workload::script::ScriptTally;
use changeover_model::plan::WorkloadPlan;
use changeover_model::workload::{Capabilities, Script};
use std::io;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// From the start to the first send, in nanoseconds: long enough that the first is not late because of the start.
const LEAD: u64 = 5_000_000;

/// Running lanes and workload. Dropping it ends the schedule without waiting for what is in flight.
pub struct Load {
    ticker: Ticker,
    tasks: TaskTracker,
    tally: Arc<Tally>,
    answers: Option<Arc<ScriptTally>>,
}

impl Load {
    /// Starts all lanes and the workload of a plan against `target`, the front door. Everything that ends is handed
    /// to `recorder`. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When the schedule's thread cannot be started.
    pub fn start(
        recorder: Recorder,
        target: &ClientTarget,
        plan: &WorkloadPlan,
    ) -> io::Result<Self> {
        Self::start_for(recorder, target, plan, &Capabilities::new())
    }

    /// The same, for a target that can do this.
    ///
    /// # Errors
    ///
    /// When the schedule's thread cannot be started.
    pub fn start_for(
        recorder: Recorder,
        target: &ClientTarget,
        plan: &WorkloadPlan,
        capabilities: &Capabilities,
    ) -> io::Result<Self> {
        // A plan that was validated has one that parses.
        let script = plan.details.script.as_deref();
        let script = script.and_then(|text| Script::parse(text).ok());
        let answers = script
            .as_ref()
            .map(|script| Arc::new(ScriptTally::new(recorder.clone(), script)));
        let tally = Arc::new(Tally::with_script(recorder, answers.clone()));
        let tasks = TaskTracker::new();
        // The workload's clients come first, so that client c of the plan tends to be client c of the history.
        let workload = Workload::new(plan, capabilities, script, target, &tally, &tasks);
        let lanes = LANES.map(
            |LaneId {
                 class, connection, ..
             }| {
                Lane::new(
                    class,
                    connection,
                    Requests::of_set(),
                    target,
                    &tally,
                    &tasks,
                )
            },
        );
        let clock = tally.clock();
        let start = clock.now() + LEAD;
        let interval = plan.probe_interval_ms * 1_000_000;
        let mut paces: Vec<_> = (0..LANES.len())
            .map(|lane| lanes::pace(lane, LANES.len(), start, interval))
            .collect();
        // Between the first two lanes. Workloads that only act at moments of a step have no operations.
        if plan.kinds().iter().any(|kind| kind.has_operations()) {
            paces.push(Pace::per_second(start + interval / 10, plan.rate));
        }
        let ticker = Ticker::start(clock, paces, move |due| match lanes.get(due.schedule) {
            Some(lane) => lane.fire(due),
            None => workload.fire(due),
        })?;
        Ok(Load {
            ticker,
            tasks,
            tally,
            answers,
        })
    }

    /// Figures for whoever watches.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(self.tally.live())
    }

    /// What has been written so far.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(self.tally.keys())
    }

    /// Ends the schedule and waits until the last operation has ended, which takes at most twice the time of an
    /// operation.
    pub async fn stop(self) {
        let Load {
            ticker,
            tasks,
            answers,
            ..
        } = self;
        // With the schedule go the clients' queues, and with those, after the last operation, the clients.
        ticker.stop().await;
        tasks.close();
        tasks.wait().await;
        if let Some(answers) = answers {
            answers.finish();
        }
    }
}
