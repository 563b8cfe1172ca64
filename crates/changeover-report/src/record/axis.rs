//! The time axis of a page, cut into bins that are narrow where much happens.

use super::Stretch;

/// So many bins a page has at most.
const BINS: u64 = 1_200;

/// Of them so many, in tenths, lie in and around the steps.
const TENTHS_IN_STEPS: u64 = 6;

/// No bin is narrower, in nanoseconds.
const NARROWEST: u64 = 1_000_000;

/// A step's surroundings are cut as finely as itself: so far around it, in nanoseconds, and at least a fifth of it.
const AROUND: u64 = 20_000_000;

/// The bins, by where they begin.
#[derive(Debug)]
pub(super) struct Axis {
    /// Ascending, the first 0; the last bin has no end.
    starts: Vec<u64>,
}

impl Axis {
    /// An axis from 0 to `end`, on which these steps lie.
    pub(super) fn new(end: u64, steps: &[Stretch]) -> Self {
        let mut axis = Axis { starts: vec![0] };
        let steps = merged(end, steps);
        let within: u64 = steps.iter().map(|s| s.to - s.from).sum();
        let fine = match steps.len() as u64 {
            0 => 0,
            n => BINS * TENTHS_IN_STEPS / 10 / n,
        };
        let coarse = match steps.is_empty() {
            true => BINS,
            false => BINS * (10 - TENTHS_IN_STEPS) / 10,
        };
        let without = end.saturating_sub(within).max(1);
        let mut at = 0;
        for step in &steps {
            axis.cut(at, step.from, share(coarse, step.from - at, without));
            axis.cut(step.from, step.to, fine.max(1));
            at = step.to;
        }
        axis.cut(at, end, share(coarse, end.saturating_sub(at), without));
        axis
    }

    fn cut(&mut self, from: u64, to: u64, bins: u64) {
        let width = (to.saturating_sub(from) / bins.max(1)).max(NARROWEST);
        let mut at = from;
        while at < to {
            if self.starts.last().is_none_or(|last| *last < at) {
                self.starts.push(at);
            }
            at = at.saturating_add(width);
        }
    }

    /// The bin that a moment lies in.
    pub(super) fn bin(&self, at: u64) -> usize {
        self.starts.partition_point(|start| *start <= at).max(1) - 1
    }

    /// Where the bins begin.
    pub(super) fn starts(&self) -> &[u64] {
        &self.starts
    }
}

fn share(bins: u64, part: u64, whole: u64) -> u64 {
    let exact = u128::from(bins) * u128::from(part) / u128::from(whole);
    u64::try_from(exact).unwrap_or(bins).max(1)
}

/// The steps with their surroundings, in order; those that touch are one, and of very many each is its own middle.
fn merged(end: u64, steps: &[Stretch]) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::new();
    let mut sorted = steps.to_vec();
    sorted.sort_by_key(|step| step.from);
    for step in sorted {
        let around = (step.to.saturating_sub(step.from) / 5).max(AROUND);
        let from = step.from.saturating_sub(around).min(end);
        let to = step.to.saturating_add(around).min(end);
        match out.last_mut() {
            Some(last) if from <= last.to => last.to = last.to.max(to),
            _ => out.push(Stretch { from, to }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn steps_are_cut_finer_than_the_rest() {
        let steps = [100, 2_000].map(|s| Stretch {
            from: s * SECOND,
            to: (s + 3) * SECOND,
        });
        let axis = Axis::new(3_600 * SECOND, &steps);
        let bins = axis.starts().len() as u64;
        assert!((BINS / 2..=BINS + 10).contains(&bins), "{bins}");
        let width = |at: u64| {
            let bin = axis.bin(at);
            axis.starts()[bin + 1] - axis.starts()[bin]
        };
        assert!(width(101 * SECOND) * 50 < width(50 * SECOND));
        assert!(axis.starts().windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_moment_lies_in_the_bin_that_begins_before_it() {
        let axis = Axis::new(SECOND, &[]);
        assert_eq!(axis.starts().len(), 1_000);
        assert_eq!(
            (axis.bin(0), axis.bin(999_999), axis.bin(1_000_000)),
            (0, 0, 1)
        );
        assert_eq!(axis.bin(u64::MAX), 999);
        // Without a single event there is one bin.
        assert_eq!(Axis::new(0, &[]).bin(7), 0);
    }

    #[test]
    fn very_many_steps_make_no_more_bins_than_they_need() {
        let steps: Vec<Stretch> = (0..5_000)
            .map(|n| Stretch {
                from: n * SECOND,
                to: n * SECOND + SECOND / 2,
            })
            .collect();
        let axis = Axis::new(5_000 * SECOND, &steps);
        assert!(axis.starts().len() <= 10_001, "{}", axis.starts().len());
    }
}
