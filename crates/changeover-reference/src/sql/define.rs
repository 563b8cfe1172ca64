//! Data definition: PostgreSQL's statements as SQLite's, with checks that hold the types of columns.
//!
//! SQLite lets any value into any column; the checks written here make a wrong value the error that PostgreSQL gives.

use sqlparser::ast::{
    AlterTable, AlterTableOperation, ColumnDef, ColumnOption, ConstraintCharacteristics,
    CreateIndex, CreateTable, CreateView, DeferrableInitial, Expr, Ident, ObjectName,
    RenameTableNameKind, TableConstraint,
};

use super::SqlError;
use super::error::{RANGE_CHECK, TYPE_CHECK};
use super::translate::{fold, relation, relation_name, rewrite};
use super::types::PgType;
use crate::copy::INTERNAL;
use crate::copy::schema::{MAX_COLUMNS, quote};

/// One statement of data definition for SQLite, as it goes into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) sql: String,
    /// Left out, and not logged, depending on whether that object exists: what changes nothing must not look like a
    /// change to a generation that is catching up.
    pub(crate) condition: Option<Condition>,
}

/// When a step is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// `table`, `view` or `index`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// Run the step only if the object exists (`true`), or only if it does not.
    pub(crate) if_exists: bool,
}

fn step(sql: String) -> Step {
    Step {
        sql,
        condition: None,
    }
}

fn new_name(name: &ObjectName) -> Result<String, SqlError> {
    let reserved = || SqlError::new("42939", format!("the name {name} is reserved"));
    let plain = relation_name(name).map_err(|_| reserved())?;
    if plain.to_ascii_lowercase().starts_with(INTERNAL) {
        Err(reserved())
    } else {
        Ok(plain)
    }
}

pub(super) fn create_table(table: CreateTable) -> Result<Vec<Step>, SqlError> {
    if table.temporary {
        return Err(SqlError::unsupported("a temporary table"));
    }
    if table.query.is_some()
        || table.like.is_some()
        || table.without_rowid
        || table.strict
        || table.inherits.is_some()
    {
        return Err(SqlError::unsupported(
            "CREATE TABLE other than from a list of columns",
        ));
    }
    if table.columns.len() > MAX_COLUMNS {
        return Err(SqlError::new(
            "54011",
            format!("tables can have at most {MAX_COLUMNS} columns"),
        ));
    }
    if table.columns.is_empty() {
        return Err(SqlError::unsupported("a table without columns"));
    }
    let name = new_name(&table.name)?;
    let mut keys: Vec<String> = Vec::new();
    let mut constraints = Vec::new();
    for mut constraint in table.constraints {
        if let TableConstraint::PrimaryKey(key) = &constraint {
            keys.extend(
                key.columns
                    .iter()
                    .filter_map(|column| column_name(&column.column.expr))
                    .map(|name| name.to_ascii_lowercase()),
            );
        }
        if matches!(constraint, TableConstraint::Index(_)) {
            return Err(SqlError::unsupported("an index inside CREATE TABLE"));
        }
        match &constraint {
            TableConstraint::PrimaryKey(key) => immediate(key.characteristics.as_ref())?,
            TableConstraint::Unique(unique) => immediate(unique.characteristics.as_ref())?,
            TableConstraint::ForeignKey(key) => immediate(key.characteristics.as_ref())?,
            _ => {}
        }
        rewrite(&mut constraint)?;
        constraints.push(constraint.to_string());
    }
    let mut parts = table
        .columns
        .into_iter()
        .map(|definition| {
            let in_key = keys.contains(&fold(&definition.name).to_ascii_lowercase());
            column(definition, in_key)
        })
        .collect::<Result<Vec<_>, _>>()?;
    parts.extend(constraints);
    Ok(vec![Step {
        sql: format!("CREATE TABLE {} ({})", quote(&name), parts.join(", ")),
        condition: table.if_not_exists.then_some(Condition {
            kind: "table",
            name,
            if_exists: false,
        }),
    }])
}

/// Refuses SQLite's names for the place of a row, by which the log and the triggers tell rows apart.
fn check_column_name(name: &str) -> Result<(), SqlError> {
    let lower = name.to_ascii_lowercase();
    if lower.starts_with(INTERNAL) || ["rowid", "_rowid_", "oid"].contains(&lower.as_str()) {
        Err(SqlError::new(
            "42939",
            format!("the name {name} is reserved"),
        ))
    } else {
        Ok(())
    }
}

