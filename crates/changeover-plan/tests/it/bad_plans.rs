//! Plan files that must be refused, each for the right reason.

use crate::{known, materialize, versions};
use changeover_model::check::Check;
use changeover_model::plan::{Plan, PlanError};
use changeover_plan::{Request, plan, review};
use serde_json::{Value, json};

fn sound() -> Value {
    let (plan, _) = plan(&Request::default(), &known()).unwrap();
    serde_json::from_str(&plan.to_json()).unwrap()
}

fn refused(change: impl FnOnce(&mut Value)) -> PlanError {
    let mut plan = sound();
    change(&mut plan);
    Plan::parse(&plan.to_string()).unwrap_err()
}

#[test]
fn the_unchanged_plan_is_accepted() {
    assert!(Plan::parse(&sound().to_string()).is_ok());
}

#[test]
fn generations_must_rise() {
    let swapped = refused(|plan| {
        plan["services"][1]["deploy_generation"] = json!(2);
        plan["services"][2]["deploy_generation"] = json!(1);
        plan["steps"][0]["deploy_generation"] = json!(2);
        plan["steps"][1]["deploy_generation"] = json!(1);
    });
    assert_eq!(
        swapped.to_string(),
        "services[2].deploy_generation: generation 1 after 2; each must be higher than the one before"
    );
    let equal = refused(|plan| {
        plan["services"][1]["deploy_generation"] = json!(0);
        plan["steps"][0]["deploy_generation"] = json!(0);
    });
    assert_eq!(equal.at, "services[1].deploy_generation");
}

#[test]
fn a_slot_may_not_stand_twice_in_a_row() {
    let error = refused(|plan| {
        plan["services"][1]["name"] = json!("mz_1");
        plan["steps"][0]["service"] = json!("mz_1");
    });
    assert_eq!(error.at, "services[1].name");
    assert!(error.problem.contains("slot mz_1 is that of the leader"));
}

#[test]
fn a_slot_is_a_tame_name() {
    let error = refused(|plan| plan["services"][0]["name"] = json!("../mz"));
    assert_eq!(error.at, "services[0].name");
}

#[test]
fn steps_must_agree_with_path_and_services() {
    let error = refused(|plan| plan["steps"][1]["to"] = json!("v0.9.0"));
    assert_eq!(error.at, "steps[1]");
    let error = refused(|plan| {
        plan["steps"].as_array_mut().unwrap().pop();
    });
    assert_eq!(error.at, "steps");
    let error = refused(|plan| {
        plan["services"].as_array_mut().unwrap().pop();
    });
    assert_eq!(error.at, "services");
    let error = refused(|plan| plan["path"] = json!([]));
    assert_eq!(error.at, "path");
}

#[test]
fn a_newer_plan_is_told_by_its_mark_even_with_keys_nobody_knows() {
    let error = refused(|plan| {
        plan["format"] = json!("changeover.plan/2");
        plan["comet"] = json!(true);
    });
    assert_eq!(error.at, "format");
    assert!(error.problem.contains("another major version"));
}

#[test]
fn an_unknown_key_is_refused_with_its_place() {
    let error = refused(|plan| plan["workload"]["rat"] = json!(3));
    assert!(error.at.starts_with("line "), "{error}");
    assert!(error.problem.contains("unknown field `rat`"), "{error}");
}

#[test]
fn numbers_of_nothing_are_refused() {
    assert_eq!(
        refused(|plan| plan["workload"]["rate"] = json!(0)).at,
        "workload.rate"
    );
    assert_eq!(
        refused(|plan| plan["budgets"]["write-gap"] = json!(-1.0)).at,
        "budgets.write-gap"
    );
    assert_eq!(
        refused(|plan| plan["timeouts_ms"]["boot"] = json!(0)).at,
        "timeouts_ms.boot"
    );
}

#[test]
fn something_else_altogether_is_refused() {
    for text in ["", "{}", "[]", "null", "changeover", "{\"format\":7}"] {
        assert!(Plan::parse(text).is_err(), "{text:?}");
    }
    let verdict = Plan::parse("{\"format\":\"changeover.verdict/1\"}").unwrap_err();
    assert!(verdict.problem.contains("give the right file"), "{verdict}");
}

#[test]
fn a_plan_that_planning_would_have_refused_is_refused_when_it_is_read() {
    let reviewed = |change: &dyn Fn(&mut Value)| {
        let mut value = sound();
        change(&mut value);
        let mut plan = Plan::parse(&value.to_string()).unwrap();
        review(&mut plan, &known(), false).map_err(|e| e.to_string())
    };
    assert_eq!(reviewed(&|_| {}), Ok(Vec::new()));
    let strategy = reviewed(&|plan| plan["strategy"] = json!("linaer"));
    assert_eq!(
        strategy.unwrap_err(),
        "unknown strategy \"linaer\": did you mean linear?"
    );
    let generator = reviewed(&|plan| plan["rng"] = json!("perl"));
    assert!(generator.unwrap_err().starts_with("unknown random number"));
    let seed = reviewed(&|plan| plan["seed"] = json!("str:\u{202e}1"));
    assert!(seed.unwrap_err().contains("cannot be printed"));
    let runtime = reviewed(&|plan| plan["runtime"] = json!("teapot"));
    assert!(runtime.unwrap_err().starts_with("unknown runtime"));
    let store = reviewed(&|plan| plan["metadata_store"] = json!("stone"));
    assert!(store.unwrap_err().starts_with("unknown metadata store"));
    let backward = reviewed(&|plan| {
        plan["path"][0] = json!("v0.2.0");
        plan["path"][1] = json!("v0.1.0");
        plan["steps"][0]["from"] = json!("v0.2.0");
        plan["steps"][0]["to"] = json!("v0.1.0");
        plan["steps"][1]["from"] = json!("v0.1.0");
    });
    assert!(backward.unwrap_err().starts_with("v0.1.0 is older"));
    let unknown = reviewed(&|plan| {
        plan["path"][0] = json!("v0.0.9");
        plan["steps"][0]["from"] = json!("v0.0.9");
    });
    assert!(unknown.unwrap_err().contains("has no version v0.0.9"));
}

