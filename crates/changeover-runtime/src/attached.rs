//! Instances that run already: found where somebody says they are, neither started nor ended.

use crate::{Ended, Instance, InstanceSpec, Runtime, RuntimeError};
use async_trait::async_trait;
use changeover_model::event::ProcessEnd;
use changeover_model::target::Endpoint;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::lookup_host;

/// Hands out endpoints that run already, in turn. What has a command, such as what promotes one of them, is started by
/// another runtime.
pub struct AttachedRuntime {
    endpoints: Vec<SocketAddr>,
    next: AtomicUsize,
    helpers: Arc<dyn Runtime>,
}

impl AttachedRuntime {
    /// These endpoints; there must be one at least. `helpers` starts what has a command.
    ///
    /// # Errors
    ///
    /// When there are none, or one of their names cannot be resolved.
    pub async fn new(
        endpoints: &[Endpoint],
        helpers: Arc<dyn Runtime>,
    ) -> Result<Self, RuntimeError> {
        let mut resolved = Vec::new();
        for Endpoint { host, port } in endpoints {
            let unknown = |why: String| {
                RuntimeError::new(format!(
                    "the host of endpoint {host}:{port} cannot be found: {why}; correct instance.attach"
                ))
            };
            let mut found = lookup_host(format!("{host}:{port}"))
                .await
                .map_err(|error| unknown(error.to_string()))?;
            resolved.push(
                found
                    .next()
                    .ok_or_else(|| unknown("no address".to_owned()))?,
            );
        }
        if resolved.is_empty() {
            return Err(RuntimeError::new(
                "there are no endpoints to attach to; name them in instance.attach",
            ));
        }
        Ok(AttachedRuntime {
            endpoints: resolved,
            next: AtomicUsize::new(0),
            helpers,
        })
    }
}

#[async_trait]
impl Runtime for AttachedRuntime {
    /// The next endpoint, which answers everything at one address.
    async fn reserve_addresses(&self) -> Result<(SocketAddr, SocketAddr), RuntimeError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.endpoints.len();
        Ok((self.endpoints[turn], self.endpoints[turn]))
    }

    async fn spawn(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, RuntimeError> {
        match spec.is_attached() {
            true => Ok(Box::new(AttachedInstance(spec))),
            false => self.helpers.spawn(spec).await,
        }
    }

    async fn sweep(&self) -> Vec<String> {
        self.helpers.sweep().await
    }
}

/// An endpoint that runs already. Nothing is known of its process.
struct AttachedInstance(InstanceSpec);

#[async_trait]
impl Instance for AttachedInstance {
    fn spec(&self) -> &InstanceSpec {
        &self.0
    }

    /// There is none that is ours.
    fn pid(&self) -> u32 {
        0
    }

    /// Never: nobody sees its process end.
    async fn ended(&mut self) -> Ended {
        std::future::pending().await
    }

    async fn restart(&mut self) -> Result<(), RuntimeError> {
        Err(RuntimeError::new(format!(
            "{} was not started by us; start it again yourself",
            self.0.slot
        )))
    }

    /// Leaves it alone.
    async fn stop(&mut self, _grace: Duration) -> Ended {
        Ended {
            end: ProcessEnd::Code(0),
            by_us: false,
        }
    }

    fn log_tail(&self, _lines: usize) -> Vec<String> {
        Vec::new()
    }
}
