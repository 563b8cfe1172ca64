//! The metadata store of a run in a container: PostgreSQL, prepared as Materialize's own harness prepares it.

use crate::{
    Container, Disturbance, Ended, ImageSeen, Instance, InstanceSpec, Runtime, RuntimeError,
    StoreServer,
};
use async_trait::async_trait;
use changeover_model::Secret;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Its name on the run's network, and its slot.
pub const HOST: &str = "metadata-store";

/// Its port on the run's network.
pub const PORT: u16 = 26257;

/// Its image unless told otherwise.
pub const IMAGE: &str = "postgres:17";

/// How long it may take to be ready.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often its log is looked at meanwhile.
const POLL: Duration = Duration::from_millis(10);

/// How many lines of its log an error is reported with.
const LOG_LINES: usize = 3;

/// A server that runs.
pub struct Server {
    instance: Box<dyn Instance>,
    image: String,
    log: PathBuf,
}

impl Server {
    /// Starts a server from an image that takes what Docker's official PostgreSQL images take. It is reached on the
    /// run's network alone, has these schemas, and lets in everybody there as `root`. It is as durable as the run needs it.
    ///
    /// # Errors
    ///
    /// When it does not get ready, or `interrupted` comes first; it was ended then.
    pub async fn start(
        image: &str,
        runtime: &dyn Runtime,
        schemas: &[String],
        log: &Path,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Self, RuntimeError> {
        let mut interrupted = pin!(interrupted);
        let settings = [
            "listen_addresses=*",
            "fsync=off",
            "wal_level=logical",
            "max_connections=5000",
        ];
        let command = ["postgres"].into_iter().map(str::to_owned);
        let settings = settings
            .into_iter()
            .flat_map(|it| ["-c".to_owned(), it.to_owned()]);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let spec = InstanceSpec {
            slot: HOST.to_owned(),
            generation: 0,
            command: command.chain(settings).collect(),
            env: [
                ("POSTGRES_USER", "root"),
                ("POSTGRES_DB", "root"),
                ("POSTGRES_HOST_AUTH_METHOD", "trust"),
                ("PGPORT", &PORT.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), Secret::from(value)))
            .into(),
            sql_addr: nowhere,
            http_addr: nowhere,
            log: log.to_owned(),
            container: Some(Container {
                image: image.to_owned(),
                files: BTreeMap::from([(
                    "/docker-entrypoint-initdb.d/changeover.sql".to_owned(),
                    schemas
                        .iter()
                        .map(|schema| format!("CREATE SCHEMA IF NOT EXISTS {schema};\n"))
                        .collect::<String>()
                        .into(),
                )]),
                ..Container::default()
            }),
        };
        let mut server = Server {
            instance: runtime.spawn(spec).await?,
            image: image.to_owned(),
            log: log.to_owned(),
        };
        let ready = tokio::select! {
            ready = server.ready(0) => ready,
            () = &mut interrupted => Err(RuntimeError::new("the metadata store's server was interrupted while it started")),
        };
        match ready {
            Ok(()) => Ok(server),
            Err(error) => {
                server.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// Waits until its log says so, behind so many bytes.
    async fn ready(&mut self, from: usize) -> Result<(), RuntimeError> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            if is_ready(log.get(from..).unwrap_or_default()) {
                return Ok(());
            }
            let problem = tokio::select! {
                biased;
                ended = self.instance.ended() => format!("ended ({})", ended.end),
                () = sleep(POLL) => match Instant::now() < deadline {
                    true => continue,
                    false => format!("was not ready within {} s", DEADLINE.as_secs()),
                },
            };
            let told = match self.instance.log_tail(LOG_LINES).as_slice() {
                [] => "it said nothing".to_owned(),
                lines => lines.join(" / "),
            };
            return Err(RuntimeError::new(format!(
                "the metadata store's container {problem}: {told}; name an image that starts PostgreSQL with --metadata-store-image, not {}, or a server with --metadata-store postgres://…",
                self.image
            )));
        }
    }

    /// Its address for instances of the run.
    pub fn url(&self) -> String {
        format!("postgres://root@{HOST}:{PORT}/root")
    }

    /// The image that it really runs.
    pub fn image_seen(&self) -> Option<&ImageSeen> {
        self.instance.image()
    }

    /// Ends it.
    pub async fn stop(mut self, grace: Duration) {
        self.instance.stop(grace).await;
    }
}

#[async_trait]
impl StoreServer for Server {
    async fn disturb(&mut self, how: Disturbance) -> Result<Option<Ended>, RuntimeError> {
        self.instance.disturb(how).await?;
        match how {
            Disturbance::Pause | Disturbance::Resume => Ok(None),
            Disturbance::Kill | Disturbance::End(_) => Ok(Some(self.instance.ended().await)),
        }
    }

    async fn start_again(&mut self) -> Result<(), RuntimeError> {
        let from = fs::metadata(&self.log).map_or(0, |log| log.len());
        self.instance.restart().await?;
        // A log of more bytes than memory has addresses is none.
        self.ready(usize::try_from(from).unwrap_or(usize::MAX))
            .await
    }

    async fn condition(&mut self) -> String {
        self.instance.condition().await
    }

    async fn ended(&mut self) -> Option<Ended> {
        let ended = self.instance.ended();
        tokio::time::timeout(Duration::ZERO, ended).await.ok()
    }

    async fn stop(self: Box<Self>, grace: Duration) {
        Server::stop(*self, grace).await;
    }
}

/// Whether a server's log says that it takes connections from elsewhere. While such an image prepares its files, a
/// server runs that listens on no address, and is ready as well.
fn is_ready(log: &str) -> bool {
    let listens = log.find("listening on IPv4 address");
    listens.is_some_and(|at| log[at..].contains("ready to accept connections"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_only_prepares_is_not_ready() {
        let preparing = "LOG:  listening on Unix socket \"/tmp/.s.PGSQL.26257\"\nLOG:  database system is ready to accept connections\n";
        assert!(!is_ready(preparing));
        let listening =
            format!("{preparing}LOG:  listening on IPv4 address \"0.0.0.0\", port 26257\n");
        assert!(!is_ready(&listening));
        assert!(is_ready(&format!(
            "{listening}LOG:  database system is ready to accept connections\n"
        )));
    }
}
