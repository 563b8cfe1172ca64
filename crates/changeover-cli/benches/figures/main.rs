//! The figures of docs/benchmarks.md: measured on the release binary and on real processes, as ratios against
//! something a reader can run.
//!
//! `cargo xtask bench` runs all and writes the document; `cargo bench -p changeover-cli --bench figures -- NAME…`
//! runs some and only prints.

mod commits;
mod driven;
mod front_door;
mod gaps;
mod instances;
mod judge;
mod ladder;
mod load;
mod machine;
mod original;
mod planning;
mod probe;
mod reaction;
mod report;
mod steps;

use report::Figure;
use std::process::ExitCode;

/// A measurement: its name on the command line, and what runs it.
type Measurement = (&'static str, fn() -> Result<Vec<Figure>, String>);

const MEASUREMENTS: [Measurement; 12] = [
    ("planning", planning::measure),
    ("judge", judge::measure),
    ("ladder", ladder::measure),
    ("gaps", gaps::measure),
    ("commits", commits::measure),
    ("steps", steps::measure),
    ("docker", original::measure),
    ("reaction", reaction::measure),
    ("front-door", front_door::measure),
    ("load", load::measure),
    ("memory", load::measure_memory),
    ("probe", probe::measure),
];

fn main() -> ExitCode {
    // cargo passes `--bench` to every benchmark.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let document = std::env::var_os("CHANGEOVER_BENCH_DOCUMENT");
    let mut figures = Vec::new();
    for (name, measure) in MEASUREMENTS {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        eprintln!("measuring {name} …");
        match measure() {
            Ok(measured) => figures.extend(measured),
            Err(problem) => {
                eprintln!("error: {name}: {problem}");
                return ExitCode::from(4);
            }
        }
    }
    let text = report::render(&figures);
    print!("{text}");
    if let Some(path) = document
        && let Err(error) = std::fs::write(&path, &text)
    {
        eprintln!("error: cannot write {}: {error}", path.display());
        return ExitCode::from(2);
    }
    if figures.iter().all(Figure::is_met) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