#[test]
fn an_illegal_hop_of_a_plan_that_was_read_must_be_owned_up_to() {
    let mut value = sound();
    value["path"] = json!(["v0.2.0", "v0.1.0", null]);
    value["services"].as_array_mut().unwrap().pop();
    value["steps"].as_array_mut().unwrap().pop();
    for (step, from, to) in [(0, "v0.2.0", json!("v0.1.0")), (1, "v0.1.0", json!(null))] {
        value["steps"][step]["from"] = json!(from);
        value["steps"][step]["to"] = to;
    }
    let read = || Plan::parse(&value.to_string()).unwrap();
    let error = review(&mut read(), &known(), false).unwrap_err();
    assert!(error.to_string().starts_with("v0.1.0 is older than v0.2.0"));

    let mut plan = read();
    review(&mut plan, &known(), true).unwrap();
    let [finding] = plan.findings.as_slice() else {
        panic!("{:?}", plan.findings);
    };
    assert_eq!((finding.check, finding.step), (Check::IllegalHop, Some(1)));
    // Now it says so itself, once.
    let mut again = Plan::parse(&plan.to_json()).unwrap();
    review(&mut again, &known(), false).unwrap();
    assert_eq!(again, plan);
}

/// A plan of Materialize's through these versions, changed and reviewed.
fn reviewed(path: &[&str], change: impl FnOnce(&mut Plan)) -> Result<Vec<String>, String> {
    let request = Request {
        versions: versions(path),
        allow_illegal: true,
        ..Request::default()
    };
    let (mut plan, _) = plan(&request, materialize()).unwrap();
    change(&mut plan);
    review(&mut plan, materialize(), false).map_err(|e| e.to_string())
}

#[test]
fn an_image_is_of_its_version_wherever_it_lies() {
    let with_image = |service: usize, image: Option<&str>| {
        reviewed(&["v26.1.0", "v26.2.0--main.g1", "current"], |plan| {
            plan.services[service].image = image.map(str::to_owned);
        })
    };
    assert!(with_image(0, Some("localhost:5000/mine:v26.1.0")).is_ok());
    let place = "the plan would make no sense: services";
    for (service, image, complaint) in [
        (
            0,
            Some("materialize/materialized:v26.1.1"),
            "\"materialize/materialized:v26.1.1\" is no image of v26.1.0; name one with its tag, as in \"materialize/materialized:v26.1.0\"",
        ),
        (
            0,
            Some("materialize/materialized"),
            "is no image of v26.1.0;",
        ),
        (0, Some(":v26.1.0"), "is no image of v26.1.0;"),
        (0, None, "null is no image of v26.1.0;"),
        (
            1,
            Some("materialize/materialized:v26.2.0"),
            "is no image of v26.2.0--main.g1;",
        ),
        (
            2,
            Some("materialize/materialized:latest"),
            "\"materialize/materialized:latest\" cannot be current, which is built from local source; set it to null",
        ),
    ] {
        let error = with_image(service, image).unwrap_err();
        assert!(
            error.starts_with(&format!("{place}[{service}].image: ")) && error.contains(complaint),
            "{error}"
        );
    }
}

#[test]
fn the_system_parameters_of_a_plan_can_be_given_and_are_the_same_everywhere() {
    let given = |services: std::ops::Range<usize>, name: &str, value: &str| {
        reviewed(&["v26.1.0", "v26.2.0"], |plan| {
            for service in &mut plan.services[services] {
                let parameters = &mut service.system_parameter_defaults;
                parameters.insert(name.to_owned(), value.to_owned());
            }
        })
    };
    assert_eq!(given(0..2, "log_filter", "debug"), Ok(Vec::new()));
    let error = given(1..2, "log_filter", "debug").unwrap_err();
    assert!(error.contains("services[1].system_parameter_defaults: is not that of services[0]"));
    let error = given(0..2, "log-filter", "debug").unwrap_err();
    assert!(error.contains("\"log-filter\" is no name of a system parameter"));
    let error = given(0..2, "log_filter", "debug;max_tables=5").unwrap_err();
    assert!(error.contains("holds a semicolon"));
    let warnings = given(0..2, "enable_upsert_v3", "true").unwrap();
    assert!(
        matches!(warnings.as_slice(), [warning] if warning.contains("(did you mean enable_upsert_v2?)")),
        "{warnings:?}"
    );
}

#[test]
fn an_objection_to_a_hop_onto_current_is_a_warning() {
    let path = ["v0.147.20", "current"];
    // The plan says so itself.
    assert_eq!(reviewed(&path, |_| {}), Ok(Vec::new()));
    let warnings = reviewed(&path, |plan| plan.findings.clear()).unwrap();
    assert_eq!(
        warnings,
        [
            "step 1: v0.147.20 → current is not a legal upgrade, because the documentation asks for a stop at v26.0.0, if current counts as the newest usable version; a plan does not say what it is, so the step is kept"
        ]
    );
    let legal = reviewed(&["v26.0.0", "current", "current"], |plan| {
        plan.findings.clear()
    });
    assert_eq!(legal, Ok(Vec::new()), "a restart in a plan is wanted");
}
