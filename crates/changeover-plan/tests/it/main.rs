//! The planner's tests against the built-in reference target, and the proof that the pure crates are pure.

mod bad_plans;
mod draw;
mod draw_properties;
mod parameters;
mod materialize;
mod planning;
mod properties;
mod purity;
mod python;
mod stream;
mod tree;

use changeover_model::catalog::Catalog;
use changeover_model::target::Target;
use changeover_model::version::PathVersion;
use changeover_plan::{Request, plan};

fn target() -> Target {
    Target::parse(include_str!("../../../../targets/reference/target.toml")).unwrap()
}

/// A catalog of its own, so that a new release of the reference database changes no test here.
fn catalog() -> Catalog {
    let text = r#"
        release = [
            { version = "v0.1.0", date = "2026-01-01", summary = "" },
            { version = "v0.2.0", date = "2026-02-01", summary = "" },
            { version = "v0.2.1", date = "2026-02-02", summary = "", unusable = "loses writes" },
            { version = "v0.3.0", date = "2026-03-01", summary = "" },
        ]
    "#;
    Catalog::parse("reference", true, text).unwrap()
}

fn versions(list: &[&str]) -> Option<Vec<PathVersion>> {
    Some(list.iter().map(|v| v.parse().unwrap()).collect())
}

/// The plan's path, or the refusal.
fn path(request: &Request) -> Result<Vec<String>, String> {
    match plan(request, &target(), &catalog()) {
        Ok((plan, _)) => Ok(plan.path.iter().map(PathVersion::to_string).collect()),
        Err(error) => Err(error.to_string()),
    }
}
