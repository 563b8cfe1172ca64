//! Numbers that look random and follow from where they are drawn: from the seed, the client and the operation.

/// A seed's text as a number (FNV-1a).
pub(super) fn seed_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
pub(super) fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The numbers of one operation, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Draws(u64);

impl Draws {
    /// Those of operation `n` of `client`; `salt` tells workloads of the same seed apart.
    pub(super) fn of(seed: u64, salt: u64, client: u64, n: u64) -> Self {
        Draws(seed ^ mix(salt ^ mix(client ^ mix(n))))
    }

    /// The next one, below `bound` (at least 1). Bounds are small: that some numbers are a bit likelier does not show.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % bound
    }
}

/// A number that no other operation of the workload has: of `count` that operation `n` of `client` may use, number `i`.
/// It starts at 1.
pub(super) fn unique(clients: u64, client: u64, n: u64, count: u64, i: u64) -> i64 {
    i64::try_from((n * count + i) * clients + client + 1).unwrap_or(i64::MAX)
}
