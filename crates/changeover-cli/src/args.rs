//! What was typed: validated one option at a time, and nothing more. What it means together is worked out in
//! [`crate::planning`].

mod stored;

use crate::commands::probe::ProbeArgs;
use crate::{duration, target_file};
use changeover_check::Consistency;
use changeover_model::Date;
use changeover_model::history::Model;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub(crate) use stored::{
    ReportArgs, ReportFormat, RunsAction, RunsArgs, RunsDiffArgs, RunsFilter, RunsPruneArgs,
};

/// Rehearses zero-downtime upgrades of stateful services, and says with evidence whether anybody noticed.
#[derive(Debug, Parser)]
// Nothing at all is a mistake like any other: one sentence, not a page.
#[command(name = "changeover", version, arg_required_else_help = false)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands that are built.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an upgrade path while clients read and write, and judge what they saw.
    Rehearse(RehearseArgs),
    /// Measure an endpoint while somebody else upgrades it.
    Probe(ProbeArgs),
    /// Show what a rehearsal would do, or save it to a file.
    Plan(PlanArgs),
    /// List the versions of a target.
    Releases(ReleasesArgs),
    /// Find the shortest legal way from one version to another, and say why it is that.
    Route(RouteArgs),
    /// Show a stored run: for people, for CI, for a pull request, or as one HTML file.
    Report(ReportArgs),
    /// List the runs there were, compare two of them, remove old ones.
    Runs(RunsArgs),
    /// Judge recorded histories, of a rehearsal or of any other tool.
    Check(CheckArgs),
    /// List the scenarios that a rehearsal can have.
    Scenarios(ScenariosArgs),
    /// Remove what a rehearsal left behind that was killed.
    Cleanup(CleanupArgs),
    /// Check what this machine offers, and say what is missing for what.
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Run the reference database.
    #[command(subcommand)]
    Reference(ReferenceCommand),
}

/// `changeover reference`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReferenceCommand {
    /// Serve one instance of it.
    Serve(Box<changeover_reference::ServeArgs>),
    /// List the bugs that it has on request, and which check must find each.
    Bugs(FormatOption),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON document, and nothing else.
    Json,
}

/// `--format`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FormatOption {
    /// How the result is printed on standard output
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// `--target`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TargetOption {
    /// What is upgraded: a built-in target, or one described in a file [default: reference]
    #[arg(long, value_name = "NAME|FILE.toml")]
    target: Option<String>,
}

impl TargetOption {
    /// What was given, if anything.
    pub(crate) fn given(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The file that was given, if one was.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.given().and_then(target_file::path)
    }

    /// What was given, or else the default.
    pub(crate) fn name(&self) -> &str {
        self.given().unwrap_or("reference")
    }
}

/// `--target` and `--releases`.
#[derive(Debug, Clone, Args)]
pub(crate) struct KnowledgeOptions {
    #[command(flatten)]
    pub(crate) target: TargetOption,

    /// What was published since: a helm index.yaml, a list of image tags, or what git tag prints
    #[arg(long, value_name = "FILE")]
    pub(crate) releases: Option<PathBuf>,
}

/// What hops are judged by.
#[derive(Debug, Clone, Args)]
pub(crate) struct LegalityOptions {
    /// The rule sets that must allow every hop, such as documentation,operator [default: the target's]
    #[arg(long, value_name = "LIST")]
    pub(crate) rules: Option<String>,

    /// What the version built from local source is [default: as the newest usable version]
    #[arg(long, value_name = "VERSION")]
    pub(crate) current_version: Option<String>,
}

