//! `cargo xtask soak`: what a test run does a few times, done many times.

use crate::run::{cargo, release_binary};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// How often the reference database is killed at a random moment; its tests read it.
const KILLS: &str = "CHANGEOVER_SOAK_KILLS";

/// `cargo xtask soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the reference database is killed
    #[arg(long, default_value_t = 300, value_name = "N")]
    kills: u32,
    /// How many default rehearsals must pass in a row
    #[arg(long, default_value_t = 50, value_name = "N")]
    rehearsals: u32,
}

/// Kills the reference database, then rehearses.
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
    if args.rehearsals > 0 {
        rehearsals(args.rehearsals)?;
    }
    Ok(())
}

/// Runs the default rehearsal so many times. All of them, also after one that did not pass: how many of fifty is the
/// figure.
fn rehearsals(count: u32) -> Result<()> {
    let binary = release_binary()?;
    let place = tempfile::tempdir().context("cannot make a temporary directory")?;
    let mut failed = 0;
    for number in 1..=count {
        let out = place.path().join(number.to_string());
        let (passed, sentence) = rehearse(&binary, &out)?;
        eprintln!("{number}/{count}: {sentence}");
        failed += u32::from(!passed);
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

/// Whether one rehearsal passed, and the sentence it printed.
fn rehearse(binary: &Path, out: &Path) -> Result<(bool, String)> {
    let output = Command::new(binary)
        .arg("rehearse")
        .arg("--out")
        .arg(out)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
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
