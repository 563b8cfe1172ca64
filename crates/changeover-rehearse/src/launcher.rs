//! From a service of a path to an instance that can be started: fills the target's templates.

use crate::control::Control;
use crate::driver::{Driver, Launch, Surroundings};
use crate::metadata_store::{MetadataStore, OpenStore, StorePlace};
use crate::premises::work;
use crate::supervisor::ExitRules;
use changeover_model::Secret;
use changeover_model::plan::Arguments;
use changeover_model::service::ServiceArgs;
use changeover_model::target::{self, ContainerTemplate, Instances, Recipe, Target, fill, has};
use changeover_model::version::PathVersion;
use changeover_runtime::attached::{self, AttachedRuntime};
use changeover_runtime::docker::{DockerRuntime, Engine};
use changeover_runtime::process::ProcessRuntime;
use changeover_runtime::{Container, InstanceSpec, RestartLoop, Runtime, RuntimeError};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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

/// The runtime that instances of a run come from: containers of the engine, the endpoints that run already, or else
/// processes of this machine, which do for the former two what is no instance. The run's directory is absolute.
///
/// # Errors
///
/// When what the runtime keeps in the run's directory cannot be made.
pub fn runtime_of(
    engine: Option<Engine>,
    endpoints: Vec<SocketAddr>,
    run: &str,
    run_dir: &Path,
) -> Result<Arc<dyn Runtime>, RuntimeError> {
    let processes = Arc::new(ProcessRuntime::new(run, run_dir)?);
    Ok(match engine {
        Some(engine) => Arc::new(DockerRuntime::new(engine, run, run_dir, processes)?),
        None if endpoints.is_empty() => processes,
        None => Arc::new(AttachedRuntime::new(endpoints, processes)),
    })
}

/// What a machine has for instances, and a plan does not say.
#[derive(Debug, Clone, Default)]
pub struct Equipment {
    /// Instances are started in containers, and not as processes.
    pub containers: bool,
    /// The image of services that name none.
    pub image: Option<String>,
    /// Where programs are, a directory for each version.
    pub binaries: Option<PathBuf>,
    /// Where instances keep their data beside the metadata store, if not where the target says.
    pub blob_store: Option<String>,
    /// The licence key.
    pub licence: Option<Secret>,
}

impl Equipment {
    /// What the ends of a target's processes mean where they run.
    pub(crate) fn exit_rules(&self, target: &Target) -> ExitRules {
        match (self.containers, &target.container) {
            (true, Some(container)) => ExitRules::from(container),
            _ => ExitRules::from(&target.instances),
        }
    }
}

/// Where instances find the metadata store.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreAddress {
    /// As they take it.
    pub(crate) address: String,
    /// The address of a server in PostgreSQL, with its password and without anything that is asked of it: for variables.
    pub(crate) server: Secret,
}

/// Makes specifications of instances out of a target's templates.
pub(crate) struct Launcher {
    pub(crate) target: Target,
    /// Arguments that instances get besides their own.
    pub(crate) arguments: Arguments,
    /// The run's directory, absolute; `logs` must be in it.
    pub(crate) run_dir: PathBuf,
    /// The changeover binary, for targets that are part of it.
    pub(crate) program: String,
    /// Where the metadata store is.
    pub(crate) metadata_store: StoreAddress,
    /// What instances get in their environment for it.
    pub(crate) metadata_store_env: BTreeMap<String, Secret>,
    /// What this machine has for them.
    pub(crate) equipment: Equipment,
}

