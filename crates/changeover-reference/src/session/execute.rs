//! Running one statement of a session.

use rusqlite::types::Value as Sql;
use rusqlite::{CachedStatement, params_from_iter};

use pgwire::messages::data::{FieldDescription, RowDescription};
use pgwire::messages::response::CommandComplete;

use super::transaction::Transaction;
use super::wire::ENOUGH;
use super::{ExecuteError, Session, WRITE_IDLE};
use crate::acklog::Acknowledged;
use crate::bug::{self, Bug};
use crate::copy::{CopyConnection, schema};
use crate::engine::Mode;
use crate::sql::infer::{self, Output};
use crate::sql::types::{PgType, put_field};
use crate::sql::{Kind, Plan, SqlError};
use crate::store::Effect;

/// How a statement's rows are wanted.
pub(super) struct Wanted<'a> {
    /// Send a description of the rows first.
    pub(super) describe: bool,
    /// Format codes: none for text, one for all columns, or one each.
    pub(super) formats: &'a [i16],
    /// Whether rows may leave before the statement has ended.
    pub(super) stream: bool,
}

impl Wanted<'_> {
    fn binary(&self, column: usize) -> bool {
        match self.formats {
            [] => false,
            [all] => *all == 1,
            each => each.get(column).is_some_and(|format| *format == 1),
        }
    }
}

pub(super) fn description(outputs: &[Output], binary: impl Fn(usize) -> bool) -> RowDescription {
    RowDescription::new(
        outputs
            .iter()
            .enumerate()
            .map(|(n, output)| {
                FieldDescription::new(
                    output.name.clone(),
                    0,
                    0,
                    output.pg_type.oid(),
                    output.pg_type.size(),
                    -1,
                    i16::from(binary(n)),
                )
            })
            .collect(),
    )
}

fn text_column(name: &str) -> Output {
    Output {
        name: name.to_owned(),
        pg_type: PgType::Text,
    }
}

/// The columns that a plan will give, before it runs.
pub(super) fn outputs(connection: &CopyConnection, plan: &Plan) -> Result<Vec<Output>, SqlError> {
    match &plan.kind {
        Kind::Show(name) if name == "all" => Ok(vec![
            text_column("name"),
            text_column("setting"),
            text_column("description"),
        ]),
        Kind::Show(name) => Ok(vec![text_column(name)]),
        Kind::Explain => Ok(vec![text_column("QUERY PLAN")]),
        _ => {
            let statement = prepare(connection, plan)?;
            Ok(infer::outputs(connection, plan, &statement))
        }
    }
}

/// Prepares what SQLite is to run; an INSERT that gives fewer values than there are columns, with those it means.
fn prepare<'c>(
    connection: &'c CopyConnection,
    plan: &Plan,
) -> Result<CachedStatement<'c>, SqlError> {
    let error = match connection.prepare_current(&plan.sql) {
        Ok(statement) => return Ok(statement),
        Err(error) => error,
    };
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    // "table t has 3 columns but 2 values were supplied"
    if let Some(at) = words.iter().position(|word| *word == "has")
        && let (Some(table), Some(Ok(values))) = (
            words.get(1..at),
            words.get(at + 4).map(|word| word.parse::<usize>()),
        )
        && let Ok(columns) = schema::columns(connection, &table.join(" "))
        && values < columns.len()
    {
        let names: Vec<String> = columns
            .into_iter()
            .take(values)
            .map(|column| column.name)
            .collect();
        if let Some(sql) = plan.with_columns(&names) {
            return Ok(connection.prepare_cached(&sql)?);
        }
    }
    Err(error.into())
}

