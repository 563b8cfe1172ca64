//! One instance: a container, its output, the ends of its processes.

use super::blocking;
use super::engine::{is_missing, refused, said};
use super::names::Names;
use super::output::Output;
use crate::container::{Container, ImageSeen};
use crate::process::log_tail;
use crate::{Disturbance, Ended, Instance, InstanceSpec, RuntimeError};
use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountType, NetworkingConfig,
    PortBinding,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptionsBuilder,
    RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use bytes::Bytes;
use changeover_model::event::ProcessEnd;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// How long the rest of a container's output may take when it has ended.
const REST: Duration = Duration::from_secs(2);

/// How long a container that was killed may take to be gone.
const KILLED: Duration = Duration::from_secs(30);

/// What a container that is not there any more was ended with.
const SIGKILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;

pub(super) struct DockerInstance {
    spec: InstanceSpec,
    container: Container,
    docker: Docker,
    id: String,
    pid: u32,
    image: Option<ImageSeen>,
    output: Output,
    /// How the present process ended.
    ended: Option<Ended>,
    /// When a loop in the container said so: it is about to start the process again.
    looping: Option<Instant>,
    removed: bool,
}

impl DockerInstance {
    /// Creates and starts the container.
    pub(super) async fn start(
        spec: InstanceSpec,
        container: Container,
        docker: Docker,
        names: &Names,
    ) -> Result<Self, RuntimeError> {
        let name = names.container(&spec.slot, spec.generation);
        let refuse = |error: Error| refused(&format!("container {name}"), &error);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let body = body(&spec, &container, names);
        let created = docker
            .create_container(Some(options), body)
            .await
            .map_err(refuse)?;
        let id = created.id;
        let started = start(&spec, &container, &docker, &id).await;
        match started {
            Ok((output, seen)) => Ok(DockerInstance {
                image: image(&docker, &container.image, seen.image).await,
                spec,
                container,
                docker,
                id,
                pid: seen.pid,
                output,
                ended: None,
                looping: None,
                removed: false,
            }),
            Err(error) => {
                remove(&docker, &id).await;
                Err(error)
            }
        }
    }

    async fn signal(&self, signal: &str) {
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        // It may have ended already; that is what we want.
        let _ = self.docker.kill_container(&self.id, Some(options)).await;
    }

    fn note(&mut self, end: ProcessEnd, by_us: bool) -> Ended {
        *self.ended.insert(Ended { end, by_us })
    }
}

/// Waits until the container has ended. Cancel-safe.
async fn exited(docker: &Docker, id: &str) -> ProcessEnd {
    let options = WaitContainerOptionsBuilder::default()
        .condition("not-running")
        .build();
    let mut waiting = docker.wait_container(id, Some(options)).boxed();
    let code = match waiting.next().await {
        Some(Ok(response)) => response.status_code,
        Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
        // Somebody removed it, or the engine is gone, and the container with it.
        Some(Err(_)) | None => return ProcessEnd::Signal(SIGKILL),
    };
    ProcessEnd::Code(i32::try_from(code).unwrap_or(i32::MAX))
}

/// Attaches, so that no line is missed or told twice, and starts.
async fn start(
    spec: &InstanceSpec,
    container: &Container,
    docker: &Docker,
    id: &str,
) -> Result<(Output, Seen), RuntimeError> {
    let what = format!("to start {} of generation {}", spec.slot, spec.generation);
    if !container.files.is_empty() {
        let tar = archive(container).map_err(|error| {
            RuntimeError::new(format!(
                "the files of {} cannot be packed: {error}; give paths that begin with /",
                spec.slot
            ))
        })?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        docker
            .upload_to_container(id, Some(options), bollard::body_full(tar))
            .await
            .map_err(|error| refused(&what, &error))?;
    }
    attach_and_start(spec, container, docker, id)
        .await
        .map_err(|error| match error {
            Started::Refused(error) => refused(&what, &error),
            Started::NoLog(error) => RuntimeError::new(format!(
                "the log {} cannot be written: {error}; make its directory writable",
                spec.log.display()
            )),
        })
}

enum Started {
    Refused(Error),
    NoLog(std::io::Error),
}

async fn attach_and_start(
    spec: &InstanceSpec,
    container: &Container,
    docker: &Docker,
    id: &str,
) -> Result<(Output, Seen), Started> {
    let options = AttachContainerOptionsBuilder::default()
        .stream(true)
        .stdout(true)
        .stderr(true)
        .build();
    let attached = docker
        .attach_container(id, Some(options))
        .await
        .map_err(Started::Refused)?;
    let output = Output::follow(attached.output, &spec.log, container.restart_loop.clone())
        .map_err(Started::NoLog)?;
    docker
        .start_container(id, None)
        .await
        .map_err(Started::Refused)?;
    let seen = docker.inspect_container(id, None).await.unwrap_or_default();
    // Only shown to people; one that has ended already has none.
    let pid = seen.state.and_then(|state| state.pid).unwrap_or(0);
    let seen = Seen {
        pid: u32::try_from(pid).unwrap_or(0),
        image: seen.image,
    };
    Ok((output, seen))
}

