//! `cargo xtask soak`: what a test run does a few times, done many times.

use crate::document::{between, rewrite};
use crate::run::{cargo, newest_binary, release_binary, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// How often the reference database is killed at a random moment; its tests read it.
const KILLS: &str = "CHANGEOVER_SOAK_KILLS";

/// How often a rehearsal is killed at a random moment, on processes and in containers; their tests read it.
const HARNESS_KILLS: &str = "CHANGEOVER_SOAK_HARNESS_KILLS";
const DOCKER_KILLS: &str = "CHANGEOVER_SOAK_DOCKER_KILLS";

/// How long an idle server is probed, in seconds; the command line's tests read it.
const PROBE: &str = "CHANGEOVER_SOAK_PROBE_SECONDS";

/// How many tiny histories each oracle judges; the judge's tests read it.
const HISTORIES: &str = "CHANGEOVER_SOAK_HISTORIES";

/// For how many seconds the judge is given spoilt histories; its tests read it.
const FUZZ: &str = "CHANGEOVER_SOAK_FUZZ_SECONDS";

/// `cargo xtask soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the reference database is killed
    #[arg(long, default_value_t = 300, value_name = "N")]
    kills: u32,
    /// How often a rehearsal on processes is killed, with another beside it that must not notice
    #[arg(long, default_value_t = 200, value_name = "N")]
    harness_kills: u32,
    /// The same in containers
    #[arg(long, default_value_t = 20, value_name = "N")]
    docker_kills: u32,
    /// How many tiny histories of each kind the judge and an oracle must agree on
    #[arg(long, default_value_t = 300_000, value_name = "N")]
    histories: u32,
    /// For how many minutes the judge is given spoilt histories
    #[arg(long, default_value_t = 60, value_name = "N")]
    fuzz_minutes: u32,
    /// How many default rehearsals must pass in a row
    #[arg(long, default_value_t = 50, value_name = "N")]
    rehearsals: u32,
    /// How many rehearsals of two versions must pass, without a single false alarm
    #[arg(long, default_value_t = 1000, value_name = "N")]
    clean: u32,
    /// Use the binary that was built last for those, instead of building a release binary; write nothing down
    #[arg(long)]
    built: bool,
    /// How many minutes an idle PostgreSQL server is probed, in which there must be no gap
    #[arg(long, default_value_t = 10, value_name = "N")]
    probe_minutes: u64,
}

/// Kills the reference database and rehearsals, gives the judge many histories, rehearses, then probes a server that nobody disturbs.
///
/// # Errors
///
/// When the tests fail, or a rehearsal does not pass.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.kills > 0 {
        crate::run::run(
            cargo([
                "test",
                "--locked",
                "--release",
                "--package",
                "changeover-reference",
            ])
            .env(KILLS, args.kills.to_string()),
        )?;
    }
    if args.harness_kills > 0 {
        killed("changeover-cli", HARNESS_KILLS, args.harness_kills)?;
    }
    if args.docker_kills > 0 {
        killed("changeover-stand-in", DOCKER_KILLS, args.docker_kills)?;
    }
    judge(args)?;
    if args.rehearsals > 0 {
        rehearsals(args.rehearsals)?;
    }
    if args.clean > 0 {
        clean(args.clean, args.built)?;
    }
    if args.probe_minutes > 0 {
        quiet_probe(args.probe_minutes)?;
    }
    Ok(())
}

/// Kills so many rehearsals; the tests of that package do it.
fn killed(package: &str, variable: &str, times: u32) -> Result<()> {
    let mut test = cargo(["test", "--locked", "--release", "--package", package]);
    test.args(["--test", "it", "killed_at_any_moment", "--", "--nocapture"]);
    crate::run::run(test.env(variable, times.to_string()))
}

/// Probes an idle server for so long; the command line's tests do it.
fn quiet_probe(minutes: u64) -> Result<()> {
    let mut test = cargo([
        "test",
        "--locked",
        "--release",
        "--package",
        "changeover-cli",
    ]);
    test.args([
        "--test",
        "it",
        "a_probe_of_an_idle_server",
        "--",
        "--nocapture",
    ]);
    crate::run::run(test.env(PROBE, (minutes * 60).to_string()))
}

/// Gives the judge many histories: tiny ones that an oracle judges too, and spoilt ones.
fn judge(args: &Args) -> Result<()> {
    let tests = |filter: &str| {
        let mut command = cargo([
            "test",
            "--locked",
            "--release",
            "--package",
            "changeover-check",
            "--test",
            "it",
        ]);
        command.args(["--", filter]);
        command
    };
    if args.histories > 0 {
        crate::run::run(tests("models::").env(HISTORIES, args.histories.to_string()))?;
    }
    if args.fuzz_minutes > 0 {
        let seconds = u64::from(args.fuzz_minutes) * 60;
        crate::run::run(tests("fuzz::").env(FUZZ, seconds.to_string()))?;
    }
    Ok(())
}