/// Everything that goes into a plan.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanOptions {
    #[command(flatten)]
    pub(crate) knowledge: KnowledgeOptions,

    /// Take this saved plan as it is, instead of making one; that of a target in a file needs --target with it
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "runtime", "versions", "strategy", "seed", "rate", "clients", "probe_interval",
        "workload", "max_write_gap", "max_read_gap", "max_connect_gap", "instance_arg", "from", "to", "rng", "probability",
        "max_versions", "scenario", "first", "last", "then", "rules", "allow_restart", "current_version",
        "system_parameter", "system_parameters", "allow_unknown_parameters", "image_repository",
        "fault", "faults", "abort_at", "after_abort", "find_point_of_no_return", "repeat", "control",
    ])]
    pub(crate) plan: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) path: PathOptions,

    #[command(flatten)]
    pub(crate) legality: LegalityOptions,

    #[command(flatten)]
    pub(crate) service: ServiceOptions,

    #[command(flatten)]
    pub(crate) load: LoadOptions,

    #[command(flatten)]
    pub(crate) faults: FaultOptions,

    #[command(flatten)]
    pub(crate) series: SeriesOptions,

    /// The seed of everything random: an integer, or str:TEXT [default: 1; where a path or parameters are drawn, a new one, which is printed]
    #[arg(long, value_name = "SEED", allow_hyphen_values = true)]
    pub(crate) seed: Option<String>,
}

/// The upgrade path.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Upgrade path")]
pub(crate) struct PathOptions {
    /// The upgrade path, or its candidates, oldest first: a comma-separated list such as v0.1.0,current
    #[arg(long, value_name = "LIST")]
    pub(crate) versions: Option<String>,

    /// How the path is made: linear (every candidate), direct (first to last), versions (exactly --versions), random (some candidates) or route (--from, --to) [default: by what is given, else linear]
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,

    /// Go by the shortest legal route from this version
    #[arg(long, value_name = "VERSION", requires = "to")]
    pub(crate) from: Option<String>,

    /// Go by the shortest legal route to this version
    #[arg(long, value_name = "VERSION", requires = "from")]
    pub(crate) to: Option<String>,

    /// The generator of a random path: chacha, or python for what Python's random.Random(seed) draws [default: chacha]
    #[arg(long, value_name = "NAME")]
    pub(crate) rng: Option<String>,

    /// The probability that a random path keeps a candidate [default: 0.5]
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    pub(crate) probability: Option<f64>,

    /// The most versions that are drawn; stops filled in between and --then do not count [default: no limit]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = whole_number)]
    pub(crate) max_versions: Option<i64>,

    /// The version that a random path begins with
    #[arg(long, value_name = "VERSION")]
    pub(crate) first: Option<String>,

    /// The version that a random path ends with
    #[arg(long, value_name = "VERSION")]
    pub(crate) last: Option<String>,

    /// Versions that follow on the path, such as current
    #[arg(long, value_name = "LIST")]
    pub(crate) then: Option<String>,

    /// What is done before, during and after the upgrades, and the path that goes with it; see changeover scenarios
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Option<String>,

    /// Plan an illegal hop all the same, as a finding of the plan
    #[arg(long)]
    pub(crate) allow_illegal: bool,

    /// Let a version follow itself on the path: a restart
    #[arg(long)]
    pub(crate) allow_restart: bool,
}

/// What instances are started with.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Services")]
pub(crate) struct ServiceOptions {
    /// Where instances run [default: the target's]
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,

    /// The metadata store that all generations share, such as sqlite or postgres (a new one), sqlite:PATH or postgres://user@host/database [default: the target's]
    #[arg(long, value_name = "STORE")]
    pub(crate) metadata_store: Option<MetadataStore>,

    /// Where images are, without a tag [default: the target's]
    #[arg(long, value_name = "NAME")]
    pub(crate) image_repository: Option<String>,

    /// The system parameters of the path's first version that every service gets: minimal, default, or random (from the seed) [default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) system_parameters: Option<String>,

    /// A system parameter that wins over those (repeatable)
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub(crate) system_parameter: Vec<String>,

    /// Give system parameters that the target is not known to have
    #[arg(long)]
    pub(crate) allow_unknown_parameters: bool,

    /// An argument that every instance gets besides its own (repeatable)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, hide = true)]
    pub(crate) instance_arg: Vec<String>,
}

/// What clients do, and what they may notice.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load and budgets")]
pub(crate) struct LoadOptions {
    /// What clients do, several of: set, register, counter, bank, append, session, ddl, objects=FILE, script=FILE, aged [default: set]
    #[arg(long, value_name = "LIST")]
    pub(crate) workload: Vec<String>,

    /// Workload operations a second, over all clients [default: the target's]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = whole_number)]
    pub(crate) rate: Option<i64>,

