//! The project's chores: `cargo xtask test`, `bench`, `bugs`, `soak`, `lint`, `fresh`.
//!
//! Thin wrappers around commands that anybody can type; each prints what it runs. CI runs the same.

mod bench;
mod bugs;
mod document;
mod engine;
mod faults;
mod fresh;
mod lint;
mod provision;
mod run;
mod screenshots;
mod soak;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run every test; what a test needs and this machine lacks is skipped, in one line each.
    Test(test::Args),
    /// Measure the figures, and write them to docs/benchmarks.md.
    Bench(bench::Args),
    /// Rehearse every planted bug, and write what caught it to docs/planted-bugs.md.
    Bugs(bugs::Args),
    /// Break something at every point of a hand-over, and write what came of it to docs/fault-matrix.md.
    Faults(faults::Args),
    /// Run what needs long counts: kills of the reference database, clean rehearsals in a row, a quiet probe.
    Soak(soak::Args),
    /// Check formatting, lints, unused dependencies and licences.
    Lint(lint::Args),
    /// Take the pictures of the README and the guide anew.
    Screenshots(screenshots::Args),
    /// Clone this checkout into an empty directory, and run the README's two commands there.
    Fresh,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Test(args) => test::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Bugs(args) => bugs::run(&args),
        Chore::Faults(args) => faults::run(&args),
        Chore::Soak(args) => soak::run(&args),
        Chore::Lint(args) => lint::run(&args),
        Chore::Screenshots(args) => screenshots::run(&args),
        Chore::Fresh => fresh::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
