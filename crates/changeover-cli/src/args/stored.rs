//! What was typed about runs that are stored: `report` and `runs`.

use super::{FormatOption, since};
use changeover_model::Date;
use changeover_model::check::Check;
use changeover_model::nearest::suggestion;
use changeover_model::verdict::VerdictOutcome;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// How a stored run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    #[default]
    Human,
    /// verdict.json, and nothing else.
    Json,
    /// JUnit's XML, for CI: a case a step and a check.
    Junit,
    /// One HTML file that needs nothing else.
    Html,
    /// Markdown, for a pull request.
    Markdown,
}

/// `changeover report`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// The run's directory, its name in .changeover/runs, or latest
    #[arg(value_name = "RUN")]
    pub(crate) run: String,

    /// How the run is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: ReportFormat,

    /// Write it to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `--dir`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunsDir {
    /// Where the runs are
    #[arg(long, value_name = "DIR", default_value = crate::run::RUNS)]
    pub(crate) dir: PathBuf,
}

/// `changeover runs`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<RunsAction>,

    #[command(flatten)]
    pub(crate) filter: RunsFilter,

    /// Only the newest so many
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<usize>,

    #[command(flatten)]
    pub(crate) dir: RunsDir,

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// What is done with runs besides listing them.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RunsAction {
    /// Compare two runs: phases, gaps, percentiles, and whether they differ by more than noise.
    Diff(RunsDiffArgs),
    /// Remove the directories of old runs; their figures stay known.
    Prune(RunsPruneArgs),
}

/// Which runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunsFilter {
    /// Only runs with this outcome
    #[arg(long, value_enum, value_name = "OUTCOME")]
    pub(crate) outcome: Option<OutcomeName>,

    /// Only runs of this target
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,

    /// Only runs whose path has this version
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,

    /// Only runs in which this check found something, such as lost-write
    #[arg(long, value_name = "CHECK", value_parser = check_name)]
    pub(crate) check: Option<String>,

    /// Only runs since then: YYYY, YYYY-MM or YYYY-MM-DD
    #[arg(long, value_name = "DATE", value_parser = since)]
    pub(crate) since: Option<Date>,
}

/// The word of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutcomeName {
    /// Nobody noticed.
    Pass,
    /// Somebody did.
    Fail,
    /// It cannot be told.
    Inconclusive,
}

impl OutcomeName {
    /// The outcome.
    pub(crate) fn outcome(self) -> VerdictOutcome {
        match self {
            OutcomeName::Pass => VerdictOutcome::Pass,
            OutcomeName::Fail => VerdictOutcome::Fail,
            OutcomeName::Inconclusive => VerdictOutcome::Inconclusive,
        }
    }
}

/// `changeover runs diff`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunsDiffArgs {
    /// The first run: its name, its directory, or latest
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// The second run
    #[arg(value_name = "B")]
    pub(crate) b: String,

    /// Show every figure, not only those that differ by more than noise
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) dir: RunsDir,

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// `changeover runs prune`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunsPruneArgs {
    /// Keep the newest so many
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,

    /// Remove only runs before then: YYYY, YYYY-MM or YYYY-MM-DD
    #[arg(long, value_name = "DATE", value_parser = since)]
    pub(crate) before: Option<Date>,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) dir: RunsDir,
}

fn check_name(text: &str) -> Result<String, String> {
    let names = Check::ALL.iter().map(|check| check.name());
    match names.clone().any(|name| name == text) {
        true => Ok(text.to_owned()),
        false => Err(format!("no such check, {}", suggestion(text, names))),
    }
}
