//! The freshness lag of reads.

use super::{ReadKind, SetHistory};
use crate::stats::{ms, percentile};
use crate::timeline::Timeline;
use changeover_model::verdict::FreshnessReport;
use std::collections::BTreeMap;

impl SetHistory {
    /// The lag of the clients' reads, by step.
    ///
    /// The lag of a read is the age, when it was sent, of the oldest acknowledged write of its key that the answer
    /// does not show; 0 if it shows them all. A write's age counts from its acknowledgement. A read belongs to the
    /// step during which it was sent; between steps it belongs to none.
    pub(crate) fn freshness(&self, timeline: &Timeline) -> BTreeMap<u32, FreshnessReport> {
        let mut acknowledged: Vec<Vec<(u64, u32)>> = vec![Vec::new(); self.states.len()];
        for add in self.adds.iter().filter(|add| !add.observer) {
            if let Some(at) = add.acknowledged {
                acknowledged[add.key as usize].push((at, add.element));
            }
        }
        for of_key in &mut acknowledged {
            of_key.sort_unstable();
        }
        let mut samples: BTreeMap<u32, Vec<u64>> = timeline
            .upgrades()
            .map(|step| (step.number, Vec::new()))
            .collect();
        for read in self.reads.iter().filter(|r| r.kind == ReadKind::Client) {
            let step = timeline
                .upgrades()
                .find(|step| step.span.contains(read.invoke));
            let Some(samples) = step.and_then(|step| samples.get_mut(&step.number)) else {
                continue;
            };
            let lag = acknowledged[read.key as usize]
                .iter()
                .take_while(|(at, _)| *at < read.invoke)
                .find(|(_, element)| !read.shown.contains(*element))
                .map_or(0, |(at, _)| read.invoke - at);
            samples.push(lag);
        }
        samples
            .into_iter()
            .map(|(step, mut lags)| {
                lags.sort_unstable();
                let report = FreshnessReport {
                    p50_ms: percentile(&lags, 50).map(ms),
                    max_ms: lags.last().copied().map(ms),
                };
                (step, report)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::set::SetHistory;
    use crate::testing::{MS, add, ended, events, full_read, observed, read};
    use crate::timeline::Timeline;
    use changeover_model::history::{Operation, Outcome};

    fn lag(operations: &[Operation]) -> (Option<f64>, Option<f64>) {
        let mut e = events();
        e.step(1).at_ms(100).started().at_ms(200).ended(true);
        let mut history = SetHistory::default();
        for operation in operations {
            history.operation(operation);
        }
        let report = &history.freshness(&Timeline::new(&e.list))[&1];
        (report.p50_ms, report.max_ms)
    }

    fn at(from: u64, to: u64) -> (u64, u64) {
        (from * MS, to * MS)
    }

    #[test]
    fn the_lag_is_the_age_of_the_oldest_write_that_is_missing() {
        let writes = [
            add(1, "k", 1, at(10, 20)),
            add(1, "k", 2, at(21, 50)),
            add(1, "k", 3, at(51, 110)),
        ];
        let with = |reads: Operation| [&writes[..], &[reads]].concat();
        // Sent at 120: writes 2 and 3 are missing, and 2 was acknowledged at 50.
        let stale = read(2, "k", &[1], at(120, 130));
        assert_eq!(lag(&with(stale.clone())).1, Some(70.0));
        assert_eq!(
            lag(&with(read(2, "k", &[1, 2, 3], at(120, 130)))).1,
            Some(0.0)
        );
        // Write 3 is acknowledged only at 110, before the answer but after the question.
        assert_eq!(lag(&with(read(2, "k", &[1, 2], at(105, 130)))).1, Some(0.0));
        // No read of this step: before it, after it, no client's, or failed.
        for other in [
            read(2, "k", &[], at(99, 130)),
            read(2, "k", &[], at(201, 230)),
            full_read("k", &[], at(120, 130)),
            observed(stale.clone(), 1),
            ended(stale, Outcome::Fail),
        ] {
            assert_eq!(lag(&with(other)), (None, None));
        }
    }

    #[test]
    fn the_median_needs_twenty_reads() {
        let mut operations = vec![add(1, "k", 1, at(10, 20))];
        let reads = |n: u64| (0..n).map(|i| read(2, "k", &[1], at(120 + i, 120 + i)));
        operations.extend(reads(19));
        assert_eq!(lag(&operations), (None, Some(0.0)));
        operations.push(read(2, "k", &[], at(150, 160)));
        assert_eq!(lag(&operations), (Some(0.0), Some(130.0)));
    }

    #[test]
    fn only_acknowledged_writes_of_clients_are_missed() {
        let missing = read(2, "k", &[], at(120, 130));
        for write in [
            ended(add(1, "k", 1, at(10, 20)), Outcome::Unknown),
            ended(add(1, "k", 1, at(10, 20)), Outcome::Fail),
            observed(add(1, "k", 1, at(10, 20)), 1),
            add(1, "other", 1, at(10, 20)),
        ] {
            assert_eq!(lag(&[write, missing.clone()]).1, Some(0.0));
        }
    }
}