    /// Workload clients [default: the target's]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = whole_number)]
    pub(crate) clients: Option<i64>,

    /// How often each lane measures availability, such as 10ms [default: the target's]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) probe_interval: Option<f64>,

    /// The longest gap in writes that passes, such as 1s [default: the target's]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) max_write_gap: Option<f64>,

    /// The longest gap in reads that passes [default: the target's]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) max_read_gap: Option<f64>,

    /// The longest gap in connecting that passes [default: the target's]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) max_connect_gap: Option<f64>,
}

/// What is broken on purpose, and where upgrades are called off.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Faults and calling off")]
pub(crate) struct FaultOptions {
    /// Break something at a point of a step (repeatable): [STEP:]SUBJECT:ACTION@POINT[+DELAY], such as new:kill@ready, 2:old:pause:2s@promote-sent+50ms or link(new,metadata-store):cut:2s@catching-up
    #[arg(long, value_name = "FAULT")]
    pub(crate) fault: Vec<String>,

    /// Break so many more things, drawn from the seed: random:N
    #[arg(long, value_name = "random:N")]
    pub(crate) faults: Option<String>,

    /// Call each upgrade, or that of one step, off at this point, see that nobody noticed, and try again with a higher generation
    #[arg(
        long,
        value_name = "[STEP:]POINT",
        conflicts_with = "find_point_of_no_return"
    )]
    pub(crate) abort_at: Option<String>,

    /// What comes after an upgrade that was called off: retry (the same version), or go-on (the next one) [default: retry]
    #[arg(long, value_name = "WORD", requires = "abort_at")]
    pub(crate) after_abort: Option<String>,

    /// Call each upgrade off at one point after the other, and report the last at which that still works
    #[arg(long)]
    pub(crate) find_point_of_no_return: bool,
}

/// How often a plan is run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several runs")]
pub(crate) struct SeriesOptions {
    /// Run the plan so many times, one after the other, and report medians with their ranges
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = whole_number)]
    pub(crate) repeat: Option<i64>,

    /// Run it as often with restarts of its last version instead of upgrades, and report what differs by more than noise
    #[arg(long)]
    pub(crate) control: bool,
}

/// `changeover rehearse`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RehearseArgs {
    #[command(flatten)]
    pub(crate) plan: PlanOptions,

    /// The run's directory, new or empty [default: .changeover/runs/<UTC time>-<6 hex>]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Where the front door listens, such as 127.0.0.1:5433 [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// Show nothing but the end
    #[arg(long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Show a line for every event, also on a terminal
    #[arg(long)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) machine: MachineOptions,

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// What this machine has for instances. None of it is in a plan.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "This machine")]
pub(crate) struct MachineOptions {
    /// Where programs are, a directory for each version; then instances run as processes
    #[arg(long, value_name = "DIR")]
    pub(crate) binaries: Option<PathBuf>,

    /// The image of the version built from local source
    #[arg(long, value_name = "IMAGE", conflicts_with = "current_build")]
    pub(crate) current_image: Option<String>,

    /// A program and its arguments, without a shell, that build that image and print its name in their last line
    #[arg(long, value_name = "COMMAND")]
    pub(crate) current_build: Option<String>,

    /// The image of the metadata store's container, which takes what Docker's official PostgreSQL image takes [default: postgres:17]
    #[arg(long, value_name = "IMAGE")]
    pub(crate) metadata_store_image: Option<String>,

    /// Where instances keep their data beside the metadata store, as an address that they know [default: a volume or directory of the run]
    #[arg(long, value_name = "URL")]
    pub(crate) blob_store: Option<String>,

    /// The checks that a scenario does: a directory for each, with initialize.sql, manipulate-1.sql, manipulate-2.sql and validate.sql, or programs of these names [default: a built-in one]
    #[arg(long, value_name = "DIR")]
    pub(crate) checks: Option<PathBuf>,

    /// The file with the licence key [default: what MZ_LICENSE_KEY says, a key or a file]
    #[arg(long, value_name = "FILE")]
    pub(crate) licence_key: Option<PathBuf>,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum PlanFormat {
    /// A tree, for people.
    #[default]
    Human,
    /// plan.json, and nothing else.
    Json,
    /// The services' arguments alone, as the Python module's users know them.
    Args,
    /// A compose.yaml for walking through the upgrade by hand; with --save DIR a script of the calls, too.
    Compose,
}

/// `changeover plan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) plan: PlanOptions,

