//! `checked-rows`, of v0.3.0: one binary part for every effect, integers of variable length, a checksum at the end.

use super::super::{Effect, Value};
use super::bytes::{Reader, put_text, put_varint, put_zigzag, seal, unseal};

pub(super) fn encode(effect: &Effect) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    put_effect(&mut out, effect);
    seal(out)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Effect, String> {
    let mut reader = unseal(bytes)?;
    let effect = effect(&mut reader)?;
    reader.end()?;
    Ok(effect)
}

/// Also what a batch of the next format is made of.
pub(super) fn put_effect(out: &mut Vec<u8>, effect: &Effect) {
    match effect {
        Effect::Insert { table, rowid, row } => {
            out.push(0);
            put_text(out, table.as_bytes());
            put_zigzag(out, *rowid);
            put_row(out, row);
        }
        Effect::Update {
            table,
            old,
            rowid,
            row,
        } => {
            out.push(1);
            put_text(out, table.as_bytes());
            put_zigzag(out, *old);
            put_zigzag(out, *rowid);
            put_row(out, row);
        }
        Effect::Delete { table, rowid } => {
            out.push(2);
            put_text(out, table.as_bytes());
            put_zigzag(out, *rowid);
        }
        Effect::Ddl { statement } => {
            out.push(3);
            put_text(out, statement.as_bytes());
        }
    }
}

pub(super) fn effect(reader: &mut Reader<'_>) -> Result<Effect, String> {
    let tag = reader.byte()?;
    let text = reader.string()?;
    match tag {
        0 => Ok(Effect::Insert {
            table: text,
            rowid: reader.zigzag()?,
            row: row(reader)?,
        }),
        1 => Ok(Effect::Update {
            table: text,
            old: reader.zigzag()?,
            rowid: reader.zigzag()?,
            row: row(reader)?,
        }),
        2 => Ok(Effect::Delete {
            table: text,
            rowid: reader.zigzag()?,
        }),
        3 => Ok(Effect::Ddl { statement: text }),
        _ => Err(format!("a record with the unknown tag {tag}")),
    }
}

pub(super) fn put_row(out: &mut Vec<u8>, row: &[Value]) {
    put_varint(out, row.len() as u64);
    for value in row {
        match value {
            Value::Null => out.push(0),
            Value::Int(value) => {
                out.push(1);
                put_zigzag(out, *value);
            }
            Value::Real(value) => {
                out.push(2);
                out.extend_from_slice(&value.to_bits().to_be_bytes());
            }
            Value::Text(value) => {
                out.push(3);
                put_text(out, value.as_bytes());
            }
            Value::Blob(value) => {
                out.push(4);
                put_text(out, value);
            }
        }
    }
}

pub(super) fn row(reader: &mut Reader<'_>) -> Result<Vec<Value>, String> {
    let count = reader.varint()?;
    let mut row = Vec::new();
    for _ in 0..count {
        row.push(match reader.byte()? {
            0 => Value::Null,
            1 => Value::Int(reader.zigzag()?),
            2 => Value::Real(f64::from_bits(reader.i64()? as u64)),
            3 => Value::Text(reader.string()?),
            4 => {
                let length = reader.length()?;
                Value::Blob(reader.take(length)?.to_vec())
            }
            tag => return Err(format!("a value with the unknown tag {tag}")),
        });
    }
    Ok(row)
}
