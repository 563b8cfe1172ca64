//! Counters that are always added the same amount to.
//!
//! Then adds cannot be told apart, and only their number matters. The numbers that were read, in ascending order, cut
//! the order of operations into slots; how many adds each slot has is known, and the times of the reads say which slots
//! an add may be in. Slot by slot, those that are due first are taken first: whoever can wait, waits.

use super::{Counter, Kind};
use crate::ops::NEVER;
use crate::search::Answer;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An add: the first and the last slot that it may be in.
#[derive(Debug, Clone, Copy)]
struct Choice {
    first: usize,
    last: usize,
}

impl Counter<'_> {
    /// The answer; `None` when the amounts are not equal.
    pub(super) fn explain_equal(&self) -> Option<Answer> {
        let history = self.history;
        let ops = &history.ops;
        let unit = match self.adds.first() {
            Some(add) => i128::from(history.number(*add)),
            None => 1,
        };
        let of_unit = |add: &u32| i128::from(history.number(*add)) == unit;
        if !self.adds.iter().all(of_unit) {
            return None;
        }
        // How many adds each read has seen.
        let mut seen: Vec<(i128, u32)> = Vec::with_capacity(self.reads.len());
        for &read in &self.reads {
            let shown = i128::from(history.number(read));
            if shown % unit != 0 || shown / unit < 0 {
                return Some(Answer::Impossible { stuck: read });
            }
            seen.push((shown / unit, read));
        }
        seen.sort_unstable();
        let mut levels: Vec<i128> = seen.iter().map(|(count, _)| *count).collect();
        levels.dedup();
        let level_of = |count: i128| levels.partition_point(|level| *level < count);

        // Which levels had surely been reached by a moment, and which were surely still to come.
        let mut ended: Vec<(i64, usize)> = Vec::with_capacity(seen.len());
        let mut sent: Vec<(i64, usize, u32)> = Vec::with_capacity(seen.len());
        for &(count, read) in &seen {
            ended.push((ops.end(read), level_of(count)));
            sent.push((ops.invoke(read), level_of(count), read));
        }
        ended.sort_unstable();
        sent.sort_unstable();
        let mut highest = 0;
        for (_, level) in &mut ended {
            highest = highest.max(*level);
            *level = highest;
        }
        let reached = |at: i64| match ended.partition_point(|(end, _)| *end < at) {
            0 => None,
            n => Some(ended[n - 1].1),
        };
        for &(invoke, level, read) in &sent {
            if reached(invoke).is_some_and(|before| before > level) {
                return Some(Answer::Impossible { stuck: read });
            }
        }
        let mut lowest = levels.len();
        for (_, level, _) in sent.iter_mut().rev() {
            lowest = lowest.min(*level);
            *level = lowest;
        }
        let to_come = |at: i64| {
            let later = sent.partition_point(|(invoke, ..)| *invoke <= at);
            sent.get(later).map(|(_, level, _)| *level)
        };

        // Slot n lies before the reads of level n; the last one after all of them.
        let mut due: Vec<Choice> = Vec::new();
        let mut optional: Vec<usize> = Vec::new();
        for &add in &self.adds {
            let first = reached(ops.invoke(add)).map_or(0, |level| level + 1);
            if history.kinds[add as usize] == Kind::MayAdd || ops.end(add) == NEVER {
                optional.push(first);
                continue;
            }
            let last = to_come(ops.end(add)).unwrap_or(levels.len());
            if first > last {
                let stuck = self.read_of(&seen, &levels, last);
                return Some(Answer::Impossible { stuck });
            }
            due.push(Choice { first, last });
        }
        due.sort_unstable_by_key(|choice| choice.first);
        optional.sort_unstable();
        let (mut due, mut optional) = (due.into_iter().peekable(), optional.into_iter().peekable());
        let mut waiting: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
        let mut spare: i128 = 0;
        let mut before = 0;
        for (slot, level) in levels.iter().enumerate() {
            let mut wanted = level - before;
            before = *level;
            while let Some(choice) = due.next_if(|choice| choice.first <= slot) {
                waiting.push(Reverse(choice.last));
            }
            while optional.next_if(|first| *first <= slot).is_some() {
                spare += 1;
            }
            while wanted > 0 && waiting.pop().is_some() {
                wanted -= 1;
            }
            spare -= wanted;
            let overdue = waiting.peek().is_some_and(|Reverse(last)| *last <= slot);
            if spare < 0 || overdue {
                let stuck = self.read_of(&seen, &levels, slot);
                return Some(Answer::Impossible { stuck });
            }
        }
        Some(Answer::Explained)
    }

    /// A read of a level.
    fn read_of(&self, seen: &[(i128, u32)], levels: &[i128], level: usize) -> u32 {
        let count = levels.get(level).or(levels.last());
        let read = count.and_then(|count| seen.iter().find(|(of, _)| of == count));
        // Without reads nothing is impossible, and without adds the bounds have said so.
        match read {
            Some((_, read)) => *read,
            None => self.adds.first().copied().unwrap_or(0),
        }
    }
}
