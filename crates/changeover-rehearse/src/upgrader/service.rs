//! A service of an upgrade path: its arguments, its version, and where it answers once it was started.

use super::error::UpgradeError;
use crate::surroundings::client_addr;
use changeover_model::service::ServiceArgs;
use changeover_model::target::ClientTemplate;
use changeover_model::version::PathVersion;
use changeover_runtime::InstanceSpec;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A service of an upgrade path. Cheap to clone; clones of a service that an upgrader handed out learn its addresses
/// together.
#[derive(Debug, Clone)]
pub struct Service {
    args: Arc<ServiceArgs>,
    version: PathVersion,
    started: Arc<OnceLock<Started>>,
}

#[derive(Debug)]
struct Started {
    sql_addr: SocketAddr,
    url: String,
    log: PathBuf,
}

impl Service {
    /// The service that is started with these arguments. They name no version where a target has no images, so it is
    /// said apart.
    pub fn from_args(args: ServiceArgs, version: PathVersion) -> Self {
        Service {
            args: Arc::new(args),
            version,
            started: Arc::default(),
        }
    }

    /// The services of a whole path, a version for each.
    ///
    /// # Errors
    ///
    /// When there are not as many arguments as versions.
    pub fn from_path(
        args: Vec<ServiceArgs>,
        versions: &[PathVersion],
    ) -> Result<Vec<Self>, UpgradeError> {
        if args.len() != versions.len() {
            return Err(UpgradeError::Services(format!(
                "{} service arguments for a path of {} versions; give one for each",
                args.len(),
                versions.len()
            )));
        }
        let pairs = args.into_iter().zip(versions);
        Ok(pairs
            .map(|(args, version)| Service::from_args(args, version.clone()))
            .collect())
    }

    /// What it is started with.
    pub fn args(&self) -> &ServiceArgs {
        &self.args
    }

    /// Its version.
    pub fn version(&self) -> &PathVersion {
        &self.version
    }

    /// Its slot, such as `mz_1`.
    pub fn name(&self) -> &str {
        &self.args.name
    }

    /// Where this very service answers SQL, whoever leads; `None` until it was started.
    pub fn sql_addr(&self) -> Option<SocketAddr> {
        self.started.get().map(|started| started.sql_addr)
    }

    /// The URL of this very service, whoever leads; `None` until it was started.
    pub fn url(&self) -> Option<&str> {
        self.started.get().map(|started| started.url.as_str())
    }

    /// Its log; `None` until it was started.
    pub fn log(&self) -> Option<&Path> {
        self.started.get().map(|started| started.log.as_path())
    }

    /// The same service, not started by anybody: what one upgrader learns of it is nothing to another.
    pub(super) fn afresh(&self) -> Self {
        Service {
            args: Arc::clone(&self.args),
            version: self.version.clone(),
            started: Arc::default(),
        }
    }

    pub(super) fn set_started(&self, spec: &InstanceSpec, client: &ClientTemplate) {
        // A service is started once: a step runs once.
        let _ = self.started.set(Started {
            sql_addr: spec.sql_addr,
            url: client.url_at(&client_addr(spec, client).to_string()),
            log: spec.log.clone(),
        });
    }
}

/// Slot and version, as in `mz_2 (v0.2.0)`.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.version)
    }
}
