//! Latencies of the lanes before, during and after a step.

use crate::gap::{Sent, due_in};
use crate::lanes::LANES;
use crate::stats::{ms, percentile};
use crate::timeline::{StepTimes, Window};
use changeover_model::history::Class;
use changeover_model::verdict::{LatencyReport, When};

/// The rows of a step: successes of both kinds of connection together, from the intended send.
///
/// `lanes` has one entry for each of [`LANES`], each in ascending order of `intended`. Without a quiet window its
/// row is empty.
pub fn latency(step: &StepTimes, lanes: &[Vec<Sent>; LANES.len()]) -> Vec<LatencyReport> {
    let mut rows = Vec::new();
    for class in [Class::Read, Class::Write, Class::Connect] {
        for (when, window) in [
            (When::Before, step.before),
            (When::During, Some(step.during())),
            (When::After, step.after),
        ] {
            let mut samples: Vec<u64> = LANES
                .iter()
                .zip(lanes)
                .filter(|(lane, _)| lane.class == class)
                .flat_map(|(_, sent)| window.map_or(&[][..], |window: Window| due_in(sent, window)))
                .filter_map(Sent::latency)
                .collect();
            samples.sort_unstable();
            rows.push(LatencyReport {
                class,
                when,
                p50_ms: percentile(&samples, 50).map(ms),
                p99_ms: percentile(&samples, 99).map(ms),
                max_ms: samples.last().copied().map(ms),
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MS;

    fn sent(intended_ms: u64, latency_ms: u64) -> Sent {
        Sent {
            intended: intended_ms * MS,
            completed: Some((intended_ms + latency_ms) * MS),
            lateness: 0,
            not_sent: false,
        }
    }

    #[test]
    fn held_and_new_count_together_and_windows_apart() {
        let window = |start, end| Window {
            start: start * MS,
            end: end * MS,
        };
        let step = StepTimes {
            number: 1,
            span: window(100, 200),
            ended: true,
            completed: true,
            phases: Vec::new(),
            before: Some(window(0, 99)),
            after: None,
        };
        // Read/held and read/new: ten each before, so that the median just has its twenty.
        let mut lanes: [Vec<Sent>; 5] = Default::default();
        lanes[0] = (0..10).map(|n| sent(n, 1)).collect();
        lanes[2] = (0..10).map(|n| sent(n, 3)).collect();
        lanes[0].push(sent(150, 60));
        lanes[2].push(Sent {
            completed: None,
            ..sent(151, 0)
        });
        let rows = latency(&step, &lanes);
        assert_eq!(rows.len(), 9);
        let row = |class, when| {
            rows.iter()
                .find(|r| r.class == class && r.when == when)
                .unwrap()
        };
        let before = row(Class::Read, When::Before);
        assert_eq!((before.p50_ms, before.p99_ms), (Some(1.0), None));
        assert_eq!(before.max_ms, Some(3.0));
        let during = row(Class::Read, When::During);
        assert_eq!((during.p50_ms, during.max_ms), (None, Some(60.0)));
        assert_eq!(row(Class::Read, When::After).max_ms, None);
        assert_eq!(row(Class::Write, When::Before).max_ms, None);
    }
}
