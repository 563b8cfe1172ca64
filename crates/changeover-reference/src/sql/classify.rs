//! Parsing a text into plans: what each statement is, and what SQLite is to run for it.

use sqlparser::ast::{
    self, ObjectType, Query, SelectItem, SetExpr, Statement, TableObject, TransactionAccessMode,
    TransactionMode,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::translate::{self, fold};
use super::{SqlError, define};

/// What a statement asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Reads, and touches nothing.
    Read,
    /// Changes rows.
    Write,
    /// Changes definitions: these statements, in order, all or nothing.
    Ddl(Vec<define::Step>),
    Begin {
        read_only: bool,
    },
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    Set {
        name: String,
        value: Option<String>,
    },
    SetTransaction {
        read_only: Option<bool>,
    },
    Show(String),
    Explain,
    Deallocate(Option<String>),
    Discard,
    /// Understood, but nothing we do. Kept as a plan, as read-only mode refuses it for another reason.
    Unsupported(SqlError),
}

/// A statement ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// What SQLite runs; empty where it runs nothing.
    pub(crate) sql: String,
    /// The word(s) of the command tag: `SELECT`, `INSERT`, `CREATE TABLE`…
    pub(crate) tag: &'static str,
    /// What the statement's rows are made of; empty if it has none.
    pub(crate) outputs: Vec<SelectItem>,
    /// The statement, as parsed, for telling types.
    pub(crate) statement: Option<Box<Statement>>,
    /// The number of the highest parameter.
    pub(crate) parameters: usize,
    /// Whether it names a table or view; what does not, answers without looking at data.
    pub(crate) touches_data: bool,
}

impl Plan {
    fn bare(kind: Kind, tag: &'static str) -> Self {
        Self {
            kind,
            sql: String::new(),
            tag,
            outputs: Vec::new(),
            statement: None,
            parameters: 0,
            touches_data: false,
        }
    }

    /// The same INSERT with its columns named: PostgreSQL lets the last ones be left out, SQLite only if the others
    /// are named.
    pub(crate) fn with_columns(&self, columns: &[String]) -> Option<String> {
        let Some(Statement::Insert(insert)) = self.statement.as_deref() else {
            return None;
        };
        if !insert.columns.is_empty() {
            return None;
        }
        let mut insert = insert.clone();
        insert.columns = columns
            .iter()
            .map(|name| vec![ast::Ident::with_quote('"', name)].into())
            .collect();
        let mut statement = Statement::Insert(insert);
        translate::rewrite(&mut statement).ok()?;
        Some(statement.to_string())
    }

    /// Whether it has rows to give.
    pub(crate) fn returns_rows(&self) -> bool {
        match self.kind {
            Kind::Read | Kind::Explain | Kind::Show(_) => true,
            Kind::Write => !self.outputs.is_empty(),
            _ => false,
        }
    }
}

/// More operators than this in one text could overflow a stack while its expression is walked.
const MAX_OPERATORS: usize = 4_000;

/// Parses a text into the plans of its statements.
///
/// # Errors
/// A syntax error. What is valid but not supported becomes a plan of its own.
pub(crate) fn parse(text: &str) -> Result<Vec<Plan>, SqlError> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize()
        .map_err(|e| SqlError::syntax(e.to_string()))?;
    let operators = tokens
        .iter()
        .filter(|token| {
            !matches!(
                token,
                Token::Comma
                    | Token::LParen
                    | Token::RParen
                    | Token::Whitespace(_)
                    | Token::Number(..)
                    | Token::SingleQuotedString(_)
                    | Token::Placeholder(_)
            )
        })
        .count();
    if operators > MAX_OPERATORS {
        return Err(SqlError::new("54001", "the statement is too complex"));
    }
    let statements = Parser::new(&dialect)
        .with_tokens(tokens)
        .parse_statements()
        .map_err(|e| {
            SqlError::syntax(
                e.to_string()
                    .trim_start_matches("sql parser error: ")
                    .to_owned(),
            )
        })?;
    Ok(statements
        .into_iter()
        .map(|statement| plan(statement).unwrap_or_else(|e| Plan::bare(Kind::Unsupported(e), "")))
        .collect())
}

