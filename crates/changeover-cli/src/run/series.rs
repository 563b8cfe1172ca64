//! Runs that are stored one by one, or several of one plan in a directory: `1`, `2` and so on, and `control-1` and so on.

use crate::error::CliError;
use crate::output;
use crate::run::{StoredRun, Tail};
use changeover_check::{OneRun, of_series};
use changeover_model::Verdict;
use changeover_model::check::Check;
use changeover_report::Record;
use std::fs;
use std::path::{Path, PathBuf};

/// What lies in a directory of runs.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    /// A run.
    Run(StoredRun),
    /// Several of one plan.
    Series(StoredSeries),
}

/// The runs of a plan that was run several times.
#[derive(Debug, Clone)]
pub(crate) struct StoredSeries {
    path: PathBuf,
}

/// Whether a directory is a run's, or a series'.
pub(crate) fn is_run(path: &Path) -> bool {
    path.join("events.jsonl").is_file() || is_series(path)
}

fn is_series(path: &Path) -> bool {
    path.join("1").join("events.jsonl").is_file()
}

/// The directories of the runs of a series, in order; those of the control come last. None for a run.
pub(crate) fn runs_within(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut runs: Vec<(bool, u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (control, number) = match name.strip_prefix("control-") {
                Some(number) => (true, number),
                None => (false, name.as_str()),
            };
            Some((control, number.parse().ok()?, entry.path()))
        })
        .filter(|(_, _, path)| path.is_dir())
        .collect();
    runs.sort();
    runs.into_iter().map(|(_, _, path)| path).collect()
}

impl Stored {
    /// What lies in a directory.
    pub(crate) fn at(path: &Path) -> Self {
        match is_series(path) {
            true => Stored::Series(StoredSeries::at(path)),
            false => Stored::Run(StoredRun::at(path)),
        }
    }

    /// The run that was asked for: a directory, or the name of one among the runs, or `latest` for the newest of them;
    /// `NAME/2` is the second run of a series.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn find(wanted: &str) -> Result<Self, CliError> {
        let runs = Path::new(super::RUNS);
        let place = Path::new(wanted);
        let of_latest = place
            .strip_prefix("latest")
            .ok()
            .filter(|_| !place.exists());
        let path = if let Some(within) = of_latest {
            let latest = newest(runs).ok_or_else(|| {
                CliError::bad_input(format!(
                    "there is no run in {}: rehearse first, or give a run's directory",
                    runs.display()
                ))
            })?;
            latest.join(within)
        } else if !place.exists() && runs.join(wanted).is_dir() {
            runs.join(wanted)
        } else {
            place.to_owned()
        };
        match is_run(&path) {
            true => Ok(Stored::at(&path)),
            false => Err(CliError::bad_input(format!(
                "{wanted} is no run: give the directory of one, with its events.jsonl, or its name in {}",
                runs.display()
            ))),
        }
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        match self {
            Stored::Run(run) => run.file(name),
            Stored::Series(series) => series.path.join(name),
        }
    }

    /// The verdict, given now if it was not given then.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged.
    pub(crate) fn verdict(&self) -> Result<(Verdict, Tail), CliError> {
        match self {
            Stored::Run(run) => run.verdict(),
            Stored::Series(series) => series.verdict(),
        }
    }

    /// The verdict as it was given; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is none.
    pub(crate) fn given_verdict(&self) -> Result<Option<Verdict>, CliError> {
        match self {
            Stored::Run(run) => run.given_verdict(),
            Stored::Series(series) => series.itself().given_verdict(),
        }
    }

    /// What reports need of it: of a series, the run that decides, with the plan of all.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged, with its line.
    pub(crate) fn record(&self, verdict: Verdict, tail: Tail) -> Result<Record, CliError> {
        match self {
            Stored::Run(run) => run.record(verdict, tail),
            Stored::Series(series) => {
                let decides = verdict
                    .repeat
                    .as_ref()
                    .map_or("1", |repeat| &repeat.decides);
                let run = StoredRun::at(&series.path.join(decides));
                let plan = Some(series.itself().plan()?);
                run.record_of(verdict, plan, tail)
            }
        }
    }

    /// The checks that were made of it.
    ///
    /// # Errors
    ///
    /// When what was planned cannot be read.
    pub(crate) fn examined(&self) -> Result<Vec<Check>, CliError> {
        match self {
            Stored::Run(run) => run.examined(),
            Stored::Series(series) => series.itself().examined(),
        }
    }

    /// Where its first events are.
    pub(crate) fn first_events(&self) -> PathBuf {
        match self {
            Stored::Run(run) => run.file("events.jsonl"),
            Stored::Series(series) => series.path.join("1").join("events.jsonl"),
        }
    }
}

impl StoredSeries {
    /// The series in a directory that was just filled.
    pub(crate) fn at(path: &Path) -> Self {
        StoredSeries {
            path: path.to_owned(),
        }
    }

    /// Plan and verdict lie here as they do in a run's directory.
    fn itself(&self) -> StoredRun {
        StoredRun::at(&self.path)
    }

    /// One verdict of those of its runs.
    ///
    /// # Errors
    ///
    /// When there is no run.
    pub(crate) fn judge(
        &self,
        name: &str,
        reproduce: String,
        runs: &[OneRun],
        control: &[OneRun],
    ) -> Result<Verdict, CliError> {
        of_series(name, reproduce, runs, control).ok_or_else(|| {
            CliError::bad_input(format!("there is no run in {}", self.path.display()))
        })
    }

    fn verdict(&self) -> Result<(Verdict, Tail), CliError> {
        if let Some(verdict) = self.itself().given_verdict()? {
            return Ok((verdict, Tail::Whole));
        }
        output::note(&format!(
            "{} has no verdict.json: the series was ended before its verdict, which is given now of the runs there are",
            self.path.display()
        ));
        let itself = self.itself();
        let plan = itself.plan()?;
        let of = |names: Vec<String>| {
            names
                .into_iter()
                .map(|name| (self.path.join(&name), name))
                .filter(|(path, _)| path.join("events.jsonl").is_file())
                .map(|(path, name)| {
                    let (verdict, _) = StoredRun::at(&path).verdict()?;
                    Ok(OneRun { name, verdict })
                })
                .collect::<Result<Vec<_>, CliError>>()
        };
        let (runs, control) = (of(plan.run_names())?, of(plan.control_names())?);
        let verdict = self.judge(&itself.name(), itself.reproduce(), &runs, &control)?;
        Ok((verdict, Tail::Cut))
    }
}

/// The newest run: names begin with the time.
fn newest(runs: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(runs).ok()?.flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| is_run(path))
        .max()
}
