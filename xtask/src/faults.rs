//! `cargo xtask faults`: breaks something at every point of a hand-over of the reference database, and writes down what
//! came of it.

use crate::document::{between, rewrite};
use crate::run::{newest_binary, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Where the matrix is, and what it is called there.
const DOCUMENT: &str = "docs/fault-matrix.md";
const MATRIX: &str = "cargo xtask faults";

/// The upgrade that is broken: between these two every point exists.
const VERSIONS: &str = "v0.1.0,v0.2.0";

/// The points, in the order in which a step goes through them.
const POINTS: [&str; 11] = [
    "before-boot",
    "booting",
    "catching-up",
    "ready",
    "promote-sent",
    "fence-written",
    "old-fenced",
    "new-restarting",
    "leader",
    "serving",
    "retiring",
];

/// What is broken at every point: the column's name, and the faults before their point.
const BROKEN: [(&str, &[&str]); 9] = [
    ("new: kill", &["new:kill"]),
    ("new: pause 2 s", &["new:pause:2s"]),
    ("new: cut 2 s", &["link(new,metadata-store):cut:2s"]),
    ("old: kill", &["old:kill"]),
    ("old: pause 2 s", &["old:pause:2s"]),
    ("old: cut 2 s", &["link(old,metadata-store):cut:2s"]),
    ("store: kill", &["metadata-store:kill"]),
    ("store: pause 2 s", &["metadata-store:pause:2s"]),
    (
        "store: cut 2 s",
        &[
            "link(new,metadata-store):cut:2s",
            "link(old,metadata-store):cut:2s",
        ],
    ),
];

/// The calls that are made at the wrong time, or twice, and the points at which that is possible.
const CALLS: [(&str, &[&str]); 8] = [
    ("promote-early", &["catching-up"]),
    (
        "promote-twice",
        &[
            "promote-sent",
            "fence-written",
            "new-restarting",
            "leader",
            "serving",
            "retiring",
        ],
    ),
    (
        "promote-old",
        &["before-boot", "booting", "catching-up", "ready"],
    ),
    ("skip-catchup", &["catching-up", "ready"]),
    ("rival", &["catching-up", "ready"]),
    ("next", &["ready"]),
    ("race", &["ready"]),
    (
        "ddl",
        &["before-boot", "catching-up", "ready", "leader", "serving"],
    ),
];

/// The most cells that may be not applicable, in a hundred.
const NOT_APPLICABLE: usize = 30;

/// How often an inconclusive cell is tried: a machine that was busy says nothing about a fault.
const TRIES: usize = 3;

/// `cargo xtask faults`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only cells whose fault contains one of these, and only print what came of them
    #[arg(value_name = "TEXT")]
    only: Vec<String>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    point: &'static str,
    column: &'static str,
    faults: Vec<String>,
}

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    Held,
    NotApplicable(String),
    Failed(String),
}

/// All cells, a column after the other.
fn cells() -> Vec<Cell> {
    let broken = BROKEN.iter().flat_map(|(column, faults)| {
        POINTS.iter().map(move |point| Cell {
            point,
            column,
            faults: faults
                .iter()
                .map(|fault| format!("{fault}@{point}"))
                .collect(),
        })
    });
    let calls = CALLS.iter().flat_map(|(call, points)| {
        points.iter().map(move |point| Cell {
            point,
            column: call,
            faults: vec![format!("upgrade:{call}@{point}")],
        })
    });
    broken.chain(calls).collect()
}

/// Runs the matrix. All of it is written down, a part is only printed.
///
/// # Errors
///
/// When a cell fails, or something cannot be run.
pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = newest_binary()?;
    let wanted = |cell: &Cell| {
        let named = |text: &String| cell.faults.iter().any(|fault| fault.contains(text));
        args.only.is_empty() || args.only.iter().any(named)
    };
    let cells: Vec<Cell> = cells().into_iter().filter(wanted).collect();
    if cells.is_empty() {
        bail!("no cell has a fault with {:?}", args.only);
    }
    let began = Instant::now();
    let mut came = BTreeMap::new();
    let mut failed = Vec::new();
    for (number, cell) in cells.iter().enumerate() {
        let (result, took) = rehearse(&binary, cell)?;
        let fault = cell.faults.join(" ");
        let words = match &result {
            Came::Held => "held".to_owned(),
            Came::NotApplicable(why) => format!("not applicable: {why}"),
            Came::Failed(why) => format!("FAILED: {why}"),
        };
        eprintln!(
            "{}/{} {fault}: {words} ({took:.1} s)",
            number + 1,
            cells.len()
        );
        if matches!(result, Came::Failed(_)) {
            failed.push(fault);
        }
        came.insert((cell.column, cell.point), result);
    }
    let text = matrix(&came);
    println!("{text}");
    if !failed.is_empty() {
        bail!("{} cells failed: {}", failed.len(), failed.join("; "));
    }
    let left_out = came
        .values()
        .filter(|it| matches!(it, Came::NotApplicable(_)))
        .count();
    if args.only.is_empty() {
        if left_out * 100 > came.len() * NOT_APPLICABLE {
            bail!("{left_out} of {} cells are not applicable", came.len());
        }
        let text = format!(
            "{} cells, {left_out} not applicable, in {:.0} min; {}.\n\n{text}",
            came.len(),
            (began.elapsed().as_secs_f64() / 60.0).ceil(),
            today()?
        );
        rewrite(&root().join(DOCUMENT), |document| {
            between(document, MATRIX, &text)
        })?;
    }
    Ok(())
}

fn today() -> Result<String> {
    let date = Command::new("date")
        .arg("+%F")
        .output()
        .context("cannot run date")?;
    Ok(String::from_utf8_lossy(&date.stdout).trim().to_owned())
}

