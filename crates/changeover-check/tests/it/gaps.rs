//! The gap algorithm against a brute force written straight from the definition.

use changeover_check::gap::{Sent, StepGaps, StepSpan, gaps};
use changeover_check::timeline::Window;
use proptest::prelude::*;
use std::cmp::Reverse;

const SECOND: u64 = 1_000_000_000;

type Span = (u64, u64);

fn length(span: Span) -> u64 {
    span.1 - span.0
}

/// Every span, one success after the other.
fn spans(sent: &[Sent]) -> Vec<Span> {
    let successes: Vec<(u64, u64)> = sent
        .iter()
        .filter_map(|s| Some((s.intended, s.completed?)))
        .collect();
    if successes.is_empty() {
        return Vec::new();
    }
    let first_send = sent.iter().map(|s| s.intended).min().unwrap();
    let last_send = sent.iter().map(|s| s.intended).max().unwrap();
    let mut spans = vec![(first_send, successes.iter().map(|s| s.1).min().unwrap())];
    for (x, _) in &successes {
        let later = successes.iter().filter(|s| s.0 > *x).map(|s| s.1).min();
        spans.push((*x, later.unwrap_or(last_send)));
    }
    spans
}

fn step_of(span: Span, steps: &[StepSpan]) -> usize {
    let overlap = |s: &StepSpan| {
        let covered = span.1.min(s.span.end) as i128 - span.0.max(s.span.start) as i128;
        covered.max(0)
    };
    let longest = steps.iter().map(overlap).max().unwrap();
    if longest > 0 {
        return steps.iter().position(|s| overlap(s) == longest).unwrap();
    }
    let distance = |s: &StepSpan| {
        let (a, b) = (span.0 as i128, span.1 as i128);
        let (c, d) = (s.span.start as i128, s.span.end as i128);
        (c - b).max(a - d).max(0)
    };
    let nearest = steps.iter().map(distance).min().unwrap();
    steps.iter().position(|s| distance(s) == nearest).unwrap()
}

fn brute_force(sent: &[Sent], interval: u64, steps: &[StepSpan]) -> Vec<StepGaps> {
    let threshold = |step: usize| {
        let quiet = steps[step].before;
        let latency = sent.iter().filter_map(|s| {
            let (quiet, completed) = (quiet?, s.completed?);
            let within = quiet.start <= s.intended && completed <= quiet.end;
            within.then(|| completed - s.intended)
        });
        2 * interval + latency.max().unwrap_or(0)
    };
    let all = spans(sent);
    let (big, small): (Vec<Span>, Vec<Span>) = all
        .iter()
        .partition(|s| length(**s) > threshold(step_of(**s, steps)));
    // Unions: merge any two that overlap until none do.
    let mut unions: Vec<(Span, Vec<Span>)> = big.iter().map(|s| (*s, vec![*s])).collect();
    'again: loop {
        for i in 0..unions.len() {
            for j in 0..i {
                let (a, b) = (unions[i].0, unions[j].0);
                if a.0.max(b.0) < a.1.min(b.1) {
                    let (_, parts) = unions.remove(i);
                    unions[j].0 = (a.0.min(b.0), a.1.max(b.1));
                    unions[j].1.extend(parts);
                    continue 'again;
                }
            }
        }
        break;
    }
    (0..steps.len())
        .map(|step| {
            let mine: Vec<_> = unions
                .iter()
                .filter(|u| step_of(u.0, steps) == step)
                .collect();
            let mut candidates: Vec<Span> = mine.iter().flat_map(|u| u.1.clone()).collect();
            candidates.extend(small.iter().filter(|s| step_of(**s, steps) == step));
            if candidates.is_empty() {
                let window = steps[step].span;
                let touching = all
                    .iter()
                    .filter(|s| s.0 <= window.end && window.start <= s.1);
                candidates.extend(touching);
            }
            let longest = candidates
                .into_iter()
                .max_by_key(|s| (length(*s), Reverse(s.0)));
            let around = longest.unwrap_or((steps[step].span.start, steps[step].span.end));
            let late = sent
                .iter()
                .filter(|s| s.intended + SECOND >= around.0 && s.intended <= around.1 + SECOND);
            StepGaps {
                longest: longest.map(length),
                total: mine.iter().map(|u| length(u.0)).sum(),
                count: mine.len() as u64,
                resolution: interval + late.map(|s| s.lateness).max().unwrap_or(0),
            }
        })
        .collect()
}

/// Operations at regular and irregular times, some hanging, some failed, in bursts; times in units of a tenth of a
/// second so that lateness has a near and a far.
fn lane() -> impl Strategy<Value = Vec<Sent>> {
    let operation = (
        0_u64..4,
        prop_oneof![
            4 => (0_u64..3).prop_map(Some),
            1 => (0_u64..40).prop_map(Some),
            3 => Just(None),
        ],
        0_u64..5,
    );
    prop::collection::vec(operation, 0..60).prop_map(|operations| {
        let mut at = 3;
        operations
            .into_iter()
            .map(|(pause, latency, lateness)| {
                at += pause;
                Sent {
                    intended: at * SECOND / 10,
                    completed: latency.map(|l| (at + l) * SECOND / 10),
                    lateness,
                    not_sent: false,
                }
            })
            .collect()
    })
}

fn steps() -> impl Strategy<Value = Vec<StepSpan>> {
    let lengths = (0_u64..15, 0_u64..20, prop::bool::weighted(0.8));
    prop::collection::vec(lengths, 1..4).prop_map(|lengths| {
        let mut at = 0;
        lengths
            .into_iter()
            .map(|(quiet, length, has_window)| {
                let window = |start: u64, end: u64| Window {
                    start: start * SECOND / 10,
                    end: end * SECOND / 10,
                };
                let start = at + quiet;
                let before = has_window.then(|| window(at, start));
                at = start + length;
                StepSpan {
                    span: window(start, at),
                    before,
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn gaps_agree_with_the_definition(sent in lane(), steps in steps(), interval in 0_u64..3) {
        let interval = interval * SECOND / 10;
        prop_assert_eq!(gaps(&sent, interval, &steps), brute_force(&sent, interval, &steps));
    }
}
