//! `cargo xtask lint`.

use crate::run::{cargo, run as run_command, succeeds};
use anyhow::{Result, bail};

/// `cargo xtask lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install the tools that are missing, from the package registry
    #[arg(long)]
    provision: bool,
}

/// Checks that come with Rust.
const BUILT_IN: [&[&str]; 2] = [
    &["fmt", "--all", "--check"],
    &[
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ],
];

/// A cargo subcommand that does not come with Rust, and what it is run with.
struct Tool {
    package: &'static str,
    arguments: &'static [&'static str],
}

const TOOLS: [Tool; 2] = [
    // Dependencies that nobody uses.
    Tool {
        package: "cargo-machete",
        arguments: &["machete"],
    },
    // Not the advisories: their database lies behind a network.
    Tool {
        package: "cargo-deny",
        arguments: &["deny", "check", "licenses", "bans", "sources"],
    },
];

/// Runs every check, also after one that failed.
///
/// # Errors
///
/// When a check fails, or its tool is missing.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut problems = Vec::new();
    for check in BUILT_IN {
        if let Err(error) = run_command(&mut cargo(check)) {
            problems.push(error.to_string());
        }
    }
    for tool in &TOOLS {
        let name = tool.arguments[0];
        if !succeeds(&mut cargo([name, "--version"])) {
            if !args.provision {
                problems.push(format!(
                    "cargo {name} is missing: cargo install --locked {}, or cargo xtask lint --provision",
                    tool.package
                ));
                continue;
            }
            run_command(&mut cargo(["install", "--locked", tool.package]))?;
        }
        if let Err(error) = run_command(&mut cargo(tool.arguments)) {
            problems.push(error.to_string());
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n       "));
    }
    Ok(())
}
