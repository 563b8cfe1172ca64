//! What was typed: validated one option at a time, and nothing more. What it means together is worked out in
//! [`crate::planning`].

use crate::duration;
use changeover_model::Date;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

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
    /// Show what a rehearsal would do, or save it to a file.
    Plan(PlanArgs),
    /// List the versions of a target.
    Releases(ReleasesArgs),
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
    Serve(changeover_reference::ServeArgs),
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
    /// What is upgraded
    #[arg(long, default_value = "reference", value_name = "NAME")]
    pub(crate) target: String,
}

/// `--releases`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReleasesOption {
    /// What was published since: a helm index.yaml, a list of image tags, or what git tag prints
    #[arg(long, value_name = "FILE")]
    pub(crate) releases: Option<PathBuf>,
}

/// Everything that goes into a plan.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanOptions {
    #[command(flatten)]
    pub(crate) target: TargetOption,

    /// Take this saved plan as it is, instead of making one
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "target", "runtime", "versions", "strategy", "seed", "rate", "clients", "probe_interval",
        "max_write_gap", "max_read_gap", "max_connect_gap", "instance_arg",
    ])]
    pub(crate) plan: Option<PathBuf>,

    /// Where instances run [default: the target's]
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,

    /// The upgrade path, or its candidates, oldest first: a comma-separated list such as v0.1.0,current
    #[arg(long, value_name = "LIST")]
    pub(crate) versions: Option<String>,

    /// How the path is drawn: linear (every candidate), direct (first to last) or versions (exactly --versions)
    /// [default: versions if any are given, else linear]
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,

    /// The seed of everything random: an integer, or str:TEXT [default: 1]
    #[arg(long, value_name = "SEED", allow_hyphen_values = true)]
    pub(crate) seed: Option<String>,

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

    /// The metadata store that all generations share: sqlite (a new one), or sqlite:PATH
    #[arg(long, value_name = "STORE")]
    pub(crate) metadata_store: Option<MetadataStore>,

    /// An argument that every instance gets besides its own (repeatable)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, hide = true)]
    pub(crate) instance_arg: Vec<String>,
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

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// `changeover plan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) plan: PlanOptions,

    /// Write the plan to this new file too
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// `changeover releases`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReleasesArgs {
    #[command(flatten)]
    pub(crate) target: TargetOption,

    #[command(flatten)]
    pub(crate) releases: ReleasesOption,

    /// Only versions released since then: YYYY, YYYY-MM or YYYY-MM-DD
    #[arg(long, value_name = "DATE", value_parser = since)]
    pub(crate) since: Option<Date>,

    /// Only versions that may be used
    #[arg(long)]
    pub(crate) usable: bool,

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
                kind: kind.to_owned(),
                location: Some(location.to_owned()),
            }),
        }
    }
}

fn whole_number(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| "not a whole number of that size".to_owned())
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
