//! The engine: found, spoken to in a version that both know, and its refusals as sentences.

use crate::RuntimeError;
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use std::io;

/// Where engines listen unless `DOCKER_HOST` says otherwise.
const SOCKET: &str = "/var/run/docker.sock";

/// How long an answer may take, in seconds; pulling is answered at once and takes its time after that.
const PATIENCE: u64 = 120;

/// The oldest API that has everything a run needs: Docker 20.10's.
const OLDEST: (usize, usize) = (1, 41);

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    /// Where it is, as `DOCKER_HOST` names it.
    pub host: String,
    /// Its own version, such as `20.10.24`.
    pub version: String,
    /// The version of the API that is spoken.
    pub api: String,
}

impl Engine {
    /// Finds the engine that `DOCKER_HOST` names, or the one of this machine.
    ///
    /// # Errors
    ///
    /// When there is none, it may not be used, or it is too old.
    pub async fn connect() -> Result<Self, RuntimeError> {
        Self::connect_to(Self::asked_for().as_deref()).await
    }

    /// What `DOCKER_HOST` says, if anything.
    pub(super) fn asked_for() -> Option<String> {
        std::env::var("DOCKER_HOST")
            .ok()
            .filter(|host| !host.is_empty())
    }

    /// The same, with what `DOCKER_HOST` says.
    ///
    /// # Errors
    ///
    /// See [`Engine::connect`].
    pub async fn connect_to(host: Option<&str>) -> Result<Self, RuntimeError> {
        let socket = match host {
            None => SOCKET,
            Some(host) => host.strip_prefix("unix://").ok_or_else(|| {
                RuntimeError::new(format!(
                    "DOCKER_HOST is {host:?}, and instances are reached at 127.0.0.1: name the socket of an engine of this machine, as in unix://{SOCKET}"
                ))
            })?,
        };
        let docker = Docker::connect_with_unix(socket, PATIENCE, bollard::API_DEFAULT_VERSION)
            .map_err(|error| unreachable(socket, &error))?
            .negotiate_version()
            .await
            .map_err(|error| unreachable(socket, &error))?;
        let told = docker
            .version()
            .await
            .map_err(|error| unreachable(socket, &error))?;
        let api = docker.client_version();
        let version = told.version.unwrap_or_else(|| "unknown".to_owned());
        if (api.major_version, api.minor_version) < OLDEST {
            let (major, minor) = OLDEST;
            return Err(RuntimeError::new(format!(
                "the Docker engine at {socket} is too old: {version} speaks API {api}, and {major}.{minor} is needed; install Docker 20.10 or newer"
            )));
        }
        Ok(Engine {
            docker,
            host: format!("unix://{socket}"),
            version,
            api: api.to_string(),
        })
    }

    /// Sees to it that these images are there: what is missing is pulled, and `progress` is told of it, a line each.
    ///
    /// # Errors
    ///
    /// When one is not there and cannot be pulled.
    pub async fn provide(
        &self,
        images: &[String],
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), RuntimeError> {
        for image in images {
            if !self.has(image).await? {
                self.pull(image, progress).await?;
            }
        }
        Ok(())
    }

    /// Whether an image is there.
    ///
    /// # Errors
    ///
    /// When the engine does not say.
    pub async fn has(&self, image: &str) -> Result<bool, RuntimeError> {
        match self.docker.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(RuntimeError::new(format!(
                "the Docker engine does not say whether it has image {image}: {}; look with docker image inspect {image}",
                said(&error)
            ))),
        }
    }

    async fn pull(
        &self,
        image: &str,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), RuntimeError> {
        progress(&format!("pulling image {image}"));
        let (name, tag) = split_tag(image);
        let options = CreateImageOptionsBuilder::default()
            .from_image(name)
            .tag(tag)
            .build();
        let mut steps = self.docker.create_image(Some(options), None, None);
        let mut last = String::new();
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| {
                RuntimeError::new(format!(
                    "image {image} is not there and cannot be pulled: {}; {}",
                    said(&error),
                    match is_full(&error) {
                        true => "make room for it",
                        false =>
                            "pull or build it first, or name another with --image-repository or --current-image",
                    }
                ))
            })?;
            // A layer's progress is told once a state, not once a block.
            let told = match (step.id, step.status) {
                (Some(id), Some(status)) => format!("{image}: {id}: {status}"),
                (None, Some(status)) => format!("{image}: {status}"),
                _ => continue,
            };
            if told != last {
                progress(&told);
                last = told;
            }
        }
        Ok(())
    }
}

