//! Rewriting a parsed statement into what SQLite understands.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, ConflictTarget, Expr, FunctionArg, FunctionArguments, Ident, Insert,
    LimitClause, ObjectName, ObjectNamePart, OnInsert, Query, SetExpr, Statement, TableFactor,
    Value, ValueWithSpan, VisitMut, VisitorMut,
};

use super::SqlError;
use super::types::PgType;
use crate::copy::INTERNAL;
use crate::copy::schema::quote;

/// What a rewrite met on its way.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The number of the highest parameter.
    pub(crate) parameters: usize,
    /// Whether a table or view is named.
    pub(crate) relations: bool,
}

/// Rewrites anything that holds expressions, in place.
///
/// # Errors
/// What it names that is not for users, or that neither side can do.
pub(crate) fn rewrite(node: &mut impl VisitMut) -> Result<Seen, SqlError> {
    let mut rewriter = Rewriter::default();
    match node.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(rewriter.seen),
        ControlFlow::Break(error) => Err(error),
    }
}

/// An identifier as PostgreSQL reads it: lower case unless quoted.
pub(crate) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_ascii_lowercase()
    }
}

/// The name of a table, view or index, quoted for SQLite.
pub(crate) fn relation(name: &ObjectName) -> Result<String, SqlError> {
    Ok(quote(&relation_name(name)?))
}

