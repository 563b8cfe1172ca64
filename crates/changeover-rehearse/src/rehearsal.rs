//! One run of one plan, from the first spawn to the last sweep.

use crate::driver::{Driver, Launch, Running, StepFailed, Timeouts};
use crate::faults::{Around, Clients, Faults, SPARE_SLOT, Spare};
use crate::front_door::FrontDoor;
use crate::full_read::full_read;
use crate::launcher::{Equipment, Launcher, StoreAddress};
use crate::load::Load;
use crate::metadata_store::{MetadataStore, OpenStore};
use crate::premises::{Premises, close, work};
use crate::record::{About, Recorder};
use crate::sampler::Sampler;
use crate::supervisor::{Excuse, Now};
use crate::surroundings::ClientSide;
use crate::tally::{Keys, Live};
use crate::user_checks::{Programs, Scenario, UserCheck};
use crate::workload::{self, aged::Chain, moments::Moments};
use changeover_model::event::EventKind;
use changeover_model::fault::{Action, Fault};
use changeover_model::plan::{Plan, StepPlan};
use changeover_model::scenario::When;
use changeover_model::target::Target;
use changeover_runtime::{Runtime, RuntimeError};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a full read may take: this, and a bit more for each key.
const FULL_READ: Duration = Duration::from_secs(30);
const FULL_READ_KEY: Duration = Duration::from_millis(10);

/// Everything that a rehearsal needs and that is no part of its plan.
pub struct Setup {
    /// What is to happen. It must have been validated.
    pub plan: Plan,
    /// How the target is started and talked to.
    pub target: Target,
    /// Where instances run.
    pub runtime: Arc<dyn Runtime>,
    /// Where clients connect. Already bound: that its address is free is known before anything starts.
    pub front_door: FrontDoor,
    /// Takes events and operations.
    pub recorder: Recorder,
    /// Cancelled to end the run early, in good order.
    pub cancel: CancellationToken,
    /// The load's figures appear here once it runs.
    pub live: Arc<OnceLock<Arc<Live>>>,
    /// The run's name.
    pub run: String,
    /// The run's directory, absolute; `logs` must be in it. `work` is made in it and removed at the end.
    pub run_dir: PathBuf,
    /// The changeover binary, for targets that are part of it.
    pub program: String,
    /// The metadata store that the generations share.
    pub metadata_store: MetadataStore,
    /// Where stores that older releases have made are kept for the next run; nowhere without it.
    pub fixtures: Option<PathBuf>,
    /// What this machine has for instances.
    pub equipment: Equipment,
    /// What the plan's scenario does.
    pub user_checks: Vec<UserCheck>,
}

/// How a rehearsal ended. What it means is the judge's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All steps were gone through.
    Completed,
    /// The first service did not start, or a step failed: why, in a sentence.
    Failed(String),
    /// Nothing ran: the first service could not even be spawned, for instance because its program is missing. Why, in
    /// a sentence.
    CannotRun(String),
    /// It was cancelled.
    Interrupted,
}

