//! The `changeover` command line: arguments in, exit code out.
//!
//! A thin shell. It turns what was typed into what the other crates need, prints what they answer, and maps how it
//! ended to an exit code ([`exit::Exit`]). Every error is one sentence on standard error.

mod args;
mod commands;
mod duration;
mod error;
pub mod exit;
mod knowledge;
mod machine;
mod output;
mod past;
mod planning;
mod rolling;
mod run;
mod signals;
mod store;
mod target_file;
mod usage;
mod watch;
mod workload;

use args::{Cli, Command, ReferenceCommand};
use clap::Parser;
use error::CliError;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let done = match Cli::try_parse() {
        Ok(cli) => run(cli.command),
        Err(error) => usage::answer(&error).map(ExitCode::from),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            output::error(&error.message);
            error.code.into()
        }
    }
}

fn run(command: Command) -> Result<ExitCode, CliError> {
    let exit = match command {
        Command::Rehearse(args) => commands::rehearse::run(&args),
        Command::Probe(args) => commands::probe::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Releases(args) => commands::releases::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Runs(args) => commands::runs::run(&args),
        Command::Route(args) => commands::route::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Scenarios(args) => commands::scenarios::run(&args),
        Command::Cleanup(args) => commands::cleanup::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Reference(ReferenceCommand::Serve(args)) => {
            // The database has exit codes of its own: they are how it talks to its supervisor.
            return Ok(changeover_reference::run(*args));
        }
        Command::Reference(ReferenceCommand::Bugs(format)) => commands::bugs::run(format),
    };
    exit.map(ExitCode::from)
}
