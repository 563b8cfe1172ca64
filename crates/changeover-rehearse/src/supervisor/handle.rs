//! A handle to an instance for who breaks it on purpose.

use super::{Now, Request, State};
use changeover_model::event::RestartReason;
use changeover_runtime::{Disturbance, InstanceSpec, RuntimeError};
use tokio::sync::{mpsc, oneshot, watch};

/// A handle to an instance for who breaks it on purpose. The instance is the supervisor's.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) spec: InstanceSpec,
    pub(super) state: watch::Receiver<State>,
    pub(super) requests: mpsc::Sender<Request>,
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
