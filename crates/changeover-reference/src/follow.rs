//! Hydrating the private copy from the log, and following the leader in read-only mode.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bug::{self, Bug};
use crate::copy::apply::Applier;
use crate::copy::schema;
use crate::copy::{CopyConnection, CopyError, PrivateCopy};
use crate::deployment::{Deployment, State};
use crate::hold::{self, Point};
use crate::store::{Appended, Effect, Fence, MetadataStore, Record, Role, StoreError, Token};
use crate::{exit, log};

/// Records applied as one transaction of the private copy.
const CHUNK: usize = 512;

/// A follower that is at most so many records behind has caught up.
const READY_LAG: u64 = 16;

/// How often a follower that has everything looks for more.
const POLL: Duration = Duration::from_millis(3);

/// Why hydration ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HydrateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Copy(#[from] CopyError),
}

impl HydrateError {
    pub(crate) fn end(&self) -> ! {
        log::error!("{self}");
        match self {
            Self::Store(error) => exit::now(exit::code(error)),
            Self::Copy(CopyError::Io { .. } | CopyError::InUse { .. }) => {
                exit::now(exit::CANNOT_RUN)
            }
            Self::Copy(_) => exit::now(exit::FAILED),
        }
    }
}

/// How many records may be read by now, at so many a second.
struct Allowance {
    rate: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    fn take(&mut self, limit: usize) -> usize {
        let now = Instant::now();
        // What was not used is lost after a tenth of a second: an average over the whole past would allow a burst.
        let most = (self.rate / 10.0).max(1.0);
        self.left = (self.left + self.rate * now.duration_since(self.at).as_secs_f64()).min(most);
        self.at = now;
        limit.min(self.left as usize)
    }
}

/// Ends the process to be restarted if this record changes definitions.
fn restart_for_definitions(record: &Record) {
    if let Some(statement) = record.ddl() {
        log::warning!(
            "restarting (166): the leader changed definitions while this process was catching up (log position {}: {statement})",
            record.position
        );
        exit::now(exit::RESTART)
    }
}

/// Moves records from the log into the private copy.
pub(crate) struct Hydration {
    store: Box<dyn MetadataStore>,
    connection: CopyConnection,
    applier: Applier,
    applied: u64,
    generation: u64,
    allowance: Option<Allowance>,
}

impl Hydration {
    pub(crate) fn new(
        store: Box<dyn MetadataStore>,
        copy: &Arc<PrivateCopy>,
        generation: u64,
        rate: Option<u64>,
    ) -> Result<Self, CopyError> {
        let open = || {
            let connection = copy.dedicated()?;
            let applier = Applier::new(&connection)?;
            let applied = connection.applied()?;
            Ok((connection, applier, applied))
        };
        let (connection, applier, applied) = open().map_err(|cause| copy.error(cause))?;
        let allowance = rate.map(|rate| Allowance {
            rate: rate as f64,
            left: 1.0,
            at: Instant::now(),
        });
        Ok(Self {
            store,
            connection,
            applier,
            applied,
            generation,
            allowance,
        })
    }

