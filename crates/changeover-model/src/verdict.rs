//! `verdict.json`: the judgement of a run.

use crate::check::{Check, Severity};
use crate::event::Phase;
use crate::fault::{Expectation, Fault, Point};
use crate::figure::Spread;
use crate::format::{FormatError, Kind};
use crate::history::{Class, Connection};
use crate::probe::ProbeReport;
use crate::version::PathVersion;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The judgement of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// `changeover.verdict/1`.
    pub format: String,
    /// Pass, fail or inconclusive.
    pub outcome: VerdictOutcome,
    /// Why it is not a pass, a sentence each; empty for a pass.
    pub reasons: Vec<String>,
    /// The run's name.
    pub run: String,
    /// The plan's seed.
    pub seed: String,
    /// The plan's target.
    pub target: String,
    /// The plan's runtime.
    pub runtime: String,
    /// The plan's path.
    pub path: Vec<PathVersion>,
    /// What clients saw, step by step.
    pub steps: Vec<StepReport>,
    /// What the checks found, most severe first.
    pub findings: Vec<Finding>,
    /// The budgets and what was measured against them.
    pub budgets: Vec<BudgetReport>,
    /// How many operations there were.
    pub operations: OperationCounts,
    /// What was broken on purpose, and what came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultReport>,
    /// The last points at which upgrades could be called off; only of a run that called them off at each point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub point_of_no_return: Vec<PointOfNoReturn>,
    /// What became of each run, where the plan was run several times; the rest is then of the run that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatReport>,
    /// What restarts of one version cost instead of the upgrades, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlReport>,
    /// What was asked for and left out, because the target has not what it needs, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// The command that runs the same plan again.
    pub reproduce: String,
    /// What a probe saw besides; `None` for rehearsals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeReport>,
}

/// The word of a verdict, the better one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictOutcome {
    /// Nobody noticed beyond the budgets.
    Pass,
    /// A reason for doubt, and nothing proven.
    Inconclusive,
    /// A finding of severity error.
    Fail,
}

impl fmt::Display for VerdictOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VerdictOutcome::Pass => "pass",
            VerdictOutcome::Fail => "fail",
            VerdictOutcome::Inconclusive => "inconclusive",
        })
    }
}

/// One step as clients saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// 1 for the first.
    pub number: u32,
    /// The version that led before.
    pub from: PathVersion,
    /// The version that led after.
    pub to: PathVersion,
    /// The new service's slot.
    pub service: String,
    /// The new service's deploy generation.
    pub deploy_generation: u64,
    /// The phases that were reached, in order.
    pub phases: Vec<PhaseReport>,
    /// The gaps, a row a lane.
    pub gaps: Vec<GapReport>,
    /// Where it was called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_off: Option<CallOffReport>,
    /// How old the answers of reads were.
    pub freshness: FreshnessReport,
    /// Latencies of the lanes, before, during and after.
    pub latency: Vec<LatencyReport>,
}

/// How long a phase took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// The phase.
    pub name: Phase,
    /// Its length in milliseconds; `None` if it did not end.
    pub ms: Option<f64>,
}

/// The gaps of one lane in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GapReport {
    /// The lane's class.
    pub class: Class,
    /// The lane's kind of connection.
    pub connection: Connection,
    /// The longest span without a success, in milliseconds, whether it counts as a gap or not; `None` without
    /// any success to measure from.
    pub longest_ms: Option<f64>,
    /// The sum of all that count as gaps, in milliseconds.
    pub total_ms: f64,
    /// How many count as gaps.
    pub count: u64,
    /// The longest that no fault explains, in milliseconds, which is what budgets are about; absent where no fault
    /// explains any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexplained_ms: Option<f64>,
    /// How finely `longest_ms` was measured, in milliseconds.
    pub resolution_ms: f64,
    /// A lane of the user's own, such as `sql-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// When they were: the gaps, longest first, at most [`LISTED_SPANS`]; where nothing counts as a gap, the longest
    /// span alone. Absent in verdicts written before this was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<GapSpan>,
}

/// So many gaps of a lane in a step are listed with their times.
pub const LISTED_SPANS: usize = 20;

