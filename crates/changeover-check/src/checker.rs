//! Judges a history, whoever wrote it.

use crate::findings::Found;
use crate::models::Models;
use crate::processes::{Overlap, Processes};
use crate::search::Answer;
use crate::timeline::Timeline;
use crate::verdict;
use changeover_model::history::{
    Connection, Header, HistoryError, Line, MIXED, Model, Op, Outcome,
};
use changeover_model::verdict::{OperationCounts, VerdictOutcome};
use std::fmt;

/// How the operations are to be judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only the operations of this model; in a history that names no model, the model.
    pub model: Option<Model>,
    /// What transactions must keep to.
    pub consistency: Consistency,
}

/// What transactions must keep to, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Consistency {
    /// One order explains everything, and it keeps to real time.
    #[default]
    StrictSerializable,
    /// One order explains everything.
    Serializable,
    /// Each transaction reads one state, and of two that write the same, one comes after the other.
    SnapshotIsolation,
    /// No transaction reads what was never committed.
    ReadCommitted,
}

impl Consistency {
    /// All, strongest first.
    pub const ALL: [Consistency; 4] = [
        Consistency::StrictSerializable,
        Consistency::Serializable,
        Consistency::SnapshotIsolation,
        Consistency::ReadCommitted,
    ];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Consistency::StrictSerializable => "strict-serializable",
            Consistency::Serializable => "serializable",
            Consistency::SnapshotIsolation => "snapshot-isolation",
            Consistency::ReadCommitted => "read-committed",
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a line, or with the whole.
#[derive(Debug)]
pub enum BadInput {
    /// No operation.
    Line(HistoryError),
    /// The history's model is none that there is.
    UnknownModel(String),
    /// The model that was asked for is not the history's.
    OtherModel {
        /// The history's.
        history: Model,
        /// The one asked for.
        asked: Model,
    },
    /// An operation of a mixed history without its model.
    NoModel,
    /// An operation that its model does not have.
    Misplaced {
        /// The operation.
        op: Op,
        /// The model.
        model: Model,
    },
    /// An operation without a key.
    NoKey,
    /// A `value` of the wrong kind.
    Value {
        /// The operation.
        op: Op,
        /// What it should be.
        expected: &'static str,
    },
    /// A `result` that no server can have given.
    Result {
        /// The operation.
        op: Op,
        /// What it should be.
        expected: &'static str,
    },
    /// A bank without accounts.
    NoAccounts,
    /// A process that did two things at once.
    Overlap(Overlap),
    /// More operations than can be numbered.
    TooMany,
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadInput::Line(error) => write!(f, "{error}"),
            BadInput::UnknownModel(name) => write!(
                f,
                "there is no model {:?}: give one of {}, or mixed",
                changeover_model::text::harmless_cut(name, 40),
                Model::ALL.map(Model::name).join(", ")
            ),
            BadInput::OtherModel { history, asked } => write!(
                f,
                "this is a history of model {history}, not {asked}: leave --model out"
            ),
            BadInput::NoModel => write!(
                f,
                "the history is mixed and this operation has no \"model\": give every operation its own"
            ),
            BadInput::Misplaced { op, model } => {
                let there: Vec<&str> = model.operations().iter().map(|op| op.name()).collect();
                write!(
                    f,
                    "model {model} has no operation {}: it has {}",
                    op.name(),
                    there.join(", ")
                )
            }
            BadInput::NoKey => write!(f, "\"key\" is missing: say what the operation worked on"),
            BadInput::Value { op, expected } => {
                write!(f, "the \"value\" of {} must be {expected}", op.name())
            }
            BadInput::Result { op, expected } => {
                write!(f, "the \"result\" of {} must be {expected}", op.name())
            }
            BadInput::NoAccounts => write!(
                f,
                "a bank needs \"accounts\" in the first line, such as {{\"a\":100}}: what is in them at the beginning"
            ),
            BadInput::Overlap(overlap) => write!(f, "{overlap}"),
            BadInput::TooMany => write!(
                f,
                "more than {} operations: split the history",
                u32::MAX - 1
            ),
        }
    }
}

impl std::error::Error for BadInput {}

impl From<HistoryError> for BadInput {
    fn from(error: HistoryError) -> Self {
        BadInput::Line(error)
    }
}

/// How many configurations may be searched. Steps and not seconds: the same history gets the same answer everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    left: u64,
    shrinking: u64,
}

/// For one key, and as many again as it has operations, twice.
const FOR_ONE: u64 = 500_000;
/// For one try at a smaller history.
const FOR_ONE_TRY: u64 = 50_000;

impl Default for Budget {
    fn default() -> Self {
        Budget {
            left: 40_000_000,
            shrinking: 1_000_000,
        }
    }
}

impl Budget {
    pub(crate) fn for_one(&self, operations: usize) -> u64 {
        self.left.min(FOR_ONE + 2 * operations as u64)
    }

    pub(crate) fn spend(&mut self, used: u64) {
        self.left = self.left.saturating_sub(used);
    }

    pub(crate) fn for_shrinking(&self) -> u64 {
        self.shrinking.min(FOR_ONE_TRY)
    }

    pub(crate) fn spend_shrinking(&mut self, used: u64) {
        self.shrinking = self.shrinking.saturating_sub(used);
    }
}

