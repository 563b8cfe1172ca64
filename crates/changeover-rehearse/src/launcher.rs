//! From a service of a path to an instance that can be started: fills the target's templates.

use crate::control::Control;
use crate::driver::Launch;
use crate::premises::work;
use changeover_model::service::ServiceArgs;
use changeover_model::target::{Instances, Target, fill};
use changeover_model::version::PathVersion;
use changeover_runtime::attached::{self, AttachedRuntime};
use changeover_runtime::{InstanceSpec, Runtime, RuntimeError};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the endpoints of this target are that run already; nowhere for one whose instances are started.
///
/// # Errors
///
/// When one of them cannot be reached.
pub async fn endpoints_of(target: &Target) -> Result<Vec<SocketAddr>, RuntimeError> {
    match &target.instances {
        Instances::Attached(endpoints) => attached::find(endpoints).await,
        Instances::Started(_) | Instances::Unknown => Ok(Vec::new()),
    }
}

/// The runtime that instances come from: `processes`, or the endpoints that run already, with `processes` for what
/// promotes them.
pub fn runtime_of(endpoints: Vec<SocketAddr>, processes: Arc<dyn Runtime>) -> Arc<dyn Runtime> {
    match endpoints.is_empty() {
        true => processes,
        false => Arc::new(AttachedRuntime::new(endpoints, processes)),
    }
}

/// Makes specifications of instances out of a target's templates.
pub(crate) struct Launcher {
    pub(crate) target: Target,
    /// Arguments that every instance gets besides its own.
    pub(crate) instance_args: Vec<String>,
    /// The run's directory, absolute; `logs` must be in it.
    pub(crate) run_dir: PathBuf,
    /// The changeover binary, for targets that are part of it.
    pub(crate) program: String,
    /// The metadata store's address, as instances take it.
    pub(crate) metadata_store: String,
    /// What instances get in their environment for it.
    pub(crate) metadata_store_env: BTreeMap<String, String>,
}

impl Launcher {
    /// What starts this service, at addresses that nobody listens on.
    ///
    /// # Errors
    ///
    /// When the runtime has no addresses left.
    pub(crate) async fn launch(
        &self,
        runtime: &dyn Runtime,
        service: &ServiceArgs,
        version: &PathVersion,
    ) -> Result<Launch, RuntimeError> {
        let (sql_addr, http_addr) = runtime.reserve_addresses().await?;
        let name = format!("{}.{}", service.name, service.deploy_generation);
        let data_dir = work(&self.run_dir).join(&name);
        let version = version.to_string();
        let shared_dir = work(&self.run_dir).join("shared");
        fs::create_dir_all(&shared_dir).map_err(|error| {
            RuntimeError::new(format!(
                "cannot make the directory {}: {error}; make its place writable",
                shared_dir.display()
            ))
        })?;
        let values: [(&str, &str); 12] = [
            ("program", &self.program),
            ("version", &version),
            ("generation", &service.deploy_generation.to_string()),
            ("slot", &service.name),
            ("sql_addr", &sql_addr.to_string()),
            ("http_addr", &http_addr.to_string()),
            ("host", &host(sql_addr)),
            ("metadata_store", &self.metadata_store),
            ("data_dir", &data_dir.to_string_lossy()),
            ("shared_dir", &shared_dir.to_string_lossy()),
            ("run_dir", &self.run_dir.to_string_lossy()),
            ("target_dir", &self.target.dir),
        ];
        let (command, env) = self.command(&values)?;
        let logs = self.run_dir.join("logs");
        let spec = InstanceSpec {
            slot: service.name.clone(),
            generation: service.deploy_generation,
            command,
            env,
            sql_addr,
            http_addr,
            log: logs.join(format!("{name}.log")),
        };
        Ok(Launch {
            control: Control::of(&self.target, &spec, &values, &logs)?,
            spec,
            expected_version: version,
        })
    }

    /// Program and arguments, and the environment; nothing for an instance that runs already.
    fn command(
        &self,
        values: &[(&str, &str)],
    ) -> Result<(Vec<String>, BTreeMap<String, String>), RuntimeError> {
        match &self.target.instances {
            Instances::Started(instance) => {
                let words = instance.command.iter().chain(&self.instance_args);
                let env = instance.env.iter();
                Ok((
                    words.map(|word| fill(word, values)).collect(),
                    env.map(|(key, value)| (key.clone(), fill(value, values)))
                        .chain(self.metadata_store_env.clone())
                        .collect(),
                ))
            }
            Instances::Attached(_) => Ok(Default::default()),
            Instances::Unknown => Err(RuntimeError::new(format!(
                "target {} does not say how it is started; add [instance] to its file",
                self.target.target.name
            ))),
        }
    }
}

/// An address without its port, as URLs have it.
fn host(addr: SocketAddr) -> String {
    match addr {
        SocketAddr::V4(addr) => addr.ip().to_string(),
        SocketAddr::V6(addr) => format!("[{}]", addr.ip()),
    }
}