impl Launcher {
    /// Opens the store that all instances share.
    ///
    /// # Errors
    ///
    /// When it cannot be had, or the driver's run was cancelled.
    pub(crate) async fn open_store<S: Surroundings>(
        &mut self,
        open: &mut OpenStore,
        store: MetadataStore,
        driver: &Driver<S>,
    ) -> Result<(), RuntimeError> {
        let place = StorePlace {
            directory: work(&self.run_dir).join("postgres"),
            log: self.run_dir.join("logs/metadata-store.log"),
            schemas: self.target.target.metadata_schemas.clone(),
        };
        let (runtime, recorder) = (&*driver.runtime, &driver.recorder);
        let found = open
            .open(store, runtime, recorder, place, &driver.cancel)
            .await?;
        self.metadata_store = StoreAddress {
            address: found.address,
            server: found.server,
        };
        self.metadata_store_env = found.env;
        Ok(())
    }

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
        store: &StoreAddress,
    ) -> Result<Launch, RuntimeError> {
        let (sql_addr, http_addr) = runtime.reserve_addresses().await?;
        let name = format!("{}.{}", service.name, service.deploy_generation);
        let logs = self.run_dir.join("logs");
        let spec = InstanceSpec {
            slot: service.name.clone(),
            generation: service.deploy_generation,
            command: Vec::new(),
            env: BTreeMap::new(),
            sql_addr,
            http_addr,
            log: logs.join(format!("{name}.log")),
            container: None,
        };
        let data_dir = work(&self.run_dir).join(&name);
        let shared_dir = work(&self.run_dir).join("shared");
        make_directory(&shared_dir)?;
        let version_text = version.to_string();
        let generation = service.deploy_generation.to_string();
        let parameters = service.system_parameters();
        let common = [
            ("version", version_text.as_str()),
            ("generation", &generation),
            ("slot", &service.name),
            ("metadata_store", &store.address),
            ("metadata_server", store.server.reveal()),
            ("system_parameters", &parameters),
        ];
        let (sql, http) = (sql_addr.to_string(), http_addr.to_string());
        let (host, data) = (host(sql_addr), data_dir.to_string_lossy());
        let shared = shared_dir.to_string_lossy();
        let run_dir = self.run_dir.to_string_lossy();
        let outside: Vec<(&str, &str)> = common
            .into_iter()
            .chain([
                ("program", self.program.as_str()),
                ("sql_addr", &sql),
                ("http_addr", &http),
                ("host", &host),
                ("data_dir", &data),
                ("shared_dir", &shared),
                ("run_dir", &run_dir),
                ("target_dir", &self.target.dir),
            ])
            .collect();
        let started = match self.template()? {
            Some(template) => self.in_container(template, spec, service, version, store),
            None => {
                let more = self.arguments.of(service.deploy_generation, version);
                let more: Vec<&String> = more.collect();
                self.as_process(runtime, spec, &more, &outside).await
            }
        }?;
        Ok(Launch {
            control: Control::of(&self.target, &started, &outside, &logs)?,
            spec: started,
            expected_version: version_text,
        })
    }

    /// How containers are started, if that is asked for.
    fn template(&self) -> Result<Option<&ContainerTemplate>, RuntimeError> {
        match (self.equipment.containers, &self.target.container) {
            (false, _) => Ok(None),
            (true, Some(template)) => Ok(Some(template)),
            (true, None) => Err(RuntimeError::new(format!(
                "target {} does not say how it is started in a container; add [container] to its file, or leave out --runtime docker",
                self.target.target.name
            ))),
        }
    }

    /// Fills in program and arguments, environment and files; nothing for an instance that runs already.
    async fn as_process(
        &self,
        runtime: &dyn Runtime,
        spec: InstanceSpec,
        arguments: &[&String],
        values: &[(&str, &str)],
    ) -> Result<InstanceSpec, RuntimeError> {
        let instance = match &self.target.instances {
            Instances::Started(instance) => instance,
            Instances::Attached(_) => return Ok(spec),
            Instances::Unknown => {
                return Err(RuntimeError::new(format!(
                    "target {} does not say how it is started; add [instance] to its file",
                    self.target.target.name
                )));
            }
        };
        let files = instance.files.iter().flat_map(|(path, text)| [path, text]);
        let texts = instance.command.iter().chain(instance.env.values());
        let texts: Vec<&String> = texts.chain(files).collect();
        let mut more = BTreeMap::new();
        for pair in [["addr_a", "addr_b"], ["addr_c", "addr_d"]] {
            let wanted = |name: &str| texts.iter().any(|text| has(text, name));
            if pair.into_iter().any(wanted) {
                let (first, second) = runtime.reserve_addresses().await?;
                more.extend(
                    pair.into_iter()
                        .zip([first.to_string(), second.to_string()]),
                );
            }
        }
        let binaries = self.equipment.binaries.as_deref();
        let binaries = binaries.map_or_else(String::new, |it| it.to_string_lossy().into_owned());
        let default = fill(&self.target.blob_store.process, values);
        let blob_store = self.equipment.blob_store.as_deref().unwrap_or(&default);
        let mut values = values.to_vec();
        values.extend([("binaries", binaries.as_str()), ("blob_store", blob_store)]);
        values.extend(more.iter().map(|(name, addr)| (*name, addr.as_str())));
        for (path, text) in &instance.files {
            write_file(&PathBuf::from(fill(path, &values)), &fill(text, &values))?;
        }
        let words = instance.command.iter().chain(arguments.iter().copied());
        let env = instance.env.iter();
        Ok(InstanceSpec {
            command: words.map(|word| fill(word, &values)).collect(),
            env: env
                .map(|(key, value)| (key.clone(), fill(value, &values).into()))
                .chain(passed_on(&instance.pass_env))
                .chain(self.metadata_store_env.clone())
                .collect(),
            ..spec
        })
    }

    fn in_container(
        &self,
        template: &ContainerTemplate,
        spec: InstanceSpec,
        service: &ServiceArgs,
        version: &PathVersion,
        store: &StoreAddress,
    ) -> Result<InstanceSpec, RuntimeError> {
        let image = service.image.as_ref().or(self.equipment.image.as_ref());
        let Some(image) = image else {
            return Err(RuntimeError::new(format!(
                "version {version} has no image; name the one that was built of it with --current-image"
            )));
        };
        let default = &self.target.blob_store.container;
        let around = target::Surroundings {
            metadata_store: &store.address,
            metadata_server: store.server.reveal(),
            blob_store: self.equipment.blob_store.as_ref().unwrap_or(default),
        };
        let (recipe, volumes) = template.filled(service, version, around);
        let Recipe {
            command,
            env,
            files,
        } = recipe;
        let (mut env, mut files) = (secret(env), secret(files));
        env.extend(passed_on(&template.pass_env));
        env.extend(self.metadata_store_env.clone());
        if let (Some(licence), Some(key)) = (&template.licence, &self.equipment.licence)
            && licence.is_given(version)
        {
            env.insert(licence.variable.clone(), licence.path.as_str().into());
            files.insert(licence.path.clone(), key.clone());
        }
        let more = self.arguments.of(service.deploy_generation, version);
        let words = command.into_iter().chain(more.cloned());
        Ok(InstanceSpec {
            command: words.collect(),
            env,
            container: Some(Container {
                image: image.clone(),
                entrypoint: None,
                publish: vec![
                    (template.sql_port, spec.sql_addr),
                    (template.http_port, spec.http_addr),
                ],
                expose: template.ports.clone(),
                volumes,
                tmpfs: template.tmpfs.clone(),
                security_opt: template.security_opt.clone(),
                files,
                restart_loop: template.restart_loop.as_ref().map(|it| RestartLoop {
                    restarts: it.restarts.clone(),
                    sleeps: it.sleeps.clone(),
                    pause: Duration::from_millis(it.pause_ms),
                }),
            }),
            ..spec
        })
    }
}

/// Those of these variables that are set for us.
fn passed_on(names: &[String]) -> impl Iterator<Item = (String, Secret)> {
    names
        .iter()
        .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?.into())))
}

/// Texts with the values of placeholders in them, any of which may have a password.
fn secret(texts: BTreeMap<String, String>) -> BTreeMap<String, Secret> {
    let texts = texts.into_iter();
    texts.map(|(name, text)| (name, text.into())).collect()
}

fn make_directory(directory: &Path) -> Result<(), RuntimeError> {
    fs::create_dir_all(directory).map_err(|error| {
        RuntimeError::new(format!(
            "cannot make the directory {}: {error}; make its place writable",
            directory.display()
        ))
    })
}

fn write_file(path: &Path, text: &str) -> Result<(), RuntimeError> {
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    fs::write(path, text).map_err(|error| {
        RuntimeError::new(format!(
            "cannot write {}: {error}; make its place writable",
            path.display()
        ))
    })
}

/// An address without its port, as URLs have it.
fn host(addr: SocketAddr) -> String {
    match addr {
        SocketAddr::V4(addr) => addr.ip().to_string(),
        SocketAddr::V6(addr) => format!("[{}]", addr.ip()),
    }
}
