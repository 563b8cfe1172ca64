//! The metadata store of a run: opened before the first instance, closed after the last.

use crate::record::{About, Recorder};
use changeover_model::event::EventKind;
use changeover_runtime::postgres::{Programs, Server};
use changeover_runtime::{Runtime, RuntimeError};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the run's own server may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Removes what a run made in a store that is not its own. It may block; the error is a sentence.
pub type Remove = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// Which metadata store the generations of a run share.
pub enum MetadataStore {
    /// One that is there, or that instances make where the address says.
    At {
        /// As instances take it; without a password, because commands are recorded.
        address: String,
        /// What instances get in their environment for it, such as a password. It is recorded nowhere.
        env: BTreeMap<String, String>,
        /// Ends what the run made there.
        remove: Option<Remove>,
    },
    /// A PostgreSQL server of the run's own.
    PrivatePostgres(Programs),
}

impl MetadataStore {
    /// One at an address that needs nothing else.
    pub fn at(address: impl Into<String>) -> Self {
        MetadataStore::At {
            address: address.into(),
            env: BTreeMap::new(),
            remove: None,
        }
    }
}

/// What there is to close.
#[derive(Default)]
pub(crate) struct OpenStore {
    server: Option<Server>,
    remove: Option<Remove>,
}

/// Where instances find the store.
pub(crate) struct Found {
    pub(crate) address: String,
    pub(crate) env: BTreeMap<String, String>,
}

impl OpenStore {
    /// Opens the store; starts a server in `directory` if the run has one of its own.
    ///
    /// # Errors
    ///
    /// When the server cannot be started, or `cancel` comes first.
    pub(crate) async fn open(
        &mut self,
        store: MetadataStore,
        runtime: &dyn Runtime,
        recorder: &Recorder,
        directory: &Path,
        log: &Path,
        cancel: &CancellationToken,
    ) -> Result<Found, RuntimeError> {
        match store {
            MetadataStore::At {
                address,
                env,
                remove,
            } => {
                self.remove = remove;
                Ok(Found { address, env })
            }
            MetadataStore::PrivatePostgres(programs) => {
                event(recorder, EventKind::MetadataStoreIntent);
                let server =
                    Server::start(&programs, runtime, directory, log, cancel.cancelled()).await?;
                let addr = server.addr();
                let password = server.password().to_owned();
                self.server = Some(server);
                event(
                    recorder,
                    EventKind::MetadataStoreDone {
                        addr: addr.to_string(),
                    },
                );
                Ok(Found {
                    // Nothing leaves this machine.
                    address: format!("postgres://changeover@{addr}/postgres?sslmode=disable"),
                    env: BTreeMap::from([("PGPASSWORD".to_owned(), password)]),
                })
            }
        }
    }

    /// Closes it. Returns what could not be removed.
    pub(crate) async fn close(self, recorder: &Recorder) -> Option<String> {
        let OpenStore { server, remove } = self;
        if server.is_none() && remove.is_none() {
            return None;
        }
        event(recorder, EventKind::MetadataStoreEndIntent);
        let stuck = match remove {
            // A store that does not answer is waited for, and not by those who serve clients.
            Some(remove) => tokio::task::spawn_blocking(remove)
                .await
                .unwrap_or_else(|_| Err("its removal was broken off".to_owned()))
                .err(),
            None => None,
        };
        if let Some(server) = server {
            server.stop(GRACE).await;
        }
        event(recorder, EventKind::MetadataStoreEndDone);
        stuck
    }
}

fn event(recorder: &Recorder, kind: EventKind) {
    recorder.event(&About::default(), kind);
}