/// Runs a plan. Everything that was started has ended when this returns.
pub async fn rehearse(setup: Setup) -> Ending {
    let Setup {
        plan,
        target,
        runtime,
        front_door,
        recorder,
        cancel,
        live,
        run,
        run_dir,
        program,
        metadata_store,
        fixtures,
        equipment,
        user_checks,
    } = setup;
    let interrupted = cancel.clone();
    if plan.workload.is_mixed() {
        recorder.mix();
    }
    let timeouts = Timeouts::of(&plan);
    let mut clients = ClientSide::new(
        recorder.clone(),
        front_door,
        &target,
        timeouts.operation,
        Duration::from_millis(plan.workload.probe_interval_ms),
    );
    let programs = Programs {
        runtime: Arc::clone(&runtime),
        logs: run_dir.join("logs"),
    };
    clients.scenario = plan.scenario.clone().map(|scenario| {
        let path = plan.path.clone();
        Scenario::new(scenario, path, user_checks, recorder.clone(), programs)
    });
    clients.announce(run);
    let excuse = Excuse::default();
    let open_store = OpenStore::default();
    let around = Around {
        recorder: recorder.clone(),
        sockets: work(&run_dir).join("points"),
        live: Arc::clone(&live),
        store: open_store.server(),
        clients_side: Clients {
            template: target.client.clone(),
            door: clients.front_door.addr(),
            timeout: timeouts.operation,
        },
        excuse: excuse.clone(),
    };
    clients.faults = Faults::of(&plan, &target, around);
    let _sampler = Sampler::start(recorder.clone());
    let mut rehearsal = Rehearsal {
        premises: Premises::of(Arc::clone(&runtime), &run_dir),
        driver: Driver {
            runtime,
            surroundings: clients,
            recorder,
            rules: equipment.exit_rules(&target),
            timeouts,
            cancel,
            excuse,
        },
        launcher: Launcher {
            target,
            arguments: plan.arguments(),
            run_dir,
            program,
            metadata_store: StoreAddress::default(),
            metadata_store_env: BTreeMap::new(),
            equipment,
        },
        store: open_store,
        plan,
        live,
        fixtures,
        leader: None,
        load: None,
    };
    let ending = rehearsal.run(metadata_store).await;
    rehearsal.wind_up(&ending).await;
    // Also when the signal came after the last step: what follows it was cut short.
    if interrupted.is_cancelled() {
        Ending::Interrupted
    } else {
        ending
    }
}

/// How a step that is no failure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// The new instance leads.
    Through,
    /// It was called off, and the old instance leads.
    CalledOff,
    /// It was called off, and nobody leads.
    NobodyLeads,
}

struct Rehearsal {
    driver: Driver<ClientSide>,
    launcher: Launcher,
    plan: Plan,
    live: Arc<OnceLock<Arc<Live>>>,
    fixtures: Option<PathBuf>,
    leader: Option<Running>,
    load: Option<Load>,
    store: OpenStore,
    /// Last: it is dropped after the instances.
    premises: Premises,
}

impl Rehearsal {
    async fn run(&mut self, store: MetadataStore) -> Ending {
        match self.steps(store).await {
            Ok(()) => Ending::Completed,
            Err(stop) => stop,
        }
    }

    async fn steps(&mut self, store: MetadataStore) -> Result<(), Ending> {
        let work = work(&self.launcher.run_dir);
        std::fs::create_dir_all(&work).map_err(|e| {
            self.failed(
                0,
                format!("cannot make the directory {}: {e}", work.display()),
            )
        })?;
        self.open_store(store).await?;
        self.age().await?;
        let launch = self.launch(0).await?;
        let first = self.driver.start_first(&self.plan.path[0], launch).await;
        self.leader = Some(first.map_err(|failed| match failed.not_spawned {
            true => Ending::CannotRun(failed.reason),
            false => ending(failed),
        })?);
        self.prepare().await?;
        self.act(0).await?;
        self.start_load().await?;
        self.quiet_window(1).await?;
        // Nobody leads: an upgrade was called off too late. What comes next has to go through.
        let mut nobody_leads = false;
        for index in 0..self.plan.steps.len() {
            let step = self.plan.steps[index].clone();
            if nobody_leads && step.called_off_at.is_some() {
                continue;
            }
            nobody_leads = self.step(&step, index + 1).await? == Passed::NobodyLeads;
            if nobody_leads {
                continue;
            }
            // Nothing else goes on in a quiet window: reading everything back comes after it.
            self.quiet_window(step.number).await?;
            self.full_read(Some(step.number)).await;
            self.after().await?;
            self.see_catalog(step.number).await?;
            self.act(step.number).await?;
            if step.called_off_at.is_some() {
                nobody_leads = !self.comeback(step.number).await?;
            }
        }
        Ok(())
    }

