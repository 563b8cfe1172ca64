//! Instances as containers of a Docker engine of this machine.
//!
//! A run has a network of its own, and volumes; they and the containers carry the run's labels, by which [`cleanup`]
//! finds what a killed harness left, and nothing else. Ports are published on 127.0.0.1 only.

mod cleanup;
mod engine;
mod instance;
mod names;
mod output;
pub mod postgres;
pub mod scratch;

pub use cleanup::cleanup;
pub use engine::Engine;

use crate::process::ports::Ports;
use crate::{Instance, InstanceSpec, Runtime, RuntimeError};
use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{NetworkCreateRequest, VolumeCreateRequest, VolumeListResponse};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveVolumeOptionsBuilder,
};
use engine::refused;
use instance::{DockerInstance, remove};
use names::Names;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

/// How long the engine may take networks and volumes for used after their containers were removed.
const LETTING_GO: Duration = Duration::from_secs(10);

/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(50);

/// Runs instances as containers. What has no container, such as what promotes one of them, is started by another
/// runtime.
pub struct DockerRuntime {
    engine: Engine,
    names: Names,
    ports: Ports,
    network: OnceCell<()>,
    helpers: Arc<dyn Runtime>,
}

impl DockerRuntime {
    /// A runtime for one run. `run_dir` must exist and belong to this run alone; nothing is made on the engine yet.
    ///
    /// # Errors
    ///
    /// When it cannot be recorded there.
    pub fn new(
        engine: Engine,
        run: &str,
        run_dir: &Path,
        helpers: Arc<dyn Runtime>,
    ) -> Result<Self, RuntimeError> {
        let refuse = |error: std::io::Error| {
            RuntimeError::new(format!(
                "the record of containers cannot be written in {}: {error}; give a new, writable directory",
                run_dir.display()
            ))
        };
        let run_dir = run_dir.canonicalize().map_err(refuse)?;
        let names = Names::new(run, &run_dir, &engine.host);
        names.announce().map_err(refuse)?;
        Ok(DockerRuntime {
            engine,
            names,
            ports: Ports::new(),
            network: OnceCell::new(),
            helpers,
        })
    }

    async fn make_network(&self) -> Result<(), RuntimeError> {
        let make = async {
            let request = NetworkCreateRequest {
                name: self.names.network(),
                driver: Some("bridge".to_owned()),
                labels: Some(self.names.labels()),
                ..NetworkCreateRequest::default()
            };
            let made = self.engine.docker.create_network(request).await;
            made.map_err(|error| refused("the run's network", &error))?;
            Ok(())
        };
        self.network.get_or_try_init(|| make).await.map(drop)
    }

    /// Makes a volume unless it is there.
    async fn make_volume(&self, name: &str) -> Result<(), RuntimeError> {
        let request = VolumeCreateRequest {
            name: Some(self.names.volume(name)),
            labels: Some(self.names.labels()),
            ..VolumeCreateRequest::default()
        };
        let made = self.engine.docker.create_volume(request).await;
        made.map_err(|error| refused(&format!("volume {name}"), &error))?;
        Ok(())
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    /// Where the engine will publish them.
    async fn reserve_addresses(&self) -> Result<(SocketAddr, SocketAddr), RuntimeError> {
        Ok((self.ports.reserve()?, self.ports.reserve()?))
    }

    async fn spawn(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, RuntimeError> {
        let Some(container) = spec.container.clone() else {
            return self.helpers.spawn(spec).await;
        };
        self.make_network().await?;
        for volume in container.volumes.keys() {
            self.make_volume(volume).await?;
        }
        let docker = self.engine.docker.clone();
        let instance = DockerInstance::start(spec, container, docker, &self.names).await?;
        Ok(Box::new(instance))
    }

    /// Finds containers by the run's labels. Its network and volumes are removed too; they are there to the end.
    async fn sweep(&self) -> Vec<String> {
        let mut found = self.helpers.sweep().await;
        // Swept from wherever, maybe after the runtime that our client belongs to.
        match Engine::connect_to(Some(&self.engine.host)).await {
            Ok(engine) => {
                let removed = remove_all(&engine, &self.names).await;
                if removed.stuck.is_empty() {
                    self.names.retract();
                }
                found.extend(removed.containers);
                found.extend(removed.stuck);
            }
            Err(error) => found.push(format!("what is on the engine ({error})")),
        }
        found
    }
}

/// What of a run was on the engine.
#[derive(Debug, Default)]
struct Removed {
    /// Containers, which are gone.
    containers: Vec<String>,
    /// The network and volumes, which are gone too.
    others: Vec<String>,
    /// What is still there, and why.
    stuck: Vec<String>,
}

async fn remove_all(engine: &Engine, names: &Names) -> Removed {
    let docker = &engine.docker;
    let mut removed = Removed::default();
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&names.filters())
        .build();
    match docker.list_containers(Some(options)).await {
        Ok(containers) => {
            for container in containers {
                let id = container.id.unwrap_or_default();
                let name = container.names.unwrap_or_default().concat();
                let what = format!("container {}", name.trim_start_matches('/'));
                match remove(docker, &id).await {
                    true => removed.containers.push(what),
                    false => removed.stuck.push(format!("{what} (it cannot be removed)")),
                }
            }
        }
        Err(error) => removed
            .stuck
            .push(format!("containers ({})", engine::said(&error))),
    }
    let options = ListNetworksOptionsBuilder::default()
        .filters(&names.filters())
        .build();
    let networks = docker.list_networks(Some(options)).await;
    let networks = networks.unwrap_or_else(|error| {
        // Who does not say what there is may have everything.
        let stuck = &mut removed.stuck;
        stuck.push(format!("networks ({})", engine::said(&error)));
        Vec::new()
    });
    for network in networks {
        let what = format!("network {}", network.name.unwrap_or_default());
        let id = network.id.unwrap_or_default();
        match once_unused(|| docker.remove_network(&id)).await {
            Ok(()) => removed.others.push(what),
            Err(error) => removed
                .stuck
                .push(format!("{what} ({})", engine::said(&error))),
        }
    }
    let options = ListVolumesOptionsBuilder::default()
        .filters(&names.filters())
        .build();
    let volumes = docker.list_volumes(Some(options)).await;
    let volumes = volumes.unwrap_or_else(|error| {
        let stuck = &mut removed.stuck;
        stuck.push(format!("volumes ({})", engine::said(&error)));
        VolumeListResponse::default()
    });
    for volume in volumes.volumes.unwrap_or_default() {
        let what = format!("volume {}", volume.name);
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        let remove = || docker.remove_volume(&volume.name, Some(options.clone()));
        match once_unused(remove).await {
            Ok(()) => removed.others.push(what),
            Err(error) => removed
                .stuck
                .push(format!("{what} ({})", engine::said(&error))),
        }
    }
    removed
}

/// Removes what the engine may still take for used: a container that somebody else removes is gone a little later.
async fn once_unused<F>(remove: impl Fn() -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>>,
{
    let deadline = Instant::now() + LETTING_GO;
    loop {
        match remove().await {
            Err(error) if engine::is_used(&error) && Instant::now() < deadline => {
                sleep(POLL).await;
            }
            result => return result,
        }
    }
}

/// Does something from where nothing can be awaited. A thread of its own may block on a future wherever we are.
fn blocking<T: Send>(work: impl Future<Output = T> + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let run = || {
            let here = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            here.ok().map(|here| here.block_on(work))
        };
        let thread = std::thread::Builder::new().spawn_scoped(scope, run).ok()?;
        thread.join().ok().flatten()
    })
}