/// Rehearses a cell. A run that failed is kept.
fn rehearse(binary: &Path, cell: &Cell) -> Result<(Came, f64)> {
    let began = Instant::now();
    let mut came = Came::Failed("not tried".to_owned());
    for _ in 0..TRIES {
        let place = tempfile::tempdir().context("cannot make a temporary directory")?;
        let faults = cell.faults.iter().flat_map(|fault| ["--fault", fault]);
        let output = Command::new(binary)
            .args([
                "rehearse",
                "--versions",
                VERSIONS,
                "--metadata-store",
                "postgres",
            ])
            .args(faults)
            .arg("--out")
            .arg(place.path().join("run"))
            .args(["--format", "json"])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        came = match output.status.code() {
            Some(2) => Came::NotApplicable(why_not(&said)),
            Some(4) => bail!("{said}"),
            _ => judge(&output.stdout, &said),
        };
        match &came {
            Came::Failed(_) => eprintln!("  its run is in {}", keep(place).display()),
            _ => break,
        }
        if output.status.code() != Some(3) {
            break;
        }
    }
    Ok((came, began.elapsed().as_secs_f64()))
}

/// The evidence is worth more than a tidy directory.
fn keep(place: TempDir) -> std::path::PathBuf {
    place.keep()
}

/// The reason of a refusal, without the fault that it begins with.
fn why_not(said: &str) -> String {
    let line = said
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or(said);
    let reason = line
        .split_once("cannot happen: ")
        .map_or(line, |(_, reason)| reason);
    reason.trim().to_owned()
}

/// Whether all faults of a run held, and the run passed.
fn judge(stdout: &[u8], said: &str) -> Came {
    let Ok(verdict) = serde_json::from_slice::<Value>(stdout) else {
        return Came::Failed(format!("there is no verdict: {}", said.trim()));
    };
    let faults = verdict["faults"].as_array().map_or(&[][..], Vec::as_slice);
    let mut open = faults.iter().filter(|fault| fault["outcome"] != "held");
    if let Some(fault) = open.next() {
        return Came::Failed(format!("{}: {}", fault["outcome"], fault["reason"]));
    }
    match (faults.is_empty(), verdict["outcome"] == "pass") {
        (false, true) => Came::Held,
        (true, _) => Came::Failed("the verdict has no faults".to_owned()),
        _ => Came::Failed(format!("{}: {}", verdict["outcome"], verdict["reasons"])),
    }
}

/// The tables: points down, what is broken across; and the reasons of what is not applicable.
fn matrix(came: &BTreeMap<(&'static str, &'static str), Came>) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    let broken: Vec<&str> = BROKEN.iter().map(|(column, _)| *column).collect();
    let calls: Vec<&str> = CALLS.iter().map(|(column, _)| *column).collect();
    let mut text = String::new();
    for columns in [broken, calls] {
        if !columns
            .iter()
            .any(|column| came.keys().any(|(of, _)| of == column))
        {
            continue;
        }
        let _ = writeln!(text, "| point | {} |", columns.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
        for point in POINTS {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| match came.get(&(*column, point)) {
                    None => String::new(),
                    Some(Came::Held) => "held".to_owned(),
                    Some(Came::Failed(_)) => "**failed**".to_owned(),
                    Some(Came::NotApplicable(why)) => {
                        let known = reasons.iter().position(|reason| reason == why);
                        let number = known.unwrap_or_else(|| {
                            reasons.push(why);
                            reasons.len() - 1
                        });
                        format!("n/a ({})", number + 1)
                    }
                })
                .collect();
            let _ = writeln!(text, "| {point} | {} |", cells.join(" | "));
        }
        text.push('\n');
    }
    for (number, reason) in reasons.iter().enumerate() {
        let _ = writeln!(text, "{}. {reason}", number + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_are_at_most_150_cells_and_every_kind_of_fault_is_at_every_point() {
        let cells = cells();
        assert!(cells.len() <= 150, "{}", cells.len());
        let broken = BROKEN.len() * POINTS.len();
        assert!(cells[..broken].iter().all(|cell| !cell.faults.is_empty()));
    }

    #[test]
    fn a_cell_holds_if_all_its_faults_did_and_the_run_passed() {
        let verdict = |outcome: &str, faults: &[&str]| {
            let faults: Vec<Value> = faults
                .iter()
                .map(|outcome| json!({"outcome": outcome, "reason": "x"}))
                .collect();
            json!({"outcome": outcome, "reasons": [], "faults": faults}).to_string()
        };
        let came = |outcome, faults| judge(verdict(outcome, faults).as_bytes(), "");
        assert_eq!(came("pass", &["held", "held"]), Came::Held);
        for (outcome, faults) in [
            ("pass", &["held", "missed"][..]),
            ("fail", &["broken"]),
            ("fail", &["held"]),
            ("inconclusive", &["held"]),
            ("pass", &[]),
        ] {
            assert!(
                matches!(came(outcome, faults), Came::Failed(_)),
                "{outcome} {faults:?}"
            );
        }
        assert!(matches!(judge(b"", "error: x"), Came::Failed(_)));
    }

    #[test]
    fn the_matrix_tells_why_a_cell_is_left_out() {
        let came = BTreeMap::from([
            (("new: kill", "ready"), Came::Held),
            (
                ("new: kill", "before-boot"),
                Came::NotApplicable("it is not there".to_owned()),
            ),
        ]);
        let text = matrix(&came);
        assert!(text.contains("| ready | held |"), "{text}");
        assert!(text.contains("| before-boot | n/a (1) |"), "{text}");
        assert!(text.ends_with("1. it is not there\n"), "{text}");
        let said = "note: x\nerror: fault new:kill@before-boot cannot happen: it is not there\n";
        assert_eq!(why_not(said), "it is not there");
    }
}
