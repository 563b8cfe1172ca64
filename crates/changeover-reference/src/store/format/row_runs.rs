//! `row-runs`, of the current version: effects of one kind on one table that follow each other are a run, which says
//! once what they have in common.

use super::super::{Effect, Value};
use super::bytes::{Reader, put_text, put_varint, put_zigzag, seal, unseal};
use super::delta_keys::Deltas;
use super::names::{Names, ReadNames};
use super::shared_names::Style;
use super::short_values::{put_value, value};

/// What a record of this format starts with.
const START: u8 = 0xb8;

/// What a run says once: the kind of its effects, their table and the number of values in a row.
fn common(effect: &Effect) -> (u8, &str, usize) {
    match effect {
        Effect::Insert { table, row, .. } => (0, table, row.len()),
        Effect::Update { table, row, .. } => (1, table, row.len()),
        Effect::Delete { table, .. } => (2, table, 0),
        Effect::Ddl { .. } => (3, "", 0),
    }
}

pub(super) fn encode(effects: &[Effect]) -> Vec<u8> {
    let names = Names::of(effects);
    let mut deltas = Deltas::default();
    let mut out = vec![START];
    names.put(&mut out);
    let runs: Vec<_> = effects.chunk_by(|a, b| common(a) == common(b)).collect();
    put_varint(&mut out, runs.len() as u64);
    for run in runs {
        put_run(&mut out, &names, &mut deltas, run);
    }
    seal(out)
}

fn put_run(out: &mut Vec<u8>, names: &Names<'_>, deltas: &mut Deltas, run: &[Effect]) {
    let (kind, table, width) = common(&run[0]);
    out.push(kind);
    put_varint(out, run.len() as u64);
    let place = match kind {
        3 => 0,
        _ => {
            let place = names.place(table);
            put_varint(out, place as u64);
            put_varint(out, width as u64);
            place
        }
    };
    for effect in run {
        match effect {
            Effect::Insert { rowid, row, .. } => {
                put_zigzag(out, deltas.code(place, *rowid));
                put_values(out, row);
            }
            Effect::Update {
                old, rowid, row, ..
            } => {
                put_zigzag(out, deltas.code(place, *old));
                put_zigzag(out, deltas.code(place, *rowid));
                put_values(out, row);
            }
            Effect::Delete { rowid, .. } => put_zigzag(out, deltas.code(place, *rowid)),
            Effect::Ddl { statement } => put_text(out, statement.as_bytes()),
        }
    }
}

fn put_values(out: &mut Vec<u8>, row: &[Value]) {
    for value in row {
        put_value(out, value);
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Effect>, String> {
    let mut reader = unseal(bytes)?;
    reader.start(START)?;
    let names = ReadNames::read(&mut reader)?;
    let mut deltas = Deltas::default();
    let runs = reader.varint()?;
    let mut effects = Vec::new();
    for _ in 0..runs {
        run(&mut reader, &names, &mut deltas, &mut effects)?;
    }
    reader.end()?;
    Ok(effects)
}

fn run(
    reader: &mut Reader<'_>,
    names: &ReadNames,
    deltas: &mut Deltas,
    effects: &mut Vec<Effect>,
) -> Result<(), String> {
    let kind = reader.byte()?;
    let count = reader.varint()?;
    if kind == 3 {
        for _ in 0..count {
            let statement = reader.string()?;
            effects.push(Effect::Ddl { statement });
        }
        return Ok(());
    }
    let (place, table) = names.table(reader)?;
    let width = reader.varint()?;
    let mut key = |reader: &mut Reader<'_>| Ok::<_, String>(deltas.key(place, reader.zigzag()?));
    for _ in 0..count {
        let table = table.to_owned();
        effects.push(match kind {
            0 => Effect::Insert {
                table,
                rowid: key(reader)?,
                row: values(reader, width)?,
            },
            1 => Effect::Update {
                table,
                old: key(reader)?,
                rowid: key(reader)?,
                row: values(reader, width)?,
            },
            2 => Effect::Delete {
                table,
                rowid: key(reader)?,
            },
            _ => return Err(format!("a run of the unknown kind {kind}")),
        });
    }
    Ok(())
}

fn values(reader: &mut Reader<'_>, width: u64) -> Result<Vec<Value>, String> {
    let mut row = Vec::new();
    for _ in 0..width {
        row.push(value(reader)?);
    }
    Ok(row)
}
