//! Materialize's system parameters as this repository lists them, and the code that reads such lists.

use changeover_model::version::Version;
use changeover_plan::{ParameterError, ParameterMode, Parameters, parse_assignment};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const TEXT: &str = include_str!("../../../../targets/materialize/system-parameters.toml");

static MATERIALIZE: LazyLock<Parameters> = LazyLock::new(|| Parameters::parse(TEXT).unwrap());

type Given = BTreeMap<String, String>;
type Choices = BTreeMap<String, BTreeSet<String>>;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// What an instance is given in a mode that draws nothing.
fn of(version: &str, mode: ParameterMode) -> Given {
    MATERIALIZE.of(&self::version(version), mode, &mut |_| {
        panic!("mode {mode} draws nothing")
    })
}

/// Everything that an instance of `version` can be given at random.
fn reached(version: &str) -> Choices {
    let mut reached = Choices::new();
    // The first choice of everything, then the second, until no parameter has that many.
    for index in 0.. {
        let mut fresh = false;
        let drawn = MATERIALIZE.of(
            &self::version(version),
            ParameterMode::Random,
            &mut |count| {
                fresh |= index < count;
                index.min(count - 1)
            },
        );
        if !fresh {
            break;
        }
        for (name, value) in drawn {
            reached.entry(name).or_default().insert(value);
        }
    }
    reached
}

/// The choices for the newest versions, read from the file without our own reader.
static NEWEST_CHOICES: LazyLock<Choices> = LazyLock::new(|| {
    let file: toml::Table = TEXT.parse().unwrap();
    let mut found = Choices::new();
    for variable in file["variable"].as_array().unwrap() {
        let choices = &variable["choices"];
        // No choice has a condition with `<`, so `then` is the newest versions'.
        let newest = choices.get("then").unwrap_or(choices);
        let values = newest.as_array().unwrap().iter();
        found.insert(
            variable["name"].as_str().unwrap().to_owned(),
            values.map(|v| v.as_str().unwrap().to_owned()).collect(),
        );
    }
    found
});

/// The parameters that Materialize's own harness gives, computed by that harness at the day of our list.
fn expected(json: &str) -> Given {
    serde_json::from_str(json).unwrap()
}

#[test]
fn defaults_are_those_of_materializes_own_harness() {
    for (version, json) in [
        (
            "v0.78.0",
            include_str!("data/materialize-parameters-v0.78.0.json"),
        ),
        (
            "v26.17.0",
            include_str!("data/materialize-parameters-v26.17.0.json"),
        ),
    ] {
        assert_eq!(
            of(version, ParameterMode::Default),
            expected(json),
            "{version}"
        );
    }
}

/// Per line a parameter, the last version before its default changes, the first after, and the two values.
const CHANGES: &str = "
    enable_0dt_deployment_sources               v0.131.99     v0.132.0-dev    false    true
    enable_compute_active_dataflow_cancelation  v0.162.99     v0.163.0-dev    true     absent
    enable_frontend_peek_sequencing             v26.8.99      v26.9.0-dev     false    true
    enable_frontend_subscribes                  v26.17.99     v26.18.0-dev    false    true
    persist_batch_columnar_format               v0.135.0-dev  v0.135.0-dev.0  both_v2  structured
    persist_enable_incremental_compaction       v0.160.99     v0.161.0-dev    false    true
    persist_gc_use_active_gc                    v0.143.0-dev  v0.143.0-dev.0  false    true
    persist_record_schema_id                    v0.127.0-dev  v0.127.0-dev.0  false    true
    persist_rollup_use_active_rollup            v0.143.0-dev  v0.143.0-dev.0  false    true
";

#[test]
fn a_default_changes_at_its_version_and_nowhere_else() {
    let mut listed = BTreeSet::new();
    for line in CHANGES.trim().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, before, after, old, new] = words[..] else {
            panic!("five words: {line}")
        };
        for (version, value) in [
            ("v0.0.0", old),
            (before, old),
            (after, new),
            ("v99.0.0", new),
        ] {
            let given = of(version, ParameterMode::Default);
            let found = given.get(name).map_or("absent", String::as_str);
            assert_eq!(found, value, "{name} of {version}");
        }
        listed.insert(name.to_owned());
    }
    let (oldest, newest) = (
        of("v0.0.0", ParameterMode::Default),
        of("v99.0.0", ParameterMode::Default),
    );
    let changed: BTreeSet<String> = oldest
        .keys()
        .chain(newest.keys())
        .filter(|name| oldest.get(*name) != newest.get(*name))
        .cloned()
        .collect();
    assert_eq!(changed, listed);
}

