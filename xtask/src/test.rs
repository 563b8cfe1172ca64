//! `cargo xtask test`.

use crate::provision::{self, PROVISIONED};
use crate::run::{cargo, succeeds};
use anyhow::Result;
use std::process::Command;

/// Tests whose names contain this rehearse: they measure, and so run alone. `.config/nextest.toml` says the same.
const ALONE: &str = "rehearses_";

/// `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install first what the tests need (Debian, as root); what is missing then is a failure
    #[arg(long)]
    provision: bool,
    /// Run only the tests whose names contain one of these
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Runs the tests.
///
/// # Errors
///
/// When a test fails, or `--provision` cannot install what they need.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.provision {
        provision::install()?;
    }
    let nextest = succeeds(&mut cargo(["nextest", "--version"]));
    let mut result = Ok(());
    for mut command in commands(nextest, &args.names) {
        if args.provision {
            command.env(PROVISIONED, "1");
        }
        // All of them: the second half of a broken build is worth knowing too.
        result = result.and(crate::run::run(&mut command));
    }
    // Last, where they are seen.
    for missing in provision::missing() {
        eprintln!("{}", missing.skipped());
    }
    if !nextest {
        eprintln!(
            "note: cargo-nextest is not installed; with it the tests are faster: cargo install --locked cargo-nextest"
        );
    }
    result
}

/// The commands that run all tests: doctests apart, and rehearsals alone.
fn commands(nextest: bool, names: &[String]) -> Vec<Command> {
    let names = names.iter().map(String::as_str);
    if nextest {
        let mut tests = cargo(["nextest", "run", "--locked", "--workspace"]);
        tests.args(names.clone());
        // nextest runs no doctests. They come first: the summary of the many shall be the last word.
        let mut doctests = cargo(["test", "--locked", "--workspace", "--doc"]);
        doctests.arg("--").args(names);
        return vec![doctests, tests];
    }
    let mut together = cargo(["test", "--locked", "--workspace", "--no-fail-fast"]);
    together.args(["--", "--skip", ALONE]).args(names.clone());
    let mut alone = cargo([
        "test",
        "--locked",
        "--workspace",
        "--no-fail-fast",
        "--tests",
    ]);
    alone.args(["--", "--test-threads=1"]);
    if names.clone().next().is_none() {
        alone.arg(ALONE);
    } else {
        alone.args(names.filter(|name| name.contains(ALONE)));
    }
    vec![together, alone]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn nextest_leaves_doctests_to_cargo() {
        let commands = commands(true, &["slow".to_owned()]);
        assert_eq!(
            words(&commands[0]),
            ["test", "--locked", "--workspace", "--doc", "--", "slow"]
        );
        assert_eq!(
            words(&commands[1]),
            ["nextest", "run", "--locked", "--workspace", "slow"]
        );
    }

    #[test]
    fn without_nextest_rehearsals_run_alone() {
        let commands = commands(false, &[]);
        assert!(words(&commands[0]).ends_with(&["--skip".to_owned(), ALONE.to_owned()]));
        assert!(words(&commands[1]).ends_with(&["--test-threads=1".to_owned(), ALONE.to_owned()]));
    }

    #[test]
    fn nextest_is_configured_to_keep_the_same_tests_alone() {
        let config = include_str!("../../.config/nextest.toml");
        assert!(config.contains(&format!("test({ALONE})")), "{config}");
    }
}
