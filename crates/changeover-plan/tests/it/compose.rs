//! Compose files, word for word. `CHANGEOVER_UPDATE=1` writes the golden files anew.

use crate::versions;
use changeover_plan::compose::{ComposeImages, compose};
use changeover_plan::{Knowledge, ParameterMode, ParameterRequest, Request, plan};
use std::path::Path;

const IMAGES: ComposeImages<'_> = ComposeImages {
    unnamed: "${CURRENT_IMAGE:?set CURRENT_IMAGE to the image of the current version}",
    metadata_store: "postgres:17",
};

fn golden(name: &str, target: &str, path: &[&str]) {
    let known = Knowledge::of(target).unwrap();
    let request = Request {
        versions: versions(path),
        runtime: Some("docker".to_owned()),
        allow_illegal: true,
        parameters: ParameterRequest {
            mode: (target == "materialize").then_some(ParameterMode::Minimal),
            ..ParameterRequest::default()
        },
        ..Request::default()
    };
    let (plan, _) = plan(&request, &known).unwrap();
    let composed = compose(&plan, &known.target, IMAGES).unwrap();
    let files = composed
        .files
        .iter()
        .map(|(file, text)| format!("--- {file}\n{text}"));
    let text = format!(
        "{}--- upgrade.sh\n{}{}",
        composed.yaml,
        composed.script,
        files.collect::<String>()
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(name);
    if std::env::var_os("CHANGEOVER_UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file)
        .unwrap_or_else(|e| panic!("{}: {e}; run with CHANGEOVER_UPDATE=1", file.display()));
    assert!(
        text == expected,
        "{name} differs; run with CHANGEOVER_UPDATE=1 and look"
    );
}

/// An own variable for the catalog.
#[test]
fn before_v0_92() {
    golden("compose-0.90.txt", "materialize", &["v0.90.0", "v0.91.0"]);
}

/// A listeners' file in the second.
#[test]
fn across_v0_140() {
    golden(
        "compose-0.130.txt",
        "materialize",
        &["v0.130.13", "v0.147.20"],
    );
}

#[test]
fn v26_and_current() {
    golden(
        "compose-26.txt",
        "materialize",
        &["v0.147.20", "v26.0.0", "current"],
    );
}

#[test]
fn the_reference_database() {
    golden("compose-reference.txt", "reference", &["v0.2.0", "v0.3.0"]);
}