impl Session {
    /// Runs a plan; its rows and its command tag are put on the wire.
    pub(super) fn execute(
        &mut self,
        plan: &Plan,
        parameters: &[Sql],
        wanted: &Wanted<'_>,
    ) -> Result<(), ExecuteError> {
        if bug::on(Bug::AcknowledgesReadOnly)
            && matches!(plan.kind, Kind::Write)
            && self.engine.mode() == Mode::ReadOnly
        {
            self.complete(format!("{} 0 1", plan.tag));
            return Ok(());
        }
        self.allow(plan)?;
        match &plan.kind {
            Kind::Read => {
                self.transaction.read(&self.engine)?;
                let rows = self.rows(plan, parameters, wanted);
                // Also an error tells of what was read.
                self.engine.confirm(self.mode)?;
                let rows = rows?;
                if plan.touches_data && self.mode == Mode::Leading {
                    self.acknowledged.get_or_insert(Acknowledged::Read);
                }
                self.complete(format!("SELECT {rows}"));
            }
            Kind::Write => {
                let leader = self
                    .engine
                    .leader(self.mode)?
                    .ok_or_else(SqlError::read_only)?;
                let connection = self.transaction.write(leader)?;
                let before = connection.recorder().effects.len();
                if bug::on(Bug::RunsTwice) && self.plans.len() == 1 {
                    self.rows(plan, parameters, wanted)?;
                }
                let rows = self.rows(plan, parameters, wanted);
                if rows.is_err()
                    && let Some(connection) = self.transaction.work.connection()
                {
                    connection.recorder().effects.truncate(before);
                }
                if rows.is_err() || self.transaction.explicit {
                    self.engine.confirm(self.mode)?;
                }
                let rows = rows?;
                let tag = match plan.tag {
                    "INSERT" => format!("INSERT 0 {rows}"),
                    "TRUNCATE TABLE" => plan.tag.to_owned(),
                    tag => format!("{tag} {rows}"),
                };
                self.complete(tag);
            }
            Kind::Ddl(steps) => {
                let leader = self
                    .engine
                    .leader(self.mode)?
                    .ok_or_else(SqlError::read_only)?;
                let connection = self.transaction.write(leader)?;
                let mut skipped = Vec::new();
                let mut work = || -> Result<(), SqlError> {
                    for step in steps {
                        if let Some(condition) = &step.condition
                            && schema::exists(connection, condition.kind, &condition.name)?
                                != condition.if_exists
                        {
                            skipped.push(condition);
                            continue;
                        }
                        schema::define(connection, &step.sql)?;
                        if let Some(table) = schema::cascades_into_itself(connection)? {
                            return Err(SqlError::unsupported(format_args!(
                                "ON UPDATE with an action that can come back to the same table (\"{table}\")"
                            )));
                        }
                        connection.recorder().effects.push(Effect::Ddl {
                            statement: step.sql.clone(),
                        });
                    }
                    Ok(())
                };
                let done = work();
                // In a block the answer leaves before anything is appended.
                if done.is_err() || self.transaction.explicit {
                    self.engine.confirm(self.mode)?;
                }
                done?;
                for condition in skipped {
                    let (state, what) = if condition.if_exists {
                        ("00000", "does not exist")
                    } else {
                        ("42P07", "already exists")
                    };
                    self.wire.put_notice(
                        state,
                        &format!("{} \"{}\" {what}, skipping", condition.kind, condition.name),
                    );
                }
                self.complete(plan.tag.to_owned());
            }
            Kind::Explain => {
                self.transaction.read(&self.engine)?;
                let rows = self.explain(plan, wanted);
                self.engine.confirm(self.mode)?;
                let rows = rows?;
                self.complete(format!("EXPLAIN {rows}"));
            }
            Kind::Show(name) => {
                self.show(name, wanted)?;
                self.complete("SHOW".to_owned());
            }
            _ => self.control(plan)?,
        }
        Ok(())
    }