    /// Write the plan to this new file too; with --format compose, to this new directory
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) save: Option<PathBuf>,

    /// How the plan is printed on standard output
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: PlanFormat,
}

/// `changeover route`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RouteArgs {
    #[command(flatten)]
    pub(crate) knowledge: KnowledgeOptions,

    /// The version that runs
    #[arg(value_name = "FROM")]
    pub(crate) from: String,

    /// The version to get to
    #[arg(value_name = "TO")]
    pub(crate) to: String,

    #[command(flatten)]
    pub(crate) legality: LegalityOptions,

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// `changeover releases`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReleasesArgs {
    #[command(flatten)]
    pub(crate) knowledge: KnowledgeOptions,

    /// Only versions released since then: YYYY, YYYY-MM or YYYY-MM-DD
    #[arg(long, value_name = "DATE", value_parser = since)]
    pub(crate) since: Option<Date>,

    /// Only versions that may be used
    #[arg(long)]
    pub(crate) usable: bool,

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// `changeover check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArgs {
    /// The histories, or the directories of runs
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Judge only the operations of this model: register, set, counter, append or bank
    #[arg(long, value_name = "MODEL", value_parser = model)]
    pub(crate) model: Option<Model>,

    /// What transactions must keep to: strict-serializable, serializable, snapshot-isolation or read-committed [default: strict-serializable]
    #[arg(long, value_name = "NAME", value_parser = consistency)]
    pub(crate) consistency: Option<Consistency>,

    /// Where the small histories that show the findings are written, new or empty [default: .changeover/checks/<UTC time>-<6 hex>]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// `changeover scenarios`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScenariosArgs {
    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// `changeover cleanup`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CleanupArgs {
    /// The runs' directories [default: every run under .changeover/runs]
    #[arg(value_name = "RUN_DIR")]
    pub(crate) runs: Vec<PathBuf>,
}

/// `changeover doctor`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// `changeover completions`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A kind of metadata store, and where it lies if that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataStore {
    /// The kind, such as `sqlite`; whether there is such a kind is the planner's to say.
    pub(crate) kind: String,
    /// Where it lies; `None` for a new one that belongs to the run.
    pub(crate) location: Option<String>,
}

impl FromStr for MetadataStore {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None => Ok(MetadataStore {
                kind: text.to_owned(),
                location: None,
            }),
            Some((_, "")) => Err("the place behind the colon is missing, as in sqlite:PATH".into()),
            Some((kind, location)) => Ok(MetadataStore {
                // PostgreSQL's own programs take both.
                kind: match kind {
                    "postgresql" => "postgres",
                    kind => kind,
                }
                .to_owned(),
                location: Some(location.to_owned()),
            }),
        }
    }
}

fn whole_number(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| "not a whole number of that size".to_owned())
}

fn model(text: &str) -> Result<Model, String> {
    Model::named(text).ok_or_else(|| {
        let names = Model::ALL.map(Model::name).join(", ");
        format!("no such model, give one of {names}")
    })
}

fn consistency(text: &str) -> Result<Consistency, String> {
    let found = Consistency::ALL.into_iter().find(|c| c.name() == text);
    found.ok_or_else(|| {
        let names = Consistency::ALL.map(Consistency::name).join(", ");
        format!("no such consistency, give one of {names}")
    })
}

fn since(text: &str) -> Result<Date, String> {
    Date::first_of(text).map_err(|error| format!("no such day, give {}", error.expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_contradict_nobody() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_metadata_store_is_a_kind_and_perhaps_a_place() {
        let store = |text: &str| text.parse::<MetadataStore>();
        assert_eq!(store("sqlite").unwrap().location, None);
        let placed = store("sqlite:/a:b").unwrap();
        assert_eq!(
            (placed.kind.as_str(), placed.location.as_deref()),
            ("sqlite", Some("/a:b"))
        );
        assert!(store("sqlite:").is_err());
    }
}
