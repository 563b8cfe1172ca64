//! `delta-keys`, of v0.6.0: a key is written as its difference from the key before it of the same table, which is
//! small where rows lie together.

use super::shared_names::Style;

/// The last key of each table so far.
#[derive(Default)]
pub(super) struct Deltas(Vec<i64>);

impl Deltas {
    fn last(&mut self, place: usize) -> &mut i64 {
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        &mut self.0[place]
    }
}

impl Style for Deltas {
    const START: u8 = 0xb6;

    /// Wrapping, so that the difference of any two keys has a code.
    fn code(&mut self, place: usize, key: i64) -> i64 {
        key.wrapping_sub(std::mem::replace(self.last(place), key))
    }

    fn key(&mut self, place: usize, code: i64) -> i64 {
        let last = self.last(place);
        *last = last.wrapping_add(code);
        *last
    }
}
