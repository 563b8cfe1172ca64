//! Plan files that must be refused, each for the right reason.

use crate::known;
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
    assert!(error.problem.contains("slot mz_1 twice in a row"));
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
