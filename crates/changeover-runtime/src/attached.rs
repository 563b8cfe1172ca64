//! Instances that run already: found where somebody says they are, neither started nor ended.

use crate::{Ended, Instance, InstanceSpec, Runtime, RuntimeError};
use async_trait::async_trait;
use changeover_model::event::ProcessEnd;
use changeover_model::target::Endpoint;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an endpoint may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hands out endpoints that run already, in turn. What has a command, such as what promotes one of them, is started by
/// another runtime.
pub struct AttachedRuntime {
    endpoints: Vec<SocketAddr>,
    next: AtomicUsize,
    helpers: Arc<dyn Runtime>,
}

impl AttachedRuntime {
    /// These endpoints; `helpers` starts what has a command.
    pub fn new(endpoints: Vec<SocketAddr>, helpers: Arc<dyn Runtime>) -> Self {
        AttachedRuntime {
            endpoints,
            next: AtomicUsize::new(0),
            helpers,
        }
    }
}

/// The addresses of endpoints, at each of which somebody accepts connections.
///
/// # Errors
///
/// When a name cannot be resolved, or nobody is there.
pub async fn find(endpoints: &[Endpoint]) -> Result<Vec<SocketAddr>, RuntimeError> {
    let mut found = Vec::new();
    for Endpoint { host, port } in endpoints {
        let address = format!("{host}:{port}");
        let connected = timeout(PATIENCE, TcpStream::connect(&address)).await;
        let why = match connected.map(|stream| stream.and_then(|stream| stream.peer_addr())) {
            Ok(Ok(addr)) => {
                found.push(addr);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {} s", PATIENCE.as_secs()),
        };
        return Err(RuntimeError::new(format!(
            "endpoint {address} of instance.attach cannot be reached: {why}; start it first, or correct it"
        )));
    }
    Ok(found)
}

#[async_trait]
impl Runtime for AttachedRuntime {
    /// The next endpoint, which answers everything at one address.
    async fn reserve_addresses(&self) -> Result<(SocketAddr, SocketAddr), RuntimeError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let endpoint = self.endpoints.iter().cycle().nth(turn);
        endpoint.map(|addr| (*addr, *addr)).ok_or_else(|| {
            RuntimeError::new("there are no endpoints to attach to; name them in instance.attach")
        })
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
