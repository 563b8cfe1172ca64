//! The statements that write, as texts.
//!
//! Each is sent as one message of the simple protocol, which the server runs and commits without hearing from us
//! again. So a process that is stopped at any moment, also in the middle of sending, holds no lock. (In the extended
//! protocol the commit waits for a message of its own.) The price is that bytes travel as hexadecimal digits; what is
//! put into the texts is numbers, such digits, and names and quoted texts that are checked here.
//!
//! The fence row holds everything that a claim decides by, so that a statement that had to wait for another's commit
//! decides by what that one left.

use std::fmt::Write;

use super::super::format::{self, Part};
use super::super::{Effect, Fence, Record, Token};
use crate::ladder::{self, Release};

/// Put on the fence as a comment, so that another product's tables are not taken for a store.
pub(super) const OURS: &str = "metadata store of the changeover reference database";

/// What a fresh look at a schema tells: whether it is there, how many things are in it, the fence's comment, and which
/// rights the role lacks: to make the store, or to use the one that is there.
pub(super) const LOOK: &str = "
    WITH place AS (SELECT oid FROM pg_namespace WHERE nspname = $1),
        found AS (SELECT
            (SELECT count(*) FROM pg_class JOIN place ON relnamespace = place.oid)
            + (SELECT count(*) FROM pg_proc JOIN place ON pronamespace = place.oid)
            + (SELECT count(*) FROM pg_type JOIN place ON typnamespace = place.oid) AS things),
        lacking AS (
            SELECT 'CREATE on the database' AS what
            WHERE NOT EXISTS (SELECT FROM place) AND NOT has_database_privilege(current_database(), 'CREATE')
            UNION ALL SELECT 'USAGE on the schema' FROM place WHERE NOT has_schema_privilege(oid, 'USAGE')
            UNION ALL SELECT 'CREATE on the schema' FROM place, found
            WHERE things = 0 AND NOT has_schema_privilege(oid, 'CREATE')
            UNION ALL SELECT needed.privilege || ' on the table ' || relname
            FROM (VALUES ('fence', 'SELECT'), ('fence', 'UPDATE'), ('log', 'SELECT'), ('log', 'INSERT'),
                ('log', 'UPDATE'), ('catalog', 'INSERT')) AS needed (name, privilege)
                JOIN pg_class ON relname = needed.name JOIN place ON relnamespace = place.oid
            WHERE NOT has_table_privilege(pg_class.oid, needed.privilege))
    SELECT EXISTS (SELECT FROM place), (SELECT things FROM found),
        (SELECT description FROM pg_description JOIN pg_class ON pg_class.oid = objoid JOIN place ON relnamespace = place.oid
         WHERE relname = 'fence' AND objsubid = 0 AND classoid = 'pg_class'::regclass),
        (SELECT string_agg(what, ', ') FROM lacking)";

/// The fence row.
pub(super) const FENCE: &str =
    "SELECT store_id, generation, epoch, upper, format, migrated, migrate_until FROM fence";

/// Records after one position and up to another, until they take so many bytes, and at least one; none if the store is
/// not the one of this id.
pub(super) const READ: &str = "
    SELECT position, mark, parts FROM (
        SELECT position, mark, parts, sum(pg_column_size(parts)) OVER (ORDER BY position) - pg_column_size(parts) AS before
        FROM log WHERE position > $1 AND position <= $2 AND (SELECT store_id FROM fence) = $4) AS counted
    WHERE before < $3 ORDER BY position";

/// Makes the tables, all or none. Records are not compressed: their sizes then tell what reading them costs. First processes may race: the lock is the transaction's, and so goes with it.
pub(super) fn initialise(schema: &str, schema_exists: bool) -> String {
    let create_schema = if schema_exists {
        // Asking for it once more would need a right that the owner of a schema may lack.
        String::new()
    } else {
        format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\";")
    };
    format!(
        "SELECT pg_advisory_xact_lock(hashtext('changeover'), hashtext('{schema}'));
         {create_schema}
         CREATE TABLE IF NOT EXISTS fence (
             one boolean PRIMARY KEY CHECK (one), store_id text NOT NULL, format text,
             generation bigint, epoch bigint NOT NULL, upper bigint NOT NULL,
             migrated bigint NOT NULL, migrate_until bigint NOT NULL) WITH (fillfactor = 10);
         CREATE TABLE IF NOT EXISTS log (
             position bigint PRIMARY KEY, mark smallint NOT NULL, parts bytea[] NOT NULL);
         ALTER TABLE log ALTER parts SET STORAGE EXTERNAL;
         CREATE TABLE IF NOT EXISTS catalog (
             position bigint NOT NULL, part integer NOT NULL, statement text NOT NULL, PRIMARY KEY (position, part));
         COMMENT ON TABLE fence IS '{OURS}';
         INSERT INTO fence VALUES (true, md5(random()::text || clock_timestamp()::text || pg_backend_pid()::text),
             NULL, NULL, 0, 0, 0, 0) ON CONFLICT DO NOTHING"
    )
}

/// Removes a store with its schema.
pub(super) fn remove(schema: &str) -> String {
    format!("DROP SCHEMA \"{schema}\" CASCADE")
}

/// The role that asks, and whether it may make databases.
pub(super) const MAY_MAKE_DATABASES: &str =
    "SELECT rolname::text, rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user";

/// Whether there is a database of this name: a row, or none.
pub(super) const DATABASE: &str = "SELECT 1 FROM pg_database WHERE datname = $1";

/// Makes a database. No other statement may be beside it, as none of these is undone by another's failure.
pub(super) fn make_database(name: &str) -> String {
    format!("CREATE DATABASE {}", identifier(name))
}

