//! Reports of synthetic runs, word for word. `CHANGEOVER_UPDATE=1` writes the golden files anew.

mod browser;
mod compared;
mod events;
mod forms;
mod hostile;
mod probe;
mod size;
mod stored;
mod verdicts;

use std::path::Path;

fn golden(name: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(name);
    if std::env::var_os("CHANGEOVER_UPDATE").is_some() {
        std::fs::write(&file, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&file)
        .unwrap_or_else(|e| panic!("{}: {e}; run with CHANGEOVER_UPDATE=1", file.display()));
    assert_eq!(actual, expected, "{name}");
}
