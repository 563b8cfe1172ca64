//! The phases of a step, each a wait with a deadline.

use super::running::Running;
use super::{BETWEEN_PROMOTIONS, Course, Driver, Obstacle, STOP_GRACE, Surroundings, name};
use crate::poll::{Expired, Wait};
use crate::supervisor::Progress;
use changeover_model::event::{
    EventKind, Phase, ProcessEnd, PromoteResult, StatusSeen, StopReason,
};
use changeover_model::fault::Point;
use changeover_model::status::DeploymentStatus;
use changeover_runtime::InstanceSpec;
use std::future::Future;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

/// How often a promotion is sent in one step. A loss is rare, and a server that loses them all is broken.
const PROMOTIONS: u32 = 5;

impl<S: Surroundings> Driver<S> {
    /// Step 0 from the spawn on.
    pub(super) async fn first_phases(
        &self,
        new: &mut Running,
        expected_version: &str,
        course: &mut Course,
    ) -> Result<(), Obstacle> {
        let mut wait = Wait::new(self.timeouts.boot);
        let leads = |status| status == DeploymentStatus::IsLeader;
        self.until_status(
            new,
            &mut wait,
            Phase::Boot,
            "status IsLeader",
            leads,
            course,
        )
        .await?;
        begin(new, Phase::Bootstrap);
        self.until_serving(new, course).await?;
        self.check_version(new, expected_version).await
    }

    /// A step from the spawn on.
    pub(super) async fn phases(
        &self,
        new: &mut Running,
        old: &mut Running,
        expected_version: &str,
        course: &mut Course,
    ) -> Result<(), Obstacle> {
        let mut wait = Wait::new(self.timeouts.boot);
        self.until_status(
            new,
            &mut wait,
            Phase::Boot,
            "a first status",
            |_| true,
            course,
        )
        .await?;
        begin(new, Phase::CatchUp);
        self.surroundings.at(Point::CatchingUp).await;
        self.surroundings.answers(new.spec());
        if matches!(new.last(), Some(StatusSeen::Status(_)))
            && let Some(result) = self.surroundings.initializing(new.spec()).await
        {
            self.promoted_by_accident(new, result, course);
        }

        let mut wait = Wait::new(self.timeouts.catch_up);
        // One that leads without having been told to is beyond promoting; the promote phase sees it.
        let ready = |status| {
            matches!(
                status,
                DeploymentStatus::ReadyToPromote | DeploymentStatus::IsLeader
            )
        };
        self.until_status(
            new,
            &mut wait,
            Phase::CatchUp,
            "status ReadyToPromote",
            ready,
            course,
        )
        .await?;
        if !course.promoted {
            self.surroundings.ready(new.spec()).await;
        }
        // Last: what is examined before is to be answered by an instance that is whole.
        self.surroundings.at(Point::Ready).await;
        begin(new, Phase::Promote);
        self.promote(new, course).await?;
        begin(new, Phase::Bootstrap);
        self.surroundings.leads(new.spec(), old.spec());
        self.surroundings.at(Point::Leader).await;
        self.take_over(new, old, expected_version, course).await
    }

    /// Polls until an accepted status is seen.
    pub(super) async fn until_status(
        &self,
        new: &mut Running,
        wait: &mut Wait,
        phase: Phase,
        what: &str,
        accept: impl Fn(DeploymentStatus) -> bool,
        course: &mut Course,
    ) -> Result<(), Obstacle> {
        loop {
            if let Err(expired) = wait.due().await {
                return Err(deadline_passed(new, phase, expired, what));
            }
            if let Some(status) = self.ask(new, wait.left(), course).await?
                && accept(status)
            {
                return Ok(());
            }
        }
    }

    /// Asks the new instance where it stands, once; `None` if it did not say. What it says and nobody has described fails
    /// the step: it will not be understood the next time either.
    async fn ask(
        &self,
        new: &mut Running,
        limit: Duration,
        course: &mut Course,
    ) -> Result<Option<DeploymentStatus>, Obstacle> {
        let seen = match new.control().by_query {
            false => new.poll(limit).await,
            true => {
                let patience = limit.min(self.timeouts.operation);
                let answer = timeout(patience, self.surroundings.serves(new.spec())).await;
                new.answered(matches!(answer, Ok(Ok(()))))
            }
        };
        match seen {
            StatusSeen::Status(status) => {
                course.said(status);
                Ok(Some(status))
            }
            StatusSeen::Unmapped(words) => Err(Obstacle::Failed(format!(
                "the status of {} is not described: {words}",
                name(new.spec())
            ))),
            StatusSeen::Unreachable | StatusSeen::Silent | StatusSeen::Nonsense(_) => Ok(None),
        }
    }