/// Refuses a constraint that is checked at the end of a transaction: what breaks it would be in the log by then.
fn immediate(characteristics: Option<&ConstraintCharacteristics>) -> Result<(), SqlError> {
    match characteristics.and_then(|given| given.initially) {
        Some(DeferrableInitial::Deferred) => {
            Err(SqlError::unsupported("a constraint INITIALLY DEFERRED"))
        }
        _ => Ok(()),
    }
}

/// A column's definition; `in_key` if a table constraint makes it part of the primary key.
fn column(definition: ColumnDef, in_key: bool) -> Result<String, SqlError> {
    let name = fold(&definition.name);
    check_column_name(&name)?;
    let type_name = definition.data_type.to_string().to_ascii_lowercase();
    let pg_type = PgType::from_sql(&definition.data_type)?;
    let mut serial = type_name.contains("serial");
    let mut primary = false;
    let mut not_null = in_key;
    let mut rest = String::new();
    for option in definition.options {
        match &option.option {
            ColumnOption::PrimaryKey(key) => immediate(key.characteristics.as_ref())?,
            ColumnOption::Unique(unique) => immediate(unique.characteristics.as_ref())?,
            ColumnOption::ForeignKey(key) => immediate(key.characteristics.as_ref())?,
            _ => {}
        }
        let named = option
            .name
            .as_ref()
            .map(|name| format!("CONSTRAINT {} ", quote(&fold(name))))
            .unwrap_or_default();
        match option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => not_null = true,
            ColumnOption::PrimaryKey(_) => primary = true,
            ColumnOption::Generated {
                generation_expr: None,
                ..
            }
            | ColumnOption::Identity(_) => serial = true,
            ColumnOption::Default(mut expr) => {
                rewrite(&mut expr)?;
                rest.push_str(&format!(" DEFAULT ({expr})"));
            }
            ColumnOption::Unique(_) => rest.push_str(&format!(" {named}UNIQUE")),
            mut other @ (ColumnOption::Check(_) | ColumnOption::ForeignKey(_)) => {
                rewrite(&mut other)?;
                rest.push_str(&format!(" {named}{other}"));
            }
            other => {
                return Err(SqlError::unsupported(format_args!(
                    "the column option {other}"
                )));
            }
        }
    }
    let quoted = quote(&name);
    if serial {
        if !primary {
            return Err(SqlError::unsupported(
                "a SERIAL or identity column that is not the primary key by itself",
            ));
        }
        // The rowid itself; AUTOINCREMENT, so that a number once seen is never given again.
        return Ok(format!(
            "{quoted} INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL{rest}"
        ));
    }
    let mut sql = format!("{quoted} {}", pg_type.declared());
    if primary || not_null {
        sql.push_str(" NOT NULL");
    }
    if primary {
        sql.push_str(" PRIMARY KEY");
    }
    sql.push_str(&rest);
    let check = |prefix: &str, condition: String| {
        format!(
            " CONSTRAINT {} CHECK ({condition})",
            quote(&format!("{prefix}{name}"))
        )
    };
    match pg_type {
        PgType::Int2 | PgType::Int4 | PgType::Int8 => {
            sql.push_str(&check(
                TYPE_CHECK,
                format!("typeof({quoted}) IN ('integer', 'null')"),
            ));
        }
        PgType::Bool => sql.push_str(&check(TYPE_CHECK, format!("{quoted} IN (0, 1)"))),
        PgType::Float4 | PgType::Float8 => {
            sql.push_str(&check(
                TYPE_CHECK,
                format!("typeof({quoted}) IN ('real', 'integer', 'null')"),
            ));
        }
        PgType::Text | PgType::Varchar => {
            sql.push_str(&check(
                TYPE_CHECK,
                format!("typeof({quoted}) IN ('text', 'null')"),
            ));
        }
        PgType::Bytea => sql.push_str(&check(
            TYPE_CHECK,
            format!("typeof({quoted}) IN ('blob', 'null')"),
        )),
    }
    match pg_type {
        PgType::Int2 => sql.push_str(&check(
            RANGE_CHECK,
            format!("{quoted} BETWEEN {} AND {}", i16::MIN, i16::MAX),
        )),
        PgType::Int4 => sql.push_str(&check(
            RANGE_CHECK,
            format!("{quoted} BETWEEN {} AND {}", i32::MIN, i32::MAX),
        )),
        _ => {}
    }
    Ok(sql)
}