    /// The store's handle, for whoever goes on with it.
    pub(crate) fn into_store(self) -> Box<dyn MetadataStore> {
        self.store
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    /// Applies some of the records up to `upper`; `seen` looks at each record first. Whether there were any.
    fn step(&mut self, upper: u64, mut seen: impl FnMut(&Record)) -> Result<bool, HydrateError> {
        let missing = usize::try_from(upper.saturating_sub(self.applied))
            .unwrap_or(usize::MAX)
            .min(CHUNK);
        if bug::on(Bug::ServesBehind) && missing as u64 <= READY_LAG {
            return Ok(false);
        }
        let allowed = self
            .allowance
            .as_mut()
            .map_or(missing, |allowance| allowance.take(missing));
        if allowed == 0 {
            return Ok(false);
        }
        let mut records = self.read(allowed)?;
        let Some(last) = records.last() else {
            return Err(self.missing());
        };
        let position = last.position;
        if bug::on(Bug::SkipsRecord) && records.len() > 1 {
            records.pop();
        }
        records.iter().for_each(&mut seen);
        self.applier.apply(&self.connection, &records)?;
        self.applied = position;
        if let Some(allowance) = &mut self.allowance {
            allowance.left -= records.len() as f64;
        }
        Ok(true)
    }

    /// The next records. Ends the process if they are of a newer format because a higher generation leads by now.
    fn read(&mut self, count: usize) -> Result<Vec<Record>, HydrateError> {
        match self.store.read(self.applied, count) {
            Err(error @ StoreError::Newer { .. }) => {
                let fence = self.store.fence()?;
                if fence.token.generation > self.generation {
                    exit::outlived(fence.token);
                }
                Err(error.into())
            }
            Ok(mut records) if bug::on(Bug::MissesDdl) && self.applied > 0 => {
                let kept = |effect: &Effect| !matches!(effect, Effect::Ddl { .. });
                records
                    .iter_mut()
                    .for_each(|record| record.effects.retain(kept));
                Ok(records)
            }
            records => Ok(records?),
        }
    }

    /// From now on as fast as it can, as clients wait.
    pub(crate) fn hurry(&mut self) {
        self.allowance = None;
    }

    fn missing(&self) -> HydrateError {
        let store = "the metadata store".to_owned();
        let cause = format!("record {} is missing", self.applied + 1);
        StoreError::Damaged { store, cause }.into()
    }

    /// Applies everything up to `upper`, as the leader with this token, as long as it leads.
    pub(crate) fn complete(&mut self, token: Token, upper: u64) -> Result<(), HydrateError> {
        let enough = match bug::on(Bug::ServesBehind) {
            true => upper.saturating_sub(READY_LAG),
            false => upper,
        };
        while self.applied < enough || bug::on(Bug::NeverServes) {
            let fence = self.store.fence()?;
            if fence.token != token {
                exit::fenced(token, fence.token);
            }
            self.step(upper, |_| {})?;
        }
        if bug::on(Bug::CrashesPromoted) {
            return Err(self.missing());
        }
        if bug::on(Bug::ReusesNumbers) {
            // There is no such table where no column counts.
            let _ = self.connection.execute_batch("DELETE FROM sqlite_sequence");
        }
        Ok(())
    }
}

/// Follows the leader of a lower generation until promoted.
pub(crate) struct Follower {
    pub(crate) hydration: Hydration,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) generation: u64,
    /// The log's end when this process looked first: up to here, definitions are simply taken over.
    pub(crate) baseline: u64,
    pub(crate) started: Instant,
    pub(crate) max_wait: Duration,
}

