//! Percentiles of any number of samples in bounded memory.

use crate::stats::ms;

/// Buckets to each power of two: a percentile is at most one part in so many too large.
const FINE: u64 = 128;

/// Times in nanoseconds, counted in buckets that are a 128th of their size wide.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Option<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            buckets: vec![0; place(u64::MAX) + 1],
            count: 0,
            max: None,
        }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, nanos: u64) {
        self.buckets[place(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(Some(nanos));
    }

    /// Takes what another one has counted.
    pub(super) fn join(&mut self, other: &Histogram) {
        for (mine, others) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += others;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The nearest-rank percentile in milliseconds, no smaller than it is; `None` from fewer than 10/(1−q) samples.
    pub(super) fn percentile_ms(&self, percent: u64) -> Option<f64> {
        if self.count < 1000_u64.div_ceil(100 - percent) {
            return None;
        }
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(ms(largest(bucket).min(self.max?)))
    }

    pub(super) fn max_ms(&self) -> Option<f64> {
        self.max.map(ms)
    }
}

/// The bucket of a number.
fn place(nanos: u64) -> usize {
    if nanos < FINE {
        return nanos as usize;
    }
    let power = u64::from(nanos.ilog2()) - u64::from(FINE.ilog2());
    (power * FINE + (nanos >> power)) as usize
}

/// The largest number of a bucket.
fn largest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * FINE {
        return bucket;
    }
    let power = bucket / FINE - 1;
    let upper = u128::from(bucket - power * FINE + 1) << power;
    u64::try_from(upper - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::percentile;
    use proptest::prelude::*;

    #[test]
    fn buckets_are_in_order_and_leave_no_number_out() {
        let mut before = 0;
        for n in (0..2000)
            .chain((11..64).map(|power| 1 << power))
            .chain([u64::MAX])
        {
            let bucket = place(n);
            assert!(bucket >= before && largest(bucket) >= n, "{n}");
            assert_eq!(place(largest(bucket)), bucket, "{n}");
            before = bucket;
        }
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_samples_but_for_a_128th(
            mut samples in proptest::collection::vec(0..10_000_000_000_u64, 1..1500)
        ) {
            let mut histogram = Histogram::default();
            for &sample in &samples {
                histogram.add(sample);
            }
            samples.sort_unstable();
            for percent in [50, 99] {
                let exact = percentile(&samples, percent as usize);
                let found = histogram.percentile_ms(percent);
                prop_assert_eq!(exact.is_some(), found.is_some());
                if let (Some(exact), Some(found)) = (exact, found) {
                    prop_assert!(found >= ms(exact) && found <= ms(exact + exact / FINE) + 0.1);
                }
            }
            prop_assert_eq!(histogram.max_ms(), samples.last().copied().map(ms));
        }
    }
}
