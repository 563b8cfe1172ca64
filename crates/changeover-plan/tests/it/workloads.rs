//! What clients do, as asked for.

use crate::{known, materialize, versions};
use changeover_model::Plan;
use changeover_plan::{Knowledge, Request, WorkloadRequest, plan, review, tree};

fn asked(names: &[&str]) -> Request {
    Request {
        workload: WorkloadRequest {
            names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            objects: Some("SELECT 1".to_owned()),
            script: Some("SELECT 2".to_owned()),
        },
        ..Request::default()
    }
}

fn planned(request: &Request, known: &Knowledge) -> (Plan, Vec<String>) {
    let (plan, warnings) = plan(request, known).unwrap();
    // What a file says is what was planned.
    assert_eq!(Plan::parse(&plan.to_json()).unwrap(), plan);
    (plan, warnings)
}

fn refusal(request: &Request, known: &Knowledge) -> String {
    plan(request, known).unwrap_err().to_string()
}

#[test]
fn a_plan_without_a_word_has_the_sets_and_says_nothing_more() {
    let (plan, _) = planned(&Request::default(), &known());
    assert_eq!(plan.workload.models, ["set"]);
    assert!(!plan.to_json().contains("details"));
}

#[test]
fn only_what_was_asked_for_is_told() {
    let (plan, warnings) = planned(&asked(&["register", "script"]), &known());
    assert_eq!(plan.workload.models, ["register", "script"]);
    assert_eq!(plan.workload.details.script.as_deref(), Some("SELECT 2"));
    assert_eq!(plan.workload.details.objects, None);
    assert!(warnings.is_empty());
    let text = tree::render(&plan, &known().target.instances);
    assert!(text.contains("  workloads: register, script\n"), "{text}");
}

#[test]
fn what_a_target_cannot_do_is_left_out_by_name() {
    let (plan, warnings) = planned(&asked(&["append", "bank"]), materialize());
    assert_eq!(plan.workload.models, ["bank"]);
    let sentence = "workload append is skipped: it needs interactive-transactions, which the target does not have";
    assert!(warnings.contains(&sentence.to_owned()), "{warnings:?}");
    assert!(tree::render(&plan, &materialize().target.instances).contains(sentence));
    // Who runs it again is told again.
    let mut again = plan.clone();
    let told = review(&mut again, materialize(), false).unwrap();
    assert!(told.contains(&sentence.to_owned()));
    assert_eq!(
        refusal(&asked(&["append"]), materialize()),
        "target materialize can run no workload of those asked for: append needs interactive-transactions, which it does not have"
    );
    let mut edited = plan;
    edited.workload.models.push("append".to_owned());
    let refused = review(&mut edited, materialize(), false).unwrap_err();
    assert!(refused.to_string().contains("interactive-transactions"));
}

#[test]
fn names_are_looked_up() {
    let refused = refusal(&asked(&["regster"]), &known());
    assert_eq!(
        refused,
        "unknown workload \"regster\": did you mean register?"
    );
    let refused = refusal(&asked(&["set", "bank", "set"]), &known());
    assert_eq!(refused, "workload set is named twice: name it once");
}

#[test]
fn aged_data_is_made_by_the_usable_releases_before_the_path() {
    let aged = |list: &[&str]| Request {
        versions: versions(list),
        ..asked(&["aged"])
    };
    let (plan, _) = planned(&aged(&["v0.3.0", "current"]), &known());
    let made: Vec<String> = plan
        .workload
        .details
        .aged
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(made, ["v0.1.0", "v0.2.0"]);
    let refused = refusal(&aged(&["v0.1.0", "current"]), &known());
    assert!(refused.starts_with("workload aged needs a usable release older than v0.1.0"));
}

#[test]
fn a_plan_that_was_edited_is_held_to_the_same() {
    let (plan, _) = planned(&asked(&["set", "script"]), &known());
    let edited = |from: &str, to: &str| {
        let text = plan.to_json();
        assert!(text.contains(from));
        Plan::parse(&text.replacen(from, to, 1))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        edited("\"set\"", "\"sett\""),
        "workload.models[0]: unknown workload \"sett\": did you mean set?"
    );
    assert_eq!(
        edited("\"set\"", "\"script\""),
        "workload.models[1]: script is there twice; name it once"
    );
    assert_eq!(
        edited("SELECT 2", "SELECT '2"),
        "workload.details.script: line 1: a quote begins here and does not end; add '"
    );
    assert!(
        edited("\"script\": \"SELECT 2\"", "\"objects\": \"SELECT 2\"")
            .contains("workload.details.objects: is given")
    );
    assert!(
        edited("\"script\": \"SELECT 2\"", "\"skript\": \"SELECT 2\"")
            .contains("unknown field `skript`")
    );
}