    /// Promotes, until the new instance says that it leads. Each poll that says `ReadyToPromote` is at once the last
    /// look before sending.
    async fn promote(&self, new: &mut Running, course: &mut Course) -> Result<(), Obstacle> {
        // Until something was sent this is still catching up: the instance may restart and start over.
        let mut wait = Wait::new(self.timeouts.catch_up);
        let mut attempt = 0;
        let mut last: Option<(PromoteResult, Instant)> = None;
        let mut crashes = new.supervisor().state().crashes;
        loop {
            if let Err(expired) = wait.due().await {
                let missing = match attempt {
                    0 => "status ReadyToPromote, seen once and gone again,",
                    _ => "status IsLeader",
                };
                return Err(deadline_passed(new, Phase::Promote, expired, missing));
            }
            let status = self.ask(new, wait.left(), course).await?;
            let crashes_now = new.supervisor().state().crashes;
            if attempt > 0 && crashes_now > crashes {
                // What was promoted may have to catch up and be promoted all over.
                wait.extend(self.timeouts.catch_up + self.timeouts.promote);
            }
            crashes = crashes_now;
            match status {
                Some(DeploymentStatus::IsLeader) => return Ok(()),
                Some(DeploymentStatus::ReadyToPromote) => {}
                Some(DeploymentStatus::Initializing | DeploymentStatus::Promoting) | None => {
                    continue;
                }
            }
            if matches!(&last, Some((_, at)) if at.elapsed() < BETWEEN_PROMOTIONS) {
                continue;
            }
            if attempt == PROMOTIONS {
                return Err(Obstacle::Failed(format!(
                    "{} was promoted {PROMOTIONS} times and still says ReadyToPromote; the last answer was {}",
                    name(new.spec()),
                    last.map_or_else(String::new, |(result, _)| words(&result))
                )));
            }
            if let Some((PromoteResult::Acknowledged | PromoteResult::Lost, _)) = last {
                new.event(EventKind::PromotionLost);
            }
            attempt += 1;
            let result = self.send_promotion(new, attempt, course).await;
            last = Some((result, Instant::now()));
            wait = Wait::new(self.timeouts.promote);
        }
    }

    /// A promotion was taken that was sent to see it refused. It is recorded as one from here on, and so is the instance no
    /// longer one that must not write.
    fn promoted_by_accident(&self, new: &mut Running, result: PromoteResult, course: &mut Course) {
        self.surroundings.promoting(new.spec());
        new.event(EventKind::PromoteIntent { attempt: 1 });
        course.promoted = true;
        if result == PromoteResult::Acknowledged {
            new.lead();
        }
        new.event(EventKind::PromoteDone { result });
    }

    async fn send_promotion(
        &self,
        new: &mut Running,
        attempt: u32,
        course: &mut Course,
    ) -> PromoteResult {
        self.surroundings.promoting(new.spec());
        new.event(EventKind::PromoteIntent { attempt });
        let promoted_before = course.promoted;
        // For a step that is cancelled meanwhile.
        course.promoted = true;
        let control = new.control();
        let result = match &control.command {
            None => control.api.promote().await,
            Some(helper) => self.run_promotion(helper.clone()).await,
        };
        if result == PromoteResult::Acknowledged {
            new.lead();
        }
        course.promoted = promoted_before || result.may_be_taken();
        new.event(EventKind::PromoteDone {
            result: result.clone(),
        });
        self.surroundings.at(Point::PromoteSent).await;
        result
    }

    /// Runs the command that promotes. Whatever of it still runs after that is ended.
    async fn run_promotion(&self, helper: InstanceSpec) -> PromoteResult {
        let mut helper = match self.runtime.spawn(helper).await {
            Ok(helper) => helper,
            Err(error) => return PromoteResult::Refused(error.message),
        };
        let ended = timeout(self.timeouts.promote, helper.ended()).await;
        let last_line = helper.log_tail(1).pop().unwrap_or_default();
        helper.stop(STOP_GRACE).await;
        match ended {
            Ok(ended) if ended.end == ProcessEnd::Code(0) => PromoteResult::Acknowledged,
            Ok(ended) => PromoteResult::Unclear(format!("{}: {last_line}", ended.end)),
            Err(_) => PromoteResult::Lost,
        }
    }