/// What the engine says of a container that was just started.
struct Seen {
    pid: u32,
    /// The id of its image.
    image: Option<String>,
}

/// The image of this name and id. A registry's word for it is that of the repository which the name is of.
async fn image(docker: &Docker, name: &str, id: Option<String>) -> Option<ImageSeen> {
    let id = id?;
    let inspected = docker.inspect_image(&id).await.ok();
    let digests = inspected.and_then(|image| image.repo_digests);
    Some(ImageSeen {
        digest: digest_of(name, &digests.unwrap_or_default()),
        name: name.to_owned(),
        id,
    })
}

/// The one of an image's digests, each `REPOSITORY@sha256:…`, that is of the repository of this name.
fn digest_of(name: &str, digests: &[String]) -> Option<String> {
    let repository = repository(name);
    let of_it = |digest: &&String| {
        let of = digest.split_once('@').map(|(of, _)| of);
        of == Some(repository)
    };
    digests.iter().find(of_it).or(digests.first()).cloned()
}

/// A name without tag and digest. A port's colon stands before a slash.
fn repository(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

fn body(spec: &InstanceSpec, container: &Container, names: &Names) -> ContainerCreateBody {
    let port = |port: u16| format!("{port}/tcp");
    let binding = |addr: Option<SocketAddr>| {
        Some(vec![PortBinding {
            host_ip: Some("127.0.0.1".to_owned()),
            host_port: addr.map(|addr| addr.port().to_string()),
        }])
    };
    let published = container.publish.iter();
    let published = published.map(|&(inside, addr)| (port(inside), binding(Some(addr))));
    let exposed = container
        .expose
        .iter()
        .map(|&inside| (port(inside), binding(None)));
    let ports: HashMap<_, _> = exposed.chain(published).collect();
    let mounts = container.volumes.iter().map(|(volume, path)| Mount {
        target: Some(path.clone()),
        source: Some(names.volume(volume)),
        typ: Some(MountType::VOLUME),
        ..Mount::default()
    });
    let endpoint = EndpointSettings {
        aliases: Some(vec![spec.slot.clone()]),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        hostname: Some(spec.slot.clone()),
        image: Some(container.image.clone()),
        entrypoint: container.entrypoint.clone(),
        cmd: Some(spec.command.clone()),
        env: Some(
            spec.env
                .iter()
                .map(|(name, value)| format!("{name}={}", value.reveal()))
                .collect(),
        ),
        labels: Some(names.labels()),
        exposed_ports: Some(ports.keys().cloned().collect()),
        host_config: Some(HostConfig {
            port_bindings: Some(ports),
            mounts: Some(mounts.collect()),
            tmpfs: Some(
                container
                    .tmpfs
                    .iter()
                    .map(|path| (path.clone(), String::new()))
                    .collect(),
            ),
            security_opt: Some(container.security_opt.clone()),
            network_mode: Some(names.network()),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(names.network(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// The container's files, readable for whatever user is in there.
fn archive(container: &Container) -> std::io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in &container.files {
        let text = text.reveal();
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        let path = path.trim_start_matches('/');
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    tar.into_inner().map(Bytes::from)
}

/// Removes a container the hard way, whether it runs or not.
pub(super) async fn remove(docker: &Docker, id: &str) -> bool {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    match docker.remove_container(id, Some(options)).await {
        Ok(()) => true,
        Err(error) => is_missing(&error) || said(&error).contains("is already in progress"),
    }
}

#[async_trait]
impl Instance for DockerInstance {
    fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    async fn ended(&mut self) -> Ended {
        if let Some(ended) = self.ended {
            return ended;
        }
        tokio::select! {
            biased;
            Some(end) = self.output.ends.recv() => {
                self.looping = Some(Instant::now());
                self.note(ProcessEnd::Code(end.code), false)
            }
            end = exited(&self.docker, &self.id) => {
                // Its last words first, which may be that the loop had an end to tell of.
                let _ = timeout(REST, self.output.complete()).await;
                self.looping = None;
                self.note(end, false)
            }
        }
    }

    /// Where a loop in the container starts the process again, waits until it does.
    async fn restart(&mut self) -> Result<(), RuntimeError> {
        if self.ended.is_none() {
            return Err(RuntimeError::new(format!(
                "instance {} still runs; stop it before it is restarted",
                self.spec.slot
            )));
        }
        match (self.looping.take(), &self.container.restart_loop) {
            (Some(told), Some(restart_loop)) => {
                let mut lines = self.output.lines.clone();
                // The first line after the loop's own is the new process's; it may take long to say something.
                lines.borrow_and_update();
                tokio::select! {
                    _ = lines.changed() => {}
                    () = sleep_until(told + restart_loop.pause) => {}
                }
            }
            _ => {
                let started =
                    attach_and_start(&self.spec, &self.container, &self.docker, &self.id).await;
                let (output, seen) = started.map_err(|error| match error {
                    Started::Refused(error) => {
                        refused(&format!("to start {} again", self.spec.slot), &error)
                    }
                    Started::NoLog(error) => RuntimeError::new(format!(
                        "the log {} cannot be written: {error}; make its directory writable",
                        self.spec.log.display()
                    )),
                })?;
                self.output = output;
                self.pid = seen.pid;
            }
        }
        self.ended = None;
        Ok(())
    }

    async fn disturb(&mut self, how: Disturbance) -> Result<(), RuntimeError> {
        let name = &self.spec.slot;
        if self.ended.is_some() {
            return Err(RuntimeError::new(format!(
                "instance {name} has ended, and cannot be {how}"
            )));
        }
        match how {
            Disturbance::Kill => self.signal("SIGKILL").await,
            Disturbance::End(grace) => {
                self.signal("SIGTERM").await;
                if timeout(grace, exited(&self.docker, &self.id))
                    .await
                    .is_err()
                {
                    self.signal("SIGKILL").await;
                }
            }
            Disturbance::Pause => self
                .docker
                .pause_container(&self.id)
                .await
                .map_err(|error| refused(&format!("to pause {name}"), &error))?,
            Disturbance::Resume => self
                .docker
                .unpause_container(&self.id)
                .await
                .map_err(|error| refused(&format!("to let {name} go on"), &error))?,
        }
        Ok(())
    }

    async fn condition(&mut self) -> String {
        let seen = self.docker.inspect_container(&self.id, None).await.ok();
        let state = seen.and_then(|seen| seen.state);
        let status = state.as_ref().and_then(|state| state.status);
        match (status, state.and_then(|state| state.pid)) {
            (None, _) => "its container is gone".to_owned(),
            (Some(status), Some(pid)) if pid > 0 => {
                format!("its container is {status}, process {pid}")
            }
            (Some(status), _) => format!("its container is {status}"),
        }
    }

    async fn stop(&mut self, grace: Duration) -> Ended {
        // One that a fault has stopped must go on to leave; of any other this says nothing.
        let _ = self.docker.unpause_container(&self.id).await;
        let ended = match self.ended {
            // A loop may still keep the container; it has nothing to say any more.
            Some(ended) => ended,
            None => {
                self.signal("SIGTERM").await;
                let end = match timeout(grace, exited(&self.docker, &self.id)).await {
                    Ok(end) => end,
                    Err(_) => {
                        self.signal("SIGKILL").await;
                        let killed = timeout(KILLED, exited(&self.docker, &self.id)).await;
                        killed.unwrap_or(ProcessEnd::Signal(SIGKILL))
                    }
                };
                let _ = timeout(REST, self.output.complete()).await;
                self.note(end, true)
            }
        };
        self.removed = remove(&self.docker, &self.id).await;
        ended
    }

    fn image(&self) -> Option<&ImageSeen> {
        self.image.as_ref()
    }

    fn log_tail(&self, lines: usize) -> Vec<String> {
        log_tail::tail(&self.spec.log, lines)
    }
}

impl Drop for DockerInstance {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        // A client of its own: ours belongs to a runtime that may be ending.
        let id = self.id.clone();
        blocking(async move {
            if let Ok(engine) = super::Engine::connect().await {
                remove(&engine.docker, &id).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_repository_of_the_name() {
        let digests = ["mirror/mz@sha256:1", "localhost:5000/a/mz@sha256:2"].map(str::to_owned);
        for (name, digest) in [
            (
                "localhost:5000/a/mz:v1",
                Some("localhost:5000/a/mz@sha256:2"),
            ),
            ("localhost:5000/a/mz", Some("localhost:5000/a/mz@sha256:2")),
            ("mirror/mz:v1@sha256:1", Some("mirror/mz@sha256:1")),
            // It was tagged anew here.
            ("other:v1", Some("mirror/mz@sha256:1")),
        ] {
            assert_eq!(digest_of(name, &digests).as_deref(), digest, "{name}");
        }
        assert_eq!(digest_of("other:v1", &[]), None);
    }
}
