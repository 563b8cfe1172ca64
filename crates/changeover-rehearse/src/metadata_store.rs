//! The metadata store of a run: opened before the first instance, closed after the last.

use crate::record::{About, Recorder, image_seen};
use crate::store_watch::{StoreWatch, Watched};
use changeover_model::Secret;
use changeover_model::event::EventKind;
use changeover_model::target::SHARED_DIR;
use changeover_runtime::docker::postgres::Server as ContainerServer;
use changeover_runtime::postgres::{Programs, Server};
use changeover_runtime::{Runtime, RuntimeError, StoreServer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// How long the run's own server may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Makes or removes what is a run's own in a store that is not. It may block; the error is a sentence.
pub type Work = Box<dyn FnOnce() -> Result<(), String> + Send + Sync>;

/// What a run has of its own in a store that is not.
#[derive(Default)]
pub struct Guest {
    /// Makes it, before the first instance; nothing where instances make it.
    pub make: Option<Work>,
    /// Removes it, after the last; also what was not made to the end.
    pub remove: Option<Work>,
}

/// Which metadata store the generations of a run share.
pub enum MetadataStore {
    /// One that is there, or that instances make where the address says.
    At {
        /// As instances take it; without a password, because commands are recorded.
        address: String,
        /// A PostgreSQL server's address with its password and without anything that is asked of it, for instances that
        /// take it from nowhere else; nothing for another kind of store.
        server: Secret,
        /// What instances get in their environment for it, such as a password. It is recorded nowhere.
        env: BTreeMap<String, Secret>,
        /// What the run has there.
        guest: Guest,
    },
    /// A PostgreSQL server of the run's own.
    PrivatePostgres(Programs),
    /// A PostgreSQL server of the run's own in a container of this image; for instances in containers.
    PostgresContainer(String),
    /// A file of the run's own that instances in containers share.
    SharedSqlite,
}

impl MetadataStore {
    /// One at an address that needs nothing else.
    pub fn at(address: impl Into<String>) -> Self {
        Self::with(address, BTreeMap::new())
    }

    /// One at an address for which instances need something in their environment.
    pub(crate) fn with(address: impl Into<String>, env: BTreeMap<String, Secret>) -> Self {
        let address = address.into();
        MetadataStore::At {
            server: server_of(&address, &env),
            address,
            env,
            guest: Guest::default(),
        }
    }
}

/// A server of the run's own, if there is one: whoever breaks it on purpose shares it with whoever closes it.
pub(crate) type SharedServer = Arc<Mutex<Option<Box<dyn StoreServer>>>>;

/// What there is to close.
#[derive(Default)]
pub(crate) struct OpenStore {
    server: SharedServer,
    remove: Option<Work>,
    watch: Option<StoreWatch>,
}

/// Where a store of the run's own is made, and what must be in it.
pub(crate) struct StorePlace {
    pub(crate) directory: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) schemas: Vec<String>,
}

/// Where instances find the store.
pub(crate) struct Found {
    pub(crate) address: String,
    /// A PostgreSQL server's address with its password and without anything that is asked of it; else empty.
    pub(crate) server: Secret,
    pub(crate) env: BTreeMap<String, Secret>,
}

impl OpenStore {
    /// Opens the store, and watches it; starts a server in `directory` if the run has one of its own.
    ///
    /// # Errors
    ///
    /// When the server cannot be started, or `cancel` comes first.
    pub(crate) async fn open(
        &mut self,
        store: MetadataStore,
        runtime: &dyn Runtime,
        recorder: &Recorder,
        place: StorePlace,
        cancel: &CancellationToken,
    ) -> Result<Found, RuntimeError> {
        let in_a_container = matches!(store, MetadataStore::PostgresContainer(_));
        let found = self
            .open_it(store, runtime, recorder, place, cancel)
            .await?;
        let watched = match in_a_container {
            true => Watched::Process(self.server()),
            false => Watched::at(found.server.reveal()),
        };
        self.watch = StoreWatch::start(recorder.clone(), watched).await;
        Ok(found)
    }

