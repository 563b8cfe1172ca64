//! A run's files, read back: by the judge, and by reports.

use crate::error::CliError;
use crate::output;
use changeover_check::{EXAMINED, Judge, ProbeJudge, SubHistory, examined, history_name, probed};
use changeover_model::check::Check;
use changeover_model::event::{self, Event, EventKind};
use changeover_model::history::{self, Operation};
use changeover_model::target::Instances;
use changeover_model::verdict::VerdictError;
use changeover_model::{Plan, Probe, Verdict};
use changeover_plan::tree;
use changeover_report::Record;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A line of a log that is longer is read no further: reports cut it much shorter.
const LOG_LINE: u64 = 1 << 16;

/// What a file's last line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Whole, as every other.
    Whole,
    /// Half written: the run was killed.
    Cut,
}

/// A run that is stored in a directory.
#[derive(Debug, Clone)]
pub(crate) struct StoredRun {
    path: PathBuf,
}

impl StoredRun {
    /// The run in a directory that was just filled.
    pub(crate) fn at(path: &Path) -> Self {
        StoredRun {
            path: path.to_owned(),
        }
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The plan.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is none.
    pub(crate) fn plan(&self) -> Result<Plan, CliError> {
        let path = self.file("plan.json");
        Plan::parse(&read(&path)?)
            .map_err(|e| CliError::bad_input(format!("{}, {e}", path.display())))
    }

    /// The verdict as it was given; `None` if the run did not come to one.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is none.
    pub(crate) fn given_verdict(&self) -> Result<Option<Verdict>, CliError> {
        let path = self.file("verdict.json");
        if !path.exists() {
            return Ok(None);
        }
        Verdict::parse(&read(&path)?).map(Some).map_err(|e| {
            CliError::bad_input(match e {
                VerdictError::Format(e) => format!("{}: {e}", path.display()),
                VerdictError::Json(e) => format!(
                    "{} is no verdict: {e}; remove it, and the verdict is given anew",
                    path.display()
                ),
            })
        })
    }

    /// The verdict, given now if it was not given then.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged.
    pub(crate) fn verdict(&self) -> Result<(Verdict, Tail), CliError> {
        if let Some(verdict) = self.given_verdict()? {
            return Ok((verdict, Tail::Whole));
        }
        output::note(&format!(
            "{} has no verdict.json: the run was ended before its verdict, which is given now",
            self.path.display()
        ));
        let name = self.name();
        if let Some(probe) = self.probe()? {
            return Ok((self.judge_probe(&probe, &name, Tail::Cut)?, Tail::Cut));
        }
        let plan = self.plan()?;
        let verdict = self.judge(&plan, &name, self.reproduce(), Tail::Cut)?;
        Ok((verdict, Tail::Cut))
    }

    /// The command that runs its plan again, as far as its directory tells.
    pub(super) fn reproduce(&self) -> String {
        format!(
            "changeover rehearse --plan {}",
            self.file("plan.json").display()
        )
    }

    /// The name of the run's directory.
    pub(super) fn name(&self) -> String {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        path.file_name().map_or_else(
            || "run".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// Judges the run.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged, with its line.
    pub(crate) fn judge(
        &self,
        plan: &Plan,
        run: &str,
        reproduce: String,
        tail: Tail,
    ) -> Result<Verdict, CliError> {
        let mut judge = Judge::new(plan, run, reproduce);
        self.events(tail, |_| (), |event| judge.event(event))?;
        let judging = std::cell::RefCell::new(&mut judge);
        self.operations(
            tail,
            |header| judging.borrow_mut().header(&header),
            |operation| judging.borrow_mut().operation(operation),
        )?;
        let (verdict, histories) = judge.finish_with_histories("findings/");
        match tail {
            Tail::Whole => self.write_histories(&histories)?,
            // Who only looks at a run that was killed adds nothing to it.
            Tail::Cut => {}
        }
        Ok(verdict)
    }

    /// The same for a probe.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged, with its line.
    pub(crate) fn judge_probe(
        &self,
        probe: &Probe,
        run: &str,
        tail: Tail,
    ) -> Result<Verdict, CliError> {
        let mut judge = ProbeJudge::new(probe, run);
        self.events(tail, |_| (), |event| judge.event(event))?;
        self.operations(tail, |_| (), |operation| judge.operation(operation))?;
        Ok(judge.finish())
    }

    /// Writes the small histories that show the findings.
    fn write_histories(&self, histories: &[SubHistory]) -> Result<(), CliError> {
        if histories.is_empty() {
            return Ok(());
        }
        let place = self.file("findings");
        let unwritable = |e: std::io::Error| {
            CliError::bad_input(format!(
                "cannot write {}: {e}; free some space and judge the run again",
                place.display()
            ))
        };
        fs::create_dir_all(&place).map_err(unwritable)?;
        for (index, history) in histories.iter().enumerate() {
            let file = place.join(history_name(index + 1));
            fs::write(file, history.to_lines()).map_err(unwritable)?;
        }
        Ok(())
    }

    /// What was probed; `None` for a rehearsal.
    fn probe(&self) -> Result<Option<Probe>, CliError> {
        let path = self.file("probe.json");
        if !path.exists() {
            return Ok(None);
        }
        Probe::from_json(&read(&path)?)
            .map(Some)
            .map_err(|e| CliError::bad_input(format!("{}: {e}", path.display())))
    }

    /// The checks that were made of it.
    ///
    /// # Errors
    ///
    /// When what was planned cannot be read.
    pub(crate) fn examined(&self) -> Result<Vec<Check>, CliError> {
        if let Some(probe) = self.probe()? {
            return Ok(probed(&probe));
        }
        let plan = self.own_plan()?;
        Ok(plan.map_or_else(|| EXAMINED.to_vec(), |plan| examined(&plan)))
    }

    /// The plan, if there is one: a probe has none.
    fn own_plan(&self) -> Result<Option<Plan>, CliError> {
        match self.file("plan.json").exists() {
            true => self.plan().map(Some),
            false => Ok(None),
        }
    }

    /// What reports need of the run.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged, with its line.
    pub(crate) fn record(&self, verdict: Verdict, tail: Tail) -> Result<Record, CliError> {
        self.record_of(verdict, self.own_plan()?, tail)
    }

    /// The same, of a run of this plan.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged, with its line.
    pub(super) fn record_of(
        &self,
        verdict: Verdict,
        plan: Option<Plan>,
        tail: Tail,
    ) -> Result<Record, CliError> {
        let mut header = None;
        let mut events = Vec::new();
        self.events(
            tail,
            |h| header = Some(h),
            |event| events.push(event.clone()),
        )?;
        let attached = events
            .iter()
            .any(|event| matches!(event.kind, EventKind::Attached { .. }));
        // All that the tree asks of them is whether they are ours to start.
        let instances = match attached {
            true => Instances::Attached(Vec::new()),
            false => Instances::Unknown,
        };
        let tree = plan
            .as_ref()
            .map_or_else(String::new, |plan| tree::render(plan, &instances));
        let mut record = Record::new(verdict, plan, tree);
        if let Some(header) = header {
            record.header(&header);
        }
        for event in &events {
            record.event(event);
        }
        self.operations(tail, |_| (), |operation| record.operation(operation))?;
        self.logs(&mut record)?;
        self.small_histories(&mut record)?;
        Ok(record)
    }

    fn events(
        &self,
        tail: Tail,
        header: impl FnOnce(event::Header),
        mut take: impl FnMut(&Event),
    ) -> Result<(), CliError> {
        each_line(
            &self.file("events.jsonl"),
            tail,
            |line| event::Header::parse(line).map(header),
            |line| Event::parse(line).map(|event| take(&event)),
        )
    }

    fn operations(
        &self,
        tail: Tail,
        header: impl FnOnce(history::Header),
        mut take: impl FnMut(&Operation),
    ) -> Result<(), CliError> {
        each_line(
            &self.file("history.jsonl"),
            tail,
            |line| history::Header::parse(line).map(header),
            |line| Operation::parse(line).map(|operation| take(&operation)),
        )
    }

    /// The small histories that findings name. A run whose verdict is given only now has no files of them.
    fn small_histories(&self, record: &mut Record) -> Result<(), CliError> {
        for name in record.small_histories() {
            let path = self.file(&name);
            if !path.is_file() {
                continue;
            }
            each_line(
                &path,
                Tail::Whole,
                |line| history::Header::parse(line).map(drop),
                |line| Operation::parse(line).map(|one| record.small_operation(&name, &one)),
            )?;
        }
        Ok(())
    }

    /// The logs of instances, `logs/<slot>.<generation>.log`.
    fn logs(&self, record: &mut Record) -> Result<(), CliError> {
        let Ok(entries) = fs::read_dir(self.file("logs")) else {
            // A run without logs is still a run.
            return Ok(());
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some((slot, generation)) = name
                .strip_suffix(".log")
                .and_then(|stem| stem.rsplit_once('.'))
                .and_then(|(slot, number)| Some((slot, number.parse().ok()?)))
            else {
                continue;
            };
            let mut reader = BufReader::new(open(&path)?);
            let mut line = Vec::new();
            loop {
                line.clear();
                let taken = reader.by_ref().take(LOG_LINE).read_until(b'\n', &mut line);
                match taken {
                    Ok(0) => break,
                    Ok(_) => {
                        record.log_line(slot, generation, String::from_utf8_lossy(&line).trim_end())
                    }
                    Err(e) => return Err(unreadable(&path, &e)),
                }
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &dyn Display) -> CliError {
    CliError::bad_input(format!("cannot read {}: {error}", path.display()))
}

fn read(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|e| unreadable(path, &e))
}

fn open(path: &Path) -> Result<File, CliError> {
    File::open(path).map_err(|e| unreadable(path, &e))
}

/// Calls `header` for the first line, and `read` for each after it.
fn each_line<H: Display, E: Display>(
    path: &Path,
    tail: Tail,
    header: impl FnOnce(&str) -> Result<(), H>,
    mut read: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), CliError> {
    let mut reader = BufReader::with_capacity(1 << 16, open(path)?);
    let mut line = String::new();
    let mut number = 1_u64;
    let damaged = |number: u64, problem: &dyn Display| {
        CliError::bad_input(format!("{}, line {number}: {problem}", path.display()))
    };
    let length = reader
        .read_line(&mut line)
        .map_err(|e| damaged(number, &e))?;
    if length == 0 && tail == Tail::Cut {
        // It was killed before the first lines left its buffer.
        return Ok(());
    }
    header(line.trim_end()).map_err(|e| damaged(number, &e))?;
    loop {
        line.clear();
        number += 1;
        match reader.read_line(&mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => match read(line.trim_end()) {
                // Whoever was killed while writing it did not come to its end.
                Err(_) if tail == Tail::Cut && !line.ends_with('\n') => return Ok(()),
                result => result.map_err(|e| damaged(number, &e))?,
            },
            Err(e) => return Err(damaged(number, &e)),
        }
    }
}
