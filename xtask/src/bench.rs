//! `cargo xtask bench`: the figures of docs/benchmarks.md.
//!
//! The measuring is a benchmark of changeover-cli (`benches/figures`), so that cargo builds it, and the binary it
//! measures, with the release profile.

use crate::run::{cargo, root};
use anyhow::Result;

/// Where the figures are written; the benchmark leaves the file alone without it.
const DOCUMENT: &str = "CHANGEOVER_BENCH_DOCUMENT";

/// The program that makes the images of the figure on Docker; without it the benchmark leaves that out.
const IMAGES: &str = "CHANGEOVER_STAND_IN_IMAGES";

/// `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure only these, and only print them
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Measures the figures. All of them are written down, some are only printed.
///
/// # Errors
///
/// When something cannot be measured, or a figure is not met.
pub(crate) fn run(args: &Args) -> Result<()> {
    // What makes the images of the figure on Docker.
    crate::run::run(&mut cargo([
        "build",
        "--locked",
        "--release",
        "--package",
        "changeover-stand-in",
    ]))?;
    let mut command = cargo([
        "bench",
        "--locked",
        "--package",
        "changeover-cli",
        "--bench",
        "figures",
    ]);
    command.env(IMAGES, root().join("target/release/stand-in-images"));
    if args.names.is_empty() {
        command.env(DOCUMENT, root().join("docs/benchmarks.md"));
    } else {
        command.arg("--").args(&args.names);
    }
    crate::run::run(&mut command)
}