/// Removes a database, and ends the sessions in it.
pub(super) fn remove_database(name: &str) -> String {
    format!("DROP DATABASE {} WITH (FORCE)", identifier(name))
}

/// Makes these schemas, in the database that one is connected to.
pub(super) fn make_schemas(schemas: &[String]) -> String {
    let made = schemas
        .iter()
        .map(|name| format!("CREATE SCHEMA IF NOT EXISTS {};", identifier(name)));
    made.collect()
}

/// A name, whatever is in it.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal. Settings of the connection see to it that a backslash means itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Which fences a claim may take.
#[derive(Debug, Clone, Copy)]
pub(super) enum Over {
    /// None, or one of the same generation.
    Own,
    /// None, or one that is not of a higher generation.
    Lower,
}

/// Puts a token of this generation into the fence and the release's format on the store. Gives the new fence; no row
/// if the store is not the one of this id, the fence may not be taken, or the format is one that the release does not
/// know.
pub(super) fn claim(release: &Release, id: &str, generation: u64, over: Over) -> String {
    let compare = match over {
        Over::Own => "=",
        Over::Lower => "<=",
    };
    let known = ladder::releases()
        .iter()
        .filter(|known| known.mark <= release.mark)
        .map(|known| format!("'{}'", known.format))
        .collect::<Vec<_>>()
        .join(", ");
    let (format, id) = (release.format, quoted(id));
    // Everything up to here may be of an older format; what comes is of ours.
    format!(
        "UPDATE fence SET generation = {generation}, epoch = epoch + 1, format = '{format}',
             migrated = CASE WHEN format = '{format}' THEN migrated ELSE 0 END,
             migrate_until = CASE WHEN format = '{format}' THEN migrate_until ELSE upper END
         WHERE (generation IS NULL OR generation {compare} {generation}) AND (format IS NULL OR format IN ({known}))
             AND store_id = {id}
         RETURNING generation, epoch, upper"
    )
}

/// Appends one record if the fence of the store of this id still holds `token` and `upper`. Gives the record's
/// position; no row if it does not.
pub(super) fn append(release: &Release, id: &str, fence: Fence, effects: &[Effect]) -> String {
    let Token { generation, epoch } = fence.token;
    let (upper, id) = (fence.upper, quoted(id));
    let mut text = format!(
        "WITH advanced AS (
             UPDATE fence SET upper = upper + 1
             WHERE generation = {generation} AND epoch = {epoch} AND upper = {upper} AND store_id = {id}
             RETURNING upper),
         logged AS (INSERT INTO log SELECT upper, {}, {} FROM advanced)",
        release.mark,
        Array(&format::encode(release.mark, effects))
    );
    let listed: Vec<_> = listed(release, upper + 1, effects).collect();
    put_catalog(&mut text, &listed);
    text + " SELECT upper FROM advanced"
}

/// Writes these records anew in the release's format, and notes that everything up to `to` is done, if the fence of the
/// store of this id holds `token` and nobody did it meanwhile. Gives the new position; no row if not.
pub(super) fn migrate(
    release: &Release,
    id: &str,
    token: Token,
    from: u64,
    to: u64,
    records: &[Record],
) -> String {
    let Token { generation, epoch } = token;
    let id = quoted(id);
    let mut text = format!(
        "WITH advanced AS (
             UPDATE fence SET migrated = {to}
             WHERE generation = {generation} AND epoch = {epoch} AND migrated = {from} AND store_id = {id}
             RETURNING migrated)"
    );
    if !records.is_empty() {
        let rows = records
            .iter()
            .map(|record| {
                let parts = format::encode(release.mark, &record.effects);
                format!("({}, {})", record.position, Array(&parts))
            })
            .collect::<Vec<_>>()
            .join(", ");
        text += &format!(
            ", rewritten AS (
                 UPDATE log SET mark = {}, parts = rewrite.parts FROM advanced, (VALUES {rows}) AS rewrite (position, parts)
                 WHERE log.position = rewrite.position)",
            release.mark
        );
    }
    let listed: Vec<_> = records
        .iter()
        .flat_map(|record| listed(release, record.position, &record.effects))
        .collect();
    put_catalog(&mut text, &listed);
    text + " SELECT migrated FROM advanced"
}

/// The definitions among the effects, where the release's format lists them apart.
fn listed<'a>(
    release: &Release,
    position: u64,
    effects: &'a [Effect],
) -> impl Iterator<Item = (u64, usize, &'a str)> + use<'a> {
    let lists = format::lists_definitions(release.mark);
    effects
        .iter()
        .enumerate()
        .filter_map(move |(part, effect)| match effect {
            Effect::Ddl { statement } if lists => Some((position, part, statement.as_str())),
            _ => None,
        })
}

fn put_catalog(text: &mut String, listed: &[(u64, usize, &str)]) {
    if listed.is_empty() {
        return;
    }
    let rows = listed
        .iter()
        .map(|(position, part, statement)| format!("({position}, {part}, {})", quoted(statement)))
        .collect::<Vec<_>>()
        .join(", ");
    *text += &format!(
        ", listed AS (
             INSERT INTO catalog SELECT ddl.* FROM advanced, (VALUES {rows}) AS ddl (position, part, statement)
             ON CONFLICT DO NOTHING)"
    );
}

/// Parts as an array of PostgreSQL's `bytea`.
struct Array<'a>(&'a [Part]);

impl std::fmt::Display for Array<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ARRAY[")?;
        for (n, part) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { "'\\x" } else { ", '\\x" })?;
            for byte in part.as_bytes() {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                f.write_char(DIGITS[usize::from(byte >> 4)] as char)?;
                f.write_char(DIGITS[usize::from(byte & 15)] as char)?;
            }
            f.write_char('\'')?;
        }
        f.write_str("]::bytea[]")
    }
}
