//! Several runs of a plan, one after the other, and of its control.

use super::{Session, front_door};
use crate::commands::report;
use crate::error::CliError;
use crate::output;
use crate::planning::Planned;
use crate::run::{RunDir, Stored, StoredSeries, write_whole};
use crate::store::Store;
use crate::watch::View;
use changeover_check::OneRun;
use changeover_model::Plan;
use changeover_model::target::Instances;
use changeover_model::verdict::Verdict;
use changeover_rehearse::front_door::FrontDoor;
use changeover_rehearse::rehearsal::Ending;
use changeover_report::summary::claim;

/// Refuses what can be had only once: what the first run has upgraded, the second cannot upgrade.
///
/// # Errors
///
/// What it is, in a sentence.
pub(super) fn possible(planned: &Planned, store: &Store) -> Result<(), CliError> {
    if !planned.plan.is_series() {
        return Ok(());
    }
    let once = match (&planned.known.target.instances, store.is_new_each_time()) {
        (Instances::Attached(_), _) => "endpoints that run already",
        (_, false) => "a metadata store that is there already",
        (_, true) => return Ok(()),
    };
    Err(CliError::bad_input(format!(
        "{once} can be upgraded only once: leave out --repeat and --control, or let each run have a store and instances of its own"
    )))
}

impl Session<'_> {
    /// Runs a plan as often as it says, each run in a directory of its own below this one, and gives the verdict of all.
    /// A run that fails does not end the series; one that is interrupted or cannot run does.
    ///
    /// # Errors
    ///
    /// When a run could not begin or be recorded.
    pub(super) async fn run_all(
        &self,
        plan: Plan,
        dir: &RunDir,
        first_door: FrontDoor,
    ) -> Result<(Verdict, Ending), CliError> {
        let reproduce = self.save(&plan, dir)?;
        let (names, control_names) = (plan.run_names(), plan.control_names());
        let all = names.len() + control_names.len();
        let (mut runs, mut control) = (Vec::new(), Vec::new());
        let mut door = Some(first_door);
        let mut ending = Ending::Completed;
        for (index, name) in names.iter().chain(&control_names).enumerate() {
            let upgrades = index < names.len();
            self.tell(&format!("run {name}, {} of {all}", index + 1));
            let door = match door.take() {
                Some(door) => door,
                None => front_door(self.args.listen).await?,
            };
            let (plan, so_far) = match upgrades {
                true => (plan.of_one_run(), &mut runs),
                false => (plan.of_one_control_run(), &mut control),
            };
            let (verdict, ended) = self.run_one(plan, &dir.within(name)?, door).await?;
            self.tell(&format!("run {name}: {}", claim(&verdict)));
            so_far.push(OneRun {
                name: name.clone(),
                verdict,
            });
            if matches!(ended, Ending::Interrupted | Ending::CannotRun(_)) {
                ending = ended;
                break;
            }
        }
        let series = StoredSeries::at(dir.path());
        let verdict = series.judge(dir.name(), reproduce, &runs, &control)?;
        write_whole(&dir.file("verdict.json"), &verdict.to_json())?;
        report::beside(&Stored::Series(series), &verdict)?;
        Ok((verdict, ending))
    }

    /// A line about the series, for those who watch it.
    fn tell(&self, line: &str) {
        match self.view {
            View::Nothing => {}
            // Whoever stopped reading does not stop the series.
            View::Lines | View::EveryLine => drop(output::print(&format!("{line}\n"))),
            View::Picture => output::note(line),
        }
    }
}
