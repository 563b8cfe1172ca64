//! Telling types: of a statement's outputs, and of parameters whose type the client left open.
//!
//! SQLite knows the declared type of a column that is passed through; everything else is told from the expression,
//! roughly as PostgreSQL would. What cannot be told is text.

use std::ops::ControlFlow;

use rusqlite::Connection;
use sqlparser::ast::{
    AssignmentTarget, BinaryOperator, Expr, Insert, LimitClause, ObjectName, Query, SelectItem,
    SetExpr, Statement, TableFactor, TableObject, UnaryOperator, Value, Visit, Visitor,
};

use super::classify::Plan;
use super::define::column_name;
use super::translate::{arguments, fold, relation_name};
use super::types::PgType;
use crate::copy::schema;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) pg_type: PgType,
}

/// Views in views are followed so deep.
const MAX_DEPTH: usize = 8;

/// The tables that a statement names, with their aliases, regardless of nesting.
struct Scope<'a> {
    connection: &'a Connection,
    tables: Vec<(String, String)>,
    depth: usize,
}

impl Visitor for Scope<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        if let Ok(name) = relation_name(name) {
            self.tables.push((name.clone(), name));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table {
            name,
            alias: Some(alias),
            ..
        } = factor
            && let Ok(name) = relation_name(name)
        {
            self.tables.push((fold(&alias.name), name));
        }
        ControlFlow::Continue(())
    }
}

impl<'a> Scope<'a> {
    fn new(connection: &'a Connection, node: &impl Visit, depth: usize) -> Self {
        let mut scope = Scope {
            connection,
            tables: Vec::new(),
            depth,
        };
        let _ = node.visit(&mut scope);
        scope
    }

    fn column(&self, qualifier: Option<&str>, name: &str) -> Option<PgType> {
        self.tables
            .iter()
            .filter(|(alias, _)| {
                qualifier.is_none_or(|qualifier| alias.eq_ignore_ascii_case(qualifier))
            })
            .find_map(|(_, table)| {
                let columns = schema::columns(self.connection, table).ok()?;
                let at = columns
                    .iter()
                    .position(|column| column.name.eq_ignore_ascii_case(name))?;
                PgType::from_declared(&columns[at].declared).or_else(|| self.view_column(table, at))
            })
    }