fn plan(statement: Statement) -> Result<Plan, SqlError> {
    let plan = match statement {
        Statement::Query(query) => return plan_query(query),
        Statement::Insert(insert) => {
            if insert.or.is_some() || insert.replace_into || insert.ignore || insert.overwrite {
                return Err(SqlError::syntax(
                    "only PostgreSQL's form of INSERT is understood",
                ));
            }
            if !matches!(insert.table, TableObject::TableName(_)) {
                return Err(SqlError::unsupported("inserting into a function"));
            }
            let outputs = insert.returning.clone().unwrap_or_default();
            return run(Statement::Insert(insert), Kind::Write, "INSERT", outputs);
        }
        Statement::Update(update) => {
            if update.or.is_some() || update.limit.is_some() {
                return Err(SqlError::syntax(
                    "only PostgreSQL's form of UPDATE is understood",
                ));
            }
            let outputs = update.returning.clone().unwrap_or_default();
            return run(Statement::Update(update), Kind::Write, "UPDATE", outputs);
        }
        Statement::Delete(delete) => {
            if delete.using.is_some() || !delete.tables.is_empty() {
                return Err(SqlError::unsupported("DELETE with USING"));
            }
            let outputs = delete.returning.clone().unwrap_or_default();
            return run(Statement::Delete(delete), Kind::Write, "DELETE", outputs);
        }
        Statement::Truncate(truncate) => {
            let [target] = truncate.table_names.as_slice() else {
                return Err(SqlError::unsupported("TRUNCATE of several tables"));
            };
            let sql = format!("DELETE FROM {}", translate::relation(&target.name)?);
            return Ok(Plan {
                sql,
                touches_data: true,
                ..Plan::bare(Kind::Write, "TRUNCATE TABLE")
            });
        }
        Statement::CreateTable(table) => {
            Plan::bare(Kind::Ddl(define::create_table(table)?), "CREATE TABLE")
        }
        Statement::CreateIndex(index) => {
            Plan::bare(Kind::Ddl(define::create_index(index)?), "CREATE INDEX")
        }
        Statement::CreateView(view) => {
            Plan::bare(Kind::Ddl(define::create_view(view)?), "CREATE VIEW")
        }
        Statement::AlterTable(table) => {
            Plan::bare(Kind::Ddl(define::alter_table(table)?), "ALTER TABLE")
        }
        Statement::Drop {
            object_type,
            if_exists,
            names,
            ..
        } => {
            let (word, tag) = match object_type {
                ObjectType::Table => ("TABLE", "DROP TABLE"),
                ObjectType::View => ("VIEW", "DROP VIEW"),
                ObjectType::Index => ("INDEX", "DROP INDEX"),
                other => return Err(SqlError::unsupported(format_args!("DROP {other}"))),
            };
            Plan::bare(Kind::Ddl(define::drop(word, if_exists, &names)?), tag)
        }
        Statement::StartTransaction {
            modes,
            begin,
            statements,
            ..
        } => {
            if !statements.is_empty() {
                return Err(SqlError::syntax("BEGIN starts a transaction, not a block"));
            }
            let read_only = read_only(&modes).unwrap_or(false);
            Plan::bare(
                Kind::Begin { read_only },
                if begin { "BEGIN" } else { "START TRANSACTION" },
            )
        }
        Statement::Commit { chain: false, .. } => Plan::bare(Kind::Commit, "COMMIT"),
        Statement::Rollback {
            chain: false,
            savepoint: None,
        } => Plan::bare(Kind::Rollback, "ROLLBACK"),
        Statement::Rollback {
            chain: false,
            savepoint: Some(name),
        } => Plan::bare(Kind::RollbackTo(fold(&name)), "ROLLBACK"),
        Statement::Savepoint { name } => Plan::bare(Kind::Savepoint(fold(&name)), "SAVEPOINT"),
        Statement::ReleaseSavepoint { name } => Plan::bare(Kind::Release(fold(&name)), "RELEASE"),
        Statement::Set(set) => plan_set(set)?,
        Statement::Reset(reset) => match reset.reset {
            ast::Reset::ConfigurationParameter(name) => Plan::bare(
                Kind::Set {
                    name: name.to_string().to_ascii_lowercase(),
                    value: None,
                },
                "RESET",
            ),
            ast::Reset::ALL => Plan::bare(
                Kind::Set {
                    name: "all".to_owned(),
                    value: None,
                },
                "RESET",
            ),
            ast::Reset::SessionAuthorization => {
                return Err(SqlError::unsupported("RESET SESSION AUTHORIZATION"));
            }
        },
        Statement::ShowVariable { variable } => {
            let words: Vec<String> = variable
                .iter()
                .map(|word| word.value.to_ascii_lowercase())
                .collect();
            let name = match words.join(".").as_str() {
                "transaction.isolation.level" => "transaction_isolation".to_owned(),
                "time.zone" => "timezone".to_owned(),
                name => name.to_owned(),
            };
            Plan::bare(Kind::Show(name), "SHOW")
        }
        Statement::Explain {
            statement,
            analyze: false,
            ..
        } => {
            let inner = self::plan(*statement)?;
            if !matches!(inner.kind, Kind::Read | Kind::Write) {
                return Err(SqlError::unsupported("EXPLAIN of that statement"));
            }
            Plan {
                sql: format!("EXPLAIN QUERY PLAN {}", inner.sql),
                parameters: inner.parameters,
                statement: inner.statement,
                ..Plan::bare(Kind::Explain, "EXPLAIN")
            }
        }
        Statement::Deallocate { name, .. } => {
            let all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
            Plan::bare(
                Kind::Deallocate((!all).then(|| fold(&name))),
                if all { "DEALLOCATE ALL" } else { "DEALLOCATE" },
            )
        }
        Statement::Discard { object_type } => match object_type {
            ast::DiscardObject::ALL => Plan::bare(Kind::Discard, "DISCARD ALL"),
            other => return Err(SqlError::unsupported(format_args!("DISCARD {other}"))),
        },
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            return Err(SqlError::unsupported(words.join(" ")));
        }
    };
    Ok(plan)
}

