//! What the driver sees of the rest of a rehearsal: the real front door, the real clients, the direct observers.

use crate::client::{Client, ClientTarget, UrlError};
use crate::driver::{Running, Surroundings};
use crate::examine::Examiner;
use crate::faults::{Faults, Instance};
use crate::front_door::FrontDoor;
use crate::observers::Observer;
use crate::record::{About, Recorder};
use crate::tally::Keys;
use crate::user_checks::Scenario;
use crate::workload::moments::Moments;
use changeover_model::event::{EventKind, PromoteResult};
use changeover_model::fault::Point;
use changeover_model::scenario::When;
use changeover_model::target::{ClientTemplate, Target};
use changeover_runtime::InstanceSpec;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The SQLSTATE that asks for the statement again.
const CONFLICT: &str = "40001";

/// How soon it is sent again.
const AGAIN: Duration = Duration::from_millis(5);

/// The clients' side of a rehearsal.
pub(crate) struct ClientSide {
    recorder: Recorder,
    pub(crate) front_door: FrontDoor,
    pub(crate) client: ClientTemplate,
    /// What is asked to see whether an instance serves.
    probe: String,
    pub(crate) operation_timeout: Duration,
    probe_interval: Duration,
    /// What is examined besides.
    pub(crate) examiner: Examiner,
    /// What is done besides upgrading.
    pub(crate) scenario: Option<Scenario>,
    /// What has been written; there is nothing to observe before the load runs.
    pub(crate) keys: OnceLock<Arc<Keys>>,
    observers: Mutex<Observers>,
    /// Workloads that act at moments of a step, if there are any.
    pub(crate) moments: OnceLock<Moments>,
    /// What is broken on purpose, if anything is.
    pub(crate) faults: Option<Faults>,
}

/// Observers that look, and observers that were told to end but have not been waited for.
#[derive(Default)]
struct Observers {
    looking: Vec<(u64, Observer)>,
    ending: Vec<Observer>,
}

impl ClientSide {
    /// Clients that go through this door. Direct observers, once there is something to observe, look every
    /// `probe_interval`.
    pub(crate) fn new(
        recorder: Recorder,
        front_door: FrontDoor,
        target: &Target,
        operation_timeout: Duration,
        probe_interval: Duration,
    ) -> Self {
        let recorder_of_examiner = recorder.clone();
        ClientSide {
            recorder,
            front_door,
            client: target.client.clone(),
            probe: target.probe().to_owned(),
            operation_timeout,
            probe_interval,
            examiner: Examiner::new(recorder_of_examiner, target),
            scenario: None,
            keys: OnceLock::new(),
            observers: Mutex::new(Observers::default()),
            moments: OnceLock::new(),
            faults: None,
        }
    }

    /// The first events of a run: its name, and where clients connect.
    pub(crate) fn announce(&self, run: String) {
        let nobody = About::default();
        let event = |kind| self.recorder.event(&nobody, kind);
        event(EventKind::RunStarted {
            run,
            changeover: env!("CARGO_PKG_VERSION").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get()),
        });
        event(EventKind::FrontDoorListening {
            addr: self.front_door.addr().to_string(),
        });
    }

    /// What to say at this address.
    pub(crate) fn target(&self, addr: SocketAddr) -> Result<ClientTarget, UrlError> {
        ClientTarget::new(&self.client, addr, self.operation_timeout)
    }

    /// Runs statements at this address on one connection; returns the rows of the last as text.
    pub(crate) async fn execute(
        &self,
        addr: SocketAddr,
        statements: &[String],
    ) -> Result<Vec<Vec<Option<String>>>, String> {
        let target = self.target(addr).map_err(|e| e.to_string())?;
        let deadline = Instant::now() + self.operation_timeout;
        let mut client = Client::connect(target, deadline)
            .await
            .map_err(|e| e.to_string())?;
        let mut rows = Vec::new();
        for sql in statements {
            let deadline = Instant::now() + self.operation_timeout;
            rows = loop {
                match client.execute(sql, deadline).await {
                    // Somebody else was in the way, and nothing was done.
                    Err(e) if e.sqlstate() == Some(CONFLICT) && Instant::now() < deadline => {
                        sleep(AGAIN).await;
                    }
                    answer => break answer.map_err(|e| format!("{e} ({sql})"))?,
                }
            };
        }
        client.close().await;
        Ok(rows)
    }

    /// Asks for the catalog through the front door until it is told, for at most twice the time of an operation; a
    /// target that does not say how is not asked. What came of it is an event.
    pub(crate) async fn see_catalog(&self, about: &About) {
        let Some(question) = &self.client.catalog else {
            return;
        };
        let asked = std::slice::from_ref(question);
        let deadline = Instant::now() + self.operation_timeout * 2;
        let seen = loop {
            let answer = self.execute(self.front_door.addr(), asked).await;
            match answer.and_then(objects) {
                Err(_) if Instant::now() < deadline => sleep(AGAIN).await,
                seen => break seen,
            }
        };
        let event = match seen {
            Ok(objects) => EventKind::CatalogSeen { objects },
            Err(reason) => EventKind::CatalogUnseen { reason },
        };
        self.recorder.event(about, event);
    }

    /// Waits until no observer looks any more.
    pub(crate) async fn end_observers(&self) {
        let Observers { looking, ending } = std::mem::take(&mut *self.observers());
        for observer in looking.into_iter().map(|(_, o)| o).chain(ending) {
            observer.stop().await;
        }
    }

    fn observe(&self, instance: &InstanceSpec) {
        // Without keys there is no load, and without a sound URL there was none either.
        let (Some(keys), Ok(target)) = (
            self.keys.get(),
            self.target(client_addr(instance, &self.client)),
        ) else {
            return;
        };
        let observer = Observer::start(
            &self.recorder,
            keys,
            &target,
            &instance.slot,
            instance.generation,
            self.probe_interval,
        );
        self.observers()
            .looking
            .push((instance.generation, observer));
    }

    fn stop_observing(&self, instance: &InstanceSpec) {
        let mut observers = self.observers();
        let (gone, looking) = std::mem::take(&mut observers.looking)
            .into_iter()
            .partition(|(generation, _)| *generation == instance.generation);
        observers.looking = looking;
        let gone: Vec<(u64, Observer)> = gone;
        for (_, observer) in gone {
            observer.halt();
            observers.ending.push(observer);
        }
    }

    fn observers(&self) -> std::sync::MutexGuard<'_, Observers> {
        self.observers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The catalog's rows: a name, and what it is.