/// A name and its tag; the tag is behind the last colon, unless that belongs to a registry's port.
fn split_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// What the engine said, on one line.
pub(super) fn said(error: &Error) -> String {
    let text = match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether something is not removed because a container uses it: a network (403), or a volume (409).
pub(super) fn is_used(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 403 | 409,
            ..
        }
    )
}

/// The engine knows no such thing.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

fn is_full(error: &Error) -> bool {
    said(error).contains("no space left on device")
}

/// A refusal to make or start something, with what to do about it.
pub(super) fn refused(what: &str, error: &Error) -> RuntimeError {
    let told = said(error);
    let advice = match () {
        () if is_full(error) => "make room where Docker keeps its data",
        () if told.contains("port is already allocated")
            || told.contains("address already in use") =>
        {
            "somebody else has published that port; end it, or start again for another"
        }
        () if told.to_lowercase().contains("no such image") => {
            "pull or build it first, or name another image"
        }
        () if told.contains("executable file not found") || told.contains("no such file") => {
            "it is not an image that this target can be started from"
        }
        () => "the engine's own log tells more",
    };
    RuntimeError::new(format!(
        "the Docker engine refuses {what}: {told}; {advice}"
    ))
}

fn unreachable(socket: &str, error: &Error) -> RuntimeError {
    let kind = io_kind(error);
    let (told, advice) = match (error, kind) {
        (Error::SocketNotFoundError(_), _) | (_, Some(io::ErrorKind::NotFound)) => (
            "nobody has made it".to_owned(),
            "install Docker and start its engine, dockerd, or name its socket in DOCKER_HOST",
        ),
        (_, Some(io::ErrorKind::PermissionDenied)) => (
            "permission denied".to_owned(),
            "run as root, or as a member of the group docker",
        ),
        (_, Some(io::ErrorKind::ConnectionRefused)) => (
            "nobody listens there".to_owned(),
            "start the engine, dockerd",
        ),
        _ => (said(error), "see that the engine there is well"),
    };
    RuntimeError::new(format!(
        "the Docker engine at {socket} cannot be reached: {told}; {advice}"
    ))
}

/// The kind of the input or output error at the bottom of an error, if there is one.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_a_port() {
        assert_eq!(
            split_tag("materialize/materialized:v26.0.0"),
            ("materialize/materialized", "v26.0.0")
        );
        assert_eq!(
            split_tag("localhost:5000/mz"),
            ("localhost:5000/mz", "latest")
        );
        assert_eq!(
            split_tag("localhost:5000/mz:v1"),
            ("localhost:5000/mz", "v1")
        );
    }

    #[tokio::test]
    async fn what_is_no_engine_is_refused_in_a_sentence() {
        let told = async |host: &str| {
            let refused = Engine::connect_to(Some(host)).await.err();
            refused.map(|error| error.message).unwrap_or_default()
        };
        let missing = told("unix:///no/such/engine.sock").await;
        assert!(
            missing.contains("nobody has made it; install Docker"),
            "{missing}"
        );
        let remote = told("tcp://example.org:2375").await;
        assert!(remote.contains("127.0.0.1"), "{remote}");
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("engine.sock");
        // A socket whose listener is gone.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let refused = told(&format!("unix://{}", socket.display())).await;
        assert!(refused.contains("nobody listens there; start"), "{refused}");
    }
}
