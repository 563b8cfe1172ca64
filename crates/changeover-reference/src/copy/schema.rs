//! The shape of the private copy: its tables, the triggers that record row effects, and what users see of it.

use rusqlite::{Connection, OptionalExtension, Result};

use super::INTERNAL;

/// SQLite hands a function at most 127 arguments everywhere; four of them are not columns.
pub(crate) const MAX_COLUMNS: usize = 120;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) declared: String,
    /// Another name of the rowid: SQLite's only kind of key that is the row's place.
    pub(crate) is_rowid: bool,
}

/// The columns of a table or view, in order; empty if there is none of that name.
pub(crate) fn columns(connection: &Connection, table: &str) -> Result<Vec<Column>> {
    let mut statement =
        connection.prepare_cached("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    let rows: Vec<(String, String, i64)> = statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_>>()?;
    let keys = rows.iter().filter(|(_, _, key)| *key > 0).count();
    Ok(rows
        .into_iter()
        .map(|(name, declared, key)| Column {
            is_rowid: key > 0 && keys == 1 && declared.eq_ignore_ascii_case("INTEGER"),
            name,
            declared,
        })
        .collect())
}

/// A name as SQL takes it.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn user_tables(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 12) <> ?1
         AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
    )?;
    statement.query_map([INTERNAL], |row| row.get(0))?.collect()
}

/// Runs one statement of data definition and keeps the triggers in step with what it did.
pub(crate) fn define(connection: &Connection, statement: &str) -> Result<()> {
    // SQLite refuses to change a table while a trigger names the column that goes, so the triggers go first.
    if statement
        .get(..5)
        .is_some_and(|word| word.eq_ignore_ascii_case("ALTER"))
    {
        for (name, _) in triggers(connection)? {
            connection.execute_batch(&format!("DROP TRIGGER {}", quote(&name)))?;
        }
    }
    connection.execute_batch(statement)?;
    refresh_triggers(connection)
}

fn triggers(connection: &Connection) -> Result<Vec<(String, String)>> {
    let mut statement =
        connection.prepare_cached("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
    statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn refresh_triggers(connection: &Connection) -> Result<()> {
    let existing = triggers(connection)?;
    let mut wanted = Vec::new();
    for table in user_tables(connection)? {
        wanted.extend(wanted_triggers(&table, &columns(connection, &table)?));
    }
    for (name, _) in existing.iter().filter(|found| !wanted.contains(found)) {
        connection.execute_batch(&format!("DROP TRIGGER {}", quote(name)))?;
    }
    for (_, sql) in wanted.iter().filter(|one| !existing.contains(one)) {
        connection.execute_batch(sql)?;
    }
    Ok(())
}

fn wanted_triggers(table: &str, columns: &[Column]) -> Vec<(String, String)> {
    let literal = table.replace('\'', "''");
    let values: String = columns
        .iter()
        .map(|column| format!(", NEW.{}", quote(&column.name)))
        .collect();
    [
        ("insert", format!("0, '{literal}', 0, NEW._rowid_{values}")),
        ("update", format!("1, '{literal}', OLD._rowid_, NEW._rowid_{values}")),
        ("delete", format!("2, '{literal}', OLD._rowid_, 0")),
    ]
    .into_iter()
    .map(|(event, arguments)| {
        let name = format!("{INTERNAL}_{event}_{table}");
        let sql = format!(
            "CREATE TRIGGER {} AFTER {event} ON {} BEGIN SELECT __changeover_effect({arguments}); END",
            quote(&name),
            quote(table)
        );
        (name, sql)
    })
    .collect()
}

/// Whether an object of this name and kind (`table`, `view`, `index`) exists.
pub(crate) fn exists(connection: &Connection, kind: &str, name: &str) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2 COLLATE NOCASE")?
        .query_row([kind, name], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
}

/// A table whose rows an update could reach a second time by way of foreign keys, before the first change has been
/// recorded: then the recorded order would not be the order of the changes, and a replay would give another row.
pub(crate) fn cascades_into_itself(connection: &Connection) -> Result<Option<String>> {
    connection
        .prepare_cached(
            "WITH RECURSIVE edge (child, parent) AS (
                 SELECT DISTINCT lower(m.name), lower(f.\"table\")
                 FROM sqlite_schema m, pragma_foreign_key_list(m.name) f
                 WHERE m.type = 'table' AND f.on_update NOT IN ('NO ACTION', 'RESTRICT')),
             reach (child, parent) AS (
                 SELECT child, parent FROM edge
                 UNION SELECT reach.child, edge.parent FROM reach JOIN edge ON edge.child = reach.parent)
             SELECT child FROM reach WHERE child = parent LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()
}

/// The little of the catalog that clients can ask for; the translation maps `information_schema` and `pg_catalog`
/// names to these views.
pub(super) fn create_catalog_views(connection: &Connection) -> Result<()> {
    connection.execute_batch(
        "CREATE VIEW __changeover_is_tables AS
             SELECT 'changeover' AS table_catalog, 'public' AS table_schema, name AS table_name,
                    CASE type WHEN 'table' THEN 'BASE TABLE' ELSE 'VIEW' END AS table_type
             FROM sqlite_schema WHERE type IN ('table', 'view')
             AND substr(name, 1, 12) <> '__changeover' AND substr(name, 1, 7) <> 'sqlite_';
         CREATE VIEW __changeover_is_columns AS
             SELECT 'public' AS table_schema, t.table_name AS table_name, c.name AS column_name,
                    c.cid + 1 AS ordinal_position, CASE WHEN c.\"notnull\" THEN 'NO' ELSE 'YES' END AS is_nullable,
                    lower(c.type) AS data_type
             FROM __changeover_is_tables t, pragma_table_info(t.table_name) c;
         CREATE VIEW __changeover_pg_tables AS
             SELECT 'public' AS schemaname, table_name AS tablename FROM __changeover_is_tables
             WHERE table_type = 'BASE TABLE';
         CREATE VIEW __changeover_pg_views AS
             SELECT 'public' AS schemaname, table_name AS viewname FROM __changeover_is_tables
             WHERE table_type = 'VIEW';
         CREATE VIEW __changeover_pg_indexes AS
             SELECT 'public' AS schemaname, tbl_name AS tablename, name AS indexname, sql AS indexdef
             FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL;",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_integer_key_is_the_rowid() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INT PRIMARY KEY); CREATE TABLE c (x INTEGER, y INTEGER, PRIMARY KEY (x, y));")
            .unwrap();
        let rowids = |table| {
            columns(&connection, table)
                .unwrap()
                .iter()
                .filter(|column| column.is_rowid)
                .count()
        };
        assert_eq!((rowids("a"), rowids("b"), rowids("c")), (1, 0, 0));
    }
}
