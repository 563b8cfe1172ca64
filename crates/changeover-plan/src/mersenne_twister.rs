//! MT19937, the 32-bit Mersenne Twister, for keys of any length.
//!
//! After M. Matsumoto and T. Nishimura, *Mersenne Twister: A 623-Dimensionally Equidistributed Uniform Pseudorandom
//! Number Generator* (ACM TOMACS 8, 1998), with the seeding of their revision of 2002-01-26 (`init_by_array` of
//! `mt19937ar.c`), which is what Python uses.

/// Words of state.
const N: usize = 624;
/// How far ahead the word lies that each is mixed with.
const M: usize = 397;
/// The upper bit of a word; one word's and the lower bits of the word after it are mixed.
const UPPER: u32 = 1 << 31;

/// The generator.
#[derive(Debug, Clone)]
pub(crate) struct MersenneTwister {
    state: [u32; N],
    /// The word of the state that the next number is made of; `N` when all are used up.
    next: usize,
}

impl MersenneTwister {
    /// `init_by_array`: seeds the generator with a key of at least one word, all of which count.
    pub(crate) fn with_key(key: &[u32]) -> Self {
        let mut mt = Self::with_word(19_650_218);
        let state = &mut mt.state;
        let mut at = 0;
        // Each word of the key and each word of the state is visited, the shorter of the two in a circle.
        for round in 0..key.len().max(N) {
            let place = round % key.len();
            at = advance(state, at);
            state[at] = (state[at] ^ stirred(state[at - 1], 1_664_525))
                .wrapping_add(key[place])
                .wrapping_add(place as u32);
        }
        for _ in 1..N {
            at = advance(state, at);
            state[at] = (state[at] ^ stirred(state[at - 1], 1_566_083_941)).wrapping_sub(at as u32);
        }
        // Whatever the key was, the state is not all zeros.
        state[0] = UPPER;
        mt
    }

    /// `init_genrand`: seeds the generator with one word.
    fn with_word(word: u32) -> Self {
        let mut state = [word; N];
        for at in 1..N {
            state[at] = stirred(state[at - 1], 1_812_433_253).wrapping_add(at as u32);
        }
        MersenneTwister { state, next: N }
    }

    /// `genrand_int32`: the next number, with 32 random bits.
    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut number = self.state[self.next];
        self.next += 1;
        number ^= number >> 11;
        number ^= (number << 7) & 0x9d2c_5680;
        number ^= (number << 15) & 0xefc6_0000;
        number ^ (number >> 18)
    }

    /// Makes the next `N` words of the state.
    fn twist(&mut self) {
        let state = &mut self.state;
        for at in 0..N {
            let joined = (state[at] & UPPER) | (state[(at + 1) % N] & !UPPER);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            state[at] = state[(at + M) % N] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }
}

/// The place after `at` that is seeded next. The first is none: it takes the last word over, and is passed.
fn advance(state: &mut [u32; N], at: usize) -> usize {
    if at + 1 < N {
        return at + 1;
    }
    state[0] = state[N - 1];
    1
}

/// What seeding makes of the word before.
fn stirred(word: u32, factor: u32) -> u32 {
    (word ^ word >> 30).wrapping_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_what_its_authors_published() {
        // The beginning and the end of the thousand numbers in mt19937ar.out.
        let mut mt = MersenneTwister::with_key(&[0x123, 0x234, 0x345, 0x456]);
        let numbers: Vec<u32> = (0..1000).map(|_| mt.next_u32()).collect();
        assert_eq!(numbers[..3], [1_067_595_299, 955_945_823, 477_289_528]);
        assert_eq!(
            numbers[997..],
            [2_416_995_901, 1_397_735_321, 3_460_025_646]
        );
    }
}