fn plan_query(mut query: Box<Query>) -> Result<Plan, SqlError> {
    // A row lock means: I shall write. Here that is one lock for all.
    let mut kind = if query.locks.is_empty() {
        Kind::Read
    } else {
        Kind::Write
    };
    query.locks.clear();
    let mut tag = "SELECT";
    let outputs = match body(&query) {
        SetExpr::Insert(statement) | SetExpr::Update(statement) | SetExpr::Delete(statement) => {
            kind = Kind::Write;
            let (word, returning) = match statement {
                Statement::Insert(insert) => ("INSERT", insert.returning.clone()),
                Statement::Update(update) => ("UPDATE", update.returning.clone()),
                Statement::Delete(delete) => ("DELETE", delete.returning.clone()),
                _ => return Err(SqlError::unsupported("that statement in a query")),
            };
            tag = word;
            returning.unwrap_or_default()
        }
        SetExpr::Select(select) => {
            if select.into.is_some() {
                return Err(SqlError::unsupported("SELECT INTO"));
            }
            select.projection.clone()
        }
        SetExpr::Values(values) => values
            .rows
            .first()
            .map(|row| row.iter().cloned().map(SelectItem::UnnamedExpr).collect())
            .unwrap_or_default(),
        _ => vec![SelectItem::Wildcard(
            ast::WildcardAdditionalOptions::default(),
        )],
    };
    run(Statement::Query(query), kind, tag, outputs)
}

/// The part of a query that decides what it is; of a union, the first.
fn body(query: &Query) -> &SetExpr {
    let mut body = &query.body;
    loop {
        match body.as_ref() {
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(inner) => body = &inner.body,
            found => return found,
        }
    }
}

fn run(
    mut statement: Statement,
    kind: Kind,
    tag: &'static str,
    outputs: Vec<SelectItem>,
) -> Result<Plan, SqlError> {
    let original = Box::new(statement.clone());
    let seen = translate::rewrite(&mut statement)?;
    Ok(Plan {
        kind,
        sql: statement.to_string(),
        tag,
        outputs,
        statement: Some(original),
        parameters: seen.parameters,
        touches_data: seen.relations,
    })
}

fn read_only(modes: &[TransactionMode]) -> Option<bool> {
    modes.iter().find_map(|mode| match mode {
        TransactionMode::AccessMode(access) => Some(*access == TransactionAccessMode::ReadOnly),
        TransactionMode::IsolationLevel(_) => None,
    })
}