/// Where the last result is written, and what it is called there.
const RESULT: &str = "cargo xtask soak";

/// Of the runs that must pass, so many may be inconclusive, and are then repeated: a twentieth.
const REPEATED: u32 = 20;

/// What came of the clean runs so far.
#[derive(Default)]
struct Clean {
    passed: u32,
    inconclusive: u32,
    alarms: u32,
}

impl std::fmt::Display for Clean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            passed,
            inconclusive,
            alarms,
        } = self;
        write!(
            f,
            "{passed} passed, {inconclusive} inconclusive, {alarms} false alarms"
        )
    }
}

/// Rehearses one hop after the other until so many have passed. A run that fails is a false alarm.
fn clean(count: u32, built: bool) -> Result<()> {
    let (binary, most) = match built {
        true => (newest_binary()?, count),
        false => (release_binary()?, count / REPEATED + 1),
    };
    let hops = hops(&binary)?;
    let place = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut so_far = Clean::default();
    for (number, hop) in hops.iter().cycle().enumerate() {
        let done = so_far.passed + so_far.alarms >= count;
        if done || so_far.inconclusive > most {
            break;
        }
        let out = place.path().join(number.to_string());
        let (code, sentence) = rehearse(&binary, &["--versions", hop], &out)?;
        match code {
            Some(0) => so_far.passed += 1,
            Some(3) => so_far.inconclusive += 1,
            _ => {
                so_far.alarms += 1;
                eprintln!("FALSE ALARM: {sentence}");
            }
        }
        if matches!(code, Some(0 | 3)) {
            std::fs::remove_dir_all(&out).context("cannot remove a run")?;
        }
        eprintln!("{hop}: {so_far}, of {count}");
    }
    if so_far.alarms > 0 {
        // The evidence is worth more than a tidy directory.
        bail!("{so_far}; the runs are in {}", place.keep().display());
    }
    if so_far.passed < count {
        bail!("{so_far}: the machine is not quiet enough; run it alone");
    }
    if !built {
        let result =
            format!("Of {count} runs of two versions: {so_far}. Inconclusive ones are repeated.\n");
        rewrite(&root().join(crate::bugs::DOCUMENT), |document| {
            between(document, RESULT, &result)
        })?;
    }
    Ok(())
}

/// The hops from each usable release to the next, as `--versions` takes them.
fn hops(binary: &Path) -> Result<Vec<String>> {
    let output = Command::new(binary)
        .args(["releases", "--usable", "--format", "json"])
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let document: Value =
        serde_json::from_slice(&output.stdout).context("`releases` printed no JSON")?;
    let releases = document["releases"]
        .as_array()
        .context("`releases` lists none")?;
    let mut versions: Vec<&str> = releases
        .iter()
        .filter_map(|one| one["version"].as_str())
        .collect();
    versions.push("current");
    Ok(versions.windows(2).map(|pair| pair.join(",")).collect())
}

/// Runs the default rehearsal so many times. All of them, also after one that did not pass: how many of fifty is the
/// figure.
fn rehearsals(count: u32) -> Result<()> {
    let binary = release_binary()?;
    let place = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut failed = 0;
    for number in 1..=count {
        let out = place.path().join(number.to_string());
        let (code, sentence) = rehearse(&binary, &[], &out)?;
        eprintln!("{number}/{count}: {sentence}");
        failed += u32::from(code != Some(0));
    }
    if failed > 0 {
        // The evidence is worth more than a tidy directory.
        bail!(
            "{failed} of {count} rehearsals did not pass; their directories are in {}",
            place.keep().display()
        );
    }
    eprintln!("{count} of {count} rehearsals passed");
    Ok(())
}

/// The exit code of one rehearsal, and the sentence it printed.
fn rehearse(binary: &Path, arguments: &[&str], out: &Path) -> Result<(Option<i32>, String)> {
    let output = Command::new(binary)
        .arg("rehearse")
        .args(arguments)
        .arg("--out")
        .arg(out)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code(),
        sentence(&String::from_utf8_lossy(&printed)).to_owned(),
    ))
}

/// The verdict's sentence, or the last thing that was said.
fn sentence(printed: &str) -> &str {
    let verdict = printed.lines().find(|line| line.contains(" Reproduce: "));
    verdict
        .or(printed.lines().last())
        .unwrap_or("it printed nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_preferred_to_what_follows_it() {
        assert_eq!(
            sentence("steps\na: passed. Reproduce: b\nc\n"),
            "a: passed. Reproduce: b"
        );
        assert_eq!(sentence("a\nerror: b\n"), "error: b");
        assert_eq!(sentence(""), "it printed nothing");
    }
}
