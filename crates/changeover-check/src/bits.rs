//! A set of small numbers. An answer shows at most about a hundred elements, so it nearly always fits without
//! allocating.

const INLINE: u32 = 128;

/// A set of numbers; 32 bytes as long as all are below 128.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    low: u128,
    // Boxed twice on purpose: a thin pointer keeps the common case small.
    #[allow(clippy::box_collection)]
    high: Option<Box<Vec<u64>>>,
}

impl Bits {
    /// Adds a number. Returns whether it was new.
    pub(crate) fn insert(&mut self, bit: u32) -> bool {
        if bit < INLINE {
            let mask = 1_u128 << bit;
            let new = self.low & mask == 0;
            self.low |= mask;
            return new;
        }
        let (word, mask) = place(bit);
        let high = self.high.get_or_insert_default();
        if high.len() <= word {
            high.resize(word + 1, 0);
        }
        let new = high[word] & mask == 0;
        high[word] |= mask;
        new
    }

    /// Whether a number is in it.
    pub(crate) fn contains(&self, bit: u32) -> bool {
        if bit < INLINE {
            return self.low & (1_u128 << bit) != 0;
        }
        let (word, mask) = place(bit);
        self.high
            .as_ref()
            .and_then(|high| high.get(word))
            .is_some_and(|bits| bits & mask != 0)
    }

    /// Takes a number out.
    pub(crate) fn remove(&mut self, bit: u32) {
        if bit < INLINE {
            self.low &= !(1_u128 << bit);
            return;
        }
        let (word, mask) = place(bit);
        if let Some(bits) = self.high.as_mut().and_then(|high| high.get_mut(word)) {
            *bits &= !mask;
        }
    }

    /// How many numbers are in it.
    pub(crate) fn len(&self) -> u32 {
        let high = self.high.iter().flat_map(|high| high.iter());
        self.low.count_ones() + high.map(|bits| bits.count_ones()).sum::<u32>()
    }

    /// Adds all numbers of another set.
    pub(crate) fn union(&mut self, other: &Bits) {
        self.low |= other.low;
        let Some(theirs) = &other.high else {
            return;
        };
        let ours = self.high.get_or_insert_default();
        if ours.len() < theirs.len() {
            ours.resize(theirs.len(), 0);
        }
        for (our, their) in ours.iter_mut().zip(theirs.iter()) {
            *our |= their;
        }
    }

    /// What is in this set and not in the other, ascending.
    pub(crate) fn without(&self, other: &Bits) -> Vec<u32> {
        let mut out = Vec::new();
        let mut rest = self.low & !other.low;
        while rest != 0 {
            out.push(rest.trailing_zeros());
            rest &= rest - 1;
        }
        let none = Vec::new();
        let theirs = other.high.as_deref().unwrap_or(&none);
        for (word, bits) in self.high.as_deref().unwrap_or(&none).iter().enumerate() {
            let mut rest = bits & !theirs.get(word).copied().unwrap_or(0);
            while rest != 0 {
                out.push(INLINE + (word as u32) * 64 + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
        out
    }
}

fn place(bit: u32) -> (usize, u64) {
    let bit = bit - INLINE;
    ((bit / 64) as usize, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn bits(numbers: &BTreeSet<u32>) -> Bits {
        let mut bits = Bits::default();
        for &n in numbers {
            assert!(bits.insert(n));
            assert!(!bits.insert(n));
        }
        bits
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(
            a in prop::collection::btree_set(0_u32..400, 0..40),
            b in prop::collection::btree_set(0_u32..400, 0..40),
            n in 0_u32..400,
        ) {
            let (mut x, y) = (bits(&a), bits(&b));
            prop_assert_eq!(x.contains(n), a.contains(&n));
            prop_assert_eq!(x.without(&y), a.difference(&b).copied().collect::<Vec<_>>());
            x.union(&y);
            let all: Vec<u32> = a.union(&b).copied().collect();
            prop_assert_eq!(x.without(&Bits::default()), all);
            x.remove(n);
            prop_assert!(!x.contains(n));
        }
    }
}
