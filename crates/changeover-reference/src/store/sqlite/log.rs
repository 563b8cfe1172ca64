//! The log's records as rows.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::SqliteStore;
use crate::bug::{self, Bug};
use crate::ladder;
use crate::store::format::{self, Part};
use crate::store::place::{Raw, signed, unsigned};
use crate::store::{Effect, Record, StoreError};

impl SqliteStore {
    /// Puts a record into the log in the release's format, each part a row.
    pub(super) fn insert(
        &self,
        connection: &Connection,
        position: u64,
        effects: &[Effect],
    ) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(
            "INSERT INTO log (position, part, mark, body) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let mark = match bug::on(Bug::WritesTooNew) {
            true => ladder::releases().last().map_or(0, |newest| newest.mark),
            false => self.place.release.mark,
        };
        for (part, body) in format::encode(mark, effects).into_iter().enumerate() {
            let position = signed(position);
            match body {
                Part::Text(text) => insert.execute(params![position, part as i64, mark, text])?,
                Part::Bytes(bytes) => {
                    insert.execute(params![position, part as i64, mark, bytes])?
                }
            };
        }
        if format::lists_definitions(self.place.release.mark) {
            for (part, effect) in effects.iter().enumerate() {
                if let Effect::Ddl { statement } = effect {
                    connection
                        .prepare_cached("INSERT OR REPLACE INTO catalog VALUES (?1, ?2, ?3)")?
                        .execute(params![signed(position), part as i64, statement])?;
                }
            }
        }
        Ok(())
    }

    /// The records after `position`, with the lowest mark among the parts of each.
    pub(super) fn records(
        &self,
        connection: &Connection,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u8, Record)>, StoreError> {
        let last = position.saturating_add(limit as u64);
        let mut statement = connection
            .prepare_cached("SELECT position, mark, body FROM log WHERE position > ?1 AND position <= ?2 ORDER BY position, part")
            .map_err(|e| self.failed(e))?;
        let mut rows = statement
            .query(params![signed(position), signed(last)])
            .map_err(|e| self.failed(e))?;
        let mut raw: Vec<Raw> = Vec::new();
        while let Some(row) = rows.next().map_err(|e| self.failed(e))? {
            let at = unsigned(row.get(0).map_err(|e| self.failed(e))?);
            let mark: u8 = row.get(1).map_err(|e| self.failed(e))?;
            let part = match row.get_ref(2).map_err(|e| self.failed(e))? {
                ValueRef::Text(text) => Part::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => Part::Bytes(bytes.to_vec()),
                other => {
                    return Err(self
                        .place
                        .damaged(format!("record {at} holds {}", other.data_type())));
                }
            };
            match raw.last_mut() {
                Some(last) if last.position == at => {
                    if last.mark != mark {
                        return Err(self.place.damaged(format!("record {at} is of two formats")));
                    }
                    last.parts.push(part);
                }
                _ => raw.push(Raw {
                    position: at,
                    mark,
                    parts: vec![part],
                }),
            }
        }
        self.place.records(position, raw)
    }
}