    /// The leader of an upgrade that was called off is started again. Returns whether it leads again; if it does not,
    /// the next upgrade that goes through has to.
    async fn comeback(&mut self, step: u32) -> Result<bool, Ending> {
        let Some(leader) = &mut self.leader else {
            return Ok(false);
        };
        let came_back = self.driver.comeback(step, leader).await;
        match self.driver.cancel.is_cancelled() {
            true => Err(Ending::Interrupted),
            false => Ok(came_back),
        }
    }

    async fn open_store(&mut self, store: MetadataStore) -> Result<(), Ending> {
        let driver = &self.driver;
        let opened = self
            .launcher
            .open_store(&mut self.store, store, driver)
            .await;
        opened.map_err(|error| match driver.cancel.is_cancelled() {
            true => Ending::Interrupted,
            false => Ending::CannotRun(error.message),
        })
    }

    /// Lets older releases make the data that the run begins with.
    async fn age(&self) -> Result<(), Ending> {
        let versions = &self.plan.workload.details.aged;
        if versions.is_empty() {
            return Ok(());
        }
        let launcher = &self.launcher;
        let chain = Chain {
            target: &launcher.target,
            service: &self.plan.services[0],
            versions,
            program: &launcher.program,
        };
        self.event(
            None,
            EventKind::AgeIntent {
                versions: versions.clone(),
            },
        );
        let env = &launcher.metadata_store_env;
        let aged = chain.age(
            &launcher.metadata_store.address,
            env,
            self.fixtures.as_deref(),
        );
        let aged = tokio::select! {
            biased;
            () = self.driver.cancel.cancelled() => return Err(Ending::Interrupted),
            aged = aged => aged,
        };
        let reused = aged.map_err(|e| self.failed(0, e))?;
        self.event(None, EventKind::AgeDone { reused });
        Ok(())
    }

    /// What starts a service. It waits at points where something is planned, and its way to the metadata store is one
    /// that can be broken, if it is to be.
    async fn launch(&self, index: usize) -> Result<Launch, Ending> {
        let (faults, store) = (
            &self.driver.surroundings.faults,
            self.launcher.metadata_store.clone(),
        );
        let Some(faults) = faults else {
            return self.launch_with(index, &store).await;
        };
        let refused = |error: RuntimeError| match index {
            0 => Ending::CannotRun(error.message),
            _ => self.failed(index, error.message),
        };
        let generation = self.plan.services[index].deploy_generation;
        let brings_up = u32::try_from(index).unwrap_or(u32::MAX);
        let steps = self.plan.steps.iter().map(|step| step.number);
        let replaced_in: Vec<u32> = steps
            .filter(|step| self.plan.leader_before(*step).deploy_generation == generation)
            .collect();
        let store = faults
            .way_to_store(generation, brings_up, &replaced_in, store)
            .await
            .map_err(refused)?;
        let mut launch = self.launch_with(index, &store).await?;
        let holds = faults.holds(generation, brings_up, &replaced_in);
        launch.spec.command.extend(holds.map_err(refused)?);
        Ok(launch)
    }

    /// What the faults of a step start beside its instances.
    async fn spares(&self, step: &StepPlan, index: usize) -> Result<Vec<(Fault, Spare)>, Ending> {
        let mut spares = Vec::new();
        let Some(faults) = &self.driver.surroundings.faults else {
            return Ok(spares);
        };
        let runtime = &self.driver.runtime;
        for fault in faults.overlapping(step.number) {
            let mut service = self.plan.services[index].clone();
            SPARE_SLOT.clone_into(&mut service.name);
            let version = match &fault.action {
                Action::Rival { version } => version.as_ref().unwrap_or(&step.to),
                _ => {
                    service.deploy_generation += 1;
                    &step.to
                }
            };
            let store = &self.launcher.metadata_store;
            let launch = self.launcher.launch(&**runtime, &service, version, store);
            let launch = launch.await.map_err(|e| self.failed(index, e.message))?;
            let spare = Spare {
                launch,
                runtime: Arc::clone(runtime),
                rules: self.driver.rules.clone(),
                patience: self.driver.timeouts.catch_up,
            };
            spares.push((fault.clone(), spare));
        }
        Ok(spares)
    }