pub(super) fn create_index(mut index: CreateIndex) -> Result<Vec<Step>, SqlError> {
    let table = relation_name(&index.table_name)?;
    let mut columns = Vec::new();
    for column in &mut index.columns {
        rewrite(&mut column.column)?;
        columns.push(column.column.to_string());
    }
    if !index.include.is_empty() {
        return Err(SqlError::unsupported("an index with INCLUDE"));
    }
    let name = match &index.name {
        Some(name) => new_name(name)?,
        // As PostgreSQL makes one up.
        None => {
            let words: String = columns
                .iter()
                .map(|column| {
                    format!(
                        "{}_",
                        column
                            .chars()
                            .filter(|c| c.is_alphanumeric() || *c == '_')
                            .collect::<String>()
                    )
                })
                .collect();
            format!("{table}_{words}idx")
        }
    };
    let predicate = match &mut index.predicate {
        Some(predicate) => {
            rewrite(predicate)?;
            format!(" WHERE {predicate}")
        }
        None => String::new(),
    };
    let unique = if index.unique { "UNIQUE " } else { "" };
    Ok(vec![Step {
        sql: format!(
            "CREATE {unique}INDEX {} ON {} ({}){predicate}",
            quote(&name),
            quote(&table),
            columns.join(", ")
        ),
        condition: index.if_not_exists.then_some(Condition {
            kind: "index",
            name,
            if_exists: false,
        }),
    }])
}

pub(super) fn create_view(mut view: CreateView) -> Result<Vec<Step>, SqlError> {
    if view.materialized || view.temporary {
        return Err(SqlError::unsupported("a materialized or temporary view"));
    }
    let name = new_name(&view.name)?;
    let seen = rewrite(&mut view.query)?;
    if seen.parameters > 0 {
        return Err(SqlError::new("42P02", "a view cannot have parameters"));
    }
    let columns: Vec<String> = view
        .columns
        .iter()
        .map(|column| quote(&fold(&column.name)))
        .collect();
    let columns = if columns.is_empty() {
        String::new()
    } else {
        format!(" ({})", columns.join(", "))
    };
    let mut steps = Vec::new();
    if view.or_replace {
        steps.push(Step {
            sql: format!("DROP VIEW {}", quote(&name)),
            condition: Some(Condition {
                kind: "view",
                name: name.clone(),
                if_exists: true,
            }),
        });
    }
    steps.push(Step {
        sql: format!("CREATE VIEW {}{columns} AS {}", quote(&name), view.query),
        condition: view.if_not_exists.then_some(Condition {
            kind: "view",
            name,
            if_exists: false,
        }),
    });
    Ok(steps)
}

pub(super) fn alter_table(table: AlterTable) -> Result<Vec<Step>, SqlError> {
    let name = relation_name(&table.name)?;
    let condition = table.if_exists.then(|| Condition {
        kind: "table",
        name: name.clone(),
        if_exists: true,
    });
    let mut steps = Vec::new();
    let mut push = |what: String| {
        steps.push(Step {
            sql: format!("ALTER TABLE {} {what}", quote(&name)),
            condition: condition.clone(),
        });
    };
    let ident = |ident: &Ident| quote(&fold(ident));
    for operation in table.operations {
        match operation {
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(to),
            } => {
                push(format!("RENAME TO {}", quote(&new_name(&to)?)));
            }
            AlterTableOperation::RenameColumn {
                old_column_name,
                new_column_name,
            } => {
                check_column_name(&fold(&new_column_name))?;
                push(format!(
                    "RENAME COLUMN {} TO {}",
                    ident(&old_column_name),
                    ident(&new_column_name)
                ));
            }
            AlterTableOperation::AddColumn {
                if_not_exists: false,
                column_def,
                ..
            } => {
                push(format!("ADD COLUMN {}", column(column_def, false)?));
            }
            AlterTableOperation::DropColumn {
                column_names,
                if_exists: false,
                ..
            } => {
                for name in &column_names {
                    push(format!("DROP COLUMN {}", ident(name)));
                }
            }
            other => return Err(SqlError::unsupported(format_args!("ALTER TABLE {other}"))),
        }
    }
    Ok(steps)
}

pub(super) fn drop(
    word: &'static str,
    if_exists: bool,
    names: &[ObjectName],
) -> Result<Vec<Step>, SqlError> {
    let kind = match word {
        "TABLE" => "table",
        "VIEW" => "view",
        _ => "index",
    };
    names
        .iter()
        .map(|name| {
            let sql = format!("DROP {word} {}", relation(name)?);
            let plain = relation_name(name)?;
            if plain.starts_with(INTERNAL) {
                return Err(SqlError::new(
                    "42501",
                    format!("{name} belongs to the system"),
                ));
            }
            let condition = if_exists.then_some(Condition {
                kind,
                name: plain,
                if_exists: true,
            });
            Ok(Step {
                condition,
                ..step(sql)
            })
        })
        .collect()
}

/// Whether an expression is a column's plain name; used for naming outputs.
pub(crate) fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(fold(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(fold),
        _ => None,
    }
}
