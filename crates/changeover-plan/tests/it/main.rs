//! The planner's tests against the built-in reference target, and the proof that the pure crates are pure.

mod bad_plans;
mod compose;
mod draw;
mod draw_properties;
mod drawn_plans;
mod materialize_releases;
mod parameters;
mod planning;
mod properties;
mod purity;
mod python;
mod routes;
mod rules;
mod scenarios;
mod stream;
mod tree;
mod workloads;

use changeover_model::catalog::Catalog;
use changeover_model::version::PathVersion;
use changeover_plan::{Knowledge, Request, plan};
use std::sync::LazyLock;

/// What is known of the reference target, with a catalog of its own, so that a new release of the reference database
/// changes no test here.
fn known() -> Knowledge {
    let text = r#"
        as_of = "2026-03-31"
        release = [
            { version = "v0.1.0", date = "2026-01-01", summary = "" },
            { version = "v0.2.0", date = "2026-02-01", summary = "" },
            { version = "v0.2.1", date = "2026-02-02", summary = "", unusable = "loses writes" },
            { version = "v0.3.0", date = "2026-03-01", summary = "" },
        ]
    "#;
    known_with(Catalog::parse("reference", true, text).unwrap())
}

fn known_with(catalog: Catalog) -> Knowledge {
    let mut known = Knowledge::of("reference").unwrap();
    known.catalog = catalog;
    known
}

/// What is known of Materialize. Reading it takes longer than most cases of a property test.
fn materialize() -> &'static Knowledge {
    static MATERIALIZE: LazyLock<Knowledge> =
        LazyLock::new(|| Knowledge::of("materialize").unwrap());
    &MATERIALIZE
}

fn versions(list: &[&str]) -> Option<Vec<PathVersion>> {
    Some(list.iter().map(|v| v.parse().unwrap()).collect())
}

/// The plan's path, or the refusal.
fn path(request: &Request) -> Result<Vec<String>, String> {
    match plan(request, &known()) {
        Ok((plan, _)) => Ok(plan.path.iter().map(PathVersion::to_string).collect()),
        Err(error) => Err(error.to_string()),
    }
}