    /// The type of a view's column, told from the view's own definition.
    fn view_column(&self, view: &str, at: usize) -> Option<PgType> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        let sql: String = self
            .connection
            .query_row(
                "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE",
                [view],
                |row| row.get(0),
            )
            .ok()?;
        let dialect = sqlparser::dialect::SQLiteDialect {};
        let Statement::CreateView(view) = sqlparser::parser::Parser::parse_sql(&dialect, &sql)
            .ok()?
            .pop()?
        else {
            return None;
        };
        let scope = Scope::new(self.connection, &view.query, self.depth + 1);
        let SetExpr::Select(select) = view.query.body.as_ref() else {
            return None;
        };
        match select.projection.get(at)? {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                scope.expr(expr)
            }
            _ => None,
        }
    }

    fn expr(&self, expr: &Expr) -> Option<PgType> {
        match expr {
            Expr::Identifier(ident) => self.column(None, &ident.value),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, column] => self.column(Some(&table.value), &column.value),
                _ => None,
            },
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => Some(if digits.parse::<i32>().is_ok() {
                    PgType::Int4
                } else if digits.parse::<i64>().is_ok() {
                    PgType::Int8
                } else {
                    PgType::Float8
                }),
                Value::Boolean(_) => Some(PgType::Bool),
                Value::Null | Value::Placeholder(_) => None,
                _ => Some(PgType::Text),
            },
            Expr::Cast { data_type, .. } => PgType::from_sql(data_type).ok(),
            Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => self.expr(inner),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                ..
            } => Some(PgType::Bool),
            Expr::UnaryOp { expr, .. } => self.expr(expr),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::Exists { .. } => Some(PgType::Bool),
            Expr::Case {
                conditions,
                else_result,
                ..
            } => conditions
                .iter()
                .map(|when| &when.result)
                .chain(else_result.as_deref())
                .find_map(|result| self.expr(result)),
            Expr::Subquery(query) => match query.body.as_ref() {
                SetExpr::Select(select) => match select.projection.first()? {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                        self.expr(expr)
                    }
                    _ => None,
                },
                _ => None,
            },
            Expr::Position { .. } => Some(PgType::Int4),
            Expr::Floor { expr, .. } | Expr::Ceil { expr, .. } => self
                .expr(expr)
                .filter(|t| t.is_integer())
                .or(Some(PgType::Float8)),
            Expr::Function(function) => {
                let name = function
                    .name
                    .to_string()
                    .to_ascii_lowercase()
                    .replace('"', "");
                let arguments = arguments(function);
                let first = || arguments.iter().find_map(|argument| self.expr(argument));
                match name.rsplit('.').next().unwrap_or_default() {
                    "count" | "row_number" | "rank" | "dense_rank" | "ntile" => Some(PgType::Int8),
                    "length" | "char_length" | "character_length" | "strpos" | "instr"
                    | "octet_length" | "pg_backend_pid" => Some(PgType::Int4),
                    "sum" => first().map(|t| if t.is_integer() { PgType::Int8 } else { t }),
                    "avg" | "random" | "sqrt" | "power" | "exp" | "ln" => Some(PgType::Float8),
                    "min" | "max" | "coalesce" | "nullif" | "abs" | "greatest" | "least"
                    | "lag" | "lead" | "first_value" | "last_value" | "mod" => first(),
                    "round" => first().filter(|t| t.is_integer()).or(Some(PgType::Float8)),
                    "bool_and" | "bool_or" | "every" | "__changeover_bool" => Some(PgType::Bool),
                    "__changeover_int2" => Some(PgType::Int2),
                    "__changeover_int4" => Some(PgType::Int4),
                    "__changeover_int8" => Some(PgType::Int8),
                    "__changeover_float8" => Some(PgType::Float8),
                    "__changeover_bytea" => Some(PgType::Bytea),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<PgType> {
        use BinaryOperator as Op;
        match op {
            Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::And | Op::Or => {
                Some(PgType::Bool)
            }
            Op::StringConcat => Some(PgType::Text),
            Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo => {
                let rank = |t: PgType| match t {
                    PgType::Int2 => 1,
                    PgType::Int4 => 2,
                    PgType::Int8 => 3,
                    _ => 4,
                };
                match (self.expr(left), self.expr(right)) {
                    (Some(left), Some(right)) if left.is_number() && right.is_number() => {
                        Some(if rank(left) >= rank(right) {
                            left
                        } else {
                            right
                        })
                    }
                    (Some(known), None) | (None, Some(known)) => Some(known),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The columns of a prepared statement's result.
pub(crate) fn outputs(
    connection: &Connection,
    plan: &Plan,
    statement: &rusqlite::Statement<'_>,
) -> Vec<Output> {
    let count = statement.column_count();
    let scope = plan
        .statement
        .as_ref()
        .map(|node| Scope::new(connection, node.as_ref(), 0));
    // Wildcards stretch: what stands before the first is counted from the left, what stands after the last from the right.
    let wild = |item: &SelectItem| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    };
    let first_wild = plan.outputs.iter().position(wild).unwrap_or(usize::MAX);
    let last_wild = plan.outputs.iter().rposition(wild);
    statement
        .columns()
        .enumerate()
        .map(|(n, column)| {
            let item = if n < first_wild {
                plan.outputs.get(n)
            } else {
                let from_right = count - n;
                plan.outputs
                    .len()
                    .checked_sub(from_right)
                    .filter(|at| last_wild.is_some_and(|last| *at > last))
                    .and_then(|at| plan.outputs.get(at))
            };
            let (name, expr) = match item {
                Some(SelectItem::ExprWithAlias { expr, alias }) => (fold(alias), Some(expr)),
                Some(SelectItem::UnnamedExpr(expr)) => (output_name(expr), Some(expr)),
                _ => (column.name().to_owned(), None),
            };
            let pg_type = column
                .decl_type()
                .and_then(PgType::from_declared)
                .or_else(|| {
                    scope
                        .as_ref()
                        .and_then(|scope| expr.and_then(|expr| scope.expr(expr)))
                })
                .or_else(|| {
                    scope
                        .as_ref()
                        .filter(|_| expr.is_none())
                        .and_then(|scope| scope.column(None, column.name()))
                })
                .unwrap_or(PgType::Text);
            Output { name, pg_type }
        })
        .collect()
}

fn output_name(expr: &Expr) -> String {
    match expr {
        Expr::Function(function) => {
            let name = function
                .name
                .to_string()
                .to_ascii_lowercase()
                .replace('"', "");
            name.rsplit('.').next().unwrap_or_default().to_owned()
        }
        Expr::Cast {
            expr, data_type, ..
        } => column_name(expr).unwrap_or_else(|| match PgType::from_sql(data_type) {
            Ok(PgType::Int2) => "int2".to_owned(),
            Ok(PgType::Int4) => "int4".to_owned(),
            Ok(PgType::Int8) => "int8".to_owned(),
            Ok(PgType::Bool) => "bool".to_owned(),
            Ok(PgType::Float8) => "float8".to_owned(),
            _ => data_type.to_string().to_ascii_lowercase(),
        }),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        other => column_name(other).unwrap_or_else(|| "?column?".to_owned()),
    }
}

/// Collects for each parameter the type its surroundings suggest.
struct Parameters<'a> {
    scope: Scope<'a>,
    found: Vec<Option<PgType>>,
}

impl Parameters<'_> {
    fn note(&mut self, expr: &Expr, pg_type: Option<PgType>) {
        match expr {
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value
                    && let Some(number) = name
                        .strip_prefix('$')
                        .and_then(|number| number.parse::<usize>().ok())
                    && let Some(slot) = number.checked_sub(1).and_then(|at| self.found.get_mut(at))
                    && slot.is_none()
                {
                    *slot = pg_type;
                }
            }
            Expr::Nested(inner) => self.note(inner, pg_type),
            _ => {}
        }
    }

    fn pair(&mut self, left: &Expr, right: &Expr) {
        let (left_type, right_type) = (self.scope.expr(left), self.scope.expr(right));
        self.note(left, right_type);
        self.note(right, left_type);
    }

    fn insert(&mut self, insert: &Insert) {
        let TableObject::TableName(name) = &insert.table else {
            return;
        };
        let Ok(table) = relation_name(name) else {
            return;
        };
        let columns = schema::columns(self.scope.connection, &table).unwrap_or_default();
        let names: Vec<String> = if insert.columns.is_empty() {
            columns.iter().map(|column| column.name.clone()).collect()
        } else {
            insert
                .columns
                .iter()
                .map(|column| column.to_string().trim_matches('"').to_owned())
                .collect()
        };
        let types: Vec<Option<PgType>> = names
            .iter()
            .map(|name| self.scope.column(Some(&table), name))
            .collect();
        match insert.source.as_ref().map(|source| source.body.as_ref()) {
            Some(SetExpr::Values(values)) => {
                for row in &values.rows {
                    for (expr, pg_type) in row.iter().zip(&types) {
                        self.note(expr, *pg_type);
                    }
                }
            }
            Some(SetExpr::Select(select)) => {
                for (item, pg_type) in select.projection.iter().zip(&types) {
                    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } =
                        item
                    {
                        self.note(expr, *pg_type);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Visitor for Parameters<'_> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        let assignments = match statement {
            Statement::Insert(insert) => {
                self.insert(insert);
                match &insert.on {
                    Some(sqlparser::ast::OnInsert::OnConflict(conflict)) => {
                        match &conflict.action {
                            sqlparser::ast::OnConflictAction::DoUpdate(update) => {
                                update.assignments.as_slice()
                            }
                            sqlparser::ast::OnConflictAction::DoNothing => &[],
                        }
                    }
                    _ => &[],
                }
            }
            Statement::Update(update) => update.assignments.as_slice(),
            _ => &[],
        };
        for assignment in assignments {
            if let AssignmentTarget::ColumnName(name) = &assignment.target {
                let name = name.to_string();
                let pg_type = self.scope.column(
                    None,
                    name.rsplit('.')
                        .next()
                        .unwrap_or_default()
                        .trim_matches('"'),
                );
                self.note(&assignment.value, pg_type);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            for expr in limit
                .iter()
                .chain(offset.as_ref().map(|offset| &offset.value))
            {
                self.note(expr, Some(PgType::Int8));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp {
                left,
                op: BinaryOperator::StringConcat,
                right,
            } => {
                self.note(left, Some(PgType::Text));
                self.note(right, Some(PgType::Text));
            }
            Expr::BinaryOp { left, op, right }
                if !matches!(op, BinaryOperator::And | BinaryOperator::Or) =>
            {
                self.pair(left, right)
            }
            Expr::Cast {
                expr, data_type, ..
            } => {
                // PostgreSQL takes the parameter as of the type it is cast to.
                self.note(expr, PgType::from_sql(data_type).ok());
            }
            Expr::InList { expr, list, .. } => {
                for item in list {
                    self.pair(expr, item);
                }
            }
            Expr::Between {
                expr, low, high, ..
            } => {
                self.pair(expr, low);
                self.pair(expr, high);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The type oids of all parameters: as given by the client, else as told, else text.
pub(crate) fn parameters(connection: &Connection, plan: &Plan, given: &[u32]) -> Vec<u32> {
    let mut found = vec![None; plan.parameters];
    if let Some(node) = &plan.statement
        && (0..plan.parameters).any(|n| given.get(n).is_none_or(|oid| *oid == 0))
    {
        let scope = Scope::new(connection, node.as_ref(), 0);
        let mut visitor = Parameters { scope, found };
        let _ = node.visit(&mut visitor);
        found = visitor.found;
    }
    found
        .into_iter()
        .enumerate()
        .map(|(n, told)| match given.get(n) {
            Some(oid) if *oid != 0 => *oid,
            _ => told.unwrap_or(PgType::Text).oid(),
        })
        .collect()
}
