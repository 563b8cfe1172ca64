//! Scenarios: what is done when, on which path.

use crate::{known, versions};
use changeover_model::scenario::{Action, When};
use changeover_plan::scenario::{PRESETS, Preset};
use changeover_plan::{Knowledge, Request, plan};

fn planned(name: &str, target: &str, path: Option<&[&str]>) -> changeover_model::Plan {
    let request = Request {
        scenario: Preset::find(name),
        versions: path.and_then(versions),
        seed: Some("7".to_owned()),
        ..Request::default()
    };
    let known = match target {
        "reference" => known(),
        _ => Knowledge::of(target).unwrap(),
    };
    plan(&request, &known).unwrap().0
}

/// What a plan does, such as `0a initialize`.
fn actions(plan: &changeover_model::Plan) -> Vec<String> {
    let scenario = plan.scenario.as_ref().unwrap();
    scenario
        .actions
        .iter()
        .map(|it| {
            let when = match it.when {
                When::During => "d",
                When::After => "a",
            };
            format!("{}{when} {}", it.step, it.action)
        })
        .collect()
}

#[test]
fn every_scenario_changes_everything_before_it_looks_and_looks_at_the_end() {
    for preset in PRESETS {
        for target in ["reference", "materialize"] {
            let plan = planned(preset.name, target, None);
            let last = plan.steps.len();
            let scenario = plan.scenario.as_ref().unwrap();
            let order: Vec<Action> = scenario.actions.iter().map(|it| it.action).collect();
            let first = |action| order.iter().position(|it| *it == action);
            let [init, one, two, look] = Action::ALL.map(first);
            assert!(
                init < one && one < two && two < look,
                "{}: {order:?}",
                preset.name
            );
            let end = scenario.actions.last().unwrap();
            assert_eq!(
                (end.step as usize, end.when, end.action),
                (last, When::After, Action::Validate)
            );
            let text = plan.to_json();
            assert_eq!(
                changeover_model::Plan::parse(&text).unwrap(),
                plan,
                "{}",
                preset.name
            );
        }
    }
}

#[test]
fn a_path_that_was_asked_for_wins() {
    let plan = planned(
        "linear-manipulate-during",
        "reference",
        Some(&["v0.1.0", "v0.3.0"]),
    );
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(
        actions(&plan),
        [
            "0a initialize",
            "0a manipulate-1",
            "1a manipulate-2",
            "1a validate"
        ]
    );
    let restarts = planned("restarts", "reference", Some(&["v0.2.0"]));
    assert_eq!(restarts.path.len(), 4);
    assert_eq!(
        actions(&restarts),
        [
            "0a initialize",
            "1d manipulate-1",
            "2d manipulate-2",
            "2a validate",
            "3d validate",
            "3a validate"
        ]
    );
}

#[test]
fn versions_back_are_the_latest_patches_of_minor_versions() {
    let plan = planned("four-versions-back", "materialize", None);
    let path: Vec<String> = plan.path.iter().map(ToString::to_string).collect();
    assert_eq!(
        path,
        ["v26.18.0", "v26.19.0", "v26.20.2", "v26.22.0", "current"]
    );
}

#[test]
fn a_plan_without_a_scenario_says_nothing_of_one() {
    let (plan, _) = plan(&Request::default(), &known()).unwrap();
    assert!(!plan.to_json().contains("scenario"));
}

#[test]
fn migrations_are_forced_where_the_current_version_is_upgraded_to() {
    const FORCED: &str = "--unsafe-force-builtin-schema-migration=replacement";
    let started = |path: Option<&[&str]>| {
        let plan = planned("forced-migrations", "materialize", path);
        let arguments = plan.arguments();
        let services = plan.services.iter().enumerate();
        services
            .map(|(index, service)| {
                let version = plan.version_of_service(index);
                let mut given = arguments.of(service.deploy_generation, version);
                given.any(|argument| argument == FORCED)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(started(None), [false, true, true, true]);
    assert_eq!(
        started(Some(&["v26.9.0", "v26.10.0", "current"])),
        [false, false, true]
    );
    // It is no argument of all, and of other scenarios none at all; a plan without it has no key for it.
    let plan = planned("forced-migrations", "materialize", None);
    assert!(plan.instance_args.is_empty());
    let plan = planned("restarts", "materialize", None);
    assert!(!plan.to_json().contains("upgraded_args"));
}

#[test]
fn a_path_on_which_nothing_is_forced_is_told() {
    let request = Request {
        scenario: Preset::find("forced-migrations"),
        versions: versions(&["v26.10.0"]),
        ..Request::default()
    };
    let (_, warnings) = plan(&request, &Knowledge::of("materialize").unwrap()).unwrap();
    assert!(
        warnings
            .iter()
            .any(|it| it.starts_with("nothing is started with --unsafe-force")),
        "{warnings:?}"
    );
}