fn objects(rows: Vec<Vec<Option<String>>>) -> Result<BTreeMap<String, String>, String> {
    let object = |row: Vec<Option<String>>| match <[_; 2]>::try_from(row) {
        Ok([Some(name), what]) => Ok((name, what.unwrap_or_default())),
        _ => Err("the catalog's rows are not a name and what it is".to_owned()),
    };
    rows.into_iter().map(object).collect()
}

/// Where clients connect to an instance.
pub(crate) fn client_addr(instance: &InstanceSpec, client: &ClientTemplate) -> SocketAddr {
    match client.uses_http_addr() {
        true => instance.http_addr,
        false => instance.sql_addr,
    }
}

impl Surroundings for ClientSide {
    async fn initializing(&self, new: &InstanceSpec) -> Option<PromoteResult> {
        let promoted = self.examiner.early_promotion(new).await;
        if let Some(scenario) = &self.scenario {
            // Generations count with the steps.
            let step = u32::try_from(new.generation).unwrap_or(u32::MAX);
            scenario.act(self, step, When::During).await;
        }
        promoted
    }

    async fn serves(&self, instance: &InstanceSpec) -> Result<(), String> {
        let addr = client_addr(instance, &self.client);
        let asked = std::slice::from_ref(&self.probe);
        self.execute(addr, asked).await.map(|_| ())
    }

    async fn version(&self) -> Result<Option<String>, String> {
        let Some(question) = &self.client.version else {
            return Ok(None);
        };
        let door = self.front_door.addr();
        let rows = self.execute(door, std::slice::from_ref(question)).await?;
        match rows.as_slice() {
            [row] => match row.as_slice() {
                [Some(version)] => Ok(Some(version.clone())),
                _ => Err(format!("{question:?} answered {row:?}, expected one text")),
            },
            _ => Err(format!(
                "{question:?} answered {} rows, expected one",
                rows.len()
            )),
        }
    }

    fn switch(&self, instance: &InstanceSpec) {
        self.front_door
            .switch(Some(client_addr(instance, &self.client)));
    }

    fn answers(&self, new: &InstanceSpec) {
        self.observe(new);
        if let Some(moments) = self.moments.get() {
            moments.answers();
        }
    }

    async fn ready(&self, new: &InstanceSpec) {
        self.examiner.read_only(self, new).await;
        if let Some(moments) = self.moments.get() {
            moments.ready(new, client_addr(new, &self.client)).await;
        }
    }

    fn promoting(&self, new: &InstanceSpec) {
        self.stop_observing(new);
    }

    fn leads(&self, _new: &InstanceSpec, old: &InstanceSpec) {
        if let Some(moments) = self.moments.get() {
            moments.leads();
        }
        self.observe(old);
    }

    fn spawned(&self, new: Instance) {
        if let Some(faults) = &self.faults {
            faults.spawned(new);
        }
    }

    async fn at(&self, point: Point) {
        if let Some(faults) = &self.faults {
            faults.at(point).await;
        }
    }

    async fn overtaken(&self) -> Running {
        match &self.faults {
            Some(faults) => faults.overtaken().await,
            None => std::future::pending().await,
        }
    }

    fn races(&self) -> bool {
        self.faults.as_ref().is_some_and(Faults::races)
    }

    async fn called_off(&self) -> Point {
        match &self.faults {
            Some(faults) => faults.called_off().await,
            None => std::future::pending().await,
        }
    }

    fn gone(&self, instance: &InstanceSpec) {
        self.stop_observing(instance);
    }
}
