//! Calling an upgrade off, as planned, and seeing that its leader can still be started.

use super::running::Running;
use super::{Course, Driver, Obstacle, STOP_GRACE, StepFailed, Surroundings};
use crate::leader_api::STATUS_DEADLINE;
use crate::poll::Wait;
use crate::record::About;
use crate::supervisor::{Now, State, until_gone};
use changeover_model::event::{EventKind, Phase, RestartReason, StatusSeen, StopReason};
use changeover_model::fault::Point;
use changeover_model::status::DeploymentStatus;
use changeover_runtime::Disturbance;
use std::time::Duration;

/// How long an old instance may take to say once more that it leads.
const SAYS_SO: Duration = Duration::from_secs(2);

/// How long after a call-off it is asked again: a leader that is idle may need a tenth of a second to notice that it was
/// fenced.
const NOTICES: Duration = Duration::from_millis(300);

impl<S: Surroundings> Driver<S> {
    /// Calls a step off: the new instance is stopped, and the old one is asked whether it leads. The clients go back
    /// to it, if they had left.
    pub(super) async fn call_off(
        &self,
        about: &About,
        point: Point,
        new: Option<Running>,
        old: &mut Running,
        course: &Course,
    ) -> StepFailed {
        let event = |kind| self.recorder.event(about, kind);
        event(EventKind::CallOffIntent { point });
        if let Some(new) = new {
            new.stop(StopReason::CalledOff, STOP_GRACE).await;
            self.surroundings.gone(new.spec());
        }
        self.surroundings.gone(old.spec());
        let old_leads = self.still_leads(old).await;
        if old_leads && course.switched {
            self.surroundings.switch(old.spec());
        }
        event(EventKind::CallOffDone { point, old_leads });
        event(EventKind::StepEnded { completed: false });
        StepFailed {
            reason: format!("it was called off at point {point}"),
            not_spawned: false,
            interrupted: false,
            called_off: !course.promoted,
            as_planned: Some((point, old_leads)),
            new: None,
        }
    }

    async fn still_leads(&self, old: &mut Running) -> bool {
        if !self.says_that_it_leads(old).await {
            return false;
        }
        tokio::select! {
            biased;
            _ = until_gone(old.supervisor().watch()) => return false,
            () = tokio::time::sleep(NOTICES) => {}
        }
        self.says_that_it_leads(old).await
    }

    /// Where there is no status to be asked for, it does if it is there.
    async fn says_that_it_leads(&self, old: &mut Running) -> bool {
        let mut wait = Wait::new(SAYS_SO);
        while wait.due().await.is_ok() {
            if old.is_gone() {
                return false;
            }
            if old.control().by_query {
                return true;
            }
            match old.poll(STATUS_DEADLINE).await {
                StatusSeen::Status(DeploymentStatus::IsLeader) => return true,
                StatusSeen::Status(_) => return false,
                _ => {}
            }
        }
        false
    }

    /// Starts the leader again in place, and waits until it leads and serves: whoever was not to notice an upgrade that
    /// was called off must still be able to. Returns whether it does.
    pub async fn comeback(&self, step: u32, leader: &mut Running) -> bool {
        leader.supervisor().enter_step(step);
        leader.event(EventKind::ComebackIntent);
        let problem = self.come_back(leader).await.err();
        let came_back = problem.is_none();
        leader.event(EventKind::ComebackDone { problem });
        came_back
    }

    async fn come_back(&self, leader: &mut Running) -> Result<(), String> {
        let handle = leader.supervisor().handle();
        let starts = leader.supervisor().state().starts;
        let ended = handle.disturb(Disturbance::End(STOP_GRACE), RestartReason::Comeback);
        ended.await.map_err(|error| error.message)?;
        let mut course = Course::default();
        let came_back = async {
            let mut wait = Wait::new(self.timeouts.boot);
            // An answer of the process that is about to end would say nothing.
            let mut state = leader.supervisor().watch();
            let again = |state: &State| state.starts > starts || matches!(state.now, Now::Gone(_));
            let _ = tokio::time::timeout(wait.left(), state.wait_for(again)).await;
            let leads = |status| status == DeploymentStatus::IsLeader;
            self.until_status(
                leader,
                &mut wait,
                Phase::Boot,
                "status IsLeader",
                leads,
                &mut course,
            )
            .await?;
            self.until_answer(
                leader,
                Phase::Bootstrap,
                self.timeouts.bootstrap,
                "an answer to a query",
                || self.surroundings.serves(leader.spec()),
            )
            .await
        };
        let gone = until_gone(handle.watch());
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err("the run was interrupted".to_owned()),
            gone = gone => Err(gone.to_string()),
            done = came_back => done.map_err(|obstacle| match obstacle {
                Obstacle::Failed(reason) => reason,
                Obstacle::Interrupted | Obstacle::CalledOff(_) | Obstacle::Overtaken(_) => "it was broken off".to_owned(),
            }),
        }
    }
}