fn plan_set(set: ast::Set) -> Result<Plan, SqlError> {
    use ast::Set;
    Ok(match set {
        Set::SingleAssignment {
            variable, values, ..
        } => {
            let value: Vec<String> = values.iter().map(plain).collect();
            Plan::bare(
                Kind::Set {
                    name: variable.to_string().to_ascii_lowercase(),
                    value: Some(value.join(", ")),
                },
                "SET",
            )
        }
        Set::SetTimeZone { value, .. } => Plan::bare(
            Kind::Set {
                name: "timezone".to_owned(),
                value: Some(plain(&value)),
            },
            "SET",
        ),
        Set::SetNames { charset_name, .. } => Plan::bare(
            Kind::Set {
                name: "client_encoding".to_owned(),
                value: Some(charset_name.value),
            },
            "SET",
        ),
        Set::SetNamesDefault {} => Plan::bare(
            Kind::Set {
                name: "client_encoding".to_owned(),
                value: None,
            },
            "SET",
        ),
        Set::SetTransaction { modes, .. } => Plan::bare(
            Kind::SetTransaction {
                read_only: read_only(&modes),
            },
            "SET",
        ),
        other => return Err(SqlError::unsupported(other)),
    })
}

fn plain(value: &ast::Expr) -> String {
    match value {
        ast::Expr::Value(value) => match value.value.clone().into_string() {
            Some(text) => text,
            None => value.to_string(),
        },
        other => other.to_string().trim_matches('"').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Plan {
        let mut plans = parse(text).unwrap();
        assert_eq!(plans.len(), 1, "{text}");
        plans.remove(0)
    }

    #[test]
    fn statements_are_told_apart() {
        assert_eq!(one("SELECT 1").kind, Kind::Read);
        assert_eq!(one("SELECT a FROM t FOR UPDATE").kind, Kind::Write);
        assert_eq!(
            one("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x").kind,
            Kind::Write
        );
        assert_eq!(
            one("SHOW transaction isolation level").kind,
            Kind::Show("transaction_isolation".into())
        );
        assert_eq!(one("begin read only").kind, Kind::Begin { read_only: true });
        assert_eq!(one("END").kind, Kind::Commit);
        assert!(matches!(one("CREATE TABLE t (a int)").kind, Kind::Ddl(_)));
        assert!(matches!(
            one("COPY t FROM stdin").kind,
            Kind::Unsupported(_)
        ));
        assert!(
            matches!(one("SELECT * FROM sqlite_master").kind, Kind::Unsupported(e) if e.state == "42P01")
        );
        assert_eq!(parse("SELEC 1").unwrap_err().state, "42601");
        assert_eq!(parse(" ; ; ").unwrap().len(), 0);
        assert_eq!(parse("SELECT 1; SELECT 2;").unwrap().len(), 2);
    }

    #[test]
    fn long_chains_are_refused_and_deep_nests_too() {
        assert_eq!(
            parse(&format!("SELECT 1{}", "+1".repeat(100_000)))
                .unwrap_err()
                .state,
            "54001"
        );
        assert!(
            parse(&format!(
                "SELECT {}1{}",
                "(".repeat(10_000),
                ")".repeat(10_000)
            ))
            .is_err()
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_sentence_of_sql_words_makes_the_parser_panic(words in proptest::collection::vec(prop_oneof![
            Just("SELECT"), Just("INSERT"), Just("INTO"), Just("t"), Just("VALUES"), Just("("), Just(")"), Just("$1"), Just("1"),
            Just("'x'"), Just(","), Just("FROM"), Just("WHERE"), Just("="), Just("::int"), Just("CREATE"), Just("TABLE"),
            Just("VIEW"), Just("AS"), Just("BEGIN"), Just("SET"), Just("UPDATE"), Just("DELETE"), Just("RETURNING"), Just("*"),
            Just("ALTER"), Just("DROP"), Just("ON"), Just("CONFLICT"), Just("generate_series"), Just(";"), Just("LIMIT"),
            Just("OFFSET"), Just("SHOW"), Just("CAST"), Just("int"), Just("PRIMARY"), Just("KEY"), Just("COLUMN"), Just("ADD"),
        ], 0..16)) {
            let _ = parse(&words.join(" "));
        }
    }
}
