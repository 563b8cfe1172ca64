//! `short-values`, of v0.7.0: a small integer, and the length of a short text or blob, share one byte with the kind of
//! the value.
//!
//! The lower three bits of that byte are the kind, the upper five a number; 31 says that it follows in full.

use super::super::Value;
use super::bytes::{Reader, fold, put_varint, unfold};
use super::delta_keys::Deltas;
use super::shared_names::Style;

const NULL: u8 = 0;
const INT: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// The number in the byte that says that the true one follows.
const LONG: u8 = 31;

/// Keys as in `delta-keys`, and short values.
#[derive(Default)]
pub(super) struct Short(Deltas);

impl Style for Short {
    const START: u8 = 0xb7;

    fn code(&mut self, place: usize, key: i64) -> i64 {
        self.0.code(place, key)
    }

    fn key(&mut self, place: usize, code: i64) -> i64 {
        self.0.key(place, code)
    }

    fn put_row(out: &mut Vec<u8>, row: &[Value]) {
        put_varint(out, row.len() as u64);
        for value in row {
            put_value(out, value);
        }
    }

    fn row(reader: &mut Reader<'_>) -> Result<Vec<Value>, String> {
        let count = reader.varint()?;
        let mut row = Vec::new();
        for _ in 0..count {
            row.push(value(reader)?);
        }
        Ok(row)
    }
}

fn put_kind(out: &mut Vec<u8>, kind: u8, number: u64) {
    match u8::try_from(number) {
        Ok(number) if number < LONG => out.push(kind | number << 3),
        _ => {
            out.push(kind | LONG << 3);
            put_varint(out, number);
        }
    }
}

/// Also what a run of the next format is made of.
pub(super) fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => put_kind(out, NULL, 0),
        Value::Int(value) => put_kind(out, INT, fold(*value)),
        Value::Real(value) => {
            put_kind(out, REAL, 0);
            out.extend_from_slice(&value.to_bits().to_be_bytes());
        }
        Value::Text(value) => {
            put_kind(out, TEXT, value.len() as u64);
            out.extend_from_slice(value.as_bytes());
        }
        Value::Blob(value) => {
            put_kind(out, BLOB, value.len() as u64);
            out.extend_from_slice(value);
        }
    }
}

pub(super) fn value(reader: &mut Reader<'_>) -> Result<Value, String> {
    let byte = reader.byte()?;
    let number = match byte >> 3 {
        LONG => reader.varint()?,
        short => u64::from(short),
    };
    let length = || usize::try_from(number).map_err(|_| "a length beyond memory".to_owned());
    match byte & 7 {
        NULL => Ok(Value::Null),
        INT => Ok(Value::Int(unfold(number))),
        REAL => Ok(Value::Real(f64::from_bits(reader.i64()? as u64))),
        TEXT => Ok(Value::Text(reader.text(length()?)?)),
        BLOB => Ok(Value::Blob(reader.take(length()?)?.to_vec())),
        kind => Err(format!("a value of the unknown kind {kind}")),
    }
}
