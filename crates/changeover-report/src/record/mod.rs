//! What a report needs of a run, gathered from the lines of its files.
//!
//! [`Record`] takes the events first, then the operations, then the lines of the logs, each as they are read. It keeps
//! as much as a page can show and no more: its memory does not grow with the number of operations. Counts are exact;
//! of the operations themselves it keeps every one of a short run, and of a long run for every little while the
//! slowest and those without success.

mod axis;
mod cloud;
mod log;
mod small;
mod story;
mod time;

pub(crate) use cloud::Cloud;
pub(crate) use small::SmallHistory;
pub(crate) use story::{Need, Story, Stretch};

use axis::Axis;
use changeover_model::event::{Event, Header};
use changeover_model::history::Operation;
use changeover_model::plan::Plan;
use changeover_model::verdict::Verdict;
use log::Logs;
use small::SmallHistories;
use std::collections::BTreeSet;

/// Nanoseconds in a microsecond, the unit of a page's times.
pub(crate) const MICRO: u64 = 1_000;

/// A run, as far as reports show it.
#[derive(Debug)]
pub struct Record {
    pub(crate) verdict: Verdict,
    pub(crate) plan: Option<Plan>,
    pub(crate) tree: String,
    pub(crate) clock_zero: Option<String>,
    pub(crate) story: Story,
    pub(crate) cloud: Option<Cloud>,
    pub(crate) logs: Logs,
    pub(crate) small: SmallHistories,
}

impl Record {
    /// The record of a run with this verdict and plan; `tree` is the plan as people read it.
    pub fn new(verdict: Verdict, plan: Option<Plan>, tree: String) -> Self {
        Record {
            verdict,
            plan,
            tree,
            clock_zero: None,
            story: Story::default(),
            cloud: None,
            logs: Logs::default(),
            small: SmallHistories::default(),
        }
    }

    /// Replaces the verdict.
    pub fn judged_anew(&mut self, verdict: Verdict) {
        self.verdict = verdict;
    }

    /// Takes the header of the events.
    pub fn header(&mut self, header: &Header) {
        self.logs.zero(&header.clock_zero);
        self.clock_zero = Some(header.clock_zero.clone());
    }

    /// Takes an event, in their order.
    pub fn event(&mut self, event: &Event) {
        self.story.event(event);
    }

    /// Takes an operation. All events must have been taken.
    pub fn operation(&mut self, operation: &Operation) {
        let (story, verdict) = (&self.story, &self.verdict);
        self.cloud
            .get_or_insert_with(|| {
                let steps: Vec<Stretch> = story.steps.iter().map(|step| step.span).collect();
                Cloud::new(Axis::new(story.end, &steps), verdict.operations.total)
            })
            .operation(operation);
    }

    /// Takes a line of an instance's log, in their order.
    pub fn log_line(&mut self, slot: &str, generation: u64, line: &str) {
        self.logs.line(slot, generation, line);
    }

    /// The files of the small histories that show findings, relative to the run's directory, each once. What is in
    /// them is taken by [`Record::small_operation`].
    pub fn small_histories(&self) -> BTreeSet<String> {
        let findings = self.verdict.findings.iter();
        let files = findings.filter_map(small::file);
        files.map(str::to_owned).collect()
    }

    /// Takes an operation of the small history in that file, in their order.
    pub fn small_operation(&mut self, file: &str, operation: &Operation) {
        self.small.operation(file, operation);
    }

    /// The verdict.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The moment at which the run's clock was zero, RFC 3339.
    pub fn clock_zero(&self) -> Option<&str> {
        self.clock_zero.as_deref()
    }

    /// The last moment there is anything to show of, in nanoseconds.
    pub(crate) fn end(&self) -> u64 {
        let operations = self.cloud.as_ref().map_or(0, |cloud| cloud.last);
        self.story.end.max(operations).max(1)
    }
}
