//! `shared-names`, of v0.5.0: a batch starts with the names of its tables. Later formats are the same but for how keys
//! and rows are written.

use super::super::{Effect, Value};
use super::bytes::{Reader, put_text, put_varint, put_zigzag, seal, unseal};
use super::checked_rows;
use super::names::{Names, ReadNames};

/// How a format with shared names writes keys and rows; made anew for each record.
pub(super) trait Style: Default {
    /// What a record of the format starts with.
    const START: u8;

    /// The number that stands for a key of the table at this place.
    fn code(&mut self, _place: usize, key: i64) -> i64 {
        key
    }

    /// The key that such a number stands for.
    fn key(&mut self, _place: usize, code: i64) -> i64 {
        code
    }

    fn put_row(out: &mut Vec<u8>, row: &[Value]) {
        checked_rows::put_row(out, row);
    }

    fn row(reader: &mut Reader<'_>) -> Result<Vec<Value>, String> {
        checked_rows::row(reader)
    }
}

/// The style of v0.5.0: keys and rows are those of `checked-rows`.
#[derive(Default)]
pub(super) struct Plain;

impl Style for Plain {
    const START: u8 = 0xb5;
}

pub(super) fn encode<S: Style>(effects: &[Effect]) -> Vec<u8> {
    let names = Names::of(effects);
    let mut style = S::default();
    let mut out = vec![S::START];
    names.put(&mut out);
    put_varint(&mut out, effects.len() as u64);
    for effect in effects {
        put_effect(&mut out, &names, &mut style, effect);
    }
    seal(out)
}

fn put_effect<S: Style>(out: &mut Vec<u8>, names: &Names<'_>, style: &mut S, effect: &Effect) {
    match effect {
        Effect::Insert { table, rowid, row } => {
            let place = names.place(table);
            out.push(0);
            put_varint(out, place as u64);
            put_zigzag(out, style.code(place, *rowid));
            S::put_row(out, row);
        }
        Effect::Update {
            table,
            old,
            rowid,
            row,
        } => {
            let place = names.place(table);
            out.push(1);
            put_varint(out, place as u64);
            put_zigzag(out, style.code(place, *old));
            put_zigzag(out, style.code(place, *rowid));
            S::put_row(out, row);
        }
        Effect::Delete { table, rowid } => {
            let place = names.place(table);
            out.push(2);
            put_varint(out, place as u64);
            put_zigzag(out, style.code(place, *rowid));
        }
        Effect::Ddl { statement } => {
            out.push(3);
            put_text(out, statement.as_bytes());
        }
    }
}

pub(super) fn decode<S: Style>(bytes: &[u8]) -> Result<Vec<Effect>, String> {
    let mut reader = unseal(bytes)?;
    reader.start(S::START)?;
    let names = ReadNames::read(&mut reader)?;
    let mut style = S::default();
    let count = reader.varint()?;
    let mut effects = Vec::new();
    for _ in 0..count {
        effects.push(effect(&mut reader, &names, &mut style)?);
    }
    reader.end()?;
    Ok(effects)
}

fn effect<S: Style>(
    reader: &mut Reader<'_>,
    names: &ReadNames,
    style: &mut S,
) -> Result<Effect, String> {
    let tag = reader.byte()?;
    if tag == 3 {
        return Ok(Effect::Ddl {
            statement: reader.string()?,
        });
    }
    let (place, table) = names.table(reader)?;
    let table = table.to_owned();
    let mut key = |reader: &mut Reader<'_>| Ok::<_, String>(style.key(place, reader.zigzag()?));
    match tag {
        0 => Ok(Effect::Insert {
            table,
            rowid: key(reader)?,
            row: S::row(reader)?,
        }),
        1 => Ok(Effect::Update {
            table,
            old: key(reader)?,
            rowid: key(reader)?,
            row: S::row(reader)?,
        }),
        2 => Ok(Effect::Delete {
            table,
            rowid: key(reader)?,
        }),
        _ => Err(format!("an effect with the unknown tag {tag}")),
    }
}
