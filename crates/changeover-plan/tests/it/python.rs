//! Python's `random`, against what Python 3.11 answered.

use changeover_plan::Seed;
use changeover_plan::python::Random;

fn random(seed: &str) -> Random {
    Random::new(&seed.parse::<Seed>().unwrap())
}

#[test]
fn every_seed_gives_what_python_draws() {
    // r = random.Random(seed); [r.random(), r.random()], r.choice(range(10)), r.sample(range(30), 10),
    // r.sample(range(100), 10). The first sample comes from Python's pool, the second from its set.
    let cases = [
        (
            "0",
            [0.8444218515250481, 0.7579544029403025],
            6,
            [1, 8, 16, 15, 12, 9, 26, 11, 18, 6],
            [64, 17, 36, 96, 12, 79, 32, 68, 90, 77],
        ),
        (
            "1",
            [0.13436424411240122, 0.8474337369372327],
            1,
            [8, 3, 15, 24, 14, 27, 20, 12, 6, 28],
            [62, 3, 49, 55, 77, 97, 98, 0, 89, 57],
        ),
        (
            "-7",
            [0.32383276483316237, 0.15084917392450192],
            0,
            [2, 26, 17, 3, 11, 18, 1, 16, 6, 23],
            [11, 55, 53, 8, 30, 70, 54, 7, 72, 15],
        ),
        // 2**64: a key with two words of zero.
        (
            "18446744073709551616",
            [0.9776462743838505, 0.3711105964481608],
            7,
            [19, 4, 29, 16, 3, 13, 11, 27, 0, 14],
            [28, 38, 31, 46, 49, 16, 39, 80, 93, 84],
        ),
        // 10**40
        (
            "10000000000000000000000000000000000000000",
            [0.34753796566513817, 0.7605339873511711],
            3,
            [7, 15, 25, 5, 2, 13, 9, 26, 16, 0],
            [70, 72, 6, 36, 15, 19, 67, 95, 16, 84],
        ),
        (
            "str:",
            [0.9602256525641875, 0.595411957851699],
            6,
            [27, 23, 24, 7, 10, 29, 19, 0, 28, 20],
            [41, 46, 6, 58, 49, 39, 24, 21, 65, 34],
        ),
        (
            "str:nightly",
            [0.22621322601142968, 0.6349674166797235],
            3,
            [7, 0, 24, 17, 11, 21, 19, 8, 26, 12],
            [65, 63, 29, 92, 96, 18, 69, 99, 6, 77],
        ),
        (
            "str:nächtlich",
            [0.24730234252133165, 0.3220124652377676],
            6,
            [0, 3, 15, 4, 7, 13, 25, 18, 22, 12],
            [90, 16, 58, 80, 68, 47, 63, 78, 29, 45],
        ),
        (
            "str:🌙",
            [0.8110611142083091, 0.6723953584477741],
            0,
            [5, 19, 18, 14, 15, 6, 3, 24, 11, 1],
            [91, 3, 70, 44, 15, 9, 64, 59, 94, 96],
        ),
    ];
    let ten: Vec<usize> = (0..10).collect();
    for (seed, fractions, choice, from_pool, from_set) in cases {
        let mut random = random(seed);
        assert_eq!(fractions, [random.random(), random.random()], "{seed}");
        assert_eq!(random.choice(&ten), Some(&choice), "{seed}");
        assert_eq!(random.sample(30, 10), from_pool, "{seed}");
        assert_eq!(random.sample(100, 10), from_set, "{seed}");
    }
}

#[test]
fn a_key_longer_than_the_state_counts_to_its_last_word() {
    // r = random.Random(seed); [r.random(), r.random()], r.choice(range(10)). A key of 624 words is as long as the state:
    // a text of 2432 bytes with its SHA-512, and the numbers below 2**19968.
    let text = |bytes: usize| format!("str:{}", "a".repeat(bytes));
    let cases = [
        (text(2431), [0.780802812116786, 0.2958188337099742], 2),
        (text(2432), [0.5964134121461223, 0.42944583614935516], 0),
        (text(2433), [0.8774980166067002, 0.8119398326736612], 1),
        (text(5000), [0.6816706916748948, 0.37979156197012665], 1),
        (
            two_to_the(19967),
            [0.1739640765511249, 0.36706858344755267],
            9,
        ),
        (
            two_to_the(19968),
            [0.17791807375948776, 0.7934424775349439],
            9,
        ),
        (
            two_to_the(19969),
            [0.9975203376786934, 0.29978007497125836],
            2,
        ),
        (
            two_to_the(40000),
            [0.7607553283324611, 0.021831925483189463],
            6,
        ),
    ];
    let ten: Vec<usize> = (0..10).collect();
    for (seed, fractions, choice) in cases {
        let mut random = random(&seed);
        let (start, length) = (&seed[..12], seed.len());
        assert_eq!(
            fractions,
            [random.random(), random.random()],
            "{start}… of {length} characters"
        );
        assert_eq!(random.choice(&ten), Some(&choice), "{start}…");
    }
}

/// 2 to the power of this, in decimal digits.
fn two_to_the(exponent: usize) -> String {
    // Eighteen digits a part, the lowest first.
    const PART: u64 = 10_u64.pow(18);
    let mut parts = vec![1];
    for _ in 0..exponent {
        let mut carry = 0;
        for part in &mut parts {
            let doubled = *part * 2 + carry;
            (*part, carry) = (doubled % PART, doubled / PART);
        }
        if carry > 0 {
            parts.push(carry);
        }
    }
    let digits: String = parts
        .iter()
        .rev()
        .map(|part| format!("{part:018}"))
        .collect();
    digits.trim_start_matches('0').to_owned()
}

#[test]
fn samples_change_their_method_where_python_does() {
    let cases: [(usize, usize, &[usize]); 8] = [
        // The last population that fits the pool, and the first that does not; for small samples and larger ones.
        (21, 5, &[20, 3, 0, 8, 7]),
        (22, 5, &[7, 4, 3, 21, 17]),
        (85, 6, &[11, 75, 54, 4, 3, 84]),
        (86, 6, &[27, 29, 64, 77, 3, 71]),
        (1, 1, &[0]),
        (7, 7, &[5, 6, 4, 3, 0, 1, 2]),
        (3, 0, &[]),
        // More than 32 bits: two words for each draw.
        (1 << 40, 3, &[351353318333, 930711421818, 611346720886]),
    ];
    let mut random = random("42");
    for (n, k, sample) in cases {
        assert_eq!(random.sample(n, k), sample, "sample(range({n}), {k})");
    }
}

#[test]
fn where_python_raises_there_is_nothing_or_all_there_is() {
    assert_eq!(random("42").choice::<u8>(&[]), None);
    let mut all = random("42").sample(4, 9);
    all.sort();
    assert_eq!(all, [0, 1, 2, 3]);
}
