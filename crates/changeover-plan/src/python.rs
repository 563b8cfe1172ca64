//! Python's `random.Random`, bit for bit as in CPython 3.11: the same seed gives the same draw here and there.
//!
//! The generator is a Mersenne Twister; how seeds become its key and numbers become choices follows CPython's
//! `Lib/random.py` and `Modules/_randommodule.c`.

use crate::mersenne_twister::MersenneTwister;
use crate::seed::Seed;
use sha2::{Digest, Sha512};
use std::collections::BTreeSet;

/// What `random.Random(seed)` is in CPython 3.11.
///
/// An integer seed is Python's `Random(42)`, and `str:TEXT` is its `Random("TEXT")`; the two differ also where the text
/// is a number. As in Python, -5 and 5 are the same seed.
#[derive(Debug, Clone)]
pub struct Random {
    mt: MersenneTwister,
}

impl Random {
    /// `random.Random(seed)`.
    pub fn new(seed: &Seed) -> Self {
        let seed = seed.as_str();
        let mut key = match seed.strip_prefix("str:") {
            Some(text) => key_of_text(text),
            None => key_of_integer(seed.trim_start_matches('-')),
        };
        // Leading zeros are no part of an integer, but 0 itself has one word.
        while key.len() > 1 && key.last() == Some(&0) {
            key.pop();
        }
        Random {
            mt: MersenneTwister::with_key(&key),
        }
    }

    /// `random()`: a fraction in [0, 1) with 53 random bits.
    pub fn random(&mut self) -> f64 {
        let high = f64::from(self.mt.next_u32() >> 5);
        let low = f64::from(self.mt.next_u32() >> 6);
        (high * f64::from(1 << 26) + low) / (1_u64 << 53) as f64
    }

    /// `choice(seq)`, or `None` where Python raises `IndexError`: the sequence is empty.
    pub fn choice<'a, T>(&mut self, seq: &'a [T]) -> Option<&'a T> {
        match seq.len() {
            0 => None,
            n => Some(&seq[self.below(n)]),
        }
    }

    /// `sample(range(n), k)`: `k` different numbers in 0..`n`, in the order in which they are drawn. Where Python
    /// raises `ValueError`, because `k` is larger than `n`, all of them.
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let k = k.min(n);
        if n <= set_size(k) {
            let mut pool: Vec<usize> = (0..n).collect();
            (0..k)
                .map(|_| {
                    let drawn = self.below(pool.len());
                    pool.swap_remove(drawn)
                })
                .collect()
        } else {
            let mut drawn = BTreeSet::new();
            let mut sample = Vec::with_capacity(k);
            while sample.len() < k {
                let index = self.below(n);
                if drawn.insert(index) {
                    sample.push(index);
                }
            }
            sample
        }
    }

    /// `_randbelow_with_getrandbits(n)`, for `n` above 0.
    fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        let bits = u64::BITS - n.leading_zeros();
        loop {
            let number = self.getrandbits(bits);
            if number < n {
                return number as usize;
            }
        }
    }

    /// `getrandbits(k)`, for `k` from 1 to 64. Of the last word the upper bits are used.
    fn getrandbits(&mut self, k: u32) -> u64 {
        if k <= u32::BITS {
            return u64::from(self.mt.next_u32() >> (u32::BITS - k));
        }
        let low = u64::from(self.mt.next_u32());
        let high = u64::from(self.mt.next_u32() >> (u64::BITS - k));
        high << u32::BITS | low
    }
}

/// The population up to which Python's `sample` draws from a pool; beyond it remembers what it drew in a set.
///
/// Python takes 4 to the power of `ceil(log(k * 3, 4))`, in floating point. 3`k` is never a power of 4, so rounding
/// cannot make a difference for any `k` that fits in memory.
fn set_size(k: usize) -> usize {
    const SMALL: usize = 21;
    if k <= 5 {
        return SMALL;
    }
    let mut table = 1_usize;
    while table < k.saturating_mul(3) {
        table = table.saturating_mul(4);
    }
    table.saturating_add(SMALL)
}

/// An integer's 32-bit words, least significant first, from its decimal digits.
fn key_of_integer(digits: &str) -> Vec<u32> {
    let mut words = vec![0];
    // Nine digits at a time: more would not fit in a word.
    for chunk in digits.as_bytes().chunks(9) {
        let scale = 10_u64.pow(chunk.len() as u32);
        let mut carry = chunk
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        for word in &mut words {
            carry += u64::from(*word) * scale;
            *word = carry as u32;
            carry >>= u32::BITS;
        }
        if carry > 0 {
            words.push(carry as u32);
        }
    }
    words
}

/// The words, least significant first, of the big-endian number that the text's UTF-8 and its SHA-512 make together.
fn key_of_text(text: &str) -> Vec<u32> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.extend(Sha512::digest(text));
    bytes
        .rchunks(4)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        })
        .collect()
}
