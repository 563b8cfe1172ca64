//! Plans of random paths through Materialize's releases.

use crate::materialize;
use changeover_model::check::Check;
use changeover_model::plan::Plan;
use changeover_model::version::PathVersion;
use changeover_plan::route::Router;
use changeover_plan::{
    DrawRequest, Generator, ParameterMode, ParameterRequest, Request, Strategy,
    generate_upgrade_args, plan,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

// Our own Strategy is the one the tests talk about.
use proptest::strategy::Strategy as Strategy_;

fn random(seed: &str) -> Request {
    Request {
        strategy: Some(Strategy::Random),
        seed: Some(seed.to_owned()),
        ..Request::default()
    }
}

fn planned(request: &Request) -> Plan {
    plan(request, materialize()).unwrap().0
}

/// Random paths among all usable versions that the operator of Materialize leads through without a gap.
fn requests() -> impl Strategy_<Value = Request> {
    let known = materialize();
    let from: PathVersion = "v0.120.0".parse().unwrap();
    let candidates: Vec<PathVersion> = known
        .catalog
        .usable()
        .map(|release| release.version.clone().into())
        // v0.164 leads to v26 by the operator, and nowhere by the documentation.
        .filter(|v: &PathVersion| {
            *v >= from && !(147..1000).contains(&v.known().unwrap().semver().minor)
        })
        .collect();
    (
        "-?[1-9][0-9]{0,25}|str:[a-z]{0,6}",
        0.01..=1.0_f64,
        prop::option::of(1..10_i64),
        any::<bool>(),
    )
        .prop_map(move |(seed, probability, max_versions, then)| Request {
            versions: Some(candidates.clone()),
            draw: DrawRequest {
                probability: Some(probability),
                max_versions,
                ..DrawRequest::default()
            },
            then: then.then_some(PathVersion::Current).into_iter().collect(),
            ..random(&seed)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_hop_of_a_drawn_plan_is_legal_and_what_was_filled_is_said(request in requests()) {
        let known = materialize();
        let made = planned(&request);
        let router = Router::new(&known.catalog, known.rules.defaults(), None);
        for hop in made.path.windows(2) {
            prop_assert!(hop[0] < hop[1]);
            prop_assert!(router.legal(&hop[0], &hop[1]), "{} → {}", hop[0], hop[1]);
        }
        // As drawn, with illegal hops left as they are.
        let raw = planned(&Request { allow_illegal: true, ..request.clone() });
        let filled = made.path.len() - raw.path.len();
        prop_assert!(raw.path.iter().all(|version| made.path.contains(version)));
        prop_assert_eq!(filled > 0, !made.findings.is_empty());
        prop_assert_eq!(raw.findings.len(), made.findings.len());
        prop_assert!(made.findings.iter().all(|f| f.check == Check::IllegalHop && f.step.is_none()));
        prop_assert!(raw.findings.iter().all(|f| f.step.is_some()));
        if let Some(most) = request.draw.max_versions {
            prop_assert!(raw.path.len() <= most as usize + request.then.len());
        }
        prop_assert_eq!(planned(&request).to_json(), made.to_json());
    }
}

#[test]
fn without_versions_a_path_is_drawn_from_what_the_python_callers_draw_from() {
    let everything = Request {
        draw: DrawRequest {
            probability: Some(1.0),
            ..DrawRequest::default()
        },
        ..random("1")
    };
    let path = planned(&everything).path;
    let first: Vec<String> = path[..8].iter().map(PathVersion::to_string).collect();
    assert_eq!(
        first,
        [
            "v0.147.0",
            "v0.147.4",
            "v0.147.6",
            "v0.147.17",
            "v0.147.18",
            "v0.147.20",
            "v26.0.0",
            "v26.1.0"
        ]
    );
    assert_eq!(path.last().unwrap().to_string(), "v26.22.0");
}

#[test]
fn a_python_path_is_taken_as_it_is_and_its_illegal_hops_are_refused() {
    let python = Request {
        draw: DrawRequest {
            generator: Some(Generator::Python),
            probability: Some(1.0),
            ..DrawRequest::default()
        },
        versions: Some(vec![
            "v0.147.18".parse().unwrap(),
            "v26.3.0".parse().unwrap(),
        ]),
        ..random("5")
    };
    let known = materialize();
    let error = plan(&python, known).unwrap_err().to_string();
    assert!(
        error.starts_with("v0.147.18 → v26.3.0 is not a legal upgrade"),
        "{error}"
    );
    let wanted = planned(&Request {
        allow_illegal: true,
        ..python
    });
    assert_eq!((wanted.path.len(), wanted.rng.as_str()), (2, "python"));
    assert_eq!(wanted.findings[0].step, Some(1));
}

#[test]
fn another_kind_of_decision_shifts_no_other() {
    let path = |mode| {
        let request = Request {
            parameters: ParameterRequest {
                mode,
                ..ParameterRequest::default()
            },
            ..random("77")
        };
        let made = planned(&request);
        (made.path, made.workload.seed)
    };
    assert_eq!(path(None), path(Some(ParameterMode::Random)));
}

#[test]
fn every_service_has_its_own_copy_of_the_first_versions_parameters() {
    let request = Request {
        versions: Some(
            ["v0.147.20", "v26.0.0", "v26.22.0", "current"]
                .map(|v| v.parse().unwrap())
                .to_vec(),
        ),
        parameters: ParameterRequest {
            given: vec![("enable_upsert_v2".to_owned(), "true".to_owned())],
            ..ParameterRequest::default()
        },
        ..Request::default()
    };
    let services = planned(&request).services;
    for service in &services {
        let parameters = &service.system_parameter_defaults;
        assert_eq!(*parameters, services[0].system_parameter_defaults);
        // What v26.9 and later get, and v0.147.20 does not.
        assert_eq!(parameters["enable_frontend_peek_sequencing"], "false");
        assert_eq!(parameters["enable_upsert_v2"], "true");
    }
    let images: Vec<Option<&str>> = services.iter().map(|s| s.image.as_deref()).collect();
    assert_eq!(
        images,
        [
            Some("materialize/materialized:v0.147.20"),
            Some("materialize/materialized:v26.0.0"),
            Some("materialize/materialized:v26.22.0"),
            None
        ]
    );
}

#[test]
fn current_takes_the_parameters_of_the_newest_usable_version_unless_it_is_said_otherwise() {
    let parameter = |current: Option<&str>| {
        let request = Request {
            versions: Some(vec![PathVersion::Current]),
            current_version: current.map(|v| v.parse().unwrap()),
            ..Request::default()
        };
        planned(&request).services[0].system_parameter_defaults["enable_frontend_subscribes"]
            .clone()
    };
    assert_eq!(parameter(None), "true");
    assert_eq!(parameter(Some("v26.17.0")), "false");
}

#[test]
fn upgrade_arguments_are_made_of_any_path_but_an_empty_one() {
    let none = generate_upgrade_args(&[], &BTreeMap::new(), None).unwrap_err();
    assert!(none.to_string().starts_with("the upgrade path is empty"));
    let tagged = [
        "v26.24.0-dev.0+pr.g5a05".parse().unwrap(),
        PathVersion::Current,
    ];
    let parameters = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let mut services = generate_upgrade_args(&tagged, &parameters, Some("host:5000/mz")).unwrap();
    // A tag has no plus sign.
    assert_eq!(
        services[0].image.as_deref(),
        Some("host:5000/mz:v26.24.0-dev.0--pr.g5a05")
    );
    services[0].system_parameter_defaults.clear();
    assert_eq!(services[1].system_parameter_defaults, parameters);
}
