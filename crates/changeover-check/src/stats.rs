//! Figures: rounding and percentiles.

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds as milliseconds, rounded to 0.1.
pub fn ms(nanos: u64) -> f64 {
    (nanos as f64 / 100_000.0).round() / 10.0
}

/// Nanoseconds as seconds, rounded to a microsecond: fine enough to find an operation in the history.
pub fn seconds(nanos: u64) -> f64 {
    (nanos as f64 / 1_000.0).round() / 1_000_000.0
}

/// Milliseconds as nanoseconds.
pub fn from_ms(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

/// The nearest-rank percentile of samples in ascending order; `percent` is below 100.
///
/// `None` from fewer than 10/(1−q) samples: with fewer, less than ten samples lie above it and it says more about
/// luck than about the target.
pub fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let needed = 1000_usize.div_ceil(100 - percent);
    if sorted.len() < needed {
        return None;
    }
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_need_enough_samples() {
        let samples = |n: u64| (1..=n).collect::<Vec<u64>>();
        assert_eq!(percentile(&samples(19), 50), None);
        assert_eq!(percentile(&samples(20), 50), Some(10));
        assert_eq!(percentile(&samples(999), 99), None);
        assert_eq!(percentile(&samples(1000), 99), Some(990));
        assert_eq!(percentile(&samples(1001), 99), Some(991));
    }

    #[test]
    fn figures_are_rounded_to_what_a_reader_needs() {
        assert_eq!(ms(62_149_999), 62.1);
        assert_eq!(ms(62_150_000), 62.2);
        assert_eq!(ms(0), 0.0);
        assert!(ms(u64::MAX) > 1.8e13);
        assert_eq!(seconds(1_234_567_890), 1.234568);
    }
}
