//! What Materialize's four rule sets say, each as its source has it.

use crate::materialize;
use changeover_plan::rules::{Rules, Ruling};

/// What the rule set says about a hop: `+` allows, `-` refuses, `?` is silent.
fn says(rule_set: &str, from: &str, to: &str) -> char {
    let known = materialize();
    let set = known.rules.all().iter().find(|set| set.name == rule_set);
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    match set.unwrap().judge(&known.catalog, &from, &to) {
        Ruling::Allows => '+',
        Ruling::Refuses(_) => '-',
        Ruling::IsSilent(_) => '?',
    }
}

/// Each line: from, to, and what documentation, operator, engine and test suite say.
#[test]
fn the_four_disagree_as_their_sources_do() {
    let table = "
        v0.147.20    v26.0.0      + + + +
        v0.147.20    v26.0.0-rc.1 + + + +
        v0.147.20    v26.1.0      - + + +
        v0.147.20    v26.22.0     - + + +
        v0.147.20    v27.0.0      - - - -
        v0.147.18    v26.0.0      - - + +
        v0.147.0     v26.22.0     - - + +
        v0.147.0-dev v26.22.0     - - - -
        v0.147.1     v26.22.0     - - + -
        v0.147.99    v26.22.0     - + + -
        v0.130.11    v0.147.20    + + + +
        v0.130.11    v0.148.0     ? - + +
        v0.130.0     v26.0.0      - - - -
        v0.129.0     v0.147.0     ? - + +
        v0.129.0     v0.148.0     ? - - +
        v0.130.0-dev v0.148.0     ? - - +
        v0.147.20    v0.148.0     ? + + +
        v0.147.0     v0.147.20    + + + +
        v0.150.0     v0.151.0     ? + + +
        v0.150.0     v0.152.0     ? - + +
        v0.150.0     v26.0.0      - - + -
        v0.163.0     v26.0.0      - - + -
        v0.164.0     v26.0.0      - + + -
        v0.164.0     v26.1.0      - + + -
        v0.164.0     v27.0.0      - - - -
        v0.27.0      v0.28.0      ? + + +
        v26.0.0      v26.22.0     + + + +
        v26.0.0-rc.1 v26.22.0     + + + +
        v26.1.0      v27.3.0      + + + +
        v26.1.0      v28.0.0      - - - -
        v26.22.0     v26.22.0     + + + +
        v26.22.0     v26.21.0     - - - -
        v26.0.0      v0.147.20    - - - -
        v27.0.0      v28.0.0      + + + +
        v5.0.0       v9.0.0       ? + + -
    ";
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (from, to) = (words.next().unwrap(), words.next().unwrap());
        let expected: String = words.collect();
        let said: String = ["documentation", "operator", "engine", "test-suite"]
            .iter()
            .map(|set| says(set, from, to))
            .collect();
        assert_eq!(said, expected, "{from} → {to}");
    }
}

#[test]
fn minors_are_counted_as_the_rule_set_numbers_them() {
    let text = r#"
        [[rule_set]]
        name = "sample"
        who = "the sample"
        source = "here"
        default = true
        numbering = { "0.130" = "25.1", "0.147" = "25.2", "0.160" = "25.3" }
        clause = [
          { unnumbered = true, says = "is-silent", text = "is silent" },
          { minors_ahead_over = 1, says = "refuses", text = "goes one at a time" },
        ]
    "#;
    let rules = Rules::parse(text).unwrap();
    let known = materialize();
    let judge = |from: &str, to: &str| {
        rules.all()[0].judge(&known.catalog, &from.parse().unwrap(), &to.parse().unwrap())
    };
    assert_eq!(judge("v0.130.11", "v0.147.20"), Ruling::Allows);
    assert_eq!(judge("v0.147.0", "v0.160.4"), Ruling::Allows);
    assert_eq!(
        judge("v0.130.11", "v0.160.0"),
        Ruling::Refuses("goes one at a time")
    );
    assert_eq!(judge("v0.131.0", "v0.160.0"), Ruling::IsSilent("is silent"));
}

#[test]
fn rule_sets_are_picked_by_name() {
    let rules = &materialize().rules;
    let names = |names: Option<&[&str]>| {
        let names: Option<Vec<String>> =
            names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        rules
            .pick(names.as_deref())
            .map(|sets| sets.iter().map(|set| set.name.clone()).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        names(None).unwrap(),
        ["documentation", "operator", "engine"]
    );
    assert_eq!(
        names(Some(&["test-suite", "engine"])).unwrap(),
        ["test-suite", "engine"]
    );
    assert_eq!(
        names(Some(&["enigne"])).unwrap_err(),
        "unknown rule set \"enigne\": did you mean engine?"
    );
    assert_eq!(
        names(Some(&["engine", "engine"])).unwrap_err(),
        "rule set engine is named twice: name each once"
    );
    assert!(names(Some(&[])).unwrap_err().contains("no rule set"));
    assert_eq!(
        names(Some(&["operator", "", "engine"])).unwrap_err(),
        "a rule set's name is missing in the list: take out a comma, or name one of documentation, operator, engine, test-suite"
    );
}

#[test]
fn a_rule_file_with_a_slip_is_refused_with_its_line() {
    let text = "[[rule_set]]\nname = \"sample\"\nwho = \"the sample\"\nsource = \"here\"\ndefault = true\n";
    let refused = |clause: &str| Rules::parse(&format!("{text}clause = [{clause}]")).unwrap_err();
    for (clause, complaint) in [
        (
            "{ form = [\"v1.0.0\"], says = \"allows\" }",
            "unknown field",
        ),
        ("{ says = \"maybe\" }", "unknown variant"),
        (
            "{ from = [\"v1.0.0\", \"v2.0.0\", \"v3.0.0\"], says = \"allows\" }",
            "one bound or two",
        ),
        (
            "{ from = [\"1.0\"], says = \"allows\" }",
            "is not a version",
        ),
        ("{ from_operator = \"25\", says = \"allows\" }", "no series"),
    ] {
        let error = refused(clause);
        assert!(
            error.contains("line 6") && error.contains(complaint),
            "{error}"
        );
    }
}
