//! What `changeover probe` was given.

use crate::args::FormatOption;
use crate::duration;
use clap::Args;
use std::path::PathBuf;

/// `changeover probe`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProbeArgs {
    /// The database: postgres://USER@HOST[:PORT][,HOST…]/DATABASE; the password better comes from PGPASSWORD or PGPASSFILE
    // A list, so that the parser never quotes a second one: there may be a password in it.
    #[arg(value_name = "URL", num_args = 0..)]
    pub(crate) urls: Vec<String>,

    /// How long to measure, such as 10m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) lasts: Option<f64>,

    #[command(flatten)]
    pub(crate) lanes: LaneOptions,

    #[command(flatten)]
    pub(crate) writes: WriteOptions,

    #[command(flatten)]
    pub(crate) budgets: BudgetOptions,

    #[command(flatten)]
    pub(crate) beside: BesideOptions,

    /// Read the password from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Begin when the endpoint answers, if that takes no longer than this [default: it must answer at once]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) wait: Option<f64>,

    /// The run's directory, new or empty [default: .changeover/runs/<UTC time>-<6 hex>]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) format: FormatOption,
}

/// What is asked, and how often.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Lanes")]
pub(crate) struct LaneOptions {
    /// How often each lane asks [default: so that all lanes together ask 20 times a second]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) probe_interval: Option<f64>,

    /// How long an operation may take, connecting included
    #[arg(long, value_name = "DURATION", default_value = "2s", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) timeout: f64,

    /// How long connecting to one of several hosts may take [default: its share of the operation's time]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) connect_timeout: Option<f64>,

    /// A query of your own, such as one of a view: it has a lane to itself (repeatable)
    #[arg(long, value_name = "QUERY")]
    pub(crate) sql: Vec<String>,

    /// What must come back from --sql, in their order: columns with | between them, rows with a newline (repeatable)
    #[arg(
        long,
        value_name = "TEXT",
        requires = "sql",
        allow_hyphen_values = true
    )]
    pub(crate) sql_expect: Vec<String>,

    /// An HTTP endpoint: it has two lanes, with connections that are kept and new ones (repeatable)
    #[arg(long, value_name = "URL")]
    pub(crate) http: Vec<String>,

    /// The status that --http must answer with [default: any 2xx]
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(100..=599))]
    pub(crate) http_status: Option<u16>,

    /// What the answer's body must contain
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) http_body: Option<String>,
}

/// What is written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Writes")]
pub(crate) struct WriteOptions {
    /// Write nothing, and read nothing but SELECT 1 and your own queries
    #[arg(long, conflicts_with_all = ["write_table", "keep_table"])]
    pub(crate) read_only: bool,

    /// The table that is created, written to and dropped: NAME or SCHEMA.NAME [default: changeover_probe]
    #[arg(long, value_name = "NAME")]
    pub(crate) write_table: Option<String>,

    /// Leave the table and what was written
    #[arg(long)]
    pub(crate) keep_table: bool,
}

/// What clients may notice.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Budgets")]
pub(crate) struct BudgetOptions {
    /// The longest gap in writes that passes, such as 2s [default: any]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) max_write_gap: Option<f64>,

    /// The longest gap in reads that passes, those of --sql and --http too [default: any]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) max_read_gap: Option<f64>,

    /// The longest gap in connecting that passes [default: any]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::milliseconds)]
    pub(crate) max_connect_gap: Option<f64>,
}

/// What is put on record besides.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Beside the gaps")]
pub(crate) struct BesideOptions {
    /// Record what this leader API says, such as that of http://host:6878 (repeatable: one a generation)
    #[arg(long, value_name = "URL")]
    pub(crate) leader_api: Vec<String>,

    /// Take every line that is added to this file as a marker; SIGUSR1 makes one, too
    #[arg(long, value_name = "FILE")]
    pub(crate) marker_file: Option<PathBuf>,
}