/// What could not be decided.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    list: Vec<String>,
    more: u64,
}

impl Doubts {
    const LISTED: usize = 3;

    pub(crate) fn add(&mut self, model: Model, key: &str, answer: Answer) {
        let why = match answer {
            Answer::TooManyAtOnce => "too many operations were in flight at once",
            _ => "the search's budget was used up",
        };
        let key = changeover_model::text::harmless_cut(key, 40);
        self.say(format!("{model} key {key} could not be decided: {why}"));
    }

    pub(crate) fn say(&mut self, doubt: String) {
        if self.list.len() < Doubts::LISTED {
            self.list.push(doubt);
        } else {
            self.more += 1;
        }
    }

    /// In a sentence; `None` without doubts.
    pub(crate) fn reason(&self) -> Option<String> {
        let mut list = self.list.clone();
        if self.more > 0 {
            list.push(format!("and {} more", self.more));
        }
        (!list.is_empty()).then(|| list.join("; "))
    }
}

/// What came out of judging a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Fail with a finding; else inconclusive if something could not be decided; else pass.
    pub outcome: VerdictOutcome,
    /// The models of its operations.
    pub models: Vec<ModelReport>,
    /// The operations that were judged.
    pub operations: OperationCounts,
    /// What was found, most severe first.
    pub findings: Vec<Found>,
}

/// What came out for one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelReport {
    /// The model.
    pub model: Model,
    /// Its outcome.
    pub outcome: VerdictOutcome,
    /// Why it is no pass.
    pub reason: Option<String>,
}

/// Takes a history line by line and judges it.
#[derive(Debug)]
pub struct Checker {
    /// The model of all operations; `None` in a mixed history.
    model: Option<Model>,
    options: Options,
    models: Models,
    processes: Processes,
    counts: OperationCounts,
}

impl Checker {
    /// A checker of a history with this first line.
    ///
    /// # Errors
    ///
    /// When the history is of no model that there is, or of another than was asked for.
    pub fn new(header: &Header, options: Options) -> Result<Self, BadInput> {
        let model = match header.model.as_str() {
            MIXED => None,
            name => {
                Some(Model::named(name).ok_or_else(|| BadInput::UnknownModel(name.to_owned()))?)
            }
        };
        if let (Some(history), Some(asked)) = (model, options.model)
            && history != asked
        {
            return Err(BadInput::OtherModel { history, asked });
        }
        if model == Some(Model::Bank) && header.accounts.is_none() {
            return Err(BadInput::NoAccounts);
        }
        Ok(Checker {
            model,
            options,
            models: Models::new(header, options.consistency),
            processes: Processes::default(),
            counts: OperationCounts {
                acknowledged_writes: Some(0),
                ..OperationCounts::default()
            },
        })
    }

    /// Takes a line after the first; `number` is its place in the file, for findings to name it.
    ///
    /// # Errors
    ///
    /// When it is no operation, or one that cannot be in this history.
    pub fn line(&mut self, number: u64, text: &str) -> Result<(), BadInput> {
        let line = Line::parse(text)?;
        self.processes
            .take(&line, number)
            .map_err(BadInput::Overlap)?;
        // Connecting is no operation of a model; past the front door, an answer may be of another state.
        if matches!(line.op, Op::Connect | Op::Query) || line.connection == Some(Connection::Direct)
        {
            return Ok(());
        }
        let model = match (self.model, &line.model) {
            (Some(model), _) => model,
            (None, Some(name)) => Model::named(name)
                .ok_or_else(|| BadInput::UnknownModel(name.clone().into_owned()))?,
            (None, None) => return Err(BadInput::NoModel),
        };
        if !model.operations().contains(&line.op) {
            return Err(BadInput::Misplaced { op: line.op, model });
        }
        if self.options.model.is_some_and(|only| only != model) {
            return Ok(());
        }
        if self.counts.total >= u64::from(u32::MAX) - 1 {
            return Err(BadInput::TooMany);
        }
        self.count(&line);
        self.models.take(model, &line, number)
    }

    fn count(&mut self, line: &Line<'_>) {
        self.counts.total += 1;
        match line.outcome {
            Outcome::Ok => self.counts.ok += 1,
            Outcome::Fail => self.counts.fail += 1,
            Outcome::Unknown => self.counts.unknown += 1,
        }
        if line.outcome == Outcome::Ok && line.op != Op::Read {
            *self.counts.acknowledged_writes.get_or_insert(0) += 1;
        }
    }

    /// The judgement. The timeline says which step and phase a finding belongs to; the default one knows none.
    pub fn finish(self, timeline: &Timeline) -> Report {
        let mut judged = self.models.judge(timeline);
        verdict::sort_found(&mut judged.findings);
        let findings: Vec<_> = judged.findings.iter().map(|f| f.finding.clone()).collect();
        let doubts: Vec<String> = judged
            .models
            .iter()
            .filter(|model| model.outcome == VerdictOutcome::Inconclusive)
            .filter_map(|model| model.reason.clone())
            .collect();
        Report {
            outcome: verdict::outcome(&findings, &doubts),
            models: judged.models,
            operations: self.counts,
            findings: judged.findings,
        }
    }
}
