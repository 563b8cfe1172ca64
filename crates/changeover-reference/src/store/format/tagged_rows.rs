//! `tagged-rows`, of v0.2.0: one binary part for every effect. A letter says what follows; lengths and integers have
//! fixed width, highest byte first.

use super::super::{Effect, Value};
use super::bytes::Reader;

pub(super) fn encode(effect: &Effect) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    match effect {
        Effect::Insert { table, rowid, row } => {
            put_text(&mut out, b'I', table);
            out.extend_from_slice(&rowid.to_be_bytes());
            put_row(&mut out, row);
        }
        Effect::Update {
            table,
            old,
            rowid,
            row,
        } => {
            put_text(&mut out, b'U', table);
            out.extend_from_slice(&old.to_be_bytes());
            out.extend_from_slice(&rowid.to_be_bytes());
            put_row(&mut out, row);
        }
        Effect::Delete { table, rowid } => {
            put_text(&mut out, b'D', table);
            out.extend_from_slice(&rowid.to_be_bytes());
        }
        Effect::Ddl { statement } => put_text(&mut out, b'S', statement),
    }
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Effect, String> {
    let mut reader = Reader(bytes);
    let tag = reader.byte()?;
    let length = reader.u32()?;
    let text = reader.text(length as usize)?;
    let effect = match tag {
        b'I' => Effect::Insert {
            table: text,
            rowid: reader.i64()?,
            row: row(&mut reader)?,
        },
        b'U' => Effect::Update {
            table: text,
            old: reader.i64()?,
            rowid: reader.i64()?,
            row: row(&mut reader)?,
        },
        b'D' => Effect::Delete {
            table: text,
            rowid: reader.i64()?,
        },
        b'S' => Effect::Ddl { statement: text },
        _ => return Err(format!("a record with the unknown tag {tag}")),
    };
    reader.end()?;
    Ok(effect)
}

fn put_text(out: &mut Vec<u8>, tag: u8, text: &str) {
    put_bytes(out, tag, text.as_bytes());
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_row(out: &mut Vec<u8>, row: &[Value]) {
    out.extend_from_slice(&(row.len() as u32).to_be_bytes());
    for value in row {
        match value {
            Value::Null => out.push(b'n'),
            Value::Int(value) => {
                out.push(b'i');
                out.extend_from_slice(&value.to_be_bytes());
            }
            Value::Real(value) => {
                out.push(b'r');
                out.extend_from_slice(&value.to_bits().to_be_bytes());
            }
            Value::Text(value) => put_text(out, b't', value),
            Value::Blob(value) => put_bytes(out, b'b', value),
        }
    }
}

fn row(reader: &mut Reader<'_>) -> Result<Vec<Value>, String> {
    let count = reader.u32()?;
    let mut row = Vec::new();
    for _ in 0..count {
        row.push(match reader.byte()? {
            b'n' => Value::Null,
            b'i' => Value::Int(reader.i64()?),
            b'r' => Value::Real(f64::from_bits(reader.i64()? as u64)),
            b't' => {
                let length = reader.u32()?;
                Value::Text(reader.text(length as usize)?)
            }
            b'b' => {
                let length = reader.u32()?;
                Value::Blob(reader.take(length as usize)?.to_vec())
            }
            tag => return Err(format!("a value with the unknown tag {tag}")),
        });
    }
    Ok(row)
}
