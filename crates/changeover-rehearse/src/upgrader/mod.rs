//! Upgrades step by step under the caller's control: the library behind a test that has code of its own between the
//! steps, in the shape that users of Materialize's Python module `mz_0dt_upgrader` know.
//!
//! [`Upgrader::initialize`] starts the first service and returns it with the list of [`UpgradeStep`]s. Each step is run
//! on its own, in order, with whatever the caller does in between; [`Upgrader::cleanup`] ends it, and so does a drop,
//! also after a failure or a panic. The hand-over is the rehearsal's own, without its load and without a judge.
//! docs/upgrader.md has a complete example.

mod error;
mod place;
mod run;
mod service;

pub use error::UpgradeError;
pub use service::Service;

use crate::client::ClientTarget;
use crate::clock::Clock;
use crate::driver::{Driver, Timeouts};
use crate::front_door::FrontDoor;
use crate::launcher::{Equipment, Launcher, StoreAddress, endpoints_of, runtime_of};
use crate::metadata_store::{MetadataStore, OpenStore};
use crate::premises::work;
use crate::record::{Recorder, Sink};
use crate::surroundings::ClientSide;
use changeover_model::event::Event;
use changeover_model::history::Operation;
use changeover_model::plan::Arguments;
use changeover_model::service::check_services;
use changeover_model::target::{Examine, Target};
use changeover_runtime::Runtime;
use changeover_runtime::docker::Engine;
use place::Place;
use run::{Course, Run};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Takes events as they happen, one at a time; must be quick. An intent comes before its action.
pub type OnEvent = Box<dyn FnMut(&Event) + Send>;

/// Runs a step: `(step.upgrade)().await?`.
pub type Upgrade = Box<dyn FnOnce() -> UpgradeFuture + Send>;

/// A step that runs. Dropped before its end, it breaks off the step; nothing can be run after it but the clean-up.
pub type UpgradeFuture = Pin<Box<dyn Future<Output = Result<(), UpgradeError>> + Send>>;

/// What can be said about an upgrader besides its services.
#[derive(Default)]
pub struct Options {
    /// The changeover binary, for targets that are part of it. Default: `changeover`, found on the `PATH`.
    pub program: Option<PathBuf>,
    /// Where logs and stores lie; new or empty. The logs stay there. Default: a temporary directory, of which nothing
    /// stays.
    pub directory: Option<PathBuf>,
    /// The metadata store; one of the upgrader's own is made by [`Upgrader::initialize`], and goes with it. Default: a
    /// fresh SQLite file in the directory, which containers share.
    pub metadata_store: Option<MetadataStore>,
    /// What this machine has for instances. With `containers` they run on the Docker engine of this machine, which must
    /// have their images. Default: nothing.
    pub equipment: Equipment,
    /// Where instances run. Default: as processes of this machine, or as `equipment` says.
    pub runtime: Option<Arc<dyn Runtime>>,
    /// Takes the events. Default: nobody.
    pub on_event: Option<OnEvent>,
}

/// One step of the path.
pub struct UpgradeStep {
    /// The service that leads after it.
    pub new_service: Service,
    /// The service that leads before it.
    pub previous_service: Service,
    /// Runs it: starts the new service read-only beside the previous one, waits until it is ready, promotes it, waits
    /// until it leads and serves, points the front door at it, and sees the previous one leave by itself. One that does
    /// not leave is stopped at the target's deadline, which is an event.
    pub upgrade: Upgrade,
}

/// Upgrades services one after the other over one metadata store.
///
/// Dropping it ends every process at once and removes what is not to stay. It blocks meanwhile, for milliseconds. Should
/// a step still run in another task, that ends it as well, and the last things go with it.
pub struct Upgrader {
    services: Vec<Service>,
    addr: SocketAddr,
    url: String,
    cancel: CancellationToken,
    run: Arc<Mutex<Option<Run>>>,
}

