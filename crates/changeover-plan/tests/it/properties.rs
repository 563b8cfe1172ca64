//! What holds for every request and every text.

use crate::known;
use changeover_model::fault::Point;
use changeover_model::plan::{
    BUDGETS, MAX_CLIENTS, MAX_PROBE_INTERVAL_MS, MAX_RATE, MAX_REPEAT, MAX_TIMEOUT_MS, Plan,
    Timeout,
};
use changeover_model::version::PathVersion;
use changeover_plan::{AbortRequest, AfterAbort, Request, Strategy, plan};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn candidates() -> Vec<PathVersion> {
    ["v0.1.0", "v0.2.0", "v0.3.0", "current"]
        .map(|v| v.parse().unwrap())
        .to_vec()
}

/// Requests that give a plan.
fn requests() -> impl Strategy_<Value = Request> {
    let versions = prop::option::of(subsequence(candidates(), 1..=4));
    let path = versions.prop_flat_map(|versions| {
        let strategies = match versions {
            Some(_) => vec![
                None,
                Some(Strategy::Linear),
                Some(Strategy::Direct),
                Some(Strategy::Versions),
            ],
            None => vec![None, Some(Strategy::Linear), Some(Strategy::Direct)],
        };
        (Just(versions), select(strategies))
    });
    let seed = prop::option::of("-?[0-9]{1,30}|str:[^\\p{C}\\p{Zl}\\p{Zp}]{0,12}");
    let numbers = (
        prop::option::of(1..=i64::from(MAX_RATE)),
        prop::option::of(1..=i64::from(MAX_CLIENTS)),
        prop::option::of(1..=MAX_PROBE_INTERVAL_MS),
    );
    let budgets = prop::collection::btree_map(
        select(BUDGETS.map(str::to_owned).to_vec()),
        0.001..1e9_f64,
        0..3,
    );
    let timeouts = prop::collection::btree_map(
        select(Timeout::ALL.map(|(_, name)| name.to_owned()).to_vec()),
        1..=MAX_TIMEOUT_MS,
        0..4,
    );
    let arguments = prop::collection::vec(any::<String>(), 0..3);
    let series = (prop::option::of(1..=i64::from(MAX_REPEAT)), any::<bool>());
    let abort = prop::option::of((
        select(vec![None, Some(Point::Booting), Some(Point::Ready)]),
        select(vec![AfterAbort::Retry, AfterAbort::GoOn]),
    ));
    (
        path, seed, numbers, budgets, timeouts, arguments, series, abort,
    )
        .prop_map(
            |(
                (versions, strategy),
                seed,
                (rate, clients, probe_interval_ms),
                budgets,
                timeouts_ms,
                instance_args,
                (repeat, control),
                abort,
            )| {
                Request {
                    repeat,
                    control,
                    abort: abort.map(|(at, then)| AbortRequest {
                        at,
                        hop: None,
                        then,
                    }),
                    strategy,
                    versions,
                    seed,
                    rate,
                    clients,
                    probe_interval_ms,
                    budgets,
                    timeouts_ms,
                    instance_args,
                    ..Request::default()
                }
            },
        )
}

// Our own Strategy is the one the tests talk about.
use proptest::strategy::Strategy as Strategy_;

proptest! {
    #[test]
    fn every_plan_is_valid_and_survives_its_file_byte_for_byte(request in requests()) {
        let (made, _) = plan(&request, &known()).unwrap();
        prop_assert_eq!(made.validate(), Ok(()));
        let text = made.to_json();
        let read = Plan::parse(&text).unwrap();
        prop_assert_eq!(&read, &made);
        prop_assert_eq!(read.to_json(), text);
    }

    #[test]
    fn a_control_restarts_the_last_version_in_the_same_steps(request in requests()) {
        let (made, _) = plan(&request, &known()).unwrap();
        let control = made.of_one_control_run();
        prop_assert_eq!(control.validate(), Ok(()));
        let last = made.path.last().unwrap();
        prop_assert!(control.path.iter().all(|version| version == last));
        let shape = |plan: &Plan| -> Vec<_> {
            let steps = plan.steps.iter();
            steps.map(|s| (s.number, s.service.clone(), s.deploy_generation, s.called_off_at)).collect()
        };
        prop_assert_eq!(shape(&control), shape(&made));
        prop_assert_eq!(&control.workload, &made.workload);
        prop_assert_eq!(&control.faults, &made.faults);
        prop_assert!(!control.is_series());
    }

    #[test]
    fn planning_is_deterministic(request in requests()) {
        let once = plan(&request, &known()).unwrap();
        let again = plan(&request, &known()).unwrap();
        prop_assert_eq!(once, again);
    }

    #[test]
    fn the_path_is_what_the_strategy_says(request in requests()) {
        let (made, _) = plan(&request, &known()).unwrap();
        let from = request.versions.clone().unwrap_or_else(candidates);
        let ends = [from[0].clone(), from[from.len() - 1].clone()];
        match made.strategy.as_str() {
            "direct" if from.len() > 1 => prop_assert_eq!(made.path, ends),
            _ => prop_assert_eq!(made.path, from),
        }
    }

    #[test]
    fn the_tree_names_every_step_once(request in requests()) {
        let (made, _) = plan(&request, &known()).unwrap();
        let tree = changeover_plan::tree::render(&made, &known().target.instances);
        for step in &made.steps {
            let called_off = step.called_off_at.map_or(String::new(), |point| {
                format!(", called off at point {point}")
            });
            let (number, from, to) = (step.number, &step.from, &step.to);
            let title = format!(" {number}. upgrade {from} → {to}{called_off}\n");
            prop_assert_eq!(tree.matches(&title).count(), 1, "{}", tree);
        }
        prop_assert_eq!(tree.matches(". upgrade ").count(), made.steps.len());
    }

    #[test]
    fn a_truncated_plan_says_so(request in requests(), cut in any::<prop::sample::Index>()) {
        let (made, _) = plan(&request, &known()).unwrap();
        let text = made.to_json();
        // Without the final newline it is still whole.
        let whole = text.trim_end().len();
        let mut cut = cut.index(whole);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let error = Plan::parse(&text[..cut]).unwrap_err();
        prop_assert!(error.problem.contains("truncated"), "{}", error);
    }

    #[test]
    fn reading_arbitrary_text_never_panics(text in any::<String>()) {
        prop_assert!(Plan::parse(&text).is_err());
    }

    #[test]
    fn reading_a_mutilated_plan_never_panics_and_what_is_accepted_is_sound(
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..4_usize, "[0-9a-z{}\\[\\]\",:.-]{0,3}"), 1..4),
    ) {
        let (made, _) = plan(&Request::default(), &known()).unwrap();
        let mut text = made.to_json();
        for (at, removed, inserted) in edits {
            let at = at.index(text.len());
            let end = (at + removed).min(text.len());
            // The default plan is ASCII, so every index is a boundary.
            text.replace_range(at..end, &inserted);
        }
        if let Ok(read) = Plan::parse(&text) {
            prop_assert_eq!(read.validate(), Ok(()));
        }
    }
}
