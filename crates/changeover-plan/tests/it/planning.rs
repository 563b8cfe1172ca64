//! What a request gives, and what it is refused for.

use crate::{known, known_with, path, versions};
use changeover_model::catalog::Catalog;
use changeover_plan::{Request, Strategy, parse_versions, plan};
use std::collections::BTreeMap;

fn refusal(request: Request) -> String {
    path(&request).unwrap_err()
}

#[test]
fn linear_takes_every_usable_release_and_then_current() {
    let all = ["v0.1.0", "v0.2.0", "v0.3.0", "current"];
    assert_eq!(path(&Request::default()).unwrap(), all);
    let linear = Request {
        strategy: Some(Strategy::Linear),
        ..Request::default()
    };
    assert_eq!(path(&linear).unwrap(), all);
}

#[test]
fn direct_goes_from_the_first_to_the_last() {
    let direct = |versions| Request {
        strategy: Some(Strategy::Direct),
        versions,
        ..Request::default()
    };
    assert_eq!(path(&direct(None)).unwrap(), ["v0.1.0", "current"]);
    let given = versions(&["v0.1.0", "v0.2.0", "v0.3.0"]);
    assert_eq!(path(&direct(given)).unwrap(), ["v0.1.0", "v0.3.0"]);
    assert_eq!(path(&direct(versions(&["v0.2.0"]))).unwrap(), ["v0.2.0"]);
}

#[test]
fn given_versions_are_the_path() {
    let request = Request {
        versions: versions(&["v0.1.0", "v0.3.0", "current"]),
        ..Request::default()
    };
    let (plan, warnings) = plan(&request, &known()).unwrap();
    assert_eq!(plan.strategy, "versions");
    assert_eq!(plan.path.len(), 3);
    assert!(warnings.is_empty());
}

#[test]
fn slots_alternate_and_generations_count_from_zero() {
    let (plan, _) = plan(&Request::default(), &known()).unwrap();
    let services: Vec<_> = plan
        .services
        .iter()
        .map(|s| (s.name.as_str(), s.deploy_generation))
        .collect();
    assert_eq!(
        services,
        [("mz_1", 0), ("mz_2", 1), ("mz_1", 2), ("mz_2", 3)]
    );
    for service in &plan.services {
        assert_eq!(service.image, None);
        assert_eq!(service.restart, "on-failure");
        assert!(service.external_metadata_store);
        assert!(service.system_parameter_defaults.is_empty());
    }
    let step = &plan.steps[1];
    assert_eq!((step.number, step.deploy_generation), (2, 2));
    assert_eq!(
        (step.service.as_str(), step.previous_service.as_str()),
        ("mz_1", "mz_2")
    );
}

#[test]
fn a_path_of_one_version_has_no_steps() {
    let request = Request {
        versions: versions(&["current"]),
        ..Request::default()
    };
    let (plan, _) = plan(&request, &known()).unwrap();
    assert_eq!(plan.services.len(), 1);
    assert!(plan.steps.is_empty());
}

#[test]
fn overrides_win_over_the_target() {
    let request = Request {
        seed: Some("0042".into()),
        rate: Some(7),
        clients: Some(3),
        probe_interval_ms: Some(50),
        budgets: BTreeMap::from([("read-gap".into(), 250.0)]),
        timeouts_ms: BTreeMap::from([("boot".into(), 77)]),
        instance_args: vec!["--planted-bug".into(), "{slot}".into()],
        ..Request::default()
    };
    let (plan, _) = plan(&request, &known()).unwrap();
    assert_eq!(plan.seed, "42");
    let workload = &plan.workload;
    assert_eq!(
        (workload.rate, workload.clients, workload.probe_interval_ms),
        (7, 3, 50)
    );
    assert_eq!(plan.budgets["read-gap"], 250.0);
    assert_eq!(
        plan.budgets["write-gap"],
        known().target.budgets["write-gap"],
        "the others stay"
    );
    assert_eq!(plan.timeouts_ms["boot"], 77);
    assert_eq!(
        plan.timeouts_ms["retire"],
        known().target.timeouts_ms["retire"]
    );
    assert_eq!(plan.instance_args, ["--planted-bug", "{slot}"]);
}

#[test]
fn the_workload_has_a_seed_of_its_own() {
    let seed_of = |seed: &str| {
        let request = Request {
            seed: Some(seed.into()),
            ..Request::default()
        };
        let (plan, _) = plan(&request, &known()).unwrap();
        plan.workload.seed
    };
    assert_ne!(seed_of("1"), "1");
    assert_ne!(seed_of("1"), seed_of("2"));
    assert_eq!(seed_of("2"), seed_of("02"));
}

