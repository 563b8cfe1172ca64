//! A step whose new instance is overtaken: a higher generation was promoted before, or over it.

use super::running::Running;
use super::{Course, Driver, Obstacle, STOP_GRACE, Surroundings};
use changeover_model::event::{EventKind, Phase, StopReason};
use std::time::Duration;
use tokio::time::sleep;

/// How long the instance that was overtaken may take to see it and leave.
const NOTICES: Duration = Duration::from_secs(1);

impl<S: Surroundings> Driver<S> {
    /// Sends the clients to the instance that overtook `new`, and sees that the others leave. A service that stays,
    /// although it will never lead, is retired.
    pub(super) async fn give_way(
        &self,
        winner: &Running,
        new: Option<Running>,
        old: &mut Running,
        expected_version: &str,
        course: &mut Course,
    ) -> Result<(), Obstacle> {
        course.promoted = true;
        let again = course.switched;
        if !again {
            winner.event(EventKind::PhaseStarted {
                phase: Phase::Bootstrap,
            });
        }
        self.surroundings.leads(winner.spec(), old.spec());
        self.until_serving(winner, course).await?;
        if !again {
            winner.event(EventKind::PhaseStarted {
                phase: Phase::Retire,
            });
        }
        self.check_version(winner, expected_version).await?;
        tokio::select! {
            biased;
            () = old.observe_until_gone() => {}
            () = sleep(self.timeouts.retire) => self.stop_lingering(old).await,
        }
        self.surroundings.gone(old.spec());
        if let Some(mut new) = new {
            tokio::select! {
                biased;
                () = new.observe_until_gone() => {}
                () = sleep(NOTICES) => {}
            }
            new.stop(StopReason::Skipped, STOP_GRACE).await;
            self.surroundings.gone(new.spec());
        }
        Ok(())
    }
}
