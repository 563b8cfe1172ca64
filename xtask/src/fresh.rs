//! `cargo xtask fresh`: does the README tell the truth to somebody who has only just cloned?

use crate::run::{root, run as run_command};
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;

/// The README promises so many commands at its start.
const COMMANDS: usize = 2;

/// Clones the checkout's last commit into an empty directory and runs the README's first two commands there.
///
/// # Errors
///
/// When the README has fewer, or one of them fails.
pub(crate) fn run() -> Result<()> {
    let place = tempfile::tempdir().context("cannot make a temporary directory")?;
    let clone = place.path().join("changeover");
    run_command(
        Command::new("git")
            .args(["clone", "--quiet", "--no-hardlinks"])
            .arg(root())
            .arg(&clone),
    )?;
    // The clone's README, not ours: what is not committed does not exist for a stranger.
    let readme =
        fs::read_to_string(clone.join("README.md")).context("the clone has no README.md")?;
    let commands = commands(&readme);
    if commands.len() < COMMANDS {
        bail!(
            "README.md has {} commands in ```sh blocks; it promises {COMMANDS}",
            commands.len()
        );
    }
    for command in &commands[..COMMANDS] {
        run_command(
            Command::new("sh")
                .args(["-ec", command])
                .current_dir(&clone)
                // A stranger has no build of ours to start from.
                .env_remove("CARGO_TARGET_DIR"),
        )
        .context("the README's command failed in a fresh clone")?;
    }
    Ok(())
}

/// The lines of every block that is marked as `sh`, comments and blank lines aside.
fn commands(markdown: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            commands.push(line);
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_shell_blocks() {
        let text = "`cargo a`\n```sh\n# first\ncargo b\n\n```\ntext\n```text\ncargo c\n```\n```sh\ncargo d\n```\n";
        assert_eq!(commands(text), ["cargo b", "cargo d"]);
    }

    #[test]
    fn the_readme_starts_with_the_main_job_and_then_the_tests() {
        let readme = include_str!("../../README.md");
        assert_eq!(
            commands(readme)[..COMMANDS],
            [
                "cargo run --release -- rehearse",
                "cargo xtask test --provision"
            ]
        );
    }

    #[test]
    fn ci_runs_the_second_command_exactly() {
        let script = include_str!("../../.ci/run");
        let lines: Vec<&str> = script
            .lines()
            .filter(|line| line.starts_with("cargo "))
            .collect();
        assert_eq!(lines, ["cargo xtask test --provision"]);
    }
}
