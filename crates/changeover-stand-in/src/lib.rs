//! A stand-in for Materialize's image, where no Materialize image can be had.
//!
//! It is the reference database in Materialize's clothes: flags, variables, ports, listeners, health paths, exit codes
//! and the loop in the container are as the facts say that are cited here by number (those of `docs/materialize.md`);
//! what is not among them is refused. It proves that Changeover drives such an image; it proves nothing about
//! Materialize.

mod entrypoint;
mod environmentd;
pub mod images;
mod listeners;
mod settings;
mod wire;
mod words;

use std::path::Path;
use std::process::ExitCode;

/// The first line of its output.
const BANNER: &str =
    "this is a stand-in made from Changeover's reference database, not Materialize";

/// The version that it plays; without it the name of the directory it lies in.
const VERSION: &str = "STAND_IN_VERSION";

/// Runs what this binary was called as: `environmentd`, or else the image's entrypoint.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let own = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let name = Path::new(&own).file_name().unwrap_or_default();
    match name == "environmentd" {
        true => environmentd::run(Path::new(&own), &rest),
        false => entrypoint::run(&rest),
    }
}
