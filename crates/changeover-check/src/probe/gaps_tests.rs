use super::*;
use crate::testing::MS;
use proptest::prelude::*;

const INTERVAL: u64 = 10 * MS;
const TIMEOUT: u64 = 200 * MS;

fn ok(due: u64, latency: u64) -> Sent {
    Sent {
        intended: due * MS,
        completed: Some((due + latency) * MS),
        lateness: 0,
        not_sent: false,
    }
}

fn failed(due: u64) -> Sent {
    Sent {
        completed: None,
        ..ok(due, 0)
    }
}

/// In the order in which they ended; failures take the whole time they may.
fn stream(mut sent: Vec<Sent>, quiet: usize) -> LaneGaps {
    sent.sort_by_key(|s| s.completed.unwrap_or(s.intended + TIMEOUT));
    let mut stream = GapStream::new(INTERVAL, TIMEOUT);
    stream.quiet = quiet;
    for sent in sent {
        let error = sent.completed.is_none().then(|| "refused".to_owned());
        stream.operation(sent, error);
    }
    stream.finish()
}

/// A lane from 0 to `end`, 1 ms a success, failing in `from..to`.
fn outage(end: u64, from: u64, to: u64) -> Vec<Sent> {
    (0..=end / 10)
        .map(|n| n * 10)
        .map(|at| match (from..to).contains(&at) {
            true => failed(at),
            false => ok(at, 1),
        })
        .collect()
}

fn lengths(gaps: &LaneGaps) -> Vec<u64> {
    let length = |gap: &Gap| gap.span.length() / MS;
    gaps.gaps.iter().map(length).collect()
}

#[test]
fn a_gap_has_its_place_its_length_and_what_failed_in_it() {
    let gaps = stream(outage(9000, 520, 580), QUIET);
    let gap = &gaps.gaps[0];
    assert_eq!(gaps.count(), 1);
    assert_eq!((gap.span.start, gap.span.length()), (510 * MS, 71 * MS));
    assert_eq!((gap.resolution, gap.ended), (INTERVAL, true));
    assert_eq!(gap.errors, [("refused".to_owned(), 6)].into());
    assert_eq!((gaps.total, gaps.sends), (71 * MS, 901));
    assert_eq!(gaps.longest, Some(gap.span));
}

#[test]
fn what_is_usual_is_no_gap_and_what_hung_in_a_gap_is_not_usual() {
    // Each success takes 25 ms: spans of 35 ms are nothing.
    let slow = |from: u64, to: u64| (from / 10..to / 10).map(|n| ok(n * 10, 25));
    assert!(lengths(&stream(slow(0, 3000).collect(), QUIET)).is_empty());
    // From a moment on each takes 60 ms: that moment is a gap, and what follows is not.
    let slower = outage(1000, 0, 0)
        .into_iter()
        .chain((101..400).map(|n| ok(n * 10, 60)));
    assert_eq!(lengths(&stream(slower.collect(), QUIET)), [130]);
    // Two hang for most of an outage of 520 ms; a second outage of 110 ms is still noticed.
    let mut sent = outage(2000, 500, 1000);
    sent[50] = ok(500, 505);
    sent[51] = ok(510, 500);
    for sent in &mut sent[110..120] {
        sent.completed = None;
    }
    assert_eq!(lengths(&stream(sent, QUIET)), [511, 111]);
}

#[test]
fn an_outage_without_an_end_lasts_to_the_last_send() {
    let gaps = stream(outage(1000, 520, 5000), QUIET);
    let open = Window {
        start: 510 * MS,
        end: 1000 * MS,
    };
    assert_eq!(gaps.open_end, Some(open));
    assert!(!gaps.gaps[0].ended);
    assert_eq!(stream(outage(1000, 0, 0), QUIET).open_end, None);
}

#[test]
fn a_lane_without_a_success_has_nothing_to_measure_from() {
    let gaps = stream(outage(1000, 0, 5000), QUIET);
    assert_eq!((gaps.longest, gaps.count(), gaps.sends), (None, 0, 101));
    assert_eq!(stream(Vec::new(), QUIET).sends, 0);
}

