//! The reference database as a program of its own: what an image needs to contain.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A small SQL database whose only special skill is to be upgraded
#[derive(Parser)]
#[command(name = "changeover-reference")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve one instance
    Serve(Box<changeover_reference::ServeArgs>),
    /// List the releases it can play
    Releases,
    /// List the bugs it has on request
    Bugs,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => changeover_reference::run(*args),
        Command::Bugs => {
            print!("{}", changeover_reference::bugs_text());
            ExitCode::SUCCESS
        }
        Command::Releases => {
            for release in changeover_reference::releases() {
                println!(
                    "{:8} {:12} {:10}  {}",
                    release.version,
                    release.format,
                    release.date.unwrap_or("-"),
                    release.summary
                );
            }
            ExitCode::SUCCESS
        }
    }
}
