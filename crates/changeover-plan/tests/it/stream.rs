//! Our own streams of random numbers. Every value here was computed a second time by a program that shares no code with
//! us, so it stands for the definition and not for what the crates happen to do.

use changeover_plan::{Seed, Stream};
use std::collections::BTreeMap;

fn stream(seed: &str, name: &str) -> Stream {
    seed.parse::<Seed>().unwrap().stream(name)
}

fn hex(stream: &mut Stream, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| format!("{:016x}", stream.next_u64()))
        .collect()
}

#[test]
fn a_stream_is_the_key_stream_of_its_seed_and_name() {
    for (seed, name, numbers) in [
        (
            "1",
            "path",
            ["ae158bc9040bba24", "b5d17aa4a0b165ff", "4d16335685a46463"],
        ),
        (
            "1",
            "",
            ["651bb986638efd9c", "f4add1efed514ad7", "f7b40a720cee33a8"],
        ),
        (
            "str:nächtlich 🌙",
            "path",
            ["3b33a0fbec9439b0", "2d8766c7aa7c6b32", "7cc892a0a55faeea"],
        ),
    ] {
        assert_eq!(hex(&mut stream(seed, name), 3), numbers);
    }
}

#[test]
fn decisions_never_move() {
    let mut path = stream("1", "path");
    let chances = [(); 8].map(|()| path.chance(0.5));
    assert_eq!(
        chances,
        [false, false, true, true, false, false, true, false]
    );
    assert_eq!([(); 8].map(|()| path.below(6)), [0, 3, 5, 0, 3, 2, 1, 0]);
    assert_eq!(path.sample(10, 4), [1, 3, 5, 8]);
    assert_eq!(path.below((1 << 63) + 1), 2_981_651_132_248_221_553);
    // How many numbers a decision takes is fixed as well.
    assert_eq!(hex(&mut path, 1), ["e2eb9608663b1eea"]);
}

#[test]
fn what_is_certain_takes_a_number_too() {
    let mut certain = stream("1", "path");
    assert!(certain.chance(1.0));
    assert!(!certain.chance(0.0));
    assert_eq!(hex(&mut certain, 1), ["4d16335685a46463"]);
}

#[test]
fn below_rejects_what_would_favour_small_numbers() {
    // Of 2^64 numbers only one whole multiple of 2^63 + 1 is there; the rest is not used.
    let n = (1 << 63) + 1;
    let mut numbers = stream("1", "path");
    let accepted = std::iter::repeat_with(|| numbers.next_u64()).filter(|number| *number < n);
    let mut drawn = stream("1", "path");
    for number in accepted.take(100) {
        assert_eq!(drawn.below(n), number);
    }
}

#[test]
fn every_set_is_drawn_about_as_often() {
    let mut stream = stream("1", "path");
    let mut counts = BTreeMap::new();
    for _ in 0..10_000 {
        *counts.entry(stream.sample(5, 2)).or_insert(0) += 1;
    }
    // Ten sets of two out of five, 1000 each; four standard deviations are 120.
    assert_eq!(counts.len(), 10);
    for (set, count) in counts {
        assert!((880..=1120).contains(&count), "{set:?}: {count}");
    }
}

#[test]
fn a_sample_of_more_than_there_are_is_all() {
    assert_eq!(stream("1", "path").sample(3, 9), [0, 1, 2]);
    assert!(stream("1", "path").sample(0, 2).is_empty());
}
