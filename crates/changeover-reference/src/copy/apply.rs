//! Replaying records of the log into the private copy.

use std::collections::HashMap;

use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use rusqlite::{Connection, Result, ToSql, params_from_iter};

use super::schema::{self, Column, quote};
use super::{CopyConnection, CopyError};
use crate::bug::{self, Bug};
use crate::store::{Effect, Record, Value};

impl ToSql for Value {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

/// The statements that replay a table's effects.
struct Replay {
    columns: Vec<Column>,
    insert: String,
    update: String,
    delete: String,
}

impl Replay {
    fn new(table: &str, columns: Vec<Column>) -> Self {
        let table = quote(table);
        // The column that is the rowid is given once, as the rowid: naming it twice leaves open which one counts.
        let names: Vec<String> = columns
            .iter()
            .filter(|column| !column.is_rowid)
            .map(|column| quote(&column.name))
            .collect();
        let list: String = names.iter().map(|name| format!(", {name}")).collect();
        let marks: String = (2..names.len() + 2).map(|n| format!(", ?{n}")).collect();
        let sets: String = names
            .iter()
            .enumerate()
            .map(|(n, name)| format!(", {name} = ?{}", n + 3))
            .collect();
        Self {
            columns,
            insert: format!("INSERT INTO {table} (_rowid_{list}) VALUES (?1{marks})"),
            update: format!("UPDATE {table} SET _rowid_ = ?2{sets} WHERE _rowid_ = ?1"),
            delete: format!("DELETE FROM {table} WHERE _rowid_ = ?1"),
        }
    }

    fn values<'a>(&self, keys: &[i64], row: &'a [Value]) -> Vec<ToSqlOutput<'a>> {
        let mut values: Vec<ToSqlOutput<'a>> = keys
            .iter()
            .map(|key| ToSqlOutput::Owned(Sql::Integer(*key)))
            .collect();
        for (column, value) in self.columns.iter().zip(row) {
            if !column.is_rowid
                && let Ok(value) = value.to_sql()
            {
                values.push(value);
            }
        }
        values
    }
}

/// Replays records; remembers what it learnt about tables until their definition changes.
pub(crate) struct Applier {
    tables: HashMap<String, Replay>,
}

impl Applier {
    /// Takes the connection's switches for replay: foreign keys were checked when the row was written, and checking
    /// again would depend on the order of tables.
    pub(crate) fn new(connection: &CopyConnection) -> Result<Self> {
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.recorder().on = false;
        Ok(Self {
            tables: HashMap::new(),
        })
    }

    /// Replays the records as one transaction, so that readers see all of them or none.
    pub(crate) fn apply(
        &mut self,
        connection: &CopyConnection,
        records: &[Record],
    ) -> std::result::Result<(), CopyError> {
        let Some(last) = records.last() else {
            return Ok(());
        };
        let at = |position: u64| move |cause: String| CopyError::Replay { position, cause };
        connection
            .run("BEGIN IMMEDIATE")
            .map_err(|e| at(last.position)(e.to_string()))?;
        let mut work = || {
            for record in records {
                for effect in &record.effects {
                    self.replay(connection, effect)
                        .map_err(at(record.position))?;
                }
            }
            connection
                .set_applied(last.position)
                .and_then(|()| connection.run("COMMIT"))
                .map_err(|e| at(last.position)(e.to_string()))
        };
        let result = work();
        if result.is_err() {
            let _ = connection.run("ROLLBACK");
        }
        result
    }

    fn table(
        &mut self,
        connection: &Connection,
        table: &str,
    ) -> std::result::Result<&Replay, String> {
        if !self.tables.contains_key(table) {
            let columns = schema::columns(connection, table).map_err(|e| e.to_string())?;
            if columns.is_empty() {
                return Err(format!("there is no table `{table}`"));
            }
            self.tables
                .insert(table.to_owned(), Replay::new(table, columns));
        }
        self.tables
            .get(table)
            .ok_or_else(|| format!("there is no table `{table}`"))
    }

    fn replay(
        &mut self,
        connection: &Connection,
        effect: &Effect,
    ) -> std::result::Result<(), String> {
        let changed = match effect {
            Effect::Ddl { statement } => {
                self.tables.clear();
                if bug::on(Bug::ForgetsDrops) && statement.starts_with("DROP") {
                    return Ok(());
                }
                return schema::define(connection, statement).map_err(|e| e.to_string());
            }
            Effect::Insert { table, rowid, row } => {
                let replay = self.table(connection, table)?;
                run(connection, &replay.insert, replay, &[*rowid], row)
            }
            Effect::Update {
                table,
                old,
                rowid,
                row,
            } => {
                let replay = self.table(connection, table)?;
                run(connection, &replay.update, replay, &[*old, *rowid], row)
            }
            Effect::Delete { table, rowid } => {
                let replay = self.table(connection, table)?;
                run(connection, &replay.delete, replay, &[*rowid], &[])
            }
        }?;
        if changed == 1 {
            Ok(())
        } else {
            Err(format!("{changed} rows changed instead of one"))
        }
    }
}

fn run(
    connection: &Connection,
    sql: &str,
    replay: &Replay,
    keys: &[i64],
    row: &[Value],
) -> std::result::Result<usize, String> {
    if !row.is_empty() && row.len() != replay.columns.len() {
        return Err(format!(
            "a row of {} values for {} columns",
            row.len(),
            replay.columns.len()
        ));
    }
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params_from_iter(replay.values(keys, row))))
        .map_err(|e| e.to_string())
}
