//! The formats of log records, one for each release of the ladder.
//!
//! A format turns the effects of one transaction into one or more *parts* and back. Every stored part carries its
//! format's mark, so a log may hold several formats at once: that is what makes a migration resumable and lets a
//! newer release follow an older one.

mod batch_log;
mod bytes;
mod checked_rows;
mod delta_keys;
mod json_rows;
mod names;
mod row_runs;
mod shared_names;
mod short_values;
mod tagged_rows;

use super::Effect;
use delta_keys::Deltas;
use shared_names::Plain;
use short_values::Short;

/// A part as it lies in the store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Bytes(Vec<u8>),
}

impl Part {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Whether a store of the format with this mark lists its definitions in a table of their own, too.
pub(crate) fn lists_definitions(mark: u8) -> bool {
    mark >= 4
}

/// Turns the effects of one transaction into parts, in the format with this mark.
pub(crate) fn encode(mark: u8, effects: &[Effect]) -> Vec<Part> {
    let each = |encode: fn(&Effect) -> Vec<u8>| {
        let parts = effects.iter().map(|effect| Part::Bytes(encode(effect)));
        parts.collect()
    };
    let whole = |encode: fn(&[Effect]) -> Vec<u8>| vec![Part::Bytes(encode(effects))];
    match mark {
        1 => effects
            .iter()
            .map(|effect| Part::Text(json_rows::encode(effect)))
            .collect(),
        2 => each(tagged_rows::encode),
        3 => each(checked_rows::encode),
        4 => whole(batch_log::encode),
        5 => whole(shared_names::encode::<Plain>),
        6 => whole(shared_names::encode::<Deltas>),
        7 => whole(shared_names::encode::<Short>),
        _ => whole(row_runs::encode),
    }
}

/// Reads back what [`encode`] made. Never panics, whatever the bytes.
///
/// # Errors
/// What is wrong with the bytes, as a fragment of a sentence.
pub(crate) fn decode(mark: u8, parts: &[Part]) -> Result<Vec<Effect>, String> {
    let each = |decode: fn(&[u8]) -> Result<Effect, String>| {
        parts.iter().map(|part| decode(part.as_bytes())).collect()
    };
    let whole = |decode: fn(&[u8]) -> Result<Vec<Effect>, String>| match parts {
        [part] => decode(part.as_bytes()),
        _ => Err(format!("a batch in {} parts", parts.len())),
    };
    match mark {
        1 => each(json_rows::decode),
        2 => each(tagged_rows::decode),
        3 => each(checked_rows::decode),
        4 => whole(batch_log::decode),
        5 => whole(shared_names::decode::<Plain>),
        6 => whole(shared_names::decode::<Deltas>),
        7 => whole(shared_names::decode::<Short>),
        8 => whole(row_runs::decode),
        _ => Err(format!("unknown format mark {mark}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Real),
            prop_oneof![
                Just(f64::INFINITY),
                Just(-0.0),
                Just(f64::NAN),
                Just(f64::MIN_POSITIVE)
            ]
            .prop_map(Value::Real),
            ".{0,20}".prop_map(Value::Text),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
        ]
    }

    fn effect() -> impl Strategy<Value = Effect> {
        let row = || proptest::collection::vec(value(), 0..6);
        prop_oneof![
            (".{0,9}", any::<i64>(), row()).prop_map(|(table, rowid, row)| Effect::Insert {
                table,
                rowid,
                row
            }),
            (".{0,9}", any::<i64>(), any::<i64>(), row()).prop_map(|(table, old, rowid, row)| {
                Effect::Update {
                    table,
                    old,
                    rowid,
                    row,
                }
            }),
            (".{0,9}", any::<i64>()).prop_map(|(table, rowid)| Effect::Delete { table, rowid }),
            ".{0,40}".prop_map(|statement| Effect::Ddl { statement }),
        ]
    }

    proptest! {
        #[test]
        fn every_format_gives_back_what_it_took(effects in proptest::collection::vec(effect(), 1..5)) {
            for release in crate::ladder::releases() {
                let parts = encode(release.mark, &effects);
                let back = decode(release.mark, &parts).unwrap();
                // Debug text, as NaN differs from itself; bits are compared by encoding again.
                prop_assert_eq!(format!("{:?}", &back), format!("{:?}", &effects));
                prop_assert_eq!(encode(release.mark, &back), parts);
            }
        }

        #[test]
        fn no_bytes_make_a_decoder_panic(mark in 0u8..10, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(mark, &[Part::Bytes(bytes)]);
        }

        /// Random bytes hardly ever have a checksum that fits, nor the first byte of a format.
        #[test]
        fn no_sealed_bytes_make_a_decoder_panic(mark in 3u8..=8, body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let start = match mark {
                3 => vec![],
                mark => vec![0xb0 | mark],
            };
            let _ = decode(mark, &[Part::Bytes(bytes::seal([start, body].concat()))]);
        }

        #[test]
        fn a_flipped_bit_is_noticed_where_records_are_checked(
            effects in proptest::collection::vec(effect(), 1..3), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            for mark in 3..=8 {
                let Some(Part::Bytes(mut bytes)) = encode(mark, &effects).into_iter().next() else { unreachable!() };
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                prop_assert!(decode(mark, &[Part::Bytes(bytes)]).is_err());
            }
        }
    }

    /// The reason for each format from `batch-log` on.
    #[test]
    fn a_bulk_insert_takes_less_room_in_each_later_format() {
        let effects: Vec<_> = (0..100)
            .map(|n| Effect::Insert {
                table: "measurements".into(),
                rowid: 1_000_000 + n,
                row: vec![Value::Int(n % 10), Value::Text("ok".into()), Value::Null],
            })
            .collect();
        let room = |mark| -> usize {
            let parts = encode(mark, &effects);
            parts.iter().map(|part| part.as_bytes().len()).sum()
        };
        for mark in 4..=8 {
            assert!(
                room(mark) < room(mark - 1),
                "{} and {}",
                room(mark),
                room(mark - 1)
            );
        }
    }

    #[test]
    fn the_stored_bytes_differ_between_releases() {
        let effects = [Effect::Insert {
            table: "t".into(),
            rowid: 1,
            row: vec![Value::Int(7), Value::Text("x".into())],
        }];
        let all: Vec<_> = crate::ladder::releases()
            .iter()
            .map(|release| encode(release.mark, &effects))
            .collect();
        for (n, one) in all.iter().enumerate() {
            assert!(all[n + 1..].iter().all(|other| other != one));
        }
    }
}
