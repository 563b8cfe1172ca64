//! From a service of a path to an instance that can be started: fills the target's templates.

use crate::driver::Launch;
use crate::premises::work;
use changeover_model::service::ServiceArgs;
use changeover_model::target::{Instances, Target, fill};
use changeover_model::version::PathVersion;
use changeover_runtime::{InstanceSpec, Runtime, RuntimeError};
use std::collections::BTreeMap;
use std::path::PathBuf;

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
        let values: [(&str, &str); 9] = [
            ("program", &self.program),
            ("version", &version),
            ("generation", &service.deploy_generation.to_string()),
            ("slot", &service.name),
            ("sql_addr", &sql_addr.to_string()),
            ("http_addr", &http_addr.to_string()),
            ("metadata_store", &self.metadata_store),
            ("data_dir", &data_dir.to_string_lossy()),
            ("run_dir", &self.run_dir.to_string_lossy()),
        ];
        let Instances::Started(instance) = &self.target.instances else {
            return Err(RuntimeError::new(format!(
                "target {} does not say how it is started; add [instance] to its file",
                self.target.target.name
            )));
        };
        let command = instance.command.iter().chain(&self.instance_args);
        Ok(Launch {
            spec: InstanceSpec {
                slot: service.name.clone(),
                generation: service.deploy_generation,
                command: command.map(|part| fill(part, &values)).collect(),
                env: instance
                    .env
                    .iter()
                    .map(|(key, value)| (key.clone(), fill(value, &values)))
                    .chain(self.metadata_store_env.clone())
                    .collect(),
                sql_addr,
                http_addr,
                log: self.run_dir.join("logs").join(format!("{name}.log")),
            },
            expected_version: version,
        })
    }
}
