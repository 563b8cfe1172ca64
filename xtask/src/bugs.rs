//! `cargo xtask bugs`: rehearses every planted bug of the reference database, and writes down what caught it.
//!
//! Nothing here knows a bug: which there are, the plan that shows each and the check that must find it, the binary
//! says (`changeover reference bugs --format json`).

use crate::document::{between, rewrite};
use crate::run::{newest_binary, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where the table is, and what it is called there.
pub(crate) const DOCUMENT: &str = "docs/planted-bugs.md";
const TABLE: &str = "cargo xtask bugs";

/// A bug must be caught within this time.
const SOON: Duration = Duration::from_secs(60);

/// `cargo xtask bugs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rehearse only these, and only print what caught them
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Rehearse the same plans without the bugs: all of them must pass
    #[arg(long)]
    honest: bool,
    /// How often each is rehearsed; all times it must be caught
    #[arg(long, default_value_t = 1, value_name = "N")]
    times: u32,
}

/// A bug as the binary lists it.
#[derive(Debug, serde::Deserialize)]
struct Bug {
    name: String,
    classes: Vec<u8>,
    symptom: String,
    check: String,
    options: Vec<String>,
    timeouts_ms: serde_json::Map<String, Value>,
}

/// How a bug was caught.
struct Catch {
    /// By the finding of the check that was to find it.
    step: Option<u64>,
    /// The other checks that found something.
    others: Vec<String>,
    /// From the start of the rehearsal to its verdict.
    took: Duration,
}

/// Rehearses the bugs. All of them are written down, some are only printed.
///
/// # Errors
///
/// When a bug is not caught by its check in time, or something cannot be run.
pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = newest_binary()?;
    let bugs = list(&binary)?;
    if let Some(unknown) = args
        .names
        .iter()
        .find(|name| bugs.iter().all(|bug| bug.name != **name))
    {
        bail!("there is no planted bug `{unknown}`; `changeover reference bugs` lists them");
    }
    let wanted = |bug: &&Bug| args.names.is_empty() || args.names.contains(&bug.name);
    let mut rows = Vec::new();
    let mut missed = Vec::new();
    for bug in bugs.iter().filter(wanted) {
        if args.honest {
            let (verdict, _) = rehearse(&binary, bug, true)?;
            eprintln!("{} without the bug: {}", bug.name, verdict["outcome"]);
            if verdict["outcome"] != "pass" {
                eprintln!("  {}", verdict["reasons"]);
                missed.push(bug.name.as_str());
            }
            continue;
        }
        let mut last = None;
        for _ in 0..args.times.max(1) {
            match catch(&binary, bug) {
                Ok(catch) => {
                    let step = catch
                        .step
                        .map_or("no step".to_owned(), |n| format!("step {n}"));
                    eprintln!(
                        "{}: {} in {step} after {:.1} s; also {:?}",
                        bug.name,
                        bug.check,
                        catch.took.as_secs_f64(),
                        catch.others
                    );
                    last = Some(catch);
                }
                Err(error) => {
                    eprintln!("{}: NOT CAUGHT: {error:#}", bug.name);
                    missed.push(bug.name.as_str());
                }
            }
        }
        rows.extend(last.map(|catch| caught(bug, &catch)));
    }
    if !missed.is_empty() {
        let what = if args.honest {
            "did not pass"
        } else {
            "not caught"
        };
        bail!("{} {what}: {}", missed.len(), missed.join(", "));
    }
    if args.names.is_empty() && !args.honest {
        rewrite(&root().join(DOCUMENT), |document| {
            with_table(document, &rows)
        })?;
    }
    Ok(())
}

fn list(binary: &Path) -> Result<Vec<Bug>> {
    let output = Command::new(binary)
        .args(["reference", "bugs", "--format", "json"])
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let mut document: Value =
        serde_json::from_slice(&output.stdout).context("`reference bugs` printed no JSON")?;
    serde_json::from_value(document["bugs"].take()).context("`reference bugs` lists no bugs")
}

/// Rehearses the bug's plan, and looks for the finding. A run that lacks it is kept.
fn catch(binary: &Path, bug: &Bug) -> Result<Catch> {
    let began = Instant::now();
    let (verdict, place) = rehearse(binary, bug, false)?;
    judge(bug, &verdict, began.elapsed()).inspect_err(|_| {
        // The evidence is worth more than a tidy directory.
        eprintln!("  its run is in {}", place.keep().display());
    })
}

