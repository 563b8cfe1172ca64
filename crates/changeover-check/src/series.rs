//! One verdict of the runs of a plan that was run several times, and of their control.
//!
//! Nothing is averaged into a run that never was: the verdict is that of the run that decides, and the others are
//! beside it. What is said of all of them is a median with its range, and the noise floor.

use changeover_model::figure::{Figure, Spread, figures};
use changeover_model::history::Class;
use changeover_model::verdict::{
    BudgetReport, ControlReport, FigureReport, LongestGap, OperationCounts, RepeatReport,
    RunReport, Verdict,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A run of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct OneRun {
    /// Its directory in that of the series.
    pub name: String,
    /// Its verdict.
    pub verdict: Verdict,
}

/// The verdict of the series `run`, which `reproduce` runs again; `None` without a run.
///
/// A series is as good as the worst of its runs, those of the control included: a version that cannot be restarted
/// unnoticed cannot be upgraded unnoticed.
pub fn of_series(
    run: &str,
    reproduce: String,
    runs: &[OneRun],
    control: &[OneRun],
) -> Option<Verdict> {
    // Of runs that are alike the first one.
    let decides = runs
        .iter()
        .rev()
        .max_by(|a, b| by_weight(&a.verdict, &b.verdict))?;
    let controlled = control_of(control);
    let all = || runs.iter().chain(control);
    let outcome = all().map(|one| one.verdict.outcome).max();
    Some(Verdict {
        outcome: outcome.unwrap_or(decides.verdict.outcome),
        reasons: all().flat_map(reasons).collect(),
        run: run.to_owned(),
        budgets: budgets(runs),
        operations: operations(runs),
        repeat: Some(RepeatReport {
            runs: runs.iter().map(report).collect(),
            decides: decides.name.clone(),
            figures: repeated(runs, controlled.as_ref()),
        }),
        control: controlled,
        reproduce,
        ..decides.verdict.clone()
    })
}

/// The worse outcome weighs more; of equal ones the longer write gap, and a lane without any success most.
fn by_weight(a: &Verdict, b: &Verdict) -> Ordering {
    let gap = |verdict: &Verdict| match verdict.lane_without_success(Class::Write) {
        Some(_) => f64::INFINITY,
        None => verdict
            .longest_gap(Class::Write)
            .map_or(0.0, |(_, ms, _)| ms),
    };
    a.outcome.cmp(&b.outcome).then(gap(a).total_cmp(&gap(b)))
}

fn reasons(one: &OneRun) -> Vec<String> {
    let reasons = one.verdict.reasons.iter();
    reasons
        .map(|reason| format!("run {}: {reason}", one.name))
        .collect()
}

fn report(one: &OneRun) -> RunReport {
    let verdict = &one.verdict;
    let longest = |class: Class| {
        // A lane that never succeeded has no longest gap, and is worse than any that has.
        let measured = verdict.lane_without_success(class).is_none();
        let (step, ms, gap) = verdict.longest_gap(class).filter(|_| measured)?;
        Some(LongestGap {
            ms,
            resolution_ms: gap.resolution_ms,
            step,
        })
    };
    RunReport {
        run: one.name.clone(),
        outcome: verdict.outcome,
        checks: verdict.failed_checks(),
        reasons: verdict.reasons.clone(),
        write_gap: longest(Class::Write),
        read_gap: longest(Class::Read),
        connect_gap: longest(Class::Connect),
        operations: verdict.operations.clone(),
    }
}

/// Of each budget the run that came nearest to it, or went furthest beyond.
fn budgets(runs: &[OneRun]) -> Vec<BudgetReport> {
    let mut worst: Vec<BudgetReport> = Vec::new();
    for budget in runs.iter().flat_map(|one| &one.verdict.budgets) {
        let weight = |budget: &BudgetReport| budget.measured_ms.unwrap_or(f64::INFINITY);
        let worse = |than: &BudgetReport| {
            let by_outcome = budget.outcome.cmp(&than.outcome);
            by_outcome.then(weight(budget).total_cmp(&weight(than))) == Ordering::Greater
        };
        match worst.iter_mut().find(|other| other.name == budget.name) {
            None => worst.push(budget.clone()),
            Some(other) if worse(other) => *other = budget.clone(),
            Some(_) => {}
        }
    }
    worst
}

fn operations(runs: &[OneRun]) -> OperationCounts {
    let zero = OperationCounts {
        acknowledged_writes: Some(0),
        ..OperationCounts::default()
    };
    runs.iter()
        .map(|one| &one.verdict.operations)
        .fold(zero, |sum, one| OperationCounts {
            total: sum.total + one.total,
            ok: sum.ok + one.ok,
            fail: sum.fail + one.fail,
            unknown: sum.unknown + one.unknown,
            acknowledged_writes: sum
                .acknowledged_writes
                .zip(one.acknowledged_writes)
                .map(|(a, b)| a + b),
        })
}

/// What several values of a figure come to.
struct Values {
    hop: String,
    ms: Vec<f64>,
    resolution_ms: Option<f64>,
}

/// The figures of runs by step, or for all steps together, in the order in which they come first.
fn gathered(runs: &[OneRun], by_step: bool) -> Vec<((Option<u32>, String), Values)> {
    let mut places: BTreeMap<(Option<u32>, String), usize> = BTreeMap::new();
    let mut out: Vec<((Option<u32>, String), Values)> = Vec::new();
    for figure in runs.iter().flat_map(|one| figures(&one.verdict)) {
        let Figure {
            step,
            hop,
            what,
            ms,
            resolution_ms,
        } = figure;
        let name = (by_step.then_some(step), what);
        let place = *places.entry(name.clone()).or_insert_with(|| {
            let values = Values {
                hop,
                ms: Vec::new(),
                resolution_ms: None,
            };
            out.push((name, values));
            out.len() - 1
        });
        let values = &mut out[place].1;
        values.ms.push(ms);
        values.resolution_ms = largest([values.resolution_ms, resolution_ms]);
    }
    out
}

fn largest<const N: usize>(values: [Option<f64>; N]) -> Option<f64> {
    values.into_iter().flatten().max_by(f64::total_cmp)
}

/// How far equal figures were seen apart: of two, at least as far as these.
fn varies(spread: &Spread) -> Option<f64> {
    (spread.values > 1).then(|| spread.range_ms())
}

fn control_of(runs: &[OneRun]) -> Option<ControlReport> {
    let version = runs.first()?.verdict.path.last()?.clone();
    let figures = gathered(runs, false).into_iter();
    Some(ControlReport {
        version,
        runs: runs.iter().map(report).collect(),
        figures: figures
            .filter_map(|((step, what), values)| {
                let spread = Spread::of(&values.ms)?;
                Some(FigureReport {
                    step,
                    hop: values.hop,
                    what,
                    noise_ms: largest([values.resolution_ms.map(|ms| 2.0 * ms), spread.noise_ms()]),
                    spread,
                    resolution_ms: values.resolution_ms,
                    differs_from_control: None,
                })
            })
            .collect(),
    })
}

/// Two figures are further apart than noise when that is more than both were measured with, and more than repeated
/// ones and those of the control differ among themselves.
fn repeated(runs: &[OneRun], control: Option<&ControlReport>) -> Vec<FigureReport> {
    let figures = gathered(runs, true).into_iter();
    figures
        .filter_map(|((step, what), values)| {
            let spread = Spread::of(&values.ms)?;
            let control = control
                .and_then(|control| control.figures.iter().find(|figure| figure.what == what));
            let against = control
                .and_then(|figure| figure.resolution_ms)
                .or(values.resolution_ms);
            let measured = values.resolution_ms.zip(against).map(|(a, b)| a + b);
            let noise_ms = largest([
                measured,
                varies(&spread),
                control.and_then(|figure| varies(&figure.spread)),
            ]);
            Some(FigureReport {
                step,
                hop: values.hop,
                what,
                spread,
                resolution_ms: values.resolution_ms,
                noise_ms,
                differs_from_control: control.zip(noise_ms).map(|(control, noise)| {
                    (spread.median_ms - control.spread.median_ms).abs() > noise
                }),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Judge;
    use crate::testing::plan;
    use changeover_model::history::Connection;
    use changeover_model::verdict::{FreshnessReport, GapReport, StepReport, VerdictOutcome};

    /// A run with one step whose longest write gap is this.
    fn run(name: &str, outcome: VerdictOutcome, write_ms: f64) -> OneRun {
        let mut verdict = Judge::new(&plan(1), name, String::new()).finish();
        verdict.outcome = outcome;
        verdict.reasons = match outcome {
            VerdictOutcome::Pass => Vec::new(),
            _ => vec!["because".to_owned()],
        };
        verdict.budgets = vec![BudgetReport {
            name: "write-gap".to_owned(),
            limit_ms: 1000.0,
            measured_ms: Some(write_ms),
            outcome: VerdictOutcome::Pass,
        }];
        verdict.operations = OperationCounts {
            total: 10,
            ok: 9,
            fail: 1,
            unknown: 0,
            acknowledged_writes: Some(5),
        };
        verdict.steps = vec![StepReport {
            number: 1,
            from: "v0.1.0".parse().unwrap(),
            to: "v0.2.0".parse().unwrap(),
            service: "mz_2".to_owned(),
            deploy_generation: 1,
            phases: Vec::new(),
            gaps: vec![GapReport {
                class: Class::Write,
                connection: Connection::New,
                longest_ms: Some(write_ms),
                total_ms: write_ms,
                count: 1,
                unexplained_ms: None,
                resolution_ms: 1.0,
                lane: None,
                spans: Vec::new(),
            }],
            called_off: None,
            freshness: FreshnessReport {
                p50_ms: None,
                max_ms: None,
            },
            latency: Vec::new(),
        }];
        OneRun {
            name: name.to_owned(),
            verdict,
        }
    }

    use VerdictOutcome::{Fail, Inconclusive, Pass};

    fn series(runs: &[OneRun], control: &[OneRun]) -> Verdict {
        of_series("the series", "again".to_owned(), runs, control).unwrap()
    }

    #[test]
    fn the_worst_run_decides_and_the_longest_gap_among_equals() {
        for (runs, decides, outcome) in [
            ([(Pass, 10.0), (Pass, 30.0), (Pass, 20.0)], "2", Pass),
            (
                [(Pass, 10.0), (Inconclusive, 5.0), (Pass, 20.0)],
                "2",
                Inconclusive,
            ),
            (
                [(Fail, 10.0), (Inconclusive, 50.0), (Pass, 90.0)],
                "1",
                Fail,
            ),
            ([(Pass, 10.0), (Pass, 10.0), (Pass, 10.0)], "1", Pass),
        ] {
            let runs: Vec<OneRun> = runs
                .iter()
                .zip(1..)
                .map(|((outcome, ms), n): (_, u32)| run(&n.to_string(), *outcome, *ms))
                .collect();
            let verdict = series(&runs, &[]);
            assert_eq!(verdict.outcome, outcome);
            assert_eq!(verdict.repeat.unwrap().decides, decides);
        }
    }

    #[test]
    fn a_lane_without_success_weighs_more_than_any_gap() {
        let mut dead = run("2", Fail, 1.0);
        dead.verdict.steps[0].gaps[0].longest_ms = None;
        let verdict = series(&[run("1", Fail, 9e9), dead], &[]);
        let repeat = verdict.repeat.unwrap();
        assert_eq!(repeat.decides, "2");
        assert_eq!(repeat.runs[1].write_gap, None);
    }

    #[test]
    fn operations_are_added_up_and_each_budget_is_that_of_the_run_that_came_nearest() {
        let verdict = series(&[run("1", Pass, 10.0), run("2", Pass, 30.0)], &[]);
        assert_eq!(verdict.operations.total, 20);
        assert_eq!(verdict.operations.acknowledged_writes, Some(10));
        assert_eq!(verdict.budgets.len(), 1);
        assert_eq!(verdict.budgets[0].measured_ms, Some(30.0));
        assert_eq!(
            (verdict.run.as_str(), verdict.reproduce.as_str()),
            ("the series", "again")
        );
    }

    #[test]
    fn a_control_that_fails_is_no_pass_and_says_which() {
        let verdict = series(&[run("1", Pass, 10.0)], &[run("control-1", Fail, 10.0)]);
        assert_eq!(verdict.outcome, Fail);
        assert_eq!(verdict.reasons, ["run control-1: because"]);
    }

    #[test]
    fn a_median_differs_from_the_control_only_beyond_noise() {
        let runs = |values: [f64; 3], name: &str| -> Vec<OneRun> {
            let numbered = values.iter().zip(1..);
            numbered
                .map(|(ms, n): (_, u32)| run(&format!("{name}{n}"), Pass, *ms))
                .collect()
        };
        let control = runs([10.0, 14.0, 12.0], "control-");
        // The control varies by 4 ms, which is more than the resolutions' 1 + 1.
        for (values, differs) in [([15.0, 16.0, 16.0], false), ([16.5, 16.5, 16.5], true)] {
            let verdict = series(&runs(values, ""), &control);
            let figure = &verdict.repeat.unwrap().figures[0];
            assert_eq!(figure.what, "gap write/new");
            assert_eq!(figure.noise_ms, Some(4.0));
            assert_eq!(figure.differs_from_control, Some(differs), "{values:?}");
        }
        let verdict = series(&runs([15.0, 35.0, 15.0], ""), &control);
        let figure = &verdict.repeat.unwrap().figures[0];
        assert_eq!(
            figure.noise_ms,
            Some(20.0),
            "a figure that varies by itself"
        );
        assert_eq!(verdict.control.unwrap().figures[0].spread.values, 3);
    }

    #[test]
    fn two_runs_that_are_far_apart_claim_nothing_between_them() {
        let runs = [run("1", Pass, 10.0), run("2", Pass, 40.0)];
        let control = [run("control-1", Pass, 20.0), run("control-2", Pass, 20.0)];
        let figure = &series(&runs, &control).repeat.unwrap().figures[0];
        assert_eq!(figure.noise_ms, Some(30.0));
        assert_eq!(figure.differs_from_control, Some(false));
    }

    #[test]
    fn without_a_control_nothing_is_said_to_differ_and_without_a_run_nothing_at_all() {
        let verdict = series(&[run("1", Pass, 10.0), run("2", Pass, 11.0)], &[]);
        let figure = &verdict.repeat.unwrap().figures[0];
        assert_eq!(figure.differs_from_control, None);
        // Two runs vary by less than they were measured with.
        assert_eq!(figure.noise_ms, Some(2.0));
        assert_eq!(verdict.control, None);
        assert!(of_series("s", String::new(), &[], &[run("control-1", Pass, 1.0)]).is_none());
    }
}
