//! Streams of random numbers, one for each kind of decision.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// The random numbers of one seed for one kind of decision.
///
/// It is the ChaCha8 key stream (D. J. Bernstein, *ChaCha, a variant of Salsa20*, 2008; 64-bit counter from 0, 64-bit
/// nonce) under the key SHA-256(`changeover/1 seed` NUL seed), with the first eight bytes of
/// SHA-256(`changeover/1 stream` NUL name) as nonce. Everything drawn from it is defined here and borrows nobody's
/// distributions, so the same seed and name give the same decisions on every machine and with every version of our
/// dependencies.
#[derive(Debug)]
pub struct Stream {
    rng: ChaCha8Rng,
}

impl Stream {
    pub(crate) fn new(seed: &str, name: &str) -> Self {
        let mut rng = ChaCha8Rng::from_seed(digest("changeover/1 seed", seed));
        let [a, b, c, d, e, f, g, h, ..] = digest("changeover/1 stream", name);
        rng.set_stream(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        Stream { rng }
    }

    /// The next eight bytes of the key stream, least significant first.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// True with probability `p`: never for 0 or less, always for 1 or more.
    ///
    /// Takes one number, whatever `p` is: its upper 53 bits, read as a fraction in [0, 1), are compared with `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        let fraction = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        fraction < p
    }

    /// A number in 0..`n`, each with the same probability.
    ///
    /// Takes numbers until one is below the largest multiple of `n` that 64 bits can count; its remainder is the
    /// answer. Half of the numbers or more are, so this ends soon.
    ///
    /// # Panics
    ///
    /// If `n` is 0: there is no such number.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "there is no number below 0");
        // 2^64 mod n, the size of the incomplete last multiple.
        let excess = n.wrapping_neg() % n;
        loop {
            let number = self.next_u64();
            if number <= u64::MAX - excess {
                return number % n;
            }
        }
    }

    /// `k` different numbers in 0..`n`, ascending, each such set with the same probability; all of them if there are
    /// no more than `k`.
    ///
    /// Selection sampling (Knuth, *The Art of Computer Programming*, volume 2, 3.4.2, algorithm S): for one number
    /// after the other, until the set is full, [`Stream::below`] says whether it is in.
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut sample = Vec::new();
        for index in 0..n {
            let wanted = k.saturating_sub(sample.len());
            if wanted == 0 {
                break;
            }
            if self.below((n - index) as u64) < wanted as u64 {
                sample.push(index);
            }
        }
        sample
    }
}

/// SHA-256 of `purpose NUL text`. NUL is in no purpose, so no two of them can run into each other.
fn digest(purpose: &str, text: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(text)
        .finalize()
        .into()
}