#[test]
fn the_time_before_the_first_success_counts() {
    assert_eq!(lengths(&stream(outage(1000, 0, 100), QUIET)), [101]);
}

#[test]
fn the_resolution_is_of_what_is_near() {
    let mut sent = outage(9000, 2000, 2100);
    sent[110].lateness = 7 * MS;
    sent[400].lateness = 15 * MS;
    let gaps = stream(sent, QUIET);
    assert_eq!(gaps.resolution, 17 * MS);
    assert_eq!(gaps.late, 1);
}

#[test]
fn only_what_is_open_is_kept() {
    let mut stream = GapStream::new(INTERVAL, TIMEOUT);
    let mut most = 0;
    for n in 0..100_000 {
        // Every seventh fails, so that there is a bit of everything.
        let sent = match n % 7 {
            0 => failed(n * 10),
            _ => ok(n * 10, 1 + n % 30),
        };
        stream.operation(sent, None);
        most = most.max(stream.early.len() + stream.pending.len() + stream.slots.len());
    }
    assert!(most < 1000, "{most}");
}

#[test]
fn an_outage_of_hours_needs_no_more_than_one_of_minutes() {
    let mut stream = GapStream::new(INTERVAL, TIMEOUT);
    let failures = 100_000;
    let mut most = 0;
    for n in 0..failures + 10 {
        let (sent, error) = match (1..=failures).contains(&n) {
            true => (failed(n * 10), Some("refused".to_owned())),
            false => (ok(n * 10, 1), None),
        };
        stream.operation(sent, error);
        most = most.max(stream.early.len() + stream.pending.len() + stream.slots.len());
    }
    assert!(most < 6000, "{most}");
    let gaps = stream.finish();
    assert_eq!(
        gaps.gaps[0].errors,
        [("refused".to_owned(), failures)].into()
    );
    assert_eq!(lengths(&gaps), [(failures + 1) * 10 + 1]);
}

type Span = (u64, u64);

/// The spans, written straight from the definition.
fn spans(sent: &[Sent]) -> Vec<Span> {
    let successes: Vec<Span> = sent
        .iter()
        .filter_map(|s| Some((s.intended, s.completed?)))
        .collect();
    let Some(first) = successes.iter().map(|s| s.1).min() else {
        return Vec::new();
    };
    let mut spans = vec![(sent[0].intended, first)];
    for (x, _) in &successes {
        let later = successes.iter().filter(|s| s.0 > *x).map(|s| s.1).min();
        spans.push((*x, later.unwrap_or(sent[sent.len() - 1].intended)));
    }
    spans
}

fn unions(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|s| s.1 - s.0 > 2 * INTERVAL);
    spans.sort_unstable();
    let mut unions: Vec<Span> = Vec::new();
    for span in spans {
        match unions.last_mut() {
            Some(last) if span.0 < last.1 => last.1 = last.1.max(span.1),
            _ => unions.push(span),
        }
    }
    unions
}

proptest! {
    #[test]
    fn the_stream_finds_what_the_definition_says(
        latencies in proptest::collection::vec(proptest::option::weighted(0.7, 0..200_u64), 1..200)
    ) {
        let sent: Vec<Sent> = latencies
            .iter()
            .enumerate()
            .map(|(n, latency)| match latency {
                Some(latency) => ok(n as u64 * 10, *latency),
                None => failed(n as u64 * 10),
            })
            .collect();
        let found = stream(sent.clone(), 0);
        let spans = spans(&sent);
        let longest = spans.iter().map(|s| s.1 - s.0).max();
        prop_assert_eq!(found.longest.map(|l| l.length()), longest);
        let gaps: Vec<Span> = found.gaps.iter().map(|g| (g.span.start, g.span.end)).collect();
        prop_assert_eq!(gaps, unions(spans));
    }
}