/// A span without a success, in milliseconds since the run's zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GapSpan {
    /// The intended send of the last success before it.
    pub from_ms: f64,
    /// The first success after it.
    pub to_ms: f64,
    /// The fault that explains it; absent if the upgrade caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// A fault of the plan, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultReport {
    /// Which.
    pub fault: Fault,
    /// The step it belongs to.
    pub step: u32,
    /// What had to come of it.
    pub expected: Expectation,
    /// The state of its subject before, in words; empty if it did not happen.
    pub before: String,
    /// The state of its subject when it was over, in words; empty if it did not happen.
    pub after: String,
    /// What shows that it took effect; empty if nothing does.
    pub evidence: Vec<String>,
    /// What came of it.
    pub outcome: FaultOutcome,
    /// Why it is not `held`, a sentence; empty if it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What came of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultOutcome {
    /// It took effect, and what was expected came of it.
    Held,
    /// Nothing shows that it took effect.
    Missed,
    /// It took effect, and something else came of it.
    Broken,
}

impl fmt::Display for FaultOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultOutcome::Held => "held",
            FaultOutcome::Missed => "missed",
            FaultOutcome::Broken => "broken",
        })
    }
}

/// A step that was called off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallOffReport {
    /// Where.
    pub point: Point,
    /// Whether the leader and its clients did not notice, nothing is lost, and the old one could start again.
    pub worked: bool,
    /// Why it did not, a sentence; empty if it did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Until when an upgrade could be called off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointOfNoReturn {
    /// The number of the step that went through in the end.
    pub step: u32,
    /// The last point at which calling it off still worked, with all data; `None` if it never did.
    pub point: Option<Point>,
    /// The first at which it did not; `None` if it always did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_at: Option<Point>,
    /// The same in a sentence.
    pub sentence: String,
}

/// The runs of a plan that was run several times, by their directories `1`, `2` and so on in that of the series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepeatReport {
    /// Each run, in order.
    pub runs: Vec<RunReport>,
    /// The run that decides: of those with the worst outcome the one with the longest write gap. Steps, findings and
    /// faults of the verdict are its.
    pub decides: String,
    /// The figures of the steps over all runs.
    pub figures: Vec<FigureReport>,
}

/// The same plan with restarts of its last version instead of upgrades, by their directories `control-1` and so on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlReport {
    /// The version that was restarted.
    pub version: PathVersion,
    /// Each run, in order.
    pub runs: Vec<RunReport>,
    /// The figures over all steps of all runs, which are all the same hop.
    pub figures: Vec<FigureReport>,
}

/// One run of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Its directory in that of the series.
    pub run: String,
    /// Its outcome.
    pub outcome: VerdictOutcome,
    /// The checks that found errors, each once.
    pub checks: Vec<Check>,
    /// Why it is no pass.
    pub reasons: Vec<String>,
    /// Its longest write gap that no fault explains; `None` if some lane had no success, or none was measured.
    pub write_gap: Option<LongestGap>,
    /// The same of reads.
    pub read_gap: Option<LongestGap>,
    /// The same of connecting.
    pub connect_gap: Option<LongestGap>,
    /// How many operations it had.
    pub operations: OperationCounts,
}

impl RunReport {
    /// Its longest gap of a class, as its fields have it.
    pub fn longest_gap(&self, class: Class) -> Option<&LongestGap> {
        match class {
            Class::Write => self.write_gap.as_ref(),
            Class::Read => self.read_gap.as_ref(),
            Class::Connect => self.connect_gap.as_ref(),
        }
    }
}

/// The longest span without a success of a class in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LongestGap {
    /// Its length in milliseconds.
    pub ms: f64,
    /// How finely it was measured, in milliseconds.
    pub resolution_ms: f64,
    /// The step it belongs to.
    pub step: u32,
}

/// A figure over several runs, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FigureReport {
    /// The step's number; `None` for all steps of a control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// The hop, such as `v0.1.0 → v0.2.0`.
    pub hop: String,
    /// What of it, such as `phase promote` or `gap write/new`.
    pub what: String,
    /// Its values, summed up.
    #[serde(flatten)]
    pub spread: Spread,
    /// The worst resolution that one of them was measured with, if that is known.
    pub resolution_ms: Option<f64>,
    /// The noise floor: so far may two values of it lie apart without a meaning, by their resolution and by how far
    /// equal ones were seen apart; `None` if neither is known.
    pub noise_ms: Option<f64>,
    /// Whether its median is further than that from the control's; `None` without a control, or if nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs_from_control: Option<bool>,
}