#[test]
fn choices_change_at_their_version_too() {
    let choices = |name: &str, version: &str| Vec::from_iter(reached(version)[name].clone());
    for (name, last_pinned, first_free) in [
        ("persist_gc_use_active_gc", "v0.127.0-dev", "v0.127.0-dev.0"),
        ("persist_record_schema_id", "v0.127.0-dev", "v0.127.0-dev.0"),
        (
            "persist_rollup_use_active_rollup",
            "v0.127.0-dev",
            "v0.127.0-dev.0",
        ),
        (
            "persist_enable_incremental_compaction",
            "v0.160.99",
            "v0.161.0-dev",
        ),
    ] {
        assert_eq!(choices(name, last_pinned), ["false"], "{name}");
        assert_eq!(choices(name, first_free), ["false", "true"], "{name}");
    }
    for pinned in [
        "force_source_table_syntax",
        "persist_use_critical_since_snapshot",
        "persist_use_critical_since_source",
    ] {
        assert_eq!(choices(pinned, "v99.0.0"), ["false"], "{pinned}");
    }
}

#[test]
fn random_reaches_every_choice_and_leaves_the_rest_minimal() {
    let minimal = of("v99.0.0", ParameterMode::Minimal);
    let mut expected: Choices = minimal
        .into_iter()
        .map(|(name, value)| (name, BTreeSet::from([value])))
        .collect();
    expected.extend(NEWEST_CHOICES.clone());
    assert_eq!(reached("v99.0.0"), expected);
}

#[test]
fn minimal_parameters_do_not_vary_and_are_given_in_every_mode() {
    let minimal = of("v26.17.0", ParameterMode::Minimal);
    assert_eq!(minimal.len(), 45);
    assert_eq!(minimal["with_0dt_deployment_max_wait"], "1800s");
    let default = of("v26.17.0", ParameterMode::Default);
    assert!(minimal.keys().all(|name| default.contains_key(name)));
    assert!(default.keys().all(|name| MATERIALIZE.known(name)));
    // One minimal value is overruled by the variable default of the same name.
    let overruled: Vec<&String> = minimal
        .iter()
        .filter(|(name, value)| default[*name] != **value)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(overruled, ["enable_case_literal_transform"]);
}

/// Parameters whose default Materialize's harness never draws.
const DEFAULTS_OUTSIDE: [&str; 6] = [
    "compute_dataflow_max_inflight_bytes",
    "persist_batch_structured_key_lower_len",
    "persist_compaction_memory_bound_bytes",
    "persist_next_listen_batch_retryer_clamp",
    "persist_next_listen_batch_retryer_fixed_sleep",
    "storage_statistics_interval",
];

#[test]
fn a_default_is_one_of_the_choices_with_six_exceptions() {
    for version in ["v0.78.0", "v0.130.0", "v0.150.0", "v26.17.0", "v99.0.0"] {
        let choices = reached(version);
        let outside: Vec<String> = of(version, ParameterMode::Default)
            .into_iter()
            .filter(|(name, value)| !choices[name].contains(value))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(outside, DEFAULTS_OUTSIDE, "{version}");
    }
}

#[test]
fn choices_are_drawn_in_the_order_of_the_file() {
    let mut counts = Vec::new();
    let last = MATERIALIZE.of(&version("v99.0.0"), ParameterMode::Random, &mut |count| {
        counts.push(count);
        count - 1
    });
    assert_eq!(counts.len(), NEWEST_CHOICES.len());
    assert_eq!(counts[..6], [4, 4, 3, 2, 2, 2]);
    assert_eq!(last["persist_next_listen_batch_retryer_clamp"], "100s");
    assert_eq!(last["persist_part_decode_format"], "row_with_validate");
    assert_eq!(last["statement_logging_target_data_rate"], "1000000");
}

proptest! {
    #[test]
    fn a_draw_takes_choices_only_and_one_for_each_variable_parameter(
        picks in prop::collection::vec(any::<prop::sample::Index>(), NEWEST_CHOICES.len())
    ) {
        let mut rest = picks.iter();
        let drawn = MATERIALIZE.of(&version("v99.0.0"), ParameterMode::Random, &mut |count| {
            rest.next().expect("one draw for each variable parameter").index(count)
        });
        prop_assert!(rest.next().is_none());
        for (name, choices) in NEWEST_CHOICES.iter() {
            prop_assert!(choices.contains(&drawn[name]), "{} = {:?}", name, drawn[name]);
        }
        let default = of("v99.0.0", ParameterMode::Default);
        prop_assert!(drawn.keys().eq(default.keys()));
    }

    #[test]
    fn an_assignment_is_split_at_its_first_equals_sign(name in "[A-Za-z0-9_]{1,12}", value in "[^;]{0,12}") {
        prop_assert_eq!(parse_assignment(&format!("{name}={value}")), Ok((name, value)));
    }
}