    async fn open_it(
        &mut self,
        store: MetadataStore,
        runtime: &dyn Runtime,
        recorder: &Recorder,
        place: StorePlace,
        cancel: &CancellationToken,
    ) -> Result<Found, RuntimeError> {
        let StorePlace {
            directory,
            log,
            schemas,
        } = place;
        match store {
            MetadataStore::At {
                address,
                server,
                env,
                guest: Guest { make, remove },
            } => {
                self.remove = remove;
                if let Some(make) = make {
                    event(recorder, EventKind::MetadataStoreIntent);
                    done(make).await.map_err(RuntimeError::new)?;
                    let addr = address.clone();
                    event(recorder, EventKind::MetadataStoreDone { addr });
                }
                Ok(Found {
                    address,
                    server,
                    env,
                })
            }
            MetadataStore::SharedSqlite => Ok(Found {
                address: format!("sqlite:{SHARED_DIR}/metadata.sqlite"),
                server: Secret::default(),
                env: BTreeMap::new(),
            }),
            MetadataStore::PostgresContainer(image) => {
                event(recorder, EventKind::MetadataStoreIntent);
                let server =
                    ContainerServer::start(&image, runtime, &schemas, &log, cancel.cancelled())
                        .await?;
                let url = server.url();
                let image = server.image_seen().cloned();
                *self.server.lock().await = Some(Box::new(server));
                event(recorder, EventKind::MetadataStoreDone { addr: url.clone() });
                if let Some(image) = image {
                    event(recorder, image_seen(&image));
                }
                Ok(Found {
                    // Nothing leaves the run's network.
                    address: format!("{url}?sslmode=disable"),
                    server: url.into(),
                    env: BTreeMap::new(),
                })
            }
            MetadataStore::PrivatePostgres(programs) => {
                event(recorder, EventKind::MetadataStoreIntent);
                let server =
                    Server::start(&programs, runtime, &directory, &log, cancel.cancelled()).await?;
                let addr = server.addr();
                let password = server.password().clone();
                *self.server.lock().await = Some(Box::new(server));
                let address = format!("postgres://changeover@{addr}/postgres?sslmode=disable");
                let env = BTreeMap::from([("PGPASSWORD".to_owned(), password)]);
                let server = server_of(&address, &env);
                make_schemas(server.reveal(), &schemas).await?;
                event(
                    recorder,
                    EventKind::MetadataStoreDone {
                        addr: addr.to_string(),
                    },
                );
                Ok(Found {
                    // Nothing leaves this machine.
                    address,
                    server,
                    env,
                })
            }
        }
    }

    /// Its server, if the run has one of its own, once it is open.
    pub(crate) fn server(&self) -> SharedServer {
        Arc::clone(&self.server)
    }

    /// Returns when it is known to answer nobody.
    pub(crate) async fn away(&self) {
        match &self.watch {
            Some(watch) => watch.away().await,
            None => std::future::pending().await,
        }
    }

    /// Closes it. Returns what could not be removed.
    pub(crate) async fn close(self, recorder: &Recorder) -> Option<String> {
        let OpenStore {
            server,
            remove,
            watch,
        } = self;
        // What goes away from here on is taken away.
        drop(watch);
        let server = server.lock().await.take();
        if server.is_none() && remove.is_none() {
            return None;
        }
        event(recorder, EventKind::MetadataStoreEndIntent);
        let stuck = match remove {
            // A store that does not answer is waited for, and not by those who serve clients.
            Some(remove) => done(remove).await.err(),
            None => None,
        };
        if let Some(server) = server {
            server.stop(GRACE).await;
        }
        event(recorder, EventKind::MetadataStoreEndDone);
        stuck
    }
}

/// Does what may block.
async fn done(work: Work) -> Result<(), String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err("what is to be done there was broken off".to_owned()))
}

fn event(recorder: &Recorder, kind: EventKind) {
    recorder.event(&About::default(), kind);
}

/// The address of a PostgreSQL server with its password, for those who take it from nowhere else, and without anything
/// that is asked of it; nothing for another kind of store.
fn server_of(address: &str, env: &BTreeMap<String, Secret>) -> Secret {
    let (server, _) = address.split_once('?').unwrap_or((address, ""));
    let Some((scheme, rest)) = server.split_once("://") else {
        return Secret::default();
    };
    match (env.get("PGPASSWORD"), rest.split_once('@')) {
        (Some(password), Some((user, place))) if !user.contains(':') => {
            format!("{scheme}://{user}:{}@{place}", percent(password.reveal())).into()
        }
        _ => server.into(),
    }
}

/// A text as a part of a URL.
fn percent(text: &str) -> String {
    let tame = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match tame(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// Makes what a target wants to find in the run's own server.
async fn make_schemas(server: &str, schemas: &[String]) -> Result<(), RuntimeError> {
    if schemas.is_empty() {
        return Ok(());
    }
    let refuse = |error: tokio_postgres::Error| {
        RuntimeError::new(format!(
            "the metadata store's server takes no schemas: {error}; see its log in the run's directory"
        ))
    };
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls)
        .await
        .map_err(refuse)?;
    let connection = tokio::spawn(connection);
    let statements: String = schemas
        .iter()
        .map(|schema| format!("CREATE SCHEMA IF NOT EXISTS {schema};"))
        .collect();
    client.batch_execute(&statements).await.map_err(refuse)?;
    drop(client);
    // It ends with its client.
    let _ = connection.await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_put_into_the_address_of_a_server_once() {
        let password = |text: &str| BTreeMap::from([("PGPASSWORD".to_owned(), Secret::from(text))]);
        let address = "postgres://root@h:1/d?sslmode=disable";
        assert_eq!(
            server_of(address, &BTreeMap::new()).reveal(),
            "postgres://root@h:1/d"
        );
        assert_eq!(
            server_of(address, &password("p@s")).reveal(),
            "postgres://root:p%40s@h:1/d"
        );
        assert_eq!(server_of("sqlite:/a", &password("p")).reveal(), "");
    }
}
