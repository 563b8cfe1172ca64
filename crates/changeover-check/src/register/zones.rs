//! Registers whose written values are all different, after Gibbons and Korach (1997).
//!
//! The operations of a value, its write and the reads that saw it, stand together in any order that explains the
//! answers. Value a cannot come before b if an operation of b had ended before one of a was sent, that is if b's first
//! end is before a's last sending. If the same holds the other way round there is no order; and if it holds for no two
//! values, there is one.
//!
//! A value's zone is the time between the two. If the first end comes before the last sending, the value was certainly
//! there all that time, and no two such zones may overlap. Else the value may have been there at any one moment between
//! them, and the zone must not lie within one of the first kind.

use super::RegisterHistory;
use crate::ops::NEVER;

/// A value and the time when it was certainly there.
#[derive(Debug, Clone, Copy)]
struct Zone {
    from: i64,
    to: i64,
    value: u32,
}

impl RegisterHistory {
    /// Judges one key: adds the pairs of its values that contradict each other.
    pub(super) fn check_zones(&self, values: &[u32], conflicts: &mut Vec<(u32, u32)>) {
        let mut held: Vec<Zone> = Vec::with_capacity(values.len());
        let mut moments: Vec<Zone> = Vec::new();
        for &value in values {
            let (from, to) = (self.first_end(value), self.last_sent(value));
            // What was perhaps written and never seen may never have been there.
            if from == NEVER {
                continue;
            }
            if from < to {
                held.push(Zone { from, to, value });
            } else {
                moments.push(Zone { from, to, value });
            }
        }
        held.sort_by_key(|zone| zone.from);
        // The zones that a later one may overlap: of those before it, the one that lasts longest.
        let mut longest: Option<Zone> = None;
        for zone in &held {
            match longest {
                Some(before) if zone.from < before.to => {
                    conflicts.push((before.value, zone.value));
                    if zone.to > before.to {
                        longest = Some(*zone);
                    }
                }
                _ => longest = Some(*zone),
            }
        }
        // `held` ascends in `from`; with the longest so far at each place, one look tells whether a zone lies within.
        let mut around: Vec<Zone> = Vec::with_capacity(held.len());
        for zone in &held {
            let longest = around.last().filter(|before| before.to > zone.to);
            let longest = longest.copied().unwrap_or(*zone);
            around.push(longest);
        }
        for moment in moments {
            let before = held.partition_point(|zone| zone.from < moment.to);
            if let Some(index) = before.checked_sub(1)
                && moment.from < around[index].to
            {
                conflicts.push((around[index].value, moment.value));
            }
        }
    }
}