/// The freshness lag of reads in a step, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FreshnessReport {
    /// The median.
    pub p50_ms: Option<f64>,
    /// The largest.
    pub max_ms: Option<f64>,
}

/// A part of a step, for latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The quiet window before.
    Before,
    /// Between the two quiet windows.
    During,
    /// The quiet window after.
    After,
}

/// Latencies of successes of one class, both kinds of connection, from the intended send, in milliseconds.
/// Percentiles from too few samples are `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// The class.
    pub class: Class,
    /// The part of the step.
    pub when: When,
    /// The median.
    pub p50_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
    /// The largest.
    pub max_ms: Option<f64>,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// The step, if it belongs to one.
    pub step: Option<u32>,
    /// What was found, in a sentence.
    pub message: String,
    /// The operations, events or log lines that show it.
    pub evidence: Value,
}

/// A budget and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetReport {
    /// Its name, such as `write-gap`.
    pub name: String,
    /// The limit, in milliseconds.
    pub limit_ms: f64,
    /// The longest span of that class in any step, in milliseconds.
    pub measured_ms: Option<f64>,
    /// Whether it was kept.
    pub outcome: VerdictOutcome,
}

/// How many operations of workload and lanes there were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationCounts {
    /// All.
    pub total: u64,
    /// Acknowledged.
    pub ok: u64,
    /// Certainly without effect.
    pub fail: u64,
    /// Perhaps with effect.
    pub unknown: u64,
    /// Acknowledged writes among them; absent in verdicts written before this was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_writes: Option<u64>,
}

/// A text that is no verdict.
#[derive(Debug)]
pub enum VerdictError {
    /// Not the JSON object it must be.
    Json(serde_json::Error),
    /// The format mark.
    Format(FormatError),
}

impl fmt::Display for VerdictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerdictError::Json(error) => write!(f, "{error}"),
            VerdictError::Format(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for VerdictError {}

impl Verdict {
    /// The gaps of a class, with the numbers of their steps.
    pub fn gaps_of(&self, class: Class) -> impl Iterator<Item = (u32, &GapReport)> {
        let steps = self.steps.iter();
        let gaps = steps.flat_map(|step| step.gaps.iter().map(|gap| (step.number, gap)));
        gaps.filter(move |(_, gap)| gap.class == class)
    }

    /// The step with the longest span without a success of a class that no fault explains, that span in milliseconds,
    /// and its lane.
    pub fn longest_gap(&self, class: Class) -> Option<(u32, f64, &GapReport)> {
        self.gaps_of(class)
            .filter_map(|(step, gap)| Some((step, gap.unexplained_ms.or(gap.longest_ms)?, gap)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The checks that found errors, each once, in the order of the findings.
    pub fn failed_checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for finding in &self.findings {
            if finding.severity == Severity::Error && !checks.contains(&finding.check) {
                checks.push(finding.check);
            }
        }
        checks
    }

    /// The first lane of a class without any success, and its step.
    pub fn lane_without_success(&self, class: Class) -> Option<(u32, &GapReport)> {
        self.gaps_of(class)
            .find(|(_, gap)| gap.longest_ms.is_none())
    }

    /// Reads a verdict. Keys of a newer writer are ignored.
    ///
    /// # Errors
    ///
    /// When it is none, or one of another major version.
    pub fn parse(text: &str) -> Result<Self, VerdictError> {
        // The mark first: a newer verdict should be told apart by its age.
        #[derive(Deserialize)]
        struct Mark {
            format: String,
        }
        let mark: Mark = serde_json::from_str(text).map_err(VerdictError::Json)?;
        Kind::Verdict
            .accept(&mark.format)
            .map_err(VerdictError::Format)?;
        serde_json::from_str(text).map_err(VerdictError::Json)
    }

    /// The verdict as the file holds it: pretty-printed JSON and a newline.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a verdict holds nothing that JSON cannot");
        text.push('\n');
        text
    }
}