    /// Refuses what the transaction's or the process's mode does not allow.
    fn allow(&mut self, plan: &Plan) -> Result<(), SqlError> {
        if let Some(reason) = self.transaction.untold.take() {
            if matches!(plan.kind, Kind::Commit) {
                self.transaction = Transaction::new();
            }
            if !matches!(plan.kind, Kind::Rollback) {
                return Err(reason);
            }
        }
        let ends = matches!(
            plan.kind,
            Kind::Commit | Kind::Rollback | Kind::RollbackTo(_)
        );
        if self.transaction.failed && !ends {
            return Err(SqlError::aborted());
        }
        let writes = matches!(plan.kind, Kind::Write | Kind::Ddl(_));
        if self.engine.mode() == Mode::ReadOnly
            && (writes || matches!(plan.kind, Kind::Unsupported(_) | Kind::Discard))
        {
            return Err(match &plan.kind {
                // What does not exist here does not exist there either.
                Kind::Unsupported(error) if error.state != "0A000" => error.clone(),
                _ => SqlError::read_only(),
            });
        }
        if writes && self.transaction.read_only {
            return Err(SqlError::new(
                "25006",
                format!("cannot execute {} in a read-only transaction", plan.tag),
            ));
        }
        Ok(())
    }

    pub(super) fn complete(&mut self, tag: String) {
        self.wire.put(&CommandComplete::new(tag));
    }

    /// Runs the statement on the transaction's connection; how many rows it gave or changed.
    fn rows(
        &mut self,
        plan: &Plan,
        parameters: &[Sql],
        wanted: &Wanted<'_>,
    ) -> Result<usize, ExecuteError> {
        let connection = self
            .transaction
            .work
            .connection()
            .ok_or_else(SqlError::aborted)?;
        let mut statement = prepare(connection, plan)?;
        if matches!(plan.kind, Kind::Read) && !statement.readonly() {
            return Err(SqlError::unsupported("a query that writes").into());
        }
        let writing = self.transaction.is_writing();
        self.cancel.set(Some(connection.get_interrupt_handle()));
        let mut run = || -> Result<usize, ExecuteError> {
            let parameters = params_from_iter(parameters);
            if !plan.returns_rows() {
                return Ok(statement.execute(parameters).map_err(SqlError::from)?);
            }
            let outputs = infer::outputs(connection, plan, &statement);
            if wanted.describe {
                self.wire.put(&description(&outputs, |n| wanted.binary(n)));
            }
            let mut rows = statement.query(parameters).map_err(SqlError::from)?;
            let mut count = 0;
            let mut confirmed = false;
            while let Some(row) = rows.next().map_err(SqlError::from)? {
                count += 1;
                self.wire.put_row(outputs.len(), |out| {
                    for (n, output) in outputs.iter().enumerate() {
                        put_field(out, row.get_ref(n)?, output.pg_type, wanted.binary(n))?;
                    }
                    Ok(())
                })?;
                if wanted.stream && self.wire.out.len() > ENOUGH {
                    if !confirmed {
                        self.engine.confirm(self.mode)?;
                        confirmed = true;
                    }
                    self.wire.flush(writing.then_some(WRITE_IDLE))?;
                }
            }
            Ok(count)
        };
        let result = run();
        self.cancel.set(None);
        result
    }

    fn explain(&mut self, plan: &Plan, wanted: &Wanted<'_>) -> Result<usize, ExecuteError> {
        let details: Vec<String> = {
            let connection = self
                .transaction
                .work
                .connection()
                .ok_or_else(SqlError::aborted)?;
            let mut statement = connection
                .prepare_cached(&plan.sql)
                .map_err(SqlError::from)?;
            let nulls = vec![Sql::Null; plan.parameters];
            let rows = statement
                .query_map(params_from_iter(nulls), |row| row.get(3))
                .map_err(SqlError::from)?;
            rows.collect::<rusqlite::Result<_>>()
                .map_err(SqlError::from)?
        };
        let rows: Vec<Vec<&str>> = details.iter().map(|detail| vec![detail.as_str()]).collect();
        self.texts(&[text_column("QUERY PLAN")], &rows, wanted)
    }