    async fn launch_with(&self, index: usize, store: &StoreAddress) -> Result<Launch, Ending> {
        let service = &self.plan.services[index];
        let version = self.plan.version_of_service(index);
        self.launcher
            .launch(&*self.driver.runtime, service, version, store)
            .await
            .map_err(|error| match index {
                0 => Ending::CannotRun(error.message),
                _ => self.failed(index, error.message),
            })
    }

    /// What failed outside of the driver's sight is an event as well.
    fn failed(&self, step: usize, reason: String) -> Ending {
        let step = u32::try_from(step).ok();
        let kind = EventKind::StepFailed {
            reason: reason.clone(),
        };
        self.event(step, kind);
        Ending::Failed(reason)
    }

    async fn step(&mut self, step: &StepPlan, service: usize) -> Result<Passed, Ending> {
        let launch = self.launch(service).await?;
        let spares = self.spares(step, service).await?;
        if let Some(moments) = self.driver.surroundings.moments.get() {
            moments.begin(step.number);
        }
        let Some(leader) = &mut self.leader else {
            return Err(self.failed(service, "there is no leader to upgrade".to_owned()));
        };
        if let Some(faults) = &self.driver.surroundings.faults {
            faults.begin(
                step.number,
                step.deploy_generation,
                leader.instance(),
                spares,
            );
        }
        let replaced = Box::pin(self.driver.replace(leader, step, launch)).await;
        if let Some(faults) = &self.driver.surroundings.faults {
            faults.end(&self.driver.cancel).await;
        }
        if let Some(moments) = self.driver.surroundings.moments.get() {
            // Also of a step that failed: what was begun is not broken off.
            moments.settle().await;
        }
        if let Err(failed) = replaced {
            return match failed.as_planned {
                Some((_, true)) => Ok(Passed::CalledOff),
                Some((_, false)) => Ok(Passed::NobodyLeads),
                None => Err(ending(failed)),
            };
        }
        let (clients, leader) = (&self.driver.surroundings, leader.spec());
        tokio::select! {
            biased;
            () = self.driver.cancel.cancelled() => Err(Ending::Interrupted),
            () = async {
                clients.examiner.catalog(clients, leader).await;
                clients.examiner.second_promotion(leader).await;
            } => Ok(Passed::Through),
        }
    }

    /// Creates what the clients need.
    async fn prepare(&self) -> Result<(), Ending> {
        let clients = &self.driver.surroundings;
        self.event(None, EventKind::PrepareIntent);
        let door = clients.front_door.addr();
        let (plan, of_target) = (&self.plan.workload, &self.launcher.target);
        let statements = workload::create(plan, of_target);
        clients.execute(door, &statements).await.map_err(|e| {
            self.failed(0, format!("the clients' tables could not be created: {e}"))
        })?;
        let moments = Moments::new(
            &self.driver.recorder,
            plan,
            of_target,
            door,
            self.driver.timeouts.operation,
        );
        moments.start().await;
        // Set once: a run is prepared once.
        let _ = clients.moments.set(moments);
        self.event(None, EventKind::PrepareDone);
        self.see_catalog(0).await
    }

    async fn start_load(&mut self) -> Result<(), Ending> {
        let clients = &self.driver.surroundings;
        let mut door = clients.front_door.addr();
        if let Some(faults) = &clients.faults {
            let through = faults.way_to_door(door).await;
            door = through.map_err(|e| self.failed(0, e.message))?;
        }
        let target = clients
            .target(door)
            .map_err(|e| self.failed(0, e.to_string()))?;
        self.event(None, EventKind::LoadIntent);
        let recorder = self.driver.recorder.clone();
        let (plan, can) = (
            &self.plan.workload,
            &self.launcher.target.workload.capabilities,
        );
        let load = Load::start_for(recorder, &target, plan, can)
            .map_err(|e| self.failed(0, format!("the load could not be started: {e}")))?;
        self.event(None, EventKind::LoadDone);
        // Both are set once: there is one load in a run.
        let _ = clients.keys.set(load.keys());
        let _ = self.live.set(load.live());
        self.load = Some(load);
        Ok(())
    }

