//! The names of the tables that one transaction changed: since v0.5.0 a record starts with them, and its effects name
//! a table by its place among them.

use super::super::Effect;
use super::bytes::{Reader, put_text, put_varint};

/// The names, in the order in which they first appear.
#[derive(Default)]
pub(super) struct Names<'a>(Vec<&'a str>);

impl<'a> Names<'a> {
    pub(super) fn of(effects: &'a [Effect]) -> Self {
        let mut names = Self::default();
        for table in effects.iter().filter_map(table) {
            if names.find(table).is_none() {
                names.0.push(table);
            }
        }
        names
    }

    /// A transaction changes few tables: looking through them is faster than hashing.
    fn find(&self, table: &str) -> Option<usize> {
        self.0.iter().position(|name| *name == table)
    }

    /// The place of a table of these effects.
    pub(super) fn place(&self, table: &str) -> usize {
        match self.find(table) {
            Some(place) => place,
            None => unreachable!("the names are those of all effects"),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        for name in &self.0 {
            put_text(out, name.as_bytes());
        }
    }
}

/// The table whose row an effect changes.
fn table(effect: &Effect) -> Option<&str> {
    match effect {
        Effect::Insert { table, .. }
        | Effect::Update { table, .. }
        | Effect::Delete { table, .. } => Some(table),
        Effect::Ddl { .. } => None,
    }
}

/// Names as they were read.
pub(super) struct ReadNames(Vec<String>);

impl ReadNames {
    /// Reads what [`Names::put`] wrote.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, String> {
        let count = reader.varint()?;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(reader.string()?);
        }
        Ok(Self(names))
    }

    /// Reads a place; it, and the table there.
    pub(super) fn table(&self, reader: &mut Reader<'_>) -> Result<(usize, &str), String> {
        let place = reader.length()?;
        match self.0.get(place) {
            Some(name) => Ok((place, name)),
            None => Err(format!(
                "an effect on table {place}, of {} named",
                self.0.len()
            )),
        }
    }
}
