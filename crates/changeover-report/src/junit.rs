//! A run for CI: JUnit's XML, a case a step and a case a check.
//!
//! What CI systems read differs; this keeps to the schema that Jenkins validates against, which the others read too.

use crate::human::{call_offs, came_of, kept, measured, other_reasons};
use crate::numbers::time;
use crate::{series, summary};
use changeover_model::check::{Check, Severity};
use changeover_model::text::harmless;
use changeover_model::verdict::{FaultOutcome, Finding, Verdict, VerdictOutcome};

/// The document. `examined` are the checks that were made of this run; `timestamp` is when the run began, RFC 3339.
///
/// A step fails by its findings of severity `error`, a check by its own, a budget when it is exceeded. A verdict that
/// is inconclusive is an error of the case `verdict`, so that CI does not take it for a pass.
pub fn render(verdict: &Verdict, examined: &[Check], timestamp: Option<&str>) -> String {
    let suites = [
        suite("changeover.verdict", vec![verdict_case(verdict)]),
        suite("changeover.runs", run_cases(verdict)),
        suite("changeover.steps", step_cases(verdict)),
        suite("changeover.faults", fault_cases(verdict)),
        suite("changeover.budgets", budget_cases(verdict)),
        suite("changeover.checks", check_cases(verdict, examined)),
    ];
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\">\n",
        text(&format!("changeover {}", summary::what(verdict))),
        sum(|suite| suite.cases.len()),
        sum(Suite::failures),
        sum(Suite::errors),
        seconds(suites.iter().map(Suite::ms).sum()),
    );
    for suite in suites.iter().filter(|suite| !suite.cases.is_empty()) {
        out.push_str(&suite.render(verdict, timestamp));
    }
    out.push_str("</testsuites>\n");
    out
}

struct Suite {
    name: &'static str,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    ms: f64,
    /// Element, message and text.
    trouble: Option<(&'static str, String, String)>,
    out: String,
}

impl Case {
    fn new(name: impl Into<String>) -> Self {
        Case {
            name: name.into(),
            ms: 0.0,
            trouble: None,
            out: String::new(),
        }
    }
}

fn suite(name: &'static str, cases: Vec<Case>) -> Suite {
    Suite { name, cases }
}

impl Suite {
    fn with(&self, element: &str) -> usize {
        let trouble = self.cases.iter().filter_map(|case| case.trouble.as_ref());
        trouble.filter(|trouble| trouble.0 == element).count()
    }

    fn failures(&self) -> usize {
        self.with("failure")
    }

    fn errors(&self) -> usize {
        self.with("error")
    }

    fn ms(&self) -> f64 {
        self.cases.iter().map(|case| case.ms).sum()
    }