/// The same without quotes. Names of our own and of SQLite do not exist for users.
pub(crate) fn relation_name(name: &ObjectName) -> Result<String, SqlError> {
    let parts: Option<Vec<String>> = name
        .0
        .iter()
        .map(|part| part.as_ident().map(fold))
        .collect();
    let parts = parts.ok_or_else(|| SqlError::unsupported(name))?;
    let missing = || {
        SqlError::new(
            "42P01",
            format!("relation \"{}\" does not exist", parts.join(".")),
        )
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let plain = match parts.as_slice() {
        ["information_schema", "tables"] => return Ok("__changeover_is_tables".to_owned()),
        ["information_schema", "columns"] => return Ok("__changeover_is_columns".to_owned()),
        ["pg_catalog", "pg_tables"] | ["pg_tables"] => {
            return Ok("__changeover_pg_tables".to_owned());
        }
        ["pg_catalog", "pg_views"] | ["pg_views"] => return Ok("__changeover_pg_views".to_owned()),
        ["pg_catalog", "pg_indexes"] | ["pg_indexes"] => {
            return Ok("__changeover_pg_indexes".to_owned());
        }
        [name] | ["public", name] | ["changeover", "public", name] => *name,
        _ => return Err(missing()),
    };
    let lower = plain.to_ascii_lowercase();
    if ["sqlite_", "pragma_", INTERNAL]
        .iter()
        .any(|reserved| lower.starts_with(reserved))
    {
        return Err(missing());
    }
    Ok(plain.to_owned())
}

#[derive(Default)]
struct Rewriter {
    seen: Seen,
}

impl VisitorMut for Rewriter {
    type Break = SqlError;

    fn pre_visit_ident(&mut self, ident: &mut Ident) -> ControlFlow<SqlError> {
        // The name of a relation is quoted before its parts are visited.
        if !is_quoted(ident) {
            *ident = match ident.quote_style {
                Some(_) => raw_ident(quote(&ident.value)),
                None => raw_ident(fold(ident)),
            };
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<SqlError> {
        self.seen.relations = true;
        match relation(name) {
            Ok(plain) => {
                *name = ObjectName(vec![ObjectNamePart::Identifier(raw_ident(plain))]);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        if let TableFactor::Table {
            name,
            alias,
            args: Some(args),
            ..
        } = factor
        {
            if name.to_string() != "\"generate_series\"" {
                return ControlFlow::Break(SqlError::unsupported(format_args!(
                    "the table function {name}"
                )));
            }
            let args: Vec<String> = args.args.iter().map(ToString::to_string).collect();
            let (start, stop, step) = match args.as_slice() {
                [start, stop] => (start, stop, "1"),
                [start, stop, step] => (start, stop, step.as_str()),
                _ => {
                    return ControlFlow::Break(SqlError::new(
                        "42883",
                        "generate_series takes two or three arguments",
                    ));
                }
            };
            let (table, column) = match alias.take() {
                Some(alias) => {
                    let column = alias
                        .columns
                        .first()
                        .map_or_else(|| alias.name.clone(), |column| column.name.clone());
                    (alias.name, column)
                }
                None => (Ident::new("generate_series"), Ident::new("generate_series")),
            };
            let sql = format!(
                "(WITH RECURSIVE series(n) AS (SELECT {start} WHERE CASE WHEN {step} > 0 THEN {start} <= {stop} ELSE {start} >= {stop} END
                   UNION ALL SELECT n + {step} FROM series WHERE CASE WHEN {step} > 0 THEN n + {step} <= {stop} ELSE n + {step} >= {stop} END)
                  SELECT n AS {column} FROM series) AS {table}"
            );
            *name = ObjectName(vec![ObjectNamePart::Identifier(raw_ident(sql))]);
            if let TableFactor::Table { args, .. } = factor {
                *args = None;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        query.locks.clear();
        if let Some(fetch) = query.fetch.take() {
            if fetch.with_ties || fetch.percent {
                return ControlFlow::Break(SqlError::unsupported("FETCH with ties or percent"));
            }
            let quantity = fetch.quantity.unwrap_or_else(|| raw("1".to_owned()));
            let offset = match query.limit_clause.take() {
                Some(LimitClause::LimitOffset { offset, .. }) => offset,
                _ => None,
            };
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit: Some(quantity),
                offset,
                limit_by: Vec::new(),
            });
        }
        // SQLite has no OFFSET without LIMIT.
        if let Some(LimitClause::LimitOffset {
            limit: limit @ None,
            offset: Some(_),
            ..
        }) = &mut query.limit_clause
        {
            *limit = Some(raw("-1".to_owned()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut Statement) -> ControlFlow<SqlError> {
        match statement {
            Statement::Insert(insert) => {
                settle_conflict(insert).map_or_else(ControlFlow::Break, ControlFlow::Continue)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Function(function) => {
                if let Err(error) = settle_function(&mut function.name) {
                    return ControlFlow::Break(error);
                }
            }
            // It holds tokens as they were typed.
            Expr::BinaryOp {
                op: BinaryOperator::PGCustomBinaryOperator(_) | BinaryOperator::Custom(_),
                ..
            } => return ControlFlow::Break(SqlError::unsupported("a custom operator")),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match replace(expr) {
            Ok(Some(replacement)) => *expr = replacement,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<SqlError> {
        let replacement = match &value.value {
            Value::Placeholder(name) => {
                let Some(number) = name
                    .strip_prefix('$')
                    .and_then(|number| number.parse::<usize>().ok())
                else {
                    return ControlFlow::Break(SqlError::syntax(format!(
                        "`{name}` is no parameter"
                    )));
                };
                if number == 0 || number > 32_000 {
                    return ControlFlow::Break(SqlError::new(
                        "42P02",
                        format!("there is no parameter ${number}"),
                    ));
                }
                self.seen.parameters = self.seen.parameters.max(number);
                Value::Placeholder(format!("?{number}"))
            }
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::NationalStringLiteral(text)
            | Value::UnicodeStringLiteral(text) => literal(text),
            Value::DollarQuotedString(text) => literal(&text.value),
            Value::HexStringLiteral(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
                return ControlFlow::Continue(());
            }
            Value::Number(..) | Value::Boolean(_) | Value::Null => {
                return ControlFlow::Continue(());
            }
            other => {
                return ControlFlow::Break(SqlError::unsupported(format_args!(
                    "the literal {other}"
                )));
            }
        };
        value.value = replacement;
        ControlFlow::Continue(())
    }
}

/// A text, spelt for SQLite. The parser's own printer guesses whether quotes in a text are doubled already, and lets a
/// text break out of its quotes where it guesses wrong; a placeholder is printed as it stands.
fn literal(text: &str) -> Value {
    Value::Placeholder(format!("'{}'", text.replace('\'', "''")))
}

/// Whether a name was quoted by us: then it is printed as it stands.
fn is_quoted(ident: &Ident) -> bool {
    ident.quote_style.is_none() && ident.value.starts_with('"')
}

/// Takes the schema off a function's name, and refuses names that are not for users.
fn settle_function(name: &mut ObjectName) -> Result<(), SqlError> {
    let missing =
        |name: &ObjectName| SqlError::new("42883", format!("function {name} does not exist"));
    let parts: Option<Vec<String>> = name
        .0
        .iter()
        .map(|part| part.as_ident().map(fold))
        .collect();
    let Some((last, schema)) = parts.as_deref().and_then(<[String]>::split_last) else {
        return Err(missing(name));
    };
    let lower = last.to_ascii_lowercase();
    let known = match schema {
        [] => true,
        [schema] => schema == "pg_catalog",
        _ => false,
    };
    if !known || lower.starts_with(INTERNAL) || lower.starts_with("load_extension") {
        return Err(missing(name));
    }
    name.0.drain(..name.0.len() - 1);
    Ok(())
}

fn settle_conflict(insert: &mut Insert) -> Result<(), SqlError> {
    match &insert.on {
        None => return Ok(()),
        Some(OnInsert::OnConflict(conflict)) => {
            if matches!(
                conflict.conflict_target,
                Some(ConflictTarget::OnConstraint(_))
            ) {
                return Err(SqlError::unsupported("ON CONFLICT ON CONSTRAINT"));
            }
        }
        Some(_) => return Err(SqlError::syntax("only ON CONFLICT is understood")),
    }
    // Without a WHERE, SQLite would read `ON` as the start of a join's condition.
    if let Some(source) = &mut insert.source
        && let SetExpr::Select(select) = source.body.as_mut()
        && select.selection.is_none()
    {
        select.selection = Some(raw("true".to_owned()));
    }
    Ok(())
}

fn raw_ident(sql: String) -> Ident {
    Ident {
        value: sql,
        quote_style: None,
        span: sqlparser::tokenizer::Span::empty(),
    }
}

/// A piece of SQL that is printed as it stands.
fn raw(sql: String) -> Expr {
    Expr::Identifier(raw_ident(sql))
}

fn replace(expr: &Expr) -> Result<Option<Expr>, SqlError> {
    Ok(Some(match expr {
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr,
            data_type,
            ..
        } => raw(cast(expr, data_type)?),
        Expr::ILike {
            negated,
            any: false,
            expr,
            pattern,
            escape_char,
        } => {
            let not = if *negated { "NOT " } else { "" };
            let escape = escape_char
                .as_ref()
                .map(|escape| format!(" ESCAPE {escape}"))
                .unwrap_or_default();
            raw(format!("lower({expr}) {not}LIKE lower({pattern}){escape}"))
        }
        Expr::Substring {
            expr,
            substring_from,
            substring_for,
            ..
        } => {
            let from = substring_from
                .as_ref()
                .map_or_else(|| "1".to_owned(), ToString::to_string);
            match substring_for {
                Some(count) => raw(format!("substr({expr}, {from}, {count})")),
                None => raw(format!("substr({expr}, {from})")),
            }
        }
        Expr::Position { expr, r#in } => raw(format!("instr({}, {expr})", r#in)),
        Expr::Ceil { expr, .. } => raw(format!("ceil({expr})")),
        Expr::Floor { expr, .. } => raw(format!("floor({expr})")),
        Expr::TypedString(typed) => {
            let text = Expr::Value(typed.value.clone());
            raw(cast(&text, &typed.data_type)?)
        }
        Expr::Function(function) => {
            let name = function
                .name
                .to_string()
                .to_ascii_lowercase()
                .replace('"', "");
            let name = name.as_str();
            if matches!(function.args, FunctionArguments::None) {
                return Ok(match name {
                    "current_user" | "session_user" | "user" | "current_catalog" => {
                        Some(raw("'changeover'".to_owned()))
                    }
                    "current_schema" => Some(raw("'public'".to_owned())),
                    "current_timestamp" | "localtimestamp" => {
                        Some(raw("__changeover_now()".to_owned()))
                    }
                    _ => None,
                });
            }
            let FunctionArguments::List(list) = &function.args else {
                return Ok(None);
            };
            let arguments = || {
                list.args
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            match name {
                "now" | "clock_timestamp" | "transaction_timestamp" | "statement_timestamp"
                    if list.args.is_empty() =>
                {
                    raw("__changeover_now()".to_owned())
                }
                "random" if list.args.is_empty() => raw("__changeover_random()".to_owned()),
                "pg_sleep" => raw(format!("__changeover_sleep({})", arguments())),
                "greatest" if list.args.len() > 1 => raw(format!("max({})", arguments())),
                "least" if list.args.len() > 1 => raw(format!("min({})", arguments())),
                "char_length" | "character_length" => raw(format!("length({})", arguments())),
                "strpos" => raw(format!("instr({})", arguments())),
                "bool_and" | "every" => raw(format!("min({})", arguments())),
                "bool_or" => raw(format!("max({})", arguments())),
                "min" | "max" if list.args.len() > 1 => {
                    return Err(SqlError::new(
                        "42883",
                        format!("function {name} takes one argument"),
                    ));
                }
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

fn cast(expr: &Expr, data_type: &sqlparser::ast::DataType) -> Result<String, SqlError> {
    Ok(match PgType::from_sql(data_type)? {
        PgType::Int2 => format!("__changeover_int2({expr})"),
        PgType::Int4 => format!("__changeover_int4({expr})"),
        PgType::Int8 => format!("__changeover_int8({expr})"),
        PgType::Float4 | PgType::Float8 => format!("__changeover_float8({expr})"),
        PgType::Bool => format!("__changeover_bool({expr})"),
        PgType::Bytea => format!("__changeover_bytea({expr})"),
        PgType::Text | PgType::Varchar => format!("CAST({expr} AS TEXT)"),
    })
}

/// The expressions that a function is called with.
pub(crate) fn arguments(function: &sqlparser::ast::Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return Vec::new();
    };
    list.args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(sqlparser::ast::FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    fn sql(text: &str) -> String {
        let plan = super::super::parse(text).unwrap().remove(0);
        match plan.kind {
            super::super::Kind::Unsupported(error) => error.to_string(),
            _ => plan.sql,
        }
    }

    #[test]
    fn postgres_becomes_sqlite() {
        assert_eq!(
            sql("SELECT $1::int + 1"),
            "SELECT __changeover_int4(?1) + 1"
        );
        assert_eq!(sql("SELECT Foo FROM public.T"), "SELECT foo FROM \"t\"");
        assert_eq!(
            sql("SELECT * FROM t OFFSET 3"),
            "SELECT * FROM \"t\" LIMIT -1 OFFSET 3"
        );
        assert_eq!(sql("SELECT E'a\\nb', $$x$$"), "SELECT 'a\nb', 'x'");
        assert_eq!(sql("SELECT 'it''s'"), "SELECT 'it''s'");
        assert_eq!(
            sql("SELECT a ILIKE 'X%' FROM t"),
            "SELECT lower(a) LIKE lower('X%') FROM \"t\""
        );
        assert_eq!(
            sql("SELECT now(), greatest(1, 2)"),
            "SELECT __changeover_now(), max(1, 2)"
        );
        assert_eq!(
            sql("SELECT __changeover_effect(1)"),
            "function __changeover_effect does not exist"
        );
        for name in [
            "pg_catalog.__changeover_effect",
            "pg_catalog.\"__CHANGEOVER_effect\"",
            "\"__changeover_effect\"",
            "other.lower",
        ] {
            assert_eq!(
                sql(&format!("SELECT {name}(1)")),
                format!("function {name} does not exist")
            );
        }
        assert_eq!(
            sql("SELECT pg_catalog.count(*) FILTER (WHERE a) FROM t"),
            "SELECT count(*) FILTER (WHERE a) FROM \"t\""
        );
        assert_eq!(
            sql("SELECT pg_catalog.\"a\\\"\" b(\"(1)"),
            "SELECT \"a\\\"\" b(\"(1)"
        );
        assert_eq!(
            sql("SELECT \"A\"\"\"\"b\\\"\"\" FROM \"T\"\"x\""),
            "SELECT \"A\"\"\"\"b\\\"\"\" FROM \"T\"\"x\""
        );
        assert_eq!(sql("SELECT 'a\'\'\'\'b'"), "SELECT 'a\'\'\'\'b'");
        assert_eq!(
            sql("SELECT '\\'' UNION SELECT 1 --'"),
            "SELECT '\\'' UNION SELECT 1 --'"
        );
        assert!(sql("SELECT X'41'' UNION SELECT 1 --'").contains("is not supported"));
        assert_eq!(
            sql("INSERT INTO t SELECT a FROM u ON CONFLICT DO NOTHING"),
            "INSERT INTO \"t\" SELECT a FROM \"u\" WHERE true ON CONFLICT DO NOTHING"
        );
    }
}
