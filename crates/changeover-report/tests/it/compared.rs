//! Two runs, figure by figure.

use crate::verdicts::passed;
use changeover_model::verdict::Verdict;
use changeover_report::compare::compare;

/// A run whose every gap is so much longer.
fn slower(by: f64, run: &str) -> Verdict {
    let mut verdict = passed();
    verdict.run = run.to_owned();
    for gap in verdict.steps.iter_mut().flat_map(|step| &mut step.gaps) {
        gap.longest_ms = gap.longest_ms.map(|ms| ms + by);
    }
    verdict
}

#[test]
fn a_difference_must_exceed_what_both_were_measured_with() {
    let exceeding = |by: f64| {
        let comparison = compare(&passed(), &slower(by, "b"), &[]);
        let differences = comparison.differences.iter();
        let gaps = differences.filter(|d| d.what.starts_with("gap "));
        gaps.map(|d| d.exceeds_noise).collect::<Vec<_>>()
    };
    // Both have a resolution of 11.2 ms.
    assert_eq!(exceeding(22.3), [Some(false); 10]);
    assert_eq!(exceeding(22.5), [Some(true); 10]);
}

#[test]
fn other_runs_tell_how_much_a_figure_varies_by_itself() {
    let others: Vec<Verdict> = (0..3).map(|n| slower(f64::from(n) * 30.0, "o")).collect();
    let noise = |others: &[Verdict]| {
        let comparison = compare(&passed(), &slower(50.0, "b"), others);
        let gap = comparison
            .differences
            .iter()
            .find(|d| d.what == "gap write/new");
        gap.unwrap().noise_ms.unwrap().round()
    };
    assert_eq!(noise(&others), 60.0);
    // Two say too little.
    assert_eq!(noise(&others[..2]), 22.0);
}

#[test]
fn only_hops_that_both_have_are_compared() {
    let mut other = passed();
    other.steps.remove(0);
    let comparison = compare(&passed(), &other, &[]);
    let hops = comparison.differences.iter().map(|d| d.hop.as_str());
    assert!(hops.into_iter().all(|hop| hop == "v0.2.0 → current"));
    assert!(!comparison.differences.is_empty());
    other.steps.clear();
    let none = compare(&passed(), &other, &[]);
    assert!(
        none.render(&passed(), &other, false)
            .contains("no hop in common")
    );
}

#[test]
fn what_nothing_is_known_about_is_claimed_neither_way() {
    let mut a = passed();
    a.steps[0].latency = crate::stored::verdict("v1-pass").steps[0].latency.clone();
    let comparison = compare(&a, &a, &[]);
    let mut latencies = comparison
        .differences
        .iter()
        .filter(|d| d.what.starts_with("latency"));
    assert!(latencies.clone().count() > 0);
    assert!(latencies.all(|d| d.exceeds_noise.is_none()));
}
