//! An instance that runs: its supervisor, how it is asked and promoted, and what it last said.

use crate::control::Control;
use crate::faults::Instance;
use crate::leader_api::STATUS_DEADLINE;
use crate::poll::Wait;
use crate::record::{About, Recorder};
use crate::supervisor::{Now, Progress, Supervisor, until_gone};
use changeover_model::event::{EventKind, StatusSeen, StopReason};
use changeover_model::status::DeploymentStatus;
use changeover_runtime::InstanceSpec;
use std::fmt;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// How long a wait without a deadline of its own lasts: longer than any run.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A supervised instance. Dropping it ends it the hard way; [`Running::stop`] is the gentle way.
pub struct Running {
    supervisor: Supervisor,
    control: Control,
    /// What an answered query means where there is no status to be asked for.
    answering: DeploymentStatus,
    recorder: Recorder,
    last: Option<StatusSeen>,
    /// The process that said it, by [`crate::supervisor::State::starts`].
    said_by: u64,
    /// Polls since the last event.
    polls: u64,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("spec", self.spec())
            .field("state", &self.supervisor.state())
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Running {
    pub(crate) fn new(supervisor: Supervisor, control: Control, recorder: Recorder) -> Self {
        Running {
            supervisor,
            control,
            answering: DeploymentStatus::ReadyToPromote,
            recorder,
            last: None,
            said_by: 0,
            polls: 0,
        }
    }

    /// What it was started with.
    pub fn spec(&self) -> &InstanceSpec {
        self.supervisor.spec()
    }

    /// Whether it has no process any more, and gets none.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.supervisor.state().now, Now::Gone(_))
    }

    /// Its supervisor.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Stops it: softly, after `grace` the hard way.
    pub async fn stop(&self, reason: StopReason, grace: Duration) {
        self.supervisor.stop(reason, grace).await;
    }

    /// It, for who breaks it on purpose.
    pub(crate) fn instance(&self) -> Instance {
        Instance {
            handle: self.supervisor.handle(),
            control: self.control.clone(),
        }
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// It leads, as far as that can be known without a status: it is the first, or has acknowledged its promotion.
    pub(super) fn lead(&mut self) {
        self.answering = DeploymentStatus::IsLeader;
    }

    pub(super) fn about(&self) -> About {
        self.supervisor.about()
    }

    pub(super) fn event(&self, kind: EventKind) {
        self.recorder.event(&self.about(), kind);
    }

    /// What it last said.
    pub(super) fn last(&self) -> Option<&StatusSeen> {
        self.last.as_ref()
    }

    /// What it last said, in words.
    pub(super) fn last_words(&self) -> String {
        let process = match self.supervisor.state().now {
            Now::Running { .. } if self.spec().is_attached() => {
                "it was not started by us".to_owned()
            }
            Now::Running { pid } => format!("process {pid} runs"),
            Now::Restarting => "its process is being restarted".to_owned(),
            Now::Gone(gone) => gone.to_string(),
        };
        match &self.last {
            Some(last) => format!("last status {last}, {process}"),
            None => format!("no status asked, {process}"),
        }
    }

    /// Asks for the status once, for at most `limit`. A change is an event, and so is the first status that another
    /// process reports.
    pub(crate) async fn poll(&mut self, limit: Duration) -> StatusSeen {
        let starts = self.supervisor.state().starts;
        self.supervisor.asked(starts);
        let seen = timeout(limit, self.control.api.status())
            .await
            .unwrap_or(StatusSeen::Silent);
        self.saw(starts, seen)
    }

    /// The same where there is no status to be asked for: whether a query was answered is what there is.
    pub(super) fn answered(&mut self, answered: bool) -> StatusSeen {
        let starts = self.supervisor.state().starts;
        self.saw(
            starts,
            match answered {
                true => StatusSeen::Status(self.answering),
                false => StatusSeen::Unreachable,
            },
        )
    }

    fn saw(&mut self, starts: u64, seen: StatusSeen) -> StatusSeen {
        self.polls += 1;
        let is_status = matches!(seen, StatusSeen::Status(_));
        let news = match &self.last {
            None => true,
            // Nonsense may say something else each time; that it is nonsense is said once.
            Some(StatusSeen::Nonsense(_)) => !matches!(seen, StatusSeen::Nonsense(_)),
            Some(last) => *last != seen || (is_status && self.said_by != starts),
        };
        if news {
            self.event(EventKind::StatusSeen {
                seen: seen.clone(),
                polls: self.polls,
            });
            self.polls = 0;
            self.last = Some(seen.clone());
            self.said_by = starts;
        }
        if let StatusSeen::Status(status) = seen {
            self.supervisor.reached(starts, Progress::from(status));
        }
        seen
    }

    /// Watches its status until it is gone.
    pub(super) async fn observe_until_gone(&mut self) {
        let mut gone = pin!(until_gone(self.supervisor.watch()));
        let mut wait = Wait::new(FOR_EVER);
        loop {
            tokio::select! {
                biased;
                _ = &mut gone => return,
                _ = wait.due() => {}
            }
            tokio::select! {
                biased;
                _ = &mut gone => return,
                _ = self.poll(STATUS_DEADLINE) => {}
            }
        }
    }
}