    /// Does what the scenario does after a step. The catalog is another one after that.
    async fn act(&self, step: u32) -> Result<(), Ending> {
        let clients = &self.driver.surroundings;
        let Some(scenario) = &clients.scenario else {
            return Ok(());
        };
        let acted = tokio::select! {
            biased;
            () = self.driver.cancel.cancelled() => return Err(Ending::Interrupted),
            acted = scenario.act(clients, step, When::After) => acted,
        };
        match acted {
            true => self.see_catalog(step).await,
            false => Ok(()),
        }
    }

    async fn see_catalog(&self, step: u32) -> Result<(), Ending> {
        let about = About {
            step: Some(step),
            ..About::default()
        };
        tokio::select! {
            biased;
            () = self.driver.cancel.cancelled() => Err(Ending::Interrupted),
            () = self.driver.surroundings.see_catalog(&about) => Ok(()),
        }
    }

    /// What workloads that act at moments do after a step.
    async fn after(&self) -> Result<(), Ending> {
        let Some(moments) = self.driver.surroundings.moments.get() else {
            return Ok(());
        };
        tokio::select! {
            biased;
            () = self.driver.cancel.cancelled() => Err(Ending::Interrupted),
            () = moments.after() => Ok(()),
        }
    }

    async fn quiet_window(&self, step: u32) -> Result<(), Ending> {
        let window = Duration::from_millis(self.plan.workload.quiet_window_ms());
        self.event(Some(step), EventKind::QuietWindowStarted);
        tokio::select! {
            biased;
            () = self.driver.cancel.cancelled() => return Err(Ending::Interrupted),
            () = tokio::time::sleep(window) => {}
        }
        self.event(Some(step), EventKind::QuietWindowEnded);
        Ok(())
    }

    async fn full_read(&self, step: Option<u32>) {
        let clients = &self.driver.surroundings;
        let Some(keys) = clients.keys.get().map(|keys: &Arc<Keys>| keys.reads()) else {
            return;
        };
        let Ok(target) = clients.target(clients.front_door.addr()) else {
            return;
        };
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        self.event(
            step,
            EventKind::FullReadIntent {
                keys: u64::from(count),
            },
        );
        let deadline = Instant::now() + FULL_READ + FULL_READ_KEY * count;
        let read = full_read(&self.driver.recorder, &target, keys, deadline);
        tokio::select! {
            biased;
            // A read that was cut short is no full read: there is no event of its end.
            () = self.driver.cancel.cancelled() => {}
            read = read => {
                self.event(step, EventKind::FullReadDone { unread: read.unread });
            }
        }
    }

    /// Ends the load, reads everything back once more, and stops what still runs.
    async fn wind_up(mut self, ending: &Ending) {
        if let Some(load) = self.load.take() {
            self.event(None, EventKind::LoadEndIntent);
            load.stop().await;
            self.event(None, EventKind::LoadEndDone);
            // With nobody left to ask, or to ask about, the judge is better told at once than after the last retry.
            let leads = |leader: &Running| !matches!(leader.supervisor().state().now, Now::Gone(_));
            if *ending != Ending::Interrupted && self.leader.as_ref().is_some_and(leads) {
                tokio::select! {
                    () = self.full_read(None) => {}
                    () = self.store.away() => {}
                }
            }
        }
        // What could not be removed is an event, and the judge's business.
        close(self.driver, self.leader, self.store, self.premises).await;
    }

    fn event(&self, step: Option<u32>, kind: EventKind) {
        let about = About {
            step,
            ..About::default()
        };
        self.driver.recorder.event(&about, kind);
    }
}

fn ending(failed: StepFailed) -> Ending {
    if failed.interrupted {
        Ending::Interrupted
    } else {
        Ending::Failed(failed.reason)
    }
}