#[test]
fn a_mode_is_known_by_its_word() {
    for mode in ParameterMode::ALL {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    let refusal = |word: &str| word.parse::<ParameterMode>().unwrap_err().to_string();
    assert_eq!(
        refusal("defaults"),
        "unknown parameter mode \"defaults\": did you mean default?"
    );
    assert_eq!(
        refusal("zzz"),
        "unknown parameter mode \"zzz\": known: minimal, default, random"
    );
}

#[test]
fn what_is_no_assignment_is_refused() {
    let refusal = |text: &str| parse_assignment(text).unwrap_err().to_string();
    assert_eq!(
        refusal("log_filter"),
        "\"log_filter\" assigns no system parameter: write NAME=VALUE, as in log_filter=debug"
    );
    for text in [
        "=debug",
        "log filter=debug",
        "log-filter=debug",
        "lög=debug",
    ] {
        assert!(refusal(text).contains("is no name of a system parameter"));
    }
    assert_eq!(
        refusal("log_filter=debug;max_tables=5"),
        "the value \"debug;max_tables=5\" of system parameter log_filter holds a semicolon, which ends an assignment: \
         leave it out, and give each parameter by itself"
    );
}

fn given(names: &[&str]) -> Vec<(String, String)> {
    let pair = |name: &&str| (name.to_string(), "1".to_owned());
    names.iter().map(pair).collect()
}

#[test]
fn known_names_pass_whatever_list_they_are_in() {
    let all: Vec<&str> = MATERIALIZE.names().collect();
    assert!(all.is_sorted());
    for name in [
        "log_filter",
        "default_cluster_replication_factor",
        "0dt_deployment_hydration_check_interval",
        "enable_lgalloc",
        "persist_fast_path_limit",
    ] {
        assert!(MATERIALIZE.known(name), "{name}");
    }
    assert_eq!(MATERIALIZE.check(&given(&all), false), Ok(Vec::new()));
}

#[test]
fn unknown_names_are_refused_with_the_nearest_or_warned_of() {
    let refusal = |name: &str| {
        let error = MATERIALIZE.check(&given(&["log_filter", name]), false);
        error.unwrap_err().to_string()
    };
    assert_eq!(
        refusal("enable_0dt_deployment_source"),
        "system parameter \"enable_0dt_deployment_source\" is not in the list of 2026-05-04 \
         (did you mean enable_0dt_deployment_sources?); correct it, or give it all the same with --allow-unknown-parameters"
    );
    assert_eq!(
        refusal("QQQ"),
        "system parameter \"QQQ\" is not in the list of 2026-05-04; \
         correct it, or give it all the same with --allow-unknown-parameters"
    );
    let warnings = MATERIALIZE
        .check(&given(&["log_filtr", "max_tables", "QQQ"]), true)
        .unwrap();
    assert_eq!(
        warnings,
        [
            "system parameter \"log_filtr\" is not in the list of 2026-05-04 (did you mean log_filter?); \
             it is given all the same, and an instance that does not know it ignores it",
            "system parameter \"QQQ\" is not in the list of 2026-05-04; \
             it is given all the same, and an instance that does not know it ignores it",
        ]
    );
}

#[test]
fn a_name_twice_is_refused_known_or_not() {
    for name in ["log_filter", "QQQ"] {
        let error = MATERIALIZE.check(&given(&[name, "max_tables", name]), true);
        assert_eq!(
            error,
            Err(ParameterError::Repeated {
                name: name.to_owned()
            })
        );
    }
}

#[test]
fn a_list_that_contradicts_itself_is_refused() {
    const A: &str = "[[variable]]\nname = 'a'\n";
    const SOUND: &str = "[[variable]]\nname = 'a'\ndefault = '1'\nchoices = ['1', '2']\n";
    let cases = [
        (
            "also_known = ['a', 'a']".to_owned(),
            "\"a\" is listed twice",
        ),
        (
            "also_known = ['a']\n[minimal]\na = '1'".to_owned(),
            "\"a\" is listed twice",
        ),
        (
            format!("also_known = ['a']\n{SOUND}"),
            "\"a\" is listed twice",
        ),
        (format!("{SOUND}{SOUND}"), "\"a\" is listed twice"),
        (
            "also_known = ['a b']".to_owned(),
            "is no name of a system parameter",
        ),
        (
            "[minimal]\n'a=b' = '1'".to_owned(),
            "is no name of a system parameter",
        ),
        ("[minimal]\na = '1;2'".to_owned(), "holds a semicolon"),
        ("[minimal]\na = 1".to_owned(), "expected a string"),
        (format!("{SOUND}choice = 1"), "unknown field `choice`"),
        ("known = []".to_owned(), "unknown field `known`"),
        (
            format!("{A}default = '1'\nchoices = ['1;2', '1']"),
            "holds a semicolon",
        ),
        (
            format!("{A}default = '1'\nchoices = []"),
            "lacks a default or a choice for v0.0.0-0;",
        ),
        (
            format!("{A}default = {{ when = '< v1.0.0', then = '1' }}\nchoices = ['1']"),
            "lacks a default or a choice for v1.0.0;",
        ),
        (
            format!("{A}default = '1'\nchoices = ['1', '1']"),
            "repeats a choice",
        ),
        (
            format!(
                "{A}default = {{ when = '> v1.0.0', then = '2', otherwise = '1' }}\nchoices = ['1']"
            ),
            "a default of variable \"a\" is none of its choices",
        ),
        (
            format!("{SOUND}default_outside = true"),
            "remove default_outside",
        ),
    ];
    for (text, message) in cases {
        let refusal = Parameters::parse(&format!("as_of = '2026-05-04'\n{text}")).unwrap_err();
        assert!(refusal.contains(message), "{text}\n{refusal}");
    }
    let undated = Parameters::parse(SOUND).unwrap_err();
    assert!(undated.contains("missing field `as_of`"), "{undated}");
}