    fn render(&self, verdict: &Verdict, timestamp: Option<&str>) -> String {
        let mut out = format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\"{}>\n",
            self.name,
            self.cases.len(),
            self.failures(),
            self.errors(),
            self.with("skipped"),
            seconds(self.ms()),
            timestamp.map_or(String::new(), |at| format!(" timestamp=\"{}\"", text(at))),
        );
        let properties = [
            ("run", &verdict.run),
            ("target", &verdict.target),
            ("runtime", &verdict.runtime),
            ("seed", &verdict.seed),
            ("reproduce", &verdict.reproduce),
        ];
        out.push_str("    <properties>\n");
        for (name, value) in properties {
            out.push_str(&format!(
                "      <property name=\"{name}\" value=\"{}\"/>\n",
                text(value)
            ));
        }
        out.push_str("    </properties>\n");
        for case in &self.cases {
            out.push_str(&format!(
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
                self.name,
                text(&case.name),
                seconds(case.ms)
            ));
            if case.trouble.is_none() && case.out.is_empty() {
                out.push_str("/>\n");
                continue;
            }
            out.push_str(">\n");
            if let Some((element, message, body)) = &case.trouble {
                out.push_str(&format!(
                    "      <{element} message=\"{}\">{}</{element}>\n",
                    text(message),
                    lines(body)
                ));
            }
            if !case.out.is_empty() {
                out.push_str(&format!(
                    "      <system-out>{}</system-out>\n",
                    lines(&case.out)
                ));
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
        out
    }
}

fn verdict_case(verdict: &Verdict) -> Case {
    let reasons = verdict.reasons.join("\n");
    let message = summary::claim(verdict);
    Case {
        trouble: match verdict.outcome {
            VerdictOutcome::Pass => None,
            VerdictOutcome::Fail => Some(("failure", message, reasons)),
            VerdictOutcome::Inconclusive => {
                let doubts = other_reasons(verdict).join("; ");
                Some(("error", format!("inconclusive: {doubts}"), reasons))
            }
        },
        out: summary::sentence(verdict),
        ..Case::new("verdict")
    }
}

/// The runs of a series; none of a single run.
fn run_cases(verdict: &Verdict) -> Vec<Case> {
    let cases = series::all_runs(verdict).map(|run| {
        let body = run.reasons.join("\n");
        let first = run.reasons.first().cloned().unwrap_or_default();
        Case {
            trouble: match run.outcome {
                VerdictOutcome::Pass => None,
                VerdictOutcome::Fail => Some(("failure", first, body)),
                VerdictOutcome::Inconclusive => {
                    Some(("error", format!("inconclusive: {first}"), body))
                }
            },
            ..Case::new(format!("run {}", run.run))
        }
    });
    cases.collect()
}

fn step_cases(verdict: &Verdict) -> Vec<Case> {
    let cases = verdict.steps.iter().map(|step| Case {
        ms: step.phases.iter().filter_map(|phase| phase.ms).sum(),
        trouble: trouble(&of(verdict, |finding| finding.step == Some(step.number))),
        out: step
            .gaps
            .iter()
            .map(|gap| match gap.longest_ms {
                Some(ms) => format!(
                    "{}/{}: longest span without a success {}, resolution {}\n",
                    gap.class.name(),
                    gap.connection.name(),
                    time(ms),
                    time(gap.resolution_ms)
                ),
                None => format!(
                    "{}/{}: no success\n",
                    gap.class.name(),
                    gap.connection.name()
                ),
            })
            .collect(),
        ..Case::new(match verdict.probe {
            Some(_) => "lanes".to_owned(),
            None => format!("step {}: {} → {}", step.number, step.from, step.to),
        })
    });
    cases.collect()
}

/// What was broken on purpose, what was called off, and until when that could be done.
fn fault_cases(verdict: &Verdict) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    // What was kept from happening, and what the surroundings explain, is in doubt with the verdict.
    let element = match verdict.outcome {
        VerdictOutcome::Fail => "failure",
        VerdictOutcome::Pass | VerdictOutcome::Inconclusive => "error",
    };
    for fault in &verdict.faults {
        let mut shown = fault.evidence.join("\n");
        if !fault.before.is_empty() {
            shown = format!("before: {}\nafter: {}\n{shown}", fault.before, fault.after);
        }
        cases.push(Case {
            trouble: match fault.outcome {
                FaultOutcome::Held => None,
                FaultOutcome::Missed | FaultOutcome::Broken => Some((
                    element,
                    format!("{}: {}", fault.outcome, fault.reason),
                    format!("expected: {}", fault.expected.words()),
                )),
            },
            out: shown,
            ..Case::new(fault.fault.in_step(fault.step).to_string())
        });
    }
    for (step, report) in call_offs(verdict) {
        let came = came_of(report).to_owned();
        cases.push(Case {
            // Beyond the fence nobody promises that it works: there the answer is what was asked for.
            trouble: (!report.worked && report.point.before_the_fence())
                .then(|| (element, format!("noticed: {came}"), String::new())),
            out: came,
            ..Case::new(format!("step {step} called off at {}", report.point))
        });
    }
    for point in &verdict.point_of_no_return {
        cases.push(Case {
            out: point.sentence.clone(),
            ..Case::new(format!("point of no return of step {}", point.step))
        });
    }
    cases
}

fn budget_cases(verdict: &Verdict) -> Vec<Case> {
    let cases = verdict.budgets.iter().map(|budget| {
        let message = format!(
            "{} of {}: {}",
            measured(budget),
            time(budget.limit_ms),
            kept(budget)
        );
        Case {
            trouble: match budget.outcome {
                VerdictOutcome::Pass => None,
                VerdictOutcome::Fail => Some(("failure", message.clone(), String::new())),
                VerdictOutcome::Inconclusive => Some(("error", message.clone(), String::new())),
            },
            out: message,
            ..Case::new(budget.name.clone())
        }
    });
    cases.collect()
}

fn check_cases(verdict: &Verdict, examined: &[Check]) -> Vec<Case> {
    let cases = Check::ALL.iter().map(|&check| {
        let found = of(verdict, |finding| finding.check == check);
        Case {
            trouble: match (found.is_empty(), examined.contains(&check)) {
                // What nobody looks for has not passed.
                (true, false) => Some((
                    "skipped",
                    "not examined in this run".to_owned(),
                    String::new(),
                )),
                _ => trouble(&found),
            },
            out: found
                .iter()
                .filter(|finding| finding.severity == Severity::Warning)
                .map(|finding| format!("warning: {}\n", finding.message))
                .collect(),
            ..Case::new(check.name())
        }
    });
    cases.collect()
}

fn of(verdict: &Verdict, which: impl Fn(&Finding) -> bool) -> Vec<&Finding> {
    verdict
        .findings
        .iter()
        .filter(|finding| which(finding))
        .collect()
}

/// The failure that findings make, if one of them is an error.
fn trouble(findings: &[&Finding]) -> Option<(&'static str, String, String)> {
    let mut errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .peekable();
    let first = errors.peek()?;
    let message = format!("{}: {}", first.check, first.message);
    let body = errors
        .flat_map(|finding| {
            let mut lines = vec![format!("{}: {}", finding.check, finding.message)];
            lines.extend(crate::human::evidence(&finding.evidence));
            lines
        })
        .collect::<Vec<_>>()
        .join("\n");
    Some(("failure", message, body))
}

fn seconds(ms: f64) -> String {
    // The sum of no lengths is a negative zero, which is no length in the schema.
    format!("{:.3}", ms.abs() / 1000.0)
}

/// Text for an attribute or an element. What XML cannot hold at all is an escape, as every other control character.
fn text(text: &str) -> String {
    let mut out = String::new();
    for c in harmless(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn lines(lines: &str) -> String {
    lines.lines().map(text).collect::<Vec<_>>().join("\n")
}