impl Follower {
    /// Follows until it has taken the fence; the fence as it is then. `serve` starts answering SQL, when everything up
    /// to the baseline is there; a promotion on request may come before that.
    pub(crate) fn run(mut self, serve: impl Fn()) -> Result<(Hydration, Fence), HydrateError> {
        self.deployment.set_catching_up();
        hold::at(Point::CatchingUp);
        log::info!(
            "booting in read-only mode; hydrating {} log records",
            self.baseline - self.hydration.applied().min(self.baseline)
        );
        loop {
            if let Some(fence) = self.obey() {
                return Ok((self.hydration, fence));
            }
            let upper = self.upper()?;
            let hydrated = self.hydration.applied() >= self.baseline;
            if hydrated && !self.deployment.serving() {
                if bug::on(Bug::FollowerAppends) {
                    self.append_of_its_own()?;
                }
                serve();
                log::info!(
                    "hydrated up to log position {}; answering SQL in read-only mode",
                    self.hydration.applied()
                );
            }
            let state = self.deployment.state();
            let moved = {
                let (baseline, catching_up) =
                    (self.baseline, matches!(state, State::CatchingUp { .. }));
                // What was read before the baseline came too early to be a change.
                let target = if hydrated { upper } else { baseline };
                self.hydration.step(target, |record| {
                    if catching_up && (record.position > baseline || bug::on(Bug::DdlWedges)) {
                        restart_for_definitions(record);
                    }
                })?
            };
            if matches!(state, State::CatchingUp { .. })
                && self.hydration.applied() >= self.baseline
            {
                // Looked at again: what counts is how far the leader is now.
                let lag = self.upper()?.saturating_sub(self.hydration.applied());
                let calm = !bug::on(Bug::ReadyAtRest) || self.hydration.applied() == self.baseline;
                if lag <= READY_LAG && self.deployment.serving() && calm {
                    // Definitions that are in the log by now were changed before this process was ready.
                    self.hydration
                        .read(usize::try_from(lag).unwrap_or(usize::MAX))?
                        .iter()
                        .for_each(restart_for_definitions);
                    log::info!("caught up, {lag} records behind; ready to promote");
                    self.deployment.set_ready_to_promote();
                    hold::at(Point::Ready);
                    continue;
                }
            }
            if !moved {
                self.deployment.wait_change(state, POLL);
            }
        }
    }

    /// What [`Bug::FollowerAppends`] does, once.
    fn append_of_its_own(&mut self) -> Result<(), HydrateError> {
        if let Ok(false) = schema::exists(&self.hydration.connection, "table", "builtin") {
            let statement = "CREATE TABLE builtin (id INTEGER)".to_owned();
            let effects = [Effect::Ddl { statement }];
            let store = &mut self.hydration.store;
            let mut append = || -> Result<Appended, StoreError> {
                let fence = store.fence()?;
                store.append(fence.token, fence.upper, &effects)
            };
            // The leader may have been faster.
            while !matches!(append()?, Appended::At(_)) {}
        }
        Ok(())
    }

    /// The end of the log, if the leader is still one of a lower generation.
    fn upper(&mut self) -> Result<u64, HydrateError> {
        let fence = self.hydration.store.fence()?;
        let itself = bug::on(Bug::FencesItself) && fence.token.generation < self.generation;
        if fence.token.generation > self.generation || itself {
            exit::outlived(fence.token);
        }
        if fence.token.generation == self.generation {
            log::error!(
                "exiting (1): another process of generation {} leads with epoch {}",
                self.generation,
                fence.token.epoch
            );
            exit::now(exit::FAILED)
        }
        let known = self.hydration.applied();
        if fence.upper < known {
            exit::put_back(known, fence.upper);
        }
        Ok(fence.upper)
    }

    /// Does what clients of the leader API have asked for, and gives up when it is time. The fence, once it is ours.
    fn obey(&mut self) -> Option<Fence> {
        match self.deployment.state() {
            State::CatchingUp { skip } if skip || bug::on(Bug::ReadyTooEarly) => {
                log::info!("catching up was skipped on request; ready to promote");
                self.deployment.set_ready_to_promote();
                hold::at(Point::Ready);
            }
            State::CatchingUp { .. } if self.started.elapsed() >= self.max_wait => {
                log::error!("not caught up within {}s", self.max_wait.as_secs());
                exit::now(exit::FAILED)
            }
            State::Promoting if !bug::on(Bug::NeverLeads) => return Some(self.promote()),
            _ => {}
        }
        None
    }

    /// Fences out the leader.
    fn promote(&mut self) -> Fence {
        log::info!("promoted; taking the fence");
        match self.hydration.store.promote(self.generation) {
            Ok(Role::FencedOut(fence)) => exit::outlived(fence.token),
            Ok(Role::Lead(fence) | Role::Follow(fence)) => {
                hold::at(Point::FenceWritten);
                fence
            }
            Err(error) => exit::store_failed(&error),
        }
    }
}
