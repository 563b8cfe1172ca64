//! What workloads that act at moments of a step saw: part of an event.

use crate::workload::WorkloadKind;
use serde::{Deserialize, Serialize};

/// When something was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Before the first step, or right after data was made.
    Start,
    /// The next generation has answered, and catches up.
    CatchUp,
    /// It is ready, and not promoted yet.
    Ready,
    /// Right after its promotion.
    Promoted,
    /// After the step.
    After,
    /// A moment of a newer writer.
    #[serde(other)]
    Unknown,
}

impl Moment {
    /// The moment in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Moment::Start => "at the beginning",
            Moment::CatchUp => "while the next generation caught up",
            Moment::Ready => "when the next generation was ready",
            Moment::Promoted => "right after the promotion",
            Moment::After => "after the step",
            Moment::Unknown => "at some moment",
        }
    }
}

/// What a query answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// Rows.
    Rows {
        /// How many.
        rows: u64,
        /// What tells them from others: the same rows, in the order that the query asks for, have the same.
        digest: String,
        /// The first of them.
        sample: Vec<String>,
    },
    /// No rows: the error.
    Error(String),
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "what",
    rename_all = "kebab-case",
    rename_all_fields = "snake_case"
)]
pub enum Observation {
    /// A statement of the plan's script answered what it must not.
    ScriptWrong {
        /// Its line in the script.
        line: usize,
        /// What was sent.
        sql: String,
        /// What it must answer.
        expected: String,
        /// What it answered.
        found: String,
    },
    /// How often a statement of the plan's script was run, and how that ended.
    ScriptDone {
        /// Its line in the script.
        line: usize,
        /// Answers that were as expected.
        right: u64,
        /// Answers that were not.
        wrong: u64,
        /// Runs without an answer.
        failed: u64,
    },
    /// What a view says of all sets, and their table.
    Agreement {
        /// When.
        moment: Moment,
        /// The view's half of the row.
        view: Vec<Option<String>>,
        /// The table's.
        table: Vec<Option<String>>,
    },
    /// A session that was held over a promotion was asked for something that it had, and said nothing.
    SessionSilent {
        /// What it had.
        state: String,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// A query whose answer must stay the same was asked.
    Query {
        /// Whose.
        workload: WorkloadKind,
        /// Its name.
        query: String,
        /// When.
        moment: Moment,
        /// How long it took from the moment on, tries included.
        ms: f64,
        /// What it answered.
        answered: Answered,
    },
    /// Something that cannot be looked at, because the target has it not.
    Skipped {
        /// Whose.
        workload: WorkloadKind,
        /// What.
        part: String,
        /// What the target said.
        why: String,
    },
    /// An observation of a newer writer.
    #[serde(other)]
    Unknown,
}