impl Upgrader {
    /// An upgrader of these services, one for each version of the path. Starts nothing yet, but clients may be told
    /// already where they will connect. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the services are no path, or directory or front door cannot be had.
    pub async fn new(
        target: Target,
        services: Vec<Service>,
        options: Options,
    ) -> Result<Self, UpgradeError> {
        if services.is_empty() {
            return Err(UpgradeError::Services(
                "there are no services to upgrade; give at least one".to_owned(),
            ));
        }
        let args: Vec<_> = services.iter().map(|s| s.args().clone()).collect();
        check_services(&args)?;
        let front_door = front_door().await?;
        let addr = front_door.addr();
        let timeouts = Timeouts::of_target(&target);
        ClientTarget::new(&target.client, addr, timeouts.operation)?;

        let place = Place::make(options.directory)?;
        let run_dir = place.path().to_owned();
        let name = run_dir.file_name().unwrap_or_default().to_string_lossy();
        // What is examined in a rehearsal is for its judge, and touches the tables of its clients.
        let target = Target {
            examine: Examine::default(),
            ..target
        };
        let equipment = options.equipment;
        let runtime = match options.runtime {
            Some(runtime) => runtime,
            None => {
                let (engine, endpoints) = match equipment.containers {
                    true => (Some(Engine::connect().await?), Vec::new()),
                    false => (None, endpoints_of(&target).await?),
                };
                runtime_of(engine, endpoints, &name, &run_dir)?
            }
        };
        let store = options.metadata_store.unwrap_or_else(|| {
            let file = work(&run_dir).join("metadata.sqlite");
            match equipment.containers {
                true => MetadataStore::SharedSqlite,
                false => MetadataStore::at(format!("sqlite:{}", file.display())),
            }
        });
        let recorder = Recorder::new(Clock::start(), Box::new(Callback(options.on_event)));
        let cancel = CancellationToken::new();
        let clients = ClientSide::new(
            recorder.clone(),
            front_door,
            &target,
            timeouts.operation,
            Duration::from_millis(target.defaults.probe_interval_ms),
        );
        let url = target.client.url_at(&addr.to_string());
        clients.announce(name.into_owned());
        let program = options.program.unwrap_or_else(|| "changeover".into());
        let run = Run {
            leader: None,
            premises: place.premises(Arc::clone(&runtime)),
            driver: Driver {
                runtime,
                surroundings: clients,
                recorder,
                rules: equipment.exit_rules(&target),
                timeouts,
                cancel: cancel.clone(),
                excuse: Default::default(),
            },
            launcher: Launcher {
                target,
                arguments: Arguments::default(),
                run_dir,
                program: program.to_string_lossy().into_owned(),
                metadata_store_env: BTreeMap::new(),
                equipment,
                metadata_store: StoreAddress::default(),
            },
            given: Some(store),
            store: OpenStore::default(),
            course: Course::default(),
        };
        Ok(Upgrader {
            services: services.iter().map(Service::afresh).collect(),
            addr,
            url,
            cancel,
            run: Arc::new(Mutex::new(Some(run))),
        })
    }

    /// Where clients connect: the front door, which leads to whoever leads.
    pub fn sql_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL that clients connect to: that of the front door, which leads to whoever leads.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path in words, as in `v0.1.0 -> v0.2.0 -> current`.
    pub fn upgrade_path(&self) -> String {
        let versions: Vec<String> = self
            .services
            .iter()
            .map(|service| service.version().to_string())
            .collect();
        versions.join(" -> ")
    }

    /// Prints `Upgrade path: ` and the path.
    pub fn print_upgrade_path(&self) {
        println!("Upgrade path: {}", self.upgrade_path());
    }

    /// Starts the first service, waits until it leads and answers a query, and returns it with the steps to run after
    /// it, in order. The steps need the upgrader: keep it.
    ///
    /// # Errors
    ///
    /// When the first service does not lead and serve in time; when this was called before; after a clean-up.
    pub async fn initialize(&self) -> Result<(Service, Vec<UpgradeStep>), UpgradeError> {
        let first = &self.services[0];
        let mut run = self.run.lock().await;
        let run = run.as_mut().ok_or(UpgradeError::CleanedUp)?;
        run.start(first).await?;
        let steps = self
            .services
            .windows(2)
            .enumerate()
            .map(|(index, pair)| self.step(index + 1, &pair[0], &pair[1]))
            .collect();
        Ok((first.clone(), steps))
    }

    /// Ends everything in good order: a step that runs is broken off, the leader is stopped, and what is not to stay is
    /// removed. A second call finds nothing to do.
    ///
    /// # Errors
    ///
    /// When something could not be removed.
    pub async fn cleanup(&self) -> Result<(), UpgradeError> {
        self.cancel.cancel();
        let run = self.run.lock().await.take();
        match run {
            Some(run) => match run.close().await {
                Some(what) => Err(UpgradeError::Leftover(what)),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn step(&self, number: usize, previous: &Service, new: &Service) -> UpgradeStep {
        // Steps do not keep the run alive: the drop of the upgrader ends it.
        let run = Arc::downgrade(&self.run);
        let (from, to) = (previous.clone(), new.clone());
        UpgradeStep {
            new_service: new.clone(),
            previous_service: previous.clone(),
            upgrade: Box::new(move || Box::pin(upgrade(run, number, from, to))),
        }
    }
}

impl Drop for Upgrader {
    fn drop(&mut self) {
        // For a step in another task, which has a hold of the run. Without one, the run is dropped right after this.
        self.cancel.cancel();
    }
}

async fn upgrade(
    run: Weak<Mutex<Option<Run>>>,
    number: usize,
    previous: Service,
    new: Service,
) -> Result<(), UpgradeError> {
    let shared = run.upgrade().ok_or(UpgradeError::CleanedUp)?;
    let mut run = shared.lock().await;
    let run = run.as_mut().ok_or(UpgradeError::CleanedUp)?;
    run.step(number, &previous, &new).await
}

async fn front_door() -> Result<FrontDoor, UpgradeError> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    FrontDoor::bind(addr)
        .await
        .map_err(|e| UpgradeError::FrontDoor {
            addr,
            problem: e.to_string(),
        })
}

/// Hands events to the caller. There are no operations: there is no load.
struct Callback(Option<OnEvent>);

impl Sink for Callback {
    fn event(&mut self, event: &Event) {
        if let Some(on_event) = &mut self.0 {
            on_event(event);
        }
    }

    fn operation(&mut self, _: &Operation) {}
}
