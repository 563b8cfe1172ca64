//! One run of a plan.

use super::Session;
use crate::commands::report;
use crate::error::CliError;
use crate::rolling::Rolling;
use crate::run::{FileSink, RunDir, Stored, StoredRun, Tail, write_whole};
use crate::watch::Watch;
use changeover_model::Plan;
use changeover_model::event::EventKind;
use changeover_model::history::{Header, MIXED};
use changeover_model::verdict::Verdict;
use changeover_model::workload::{WorkloadKind, bank};
use changeover_rehearse::clock::Clock;
use changeover_rehearse::front_door::FrontDoor;
use changeover_rehearse::launcher::runtime_of;
use changeover_rehearse::record::{About, Recorder};
use changeover_rehearse::rehearsal::{Ending, Setup, rehearse};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

impl Session<'_> {
    /// Runs a plan in this directory, judges the run, and writes verdict and reports.
    ///
    /// # Errors
    ///
    /// When the run could not begin or be recorded.
    pub(super) async fn run_one(
        &self,
        plan: Plan,
        dir: &RunDir,
        front_door: FrontDoor,
    ) -> Result<(Verdict, Ending), CliError> {
        dir.make_logs()?;
        let reproduce = self.save(&plan, dir)?;
        let metadata_store = self.store.clone().for_run(dir.name(), dir.path())?;
        let (engine, endpoints) = (self.engine.clone(), self.endpoints.clone());
        let instances = runtime_of(engine, endpoints, dir.name(), dir.path())
            .map_err(|e| CliError::cannot_run_here(e.message))?;

        let cancel = CancellationToken::new();
        let live = Arc::new(OnceLock::new());
        let clock = Clock::start();
        let clock_zero = jiff::Timestamp::now().to_string();
        let watch = Watch::start(self.view, clock, Arc::clone(&live));
        let header = header_of(&plan);
        let (sink, trouble) =
            FileSink::create(dir, &header, &clock_zero, watch.events(), cancel.clone())?;
        let (sink, rolling) = Rolling::start(Box::new(sink), &header, watch.findings());
        let recorder = Recorder::new(clock, Box::new(sink));
        self.signals.cancel(cancel.clone(), {
            let recorder = recorder.clone();
            move |signal| {
                let signal = signal.to_owned();
                recorder.event(&About::default(), EventKind::Interrupted { signal });
            }
        });

        let ending = rehearse(Setup {
            plan: plan.clone(),
            target: self.target.clone(),
            runtime: instances,
            front_door,
            recorder,
            cancel,
            live,
            run: dir.name().to_owned(),
            run_dir: dir.path().to_owned(),
            program: self.program.clone(),
            metadata_store,
            fixtures: Some(".changeover/fixtures".into()),
            equipment: self.equipment.clone(),
            user_checks: self.user_checks.clone(),
        })
        .await;
        // Nothing of the run is left: from now on a signal may simply end us.
        self.signals.exit_from_now_on();
        rolling.finish();
        watch.finish();
        if let Some(problem) = trouble.get() {
            return Err(CliError::bad_input(problem));
        }

        let stored = StoredRun::at(dir.path());
        let verdict = stored.judge(&plan, dir.name(), reproduce, Tail::Whole)?;
        write_whole(&dir.file("verdict.json"), &verdict.to_json())?;
        report::beside(&Stored::Run(stored), &verdict)?;
        Ok((verdict, ending))
    }
}

/// The head of the history of a plan.
fn header_of(plan: &Plan) -> Header {
    let workload = &plan.workload;
    let mut header = Header::new(match workload.is_mixed() {
        true => MIXED,
        false => WorkloadKind::Set.name(),
    });
    if workload.has(WorkloadKind::Bank) {
        header.accounts = Some(bank::accounts());
    }
    header
}
