//! The deployment's state, as the leader API reports and changes it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::bug::{self, Bug};

/// Where a process stands between its start and leading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Initializing,
    /// Reported as `Initializing`; `skip` is a client's wish not to wait any longer.
    CatchingUp {
        skip: bool,
    },
    ReadyToPromote,
    Promoting,
    IsLeader,
}

impl State {
    /// The name in the leader API.
    pub(crate) fn reported(self) -> &'static str {
        match self {
            Self::Initializing | Self::CatchingUp { .. } => "Initializing",
            Self::ReadyToPromote => "ReadyToPromote",
            Self::Promoting => "Promoting",
            Self::IsLeader => "IsLeader",
        }
    }
}

/// A request that this state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotNow;

#[derive(Debug)]
struct Inner {
    state: State,
    serving: bool,
    promote_answered: bool,
}

/// The state, shared between the leader API and the process's main thread.
#[derive(Debug)]
pub(crate) struct Deployment {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// This process goes on as the leader when it is promoted; one that is restarted for it cannot tell.
    in_place: bool,
    leads: Notify,
}

impl Deployment {
    pub(crate) fn new(in_place: bool) -> Self {
        Self {
            inner: Mutex::new(Inner {
                state: State::Initializing,
                serving: false,
                promote_answered: false,
            }),
            changed: Condvar::new(),
            in_place,
            leads: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, inner: &mut Inner, state: State) {
        inner.state = state;
        self.changed.notify_all();
    }

    pub(crate) fn state(&self) -> State {
        self.lock().state
    }

    pub(crate) fn set_catching_up(&self) {
        let mut inner = self.lock();
        debug_assert_eq!(inner.state, State::Initializing);
        self.set(&mut inner, State::CatchingUp { skip: false });
    }

    pub(crate) fn set_ready_to_promote(&self) {
        let mut inner = self.lock();
        debug_assert!(matches!(
            inner.state,
            State::Initializing | State::CatchingUp { .. }
        ));
        self.set(&mut inner, State::ReadyToPromote);
    }

    /// A process that leads from its start is so before it answers SQL; one that is promoted in place, when it does.
    pub(crate) fn set_is_leader(&self) {
        let mut inner = self.lock();
        debug_assert!(matches!(
            inner.state,
            State::Initializing | State::Promoting | State::IsLeader
        ));
        self.set(&mut inner, State::IsLeader);
        self.leads.notify_waiters();
    }

    /// SQL is answered from now on.
    pub(crate) fn set_serving(&self) {
        self.lock().serving = true;
        self.changed.notify_all();
    }

    pub(crate) fn serving(&self) -> bool {
        self.lock().serving
    }

    /// Promoting again, or promoting a leader, changes nothing.
    pub(crate) fn try_promote(&self) -> Result<(), NotNow> {
        let mut inner = self.lock();
        match inner.state {
            State::CatchingUp { .. } if bug::on(Bug::PromotesUnready) => {
                self.set(&mut inner, State::Promoting);
                Ok(())
            }
            State::Initializing | State::CatchingUp { .. } => Err(NotNow),
            State::ReadyToPromote if bug::on(Bug::ForgetsPromotion) => Ok(()),
            State::ReadyToPromote if bug::on(Bug::ReadyRevoked) => {
                self.set(&mut inner, State::Initializing);
                Err(NotNow)
            }
            State::ReadyToPromote => {
                self.set(&mut inner, State::Promoting);
                Ok(())
            }
            State::Promoting | State::IsLeader => Ok(()),
        }
    }

    /// Waits until a promotion in place is over, at most so long: whoever asked for it can then go on at once, without
    /// asking for the status.
    pub(crate) async fn promoted_in_place(&self, at_most: Duration) {
        if !self.in_place {
            return;
        }
        // Before the look at the state, or what happens in between would be missed.
        let leads = self.leads.notified();
        if self.state() == State::Promoting {
            let _ = tokio::time::timeout(at_most, leads).await;
        }
    }

    pub(crate) fn try_skip_catchup(&self) -> Result<(), NotNow> {
        let mut inner = self.lock();
        match inner.state {
            State::Initializing => Err(NotNow),
            State::CatchingUp { .. } => {
                self.set(&mut inner, State::CatchingUp { skip: true });
                Ok(())
            }
            State::ReadyToPromote | State::Promoting | State::IsLeader => Ok(()),
        }
    }

    /// The answer to a promotion is on its way to the client.
    pub(crate) fn set_promote_answered(&self) {
        self.lock().promote_answered = true;
        self.changed.notify_all();
    }

    /// Waits for that, as a process that ends at once would take its own answer away.
    pub(crate) fn wait_promote_answered(&self, at_most: Duration) {
        let slow = bug::on(Bug::SlowCutover);
        let at_most = if slow { at_most * 100 } else { at_most };
        let inner = self.lock();
        let _ = self
            .changed
            .wait_timeout_while(inner, at_most, |inner| !inner.promote_answered || slow);
    }

    /// Waits until the state changes from `seen`, at most so long, and returns what it is then.
    pub(crate) fn wait_change(&self, seen: State, at_most: Duration) -> State {
        let inner = self.lock();
        match self
            .changed
            .wait_timeout_while(inner, at_most, |inner| inner.state == seen)
        {
            Ok((inner, _)) => inner.state,
            Err(poisoned) => poisoned.into_inner().0.state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_refused_until_ready_and_then_idempotent() {
        let deployment = Deployment::new(false);
        assert_eq!(deployment.try_promote(), Err(NotNow));
        assert_eq!(deployment.try_skip_catchup(), Err(NotNow));
        deployment.set_catching_up();
        assert_eq!(deployment.try_promote(), Err(NotNow));
        assert_eq!(deployment.try_skip_catchup(), Ok(()));
        assert_eq!(deployment.state(), State::CatchingUp { skip: true });
        assert_eq!(deployment.state().reported(), "Initializing");
        deployment.set_ready_to_promote();
        assert_eq!(deployment.try_promote(), Ok(()));
        assert_eq!(deployment.state(), State::Promoting);
        assert_eq!(deployment.try_promote(), Ok(()));
        assert_eq!(deployment.try_skip_catchup(), Ok(()));
        deployment.set_is_leader();
        assert_eq!(deployment.try_promote(), Ok(()));
        assert_eq!(deployment.state(), State::IsLeader);
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_promotion_in_place_waits_for_the_leader() {
        let long = Duration::from_secs(3600);
        let promoting = |in_place| {
            let deployment = Deployment::new(in_place);
            deployment.set_ready_to_promote();
            deployment.try_promote().unwrap();
            deployment
        };
        promoting(false).promoted_in_place(long).await;

        let deployment = promoting(true);
        let began = tokio::time::Instant::now();
        tokio::join!(deployment.promoted_in_place(long), async {
            deployment.set_is_leader();
        });
        deployment.promoted_in_place(long).await;
        assert_eq!(began.elapsed(), Duration::ZERO);

        promoting(true).promoted_in_place(long).await;
        assert!(began.elapsed() >= long, "it gives up in the end");
    }
}