    /// From `IsLeader` to the old process's end. The old one is observed all the while.
    async fn take_over(
        &self,
        new: &Running,
        old: &mut Running,
        expected_version: &str,
        course: &mut Course,
    ) -> Result<(), Obstacle> {
        let (retire, retiring) = oneshot::channel();
        let new_side = async {
            self.until_serving(new, course).await?;
            self.surroundings.at(Point::Serving).await;
            begin(new, Phase::Retire);
            self.surroundings.at(Point::Retiring).await;
            // The other side may be through with its part.
            let _ = retire.send(());
            self.check_version(new, expected_version).await
        };
        let old_side = async {
            let attached = old.spec().is_attached();
            let deadline = async {
                // Without a word the step has failed, and this is dropped.
                let _ = retiring.await;
                if !attached {
                    sleep(self.timeouts.retire).await;
                }
            };
            tokio::select! {
                biased;
                () = old.observe_until_gone(), if !attached => {}
                // Nobody sees the process of an attached one: the promotion is to fence it, and its observer tells.
                () = deadline => if !attached { self.stop_lingering(old).await },
            }
            self.surroundings.gone(old.spec());
            Ok(())
        };
        tokio::try_join!(new_side, old_side)?;
        Ok(())
    }

    pub(super) async fn stop_lingering(&self, old: &Running) {
        old.event(EventKind::DeadlinePassed {
            phase: Phase::Retire,
            waited_ms: millis(self.timeouts.retire),
            missing: format!(
                "the end of {} by itself ({})",
                name(old.spec()),
                old.last_words()
            ),
        });
        old.stop(StopReason::Lingered, STOP_GRACE).await;
    }

    /// Waits until a query answers on the new instance, and sends the clients there at once.
    pub(super) async fn until_serving(
        &self,
        new: &Running,
        course: &mut Course,
    ) -> Result<(), Obstacle> {
        let mut starts = 0;
        let attempt = || {
            starts = new.supervisor().state().starts;
            new.supervisor().asked(starts);
            self.surroundings.serves(new.spec())
        };
        self.until_answer(
            new,
            Phase::Bootstrap,
            self.timeouts.bootstrap,
            "an answer to a query",
            attempt,
        )
        .await?;
        new.event(EventKind::Serving);
        let spec = new.spec();
        new.event(EventKind::SwitchIntent {
            upstream: spec.sql_addr.to_string(),
        });
        self.surroundings.switch(spec);
        course.switched = true;
        new.event(EventKind::SwitchDone);
        new.supervisor().reached(starts, Progress::Serving);
        Ok(())
    }

    /// Asks through the front door which version answers.
    pub(super) async fn check_version(
        &self,
        new: &Running,
        expected: &str,
    ) -> Result<(), Obstacle> {
        let found = self
            .until_answer(
                new,
                // The deadline is that of a first answer, and so is the finding: retiring is about the old one.
                Phase::Bootstrap,
                self.timeouts.bootstrap,
                "a version through the front door",
                || self.surroundings.version(),
            )
            .await?;
        if let Some(found) = found {
            new.event(EventKind::VersionSeen {
                expected: expected.to_owned(),
                found,
            });
        }
        Ok(())
    }

    /// Repeats an attempt until it succeeds.
    pub(super) async fn until_answer<T, F>(
        &self,
        new: &Running,
        phase: Phase,
        limit: Duration,
        what: &str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Obstacle>
    where
        F: Future<Output = Result<T, String>>,
    {
        let mut wait = Wait::new(limit);
        let mut last = "not tried".to_owned();
        loop {
            if let Err(expired) = wait.due().await {
                let what = format!("{what} (last try: {last})");
                return Err(deadline_passed(new, phase, expired, &what));
            }
            // Listeners are bound early: an attempt may hang until the server is up, and is then answered at once.
            let patience = self.timeouts.operation.min(wait.left());
            match timeout(patience, attempt()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = error,
                Err(_) => last = format!("no answer in {} ms", millis(patience)),
            }
        }
    }
}

/// The phase before ends at this very moment.
fn begin(new: &Running, phase: Phase) {
    new.event(EventKind::PhaseStarted { phase });
}

fn deadline_passed(new: &Running, phase: Phase, expired: Expired, what: &str) -> Obstacle {
    let waited_ms = millis(expired.waited);
    let missing = format!("{what} of {} ({})", name(new.spec()), new.last_words());
    new.event(EventKind::DeadlinePassed {
        phase,
        waited_ms,
        missing: missing.clone(),
    });
    Obstacle::Failed(format!(
        "phase {phase} waited {waited_ms} ms in vain for {missing}"
    ))
}

fn words(result: &PromoteResult) -> String {
    match result {
        PromoteResult::Acknowledged => "an acknowledgement".to_owned(),
        PromoteResult::Refused(text) | PromoteResult::Unclear(text) => text.clone(),
        PromoteResult::Lost => "lost".to_owned(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
