//! The library's driver without clients: what the step figures need.

use changeover_model::event::Event;
use changeover_model::history::Operation;
use changeover_model::plan::StepPlan;
use changeover_model::target::{InstanceTemplate, Instances, Target, fill};
use changeover_model::version::PathVersion;
use changeover_rehearse::client::{Client, ClientTarget};
use changeover_rehearse::clock::Clock;
use changeover_rehearse::control::Control;
use changeover_rehearse::driver::{Driver, Launch, Surroundings, Timeouts};
use changeover_rehearse::record::{Recorder, Sink};
use changeover_rehearse::supervisor::ExitRules;
use changeover_runtime::{InstanceSpec, Runtime};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Nobody listens.
struct Nowhere;

impl Sink for Nowhere {
    fn event(&mut self, _event: &Event) {}
    fn operation(&mut self, _operation: &Operation) {}
}

/// A recorder that keeps nothing.
pub(crate) fn recorder() -> Recorder {
    Recorder::new(Clock::start(), Box::new(Nowhere))
}

/// A driver of these surroundings.
pub(crate) fn driver<S>(runtime: Arc<dyn Runtime>, surroundings: S) -> Driver<S> {
    let second = Duration::from_secs(1);
    Driver {
        runtime,
        surroundings,
        recorder: recorder(),
        rules: rules(),
        timeouts: Timeouts {
            boot: 20 * second,
            catch_up: 60 * second,
            promote: 20 * second,
            bootstrap: 20 * second,
            retire: 20 * second,
            operation: 2 * second,
        },
        cancel: CancellationToken::new(),
        excuse: Default::default(),
    }
}

/// What exit codes mean to the reference database.
pub(crate) fn rules() -> ExitRules {
    ExitRules {
        restart: vec![166],
        fenced: vec![0],
    }
}

/// The built-in reference target.
pub(crate) fn reference() -> Result<Target, String> {
    Target::parse(include_str!("../../../../targets/reference/target.toml"))
        .map_err(|error| error.to_string())
}

/// How an instance of the reference database is started in `dir`.
pub(crate) async fn launch(
    target: &Target,
    runtime: &dyn Runtime,
    dir: &Path,
    version: &PathVersion,
    generation: u64,
) -> Result<Launch, String> {
    let (sql_addr, http_addr) = runtime
        .reserve_addresses()
        .await
        .map_err(|e| e.to_string())?;
    let version = version.to_string();
    let data_dir = dir.join(generation.to_string());
    let values: [(&str, &str); 7] = [
        ("program", crate::instances::CHANGEOVER),
        ("version", &version),
        ("generation", &generation.to_string()),
        ("sql_addr", &sql_addr.to_string()),
        ("http_addr", &http_addr.to_string()),
        (
            "metadata_store",
            &format!("sqlite:{}", dir.join("metadata").display()),
        ),
        ("data_dir", &data_dir.to_string_lossy()),
    ];
    let Instances::Started(InstanceTemplate { command, .. }) = &target.instances else {
        panic!("the reference database is started");
    };
    Ok(Launch {
        spec: InstanceSpec {
            slot: slot(generation),
            generation,
            command: command.iter().map(|part| fill(part, &values)).collect(),
            env: Default::default(),
            sql_addr,
            http_addr,
            log: dir.join(format!("{generation}.log")),
            container: None,
        },
        expected_version: version,
        control: Control::leader_api(http_addr),
    })
}

/// The slots in turn.
pub(crate) fn slot(generation: u64) -> String {
    format!("mz_{}", generation % 2 + 1)
}

/// A step to this generation.
pub(crate) fn step(generation: u64, from: &PathVersion, to: &PathVersion) -> StepPlan {
    StepPlan {
        number: 1,
        from: from.clone(),
        to: to.clone(),
        service: slot(generation),
        previous_service: slot(generation + 1),
        deploy_generation: generation,
        called_off_at: None,
    }
}

/// Asks the leader straight, and has no clients.
pub(crate) struct NoClients {
    target: Target,
    leader: Mutex<Option<SocketAddr>>,
}

impl NoClients {
    /// For instances of this target.
    pub(crate) fn new(target: Target) -> Self {
        NoClients {
            target,
            leader: Mutex::new(None),
        }
    }

    async fn ask(&self, addr: SocketAddr) -> Result<String, String> {
        let client = &self.target.client;
        let limit = Duration::from_secs(2);
        let deadline = Instant::now() + limit;
        let target = ClientTarget::new(client, addr, limit).map_err(|e| e.to_string())?;
        let mut connection = Client::connect(target, deadline)
            .await
            .map_err(|e| e.to_string())?;
        let rows = connection
            .execute(self.target.probe(), deadline)
            .await
            .map_err(|e| e.to_string())?;
        rows.into_iter()
            .flatten()
            .flatten()
            .next()
            .ok_or_else(|| "no row".to_owned())
    }
}

impl Surroundings for NoClients {
    async fn serves(&self, instance: &InstanceSpec) -> Result<(), String> {
        self.ask(instance.sql_addr).await.map(|_| ())
    }

    async fn version(&self) -> Result<Option<String>, String> {
        let leader = *self.leader.lock().unwrap_or_else(|e| e.into_inner());
        self.ask(leader.ok_or("nobody leads")?).await.map(Some)
    }

    fn switch(&self, instance: &InstanceSpec) {
        *self.leader.lock().unwrap_or_else(|e| e.into_inner()) = Some(instance.sql_addr);
    }

    fn answers(&self, _new: &InstanceSpec) {}
    fn promoting(&self, _new: &InstanceSpec) {}
    fn leads(&self, _new: &InstanceSpec, _old: &InstanceSpec) {}
    fn gone(&self, _instance: &InstanceSpec) {}
}