#[test]
fn numbers_out_of_range_are_refused() {
    let rate = |rate| {
        refusal(Request {
            rate: Some(rate),
            ..Request::default()
        })
    };
    assert_eq!(
        rate(0),
        "the rate is 0: give 1 to 1000000 operations a second"
    );
    assert!(rate(-5).starts_with("the rate is -5:"));
    assert!(rate(1 << 40).starts_with("the rate is 1099511627776:"));
    let clients = refusal(Request {
        clients: Some(0),
        ..Request::default()
    });
    assert!(clients.starts_with("the number of clients is 0:"));
    let interval = refusal(Request {
        probe_interval_ms: Some(0),
        ..Request::default()
    });
    assert_eq!(interval, "the probe interval is 0 ms: give 1 ms to 1 h");
    let interval = refusal(Request {
        probe_interval_ms: Some(u64::MAX),
        ..Request::default()
    });
    assert!(interval.starts_with("the probe interval is 18446744073709551615 ms:"));
    assert!(rate(1_000_001).starts_with("the rate is 1000001:"));
    for limit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let budget = refusal(Request {
            budgets: BTreeMap::from([("write-gap".into(), limit)]),
            ..Request::default()
        });
        assert!(budget.starts_with("write-gap is "), "{budget}");
    }
    let timeout = refusal(Request {
        timeouts_ms: BTreeMap::from([("catch-up".into(), 0)]),
        ..Request::default()
    });
    assert!(timeout.starts_with("catch-up is 0 ms"), "{timeout}");
    let timeout = refusal(Request {
        timeouts_ms: BTreeMap::from([("operation".into(), u64::MAX)]),
        ..Request::default()
    });
    assert!(timeout.contains("give 1 ms to 7 days"), "{timeout}");
}

#[test]
fn unknown_words_are_refused_with_the_nearest() {
    assert_eq!(
        "linaer".parse::<Strategy>().unwrap_err().to_string(),
        "unknown strategy \"linaer\": did you mean linear?"
    );
    let runtime = refusal(Request {
        runtime: Some("proces".into()),
        ..Request::default()
    });
    assert_eq!(runtime, "unknown runtime \"proces\": did you mean process?");
    let store = refusal(Request {
        metadata_store: Some("sqlight".into()),
        ..Request::default()
    });
    assert_eq!(
        store,
        "unknown metadata store \"sqlight\": did you mean sqlite?"
    );
    let budget = refusal(Request {
        budgets: BTreeMap::from([("wait-gap".into(), 5.0)]),
        ..Request::default()
    });
    assert!(budget.contains("unknown budget \"wait-gap\""), "{budget}");
    let timeout = refusal(Request {
        timeouts_ms: BTreeMap::from([("bot".into(), 5)]),
        ..Request::default()
    });
    assert!(timeout.contains("unknown timeout \"bot\""), "{timeout}");
    let seed = refusal(Request {
        seed: Some("many".into()),
        ..Request::default()
    });
    assert!(
        seed.contains("\"many\" is neither an integer nor str:TEXT"),
        "{seed}"
    );
}

#[test]
fn versions_that_lead_nowhere_are_refused() {
    let with = |list: &[&str]| {
        refusal(Request {
            versions: versions(list),
            ..Request::default()
        })
    };
    assert_eq!(
        with(&["v0.1.0", "v0.3.1"]),
        "target reference has no version v0.3.1: did you mean v0.3.0?"
    );
    assert!(with(&["v0.2.1"]).contains("is unusable (loses writes)"));
    assert_eq!(
        with(&["v0.1.0", "v0.2.0", "v0.1.0"]),
        "v0.1.0 is older than v0.2.0, which stands before it on the upgrade path: an upgrade goes forward only, so list the versions oldest first, or give --allow-illegal to rehearse it all the same"
    );
    assert_eq!(
        with(&["v0.1.0", "v0.1.0"]),
        "v0.1.0 follows itself on the upgrade path (places 1 and 2): name it once, or give --allow-restart to rehearse a restart"
    );
    assert!(with(&["v0.2.0", "v0.1.0"]).starts_with("v0.1.0 is older than v0.2.0"));
    assert!(with(&["current", "v0.1.0"]).starts_with("v0.1.0 is older than current"));
    assert!(with(&[]).starts_with("the upgrade path is empty"));
    let none = Request {
        strategy: Some(Strategy::Versions),
        ..Request::default()
    };
    assert!(refusal(none).starts_with("strategy versions needs the versions"));
}

#[test]
fn an_incomplete_catalog_keeps_unknown_versions_with_a_warning() {
    let catalog = Catalog::new("reference", false, known().catalog.releases().to_vec());
    let request = Request {
        versions: versions(&["v0.2.1", "v7.0.0", "current"]),
        ..Request::default()
    };
    let (plan, warnings) = plan(&request, &known_with(catalog)).unwrap();
    assert_eq!(plan.path.len(), 3);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("unusable"));
    assert!(warnings[1].contains("does not know v7.0.0"));
}

#[test]
fn a_catalog_without_a_usable_release_is_no_path() {
    let catalog = Catalog::new("reference", true, Vec::new());
    let empty = known_with(catalog);
    let error = plan(&Request::default(), &empty).unwrap_err();
    assert!(error.to_string().contains("has no usable release"));
}

#[test]
fn a_list_of_versions_is_read_with_help() {
    let read = |list: &str| parse_versions(list, &known().catalog).map_err(|e| e.to_string());
    assert_eq!(
        read("v0.1.0, current").ok(),
        versions(&["v0.1.0", "current"])
    );
    assert!(
        read("  ")
            .unwrap_err()
            .starts_with("the upgrade path is empty")
    );
    assert_eq!(
        read("v0.1.0,curent").unwrap_err(),
        "\"curent\" is not a version: a version starts with \"v\", as in v26.22.0; did you mean current?\n  curent\n  ^"
    );
    assert_eq!(
        read("v0.1.0,").unwrap_err().lines().next(),
        Some("\"\" is not a version: a version starts with \"v\", as in v26.22.0")
    );
}