/// Makes the bug's plan, with the bug or without, and rehearses it. The verdict, and where the run is.
fn rehearse(binary: &Path, bug: &Bug, honest: bool) -> Result<(Value, TempDir)> {
    let place = tempfile::tempdir().context("cannot make a temporary directory")?;
    let planted = |option: &&String| {
        honest && (option.contains(&bug.name) || option.ends_with("=--planted-bug"))
    };
    let plan = place.path().join("plan.json");
    let made = Command::new(binary)
        .arg("plan")
        .args(bug.options.iter().filter(|option| !planted(option)))
        .args(["--format", "json"])
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let mut document: Value = serde_json::from_slice(&made.stdout).with_context(|| {
        format!(
            "there is no plan: {}",
            String::from_utf8_lossy(&made.stderr)
        )
    })?;
    for (name, ms) in &bug.timeouts_ms {
        document["timeouts_ms"][name] = ms.clone();
    }
    std::fs::write(&plan, document.to_string()).context("cannot write the plan")?;
    let output = Command::new(binary)
        .arg("rehearse")
        .arg("--plan")
        .arg(&plan)
        .arg("--out")
        .arg(place.path().join("run"))
        .args(["--format", "json"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let verdict = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no verdict: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((verdict, place))
}

/// Whether the verdict is what the bug should have made of it.
fn judge(bug: &Bug, verdict: &Value, took: Duration) -> Result<Catch> {
    if verdict["outcome"] != "fail" {
        bail!(
            "the verdict is {}: {}",
            verdict["outcome"],
            verdict["reasons"]
        );
    }
    let findings = verdict["findings"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let errors = || findings.iter().filter(|found| found["severity"] == "error");
    let Some(finding) = errors().find(|found| found["check"] == bug.check.as_str()) else {
        bail!("no finding of {}: {}", bug.check, verdict["reasons"]);
    };
    if took > SOON {
        bail!("it took {:.0} s", took.as_secs_f64());
    }
    let mut others: Vec<String> = errors()
        .filter_map(|found| found["check"].as_str())
        .filter(|check| *check != bug.check)
        .map(str::to_owned)
        .collect();
    others.sort();
    others.dedup();
    Ok(Catch {
        step: finding["step"].as_u64(),
        others,
        took,
    })
}

fn classes(bug: &Bug) -> String {
    let numbers: Vec<String> = bug.classes.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

fn caught(bug: &Bug, catch: &Catch) -> String {
    format!(
        "| `{}` | {} | {} | `{}` | {} | {:.0} s |\n",
        bug.name,
        classes(bug),
        bug.symptom,
        bug.check,
        catch.step.map_or_else(String::new, |n| n.to_string()),
        catch.took.as_secs_f64().ceil()
    )
}

/// The document with these rows in its table.
fn with_table(document: &str, rows: &[String]) -> Result<String> {
    let table = format!(
        "| bug | class | what is wrong | caught by | in step | after |\n|---|---|---|---|---|---|\n{}",
        rows.concat()
    );
    between(document, TABLE, &table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bug() -> Bug {
        serde_json::from_value(json!({
            "name": "a", "classes": [1, 2], "symptom": "b", "check": "lost-write", "options": [],
            "timeouts_ms": {},
        }))
        .unwrap()
    }

    fn verdict(outcome: &str, check: &str, severity: &str) -> Value {
        json!({"outcome": outcome, "reasons": [], "findings": [
            {"check": "budget", "severity": "error", "step": 2},
            {"check": check, "severity": severity, "step": 1},
        ]})
    }

    #[test]
    fn a_bug_is_caught_by_an_error_of_its_check_in_time() {
        let soon = Duration::from_secs(3);
        let caught = judge(&bug(), &verdict("fail", "lost-write", "error"), soon).unwrap();
        assert_eq!(
            (caught.step, caught.others),
            (Some(1), vec!["budget".to_owned()])
        );
        for (missed, took) in [
            (verdict("fail", "lost-write", "warning"), soon),
            (verdict("fail", "stale-read", "error"), soon),
            (verdict("inconclusive", "lost-write", "error"), soon),
            (verdict("fail", "lost-write", "error"), SOON * 2),
        ] {
            assert!(judge(&bug(), &missed, took).is_err(), "{missed}");
        }
    }

    #[test]
    fn a_row_says_what_caught_the_bug() {
        let catch = Catch {
            step: Some(1),
            others: Vec::new(),
            took: Duration::from_millis(2100),
        };
        assert_eq!(
            caught(&bug(), &catch),
            "| `a` | 1, 2 | b | `lost-write` | 1 | 3 s |\n"
        );
    }
}
