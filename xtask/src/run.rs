//! Running commands, visibly.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// The cargo that runs us, at the workspace's root.
pub(crate) fn cargo<I>(arguments: I) -> Command
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    // What cargo told us about ourselves is not true of what it runs next; a tool that looks at it takes itself for us.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Prints a command and runs it.
///
/// # Errors
///
/// When it cannot be started, or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Whether a command succeeds. Its output is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where cargo puts what it builds.
///
/// # Errors
///
/// When cargo does not say.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let output = cargo(["metadata", "--locked", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}

/// Builds the release binary. Returns where it is.
///
/// # Errors
///
/// When it cannot be built.
pub(crate) fn release_binary() -> Result<PathBuf> {
    run(&mut cargo([
        "build",
        "--locked",
        "--release",
        "--package",
        "changeover-cli",
    ]))?;
    Ok(target_directory()?.join("release").join("changeover"))
}

/// The binary that was built last, with whichever profile.
///
/// # Errors
///
/// When none is.
pub(crate) fn newest_binary() -> Result<PathBuf> {
    let target = target_directory()?;
    let built = |profile: &str| {
        let path = target.join(profile).join("changeover");
        let time = std::fs::metadata(&path).and_then(|found| found.modified());
        time.ok().map(|time| (time, path))
    };
    let newest = ["debug", "release"].into_iter().filter_map(built).max();
    newest
        .map(|(_, path)| path)
        .context("nothing is built; run `cargo build` or `cargo build --release` first")
}

/// Program and arguments as a person would type them; the environment that was set on top comes first.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // The full path of cargo says nothing.
    let name = program.file_name().unwrap_or(program.as_os_str());
    let environment = command.get_envs().filter_map(|(key, value)| {
        Some(format!(
            "{}={}",
            key.to_string_lossy(),
            value?.to_string_lossy()
        ))
    });
    let words = std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned());
    environment.chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/env");
        command.args(["a", "b"]).env("X", "1").env_remove("Y");
        assert_eq!(shown(&command), "X=1 env a b");
    }

    #[test]
    fn success_is_told_from_failure_and_absence() {
        assert!(succeeds(&mut Command::new("true")));
        assert!(!succeeds(&mut Command::new("false")));
        assert!(!succeeds(&mut Command::new("/no/such/program")));
    }
}