    fn texts(
        &mut self,
        outputs: &[Output],
        rows: &[Vec<&str>],
        wanted: &Wanted<'_>,
    ) -> Result<usize, ExecuteError> {
        if wanted.describe {
            self.wire.put(&description(outputs, |n| wanted.binary(n)));
        }
        for row in rows {
            self.wire.put_row(row.len(), |out| {
                row.iter().try_for_each(|text| {
                    put_field(
                        out,
                        rusqlite::types::ValueRef::Text(text.as_bytes()),
                        PgType::Text,
                        false,
                    )
                })
            })?;
        }
        Ok(rows.len())
    }

    fn show(&mut self, name: &str, wanted: &Wanted<'_>) -> Result<(), ExecuteError> {
        if name == "all" {
            let all: Vec<(String, String)> = self
                .settings
                .all()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let rows: Vec<Vec<&str>> = all
                .iter()
                .map(|(name, value)| vec![name.as_str(), value.as_str(), ""])
                .collect();
            self.texts(
                &[
                    text_column("name"),
                    text_column("setting"),
                    text_column("description"),
                ],
                &rows,
                wanted,
            )?;
            return Ok(());
        }
        let value = match name {
            "log_position" => {
                let position = self
                    .transaction
                    .read(&self.engine)?
                    .applied()
                    .map_err(SqlError::from)?;
                self.engine.confirm(self.mode)?;
                position.to_string()
            }
            "transaction_read_only"
                if self.transaction.read_only || self.engine.mode() == Mode::ReadOnly =>
            {
                "on".to_owned()
            }
            _ => self.settings.get(name)?.to_owned(),
        };
        self.texts(&[text_column(name)], &[vec![&value]], wanted)?;
        Ok(())
    }

    /// Statements that run nothing in SQLite.
    fn control(&mut self, plan: &Plan) -> Result<(), ExecuteError> {
        let mut tag = plan.tag;
        match &plan.kind {
            Kind::Begin { read_only } => {
                if self.transaction.explicit {
                    self.wire
                        .put_notice("25001", "there is already a transaction in progress");
                }
                self.transaction.explicit = true;
                self.transaction.read_only |= *read_only;
            }
            Kind::Commit => {
                let transaction = std::mem::replace(&mut self.transaction, Transaction::new());
                if transaction.failed {
                    tag = "ROLLBACK";
                } else if transaction.commit(&self.engine)? {
                    self.acknowledged = Some(Acknowledged::Write);
                }
            }
            Kind::Rollback => self.transaction = Transaction::new(),
            Kind::Savepoint(_) | Kind::Release(_) | Kind::RollbackTo(_)
                if !self.transaction.explicit =>
            {
                return Err(SqlError::new(
                    "25P01",
                    format!("{tag} can only be used in transaction blocks"),
                )
                .into());
            }
            Kind::Savepoint(name) => self.transaction.savepoint(&self.engine, name.clone())?,
            Kind::Release(name) => self.transaction.release(name)?,
            Kind::RollbackTo(name) => self.transaction.rollback_to(name)?,
            Kind::Set { name, value } => self.settings.set(name, value.as_deref())?,
            Kind::SetTransaction { read_only } => {
                if let Some(read_only) = read_only {
                    self.transaction.read_only = *read_only;
                }
            }
            Kind::Deallocate(name) => match name {
                None => self.statements.clear(),
                Some(name) => {
                    self.statements.remove(name).ok_or_else(|| {
                        SqlError::new(
                            "26000",
                            format!("prepared statement \"{name}\" does not exist"),
                        )
                    })?;
                }
            },
            Kind::Discard => {
                self.statements.clear();
                self.settings.set("all", None)?;
            }
            Kind::Unsupported(error) => return Err(error.clone().into()),
            Kind::Read | Kind::Write | Kind::Ddl(_) | Kind::Explain | Kind::Show(_) => {}
        }
        self.complete(tag.to_owned());
        Ok(())
    }
}
