//! What goes on between an upgrader's making and its clean-up.

use super::error::UpgradeError;
use super::service::Service;
use crate::driver::{Driver, Launch, Running, StepFailed};
use crate::launcher::Launcher;
use crate::metadata_store::{MetadataStore, OpenStore};
use crate::premises::{Premises, close};
use crate::surroundings::ClientSide;
use changeover_model::plan::StepPlan;
use std::path::PathBuf;

/// Everything that runs. Dropping it ends it the hard way.
pub(super) struct Run {
    // In this order: instances are dropped before what they live on.
    pub(super) leader: Option<Running>,
    pub(super) driver: Driver<ClientSide>,
    pub(super) launcher: Launcher,
    /// The store, until it is opened.
    pub(super) given: Option<MetadataStore>,
    pub(super) store: OpenStore,
    pub(super) premises: Premises,
    pub(super) course: Course,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// 0: the first service is to be started; n: step n is to be run.
    next: usize,
    /// What went wrong; nothing can be run any more.
    broken: Option<String>,
}

impl Course {
    fn begin(&mut self, number: usize) -> Result<(), UpgradeError> {
        if let Some(failed) = &self.broken {
            return Err(UpgradeError::FailedBefore {
                what: what(number),
                failed: failed.clone(),
            });
        }
        if number == 0 && self.next > 0 {
            return Err(UpgradeError::InitializedBefore);
        }
        if number != self.next {
            return Err(UpgradeError::OutOfOrder {
                step: number,
                next: self.next,
            });
        }
        // For a future that is dropped half-way.
        self.broken = Some(format!("{} was not carried through", what(number)));
        Ok(())
    }

    fn end(&mut self, result: Result<(), UpgradeError>) -> Result<(), UpgradeError> {
        match &result {
            Ok(()) => {
                self.next += 1;
                self.broken = None;
            }
            Err(_) => self.broken = Some(format!("{} failed", what(self.next))),
        }
        result
    }
}

fn what(number: usize) -> String {
    match number {
        0 => "initialize".to_owned(),
        step => format!("step {step}"),
    }
}

impl Run {
    /// Starts the first service and waits until it leads and serves.
    pub(super) async fn start(&mut self, first: &Service) -> Result<(), UpgradeError> {
        self.course.begin(0)?;
        let result = self.start_first(first).await;
        self.course.end(result)
    }

    /// Runs one step.
    pub(super) async fn step(
        &mut self,
        number: usize,
        previous: &Service,
        new: &Service,
    ) -> Result<(), UpgradeError> {
        self.course.begin(number)?;
        let result = self.replace(number, previous, new).await;
        self.course.end(result)
    }

    /// Ends everything in good order. Returns what could not be removed.
    pub(super) async fn close(self) -> Option<String> {
        close(self.driver, self.leader, self.store, self.premises).await
    }

    async fn start_first(&mut self, first: &Service) -> Result<(), UpgradeError> {
        if let Some(given) = self.given.take() {
            let Run {
                launcher,
                store,
                driver,
                ..
            } = self;
            launcher.open_store(store, given, driver).await?;
        }
        let launch = self.launch(first).await?;
        let log = launch.spec.log.clone();
        let started = self.driver.start_first(first.version(), launch).await;
        self.leader = Some(started.map_err(|e| failure(first, "was not started", e, log))?);
        Ok(())
    }

    async fn replace(
        &mut self,
        number: usize,
        previous: &Service,
        new: &Service,
    ) -> Result<(), UpgradeError> {
        let launch = self.launch(new).await?;
        let log = launch.spec.log.clone();
        let Some(leader) = &mut self.leader else {
            unreachable!("step {number} comes after a start that succeeded");
        };
        let step = StepPlan {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            from: previous.version().clone(),
            to: new.version().clone(),
            service: new.name().to_owned(),
            previous_service: previous.name().to_owned(),
            deploy_generation: new.args().deploy_generation,
            called_off_at: None,
        };
        self.driver
            .replace(leader, &step, launch)
            .await
            .map_err(|e| failure(new, "did not take over", e, log))
    }

    async fn launch(&self, service: &Service) -> Result<Launch, UpgradeError> {
        let launch = self
            .launcher
            .launch(
                &*self.driver.runtime,
                service.args(),
                service.version(),
                &self.launcher.metadata_store,
            )
            .await?;
        service.set_started(&launch.spec, &self.launcher.target.client);
        Ok(launch)
    }
}

fn failure(
    service: &Service,
    failed: &'static str,
    error: StepFailed,
    log: PathBuf,
) -> UpgradeError {
    // Nothing but a clean-up interrupts.
    if error.interrupted {
        return UpgradeError::CleanedUp;
    }
    UpgradeError::Failed {
        service: service.to_string(),
        failed,
        reason: error.reason,
        log,
        called_off: error.called_off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(course: &mut Course, number: usize) -> String {
        course.begin(number).unwrap_err().to_string()
    }

    #[test]
    fn being_out_of_order_changes_nothing() {
        let mut course = Course::default();
        for number in 0..3 {
            refusal(&mut course, number + 1);
            course.begin(number).unwrap();
            course.end(Ok(())).unwrap();
        }
        assert_eq!(
            refusal(&mut course, 0),
            "initialize was called before; make another upgrader to begin again"
        );
    }

    #[test]
    fn what_was_dropped_half_way_breaks_the_course() {
        let mut course = Course::default();
        course.begin(0).unwrap();
        course.end(Ok(())).unwrap();
        course.begin(1).unwrap();
        assert_eq!(
            refusal(&mut course, 2),
            "step 2 cannot be run, because step 1 was not carried through; clean up and begin again"
        );
    }
}
