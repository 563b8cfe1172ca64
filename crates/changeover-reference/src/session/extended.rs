//! The extended protocol: Parse, Bind, Describe, Execute, Close.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pgwire::messages::PgWireFrontendMessage as Frontend;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;
use rusqlite::types::Value as Sql;

use super::execute::{self, Wanted};
use super::{ExecuteError, Session};
use crate::copy::CopyConnection;
use crate::engine::Mode;
use crate::sql::{Kind, Plan, SqlError, infer, types};

/// A statement that was parsed and waits to be bound.
pub(super) struct Prepared {
    /// Nothing for an empty text.
    plan: Option<Plan>,
    /// Type oids of its parameters.
    parameters: Vec<u32>,
}

/// A bound statement.
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    parameters: Vec<Sql>,
    formats: Vec<i16>,
    /// What the process was when the portal's rows were read.
    mode: Mode,
    /// What is left to hand out when the client takes rows in portions: messages, the last one the command tag.
    rest: Option<VecDeque<Bytes>>,
}

fn format_of(formats: &[i16], at: usize) -> bool {
    match formats {
        [] => false,
        [all] => *all == 1,
        each => each.get(at).is_some_and(|format| *format == 1),
    }
}

impl Session {
    pub(super) fn extended(&mut self, message: Frontend) -> Result<(), ExecuteError> {
        match message {
            Frontend::Parse(parse) => {
                let name = parse.name.unwrap_or_default();
                if !name.is_empty() && self.statements.contains_key(&name) {
                    return Err(SqlError::new(
                        "42P05",
                        format!("prepared statement \"{name}\" already exists"),
                    )
                    .into());
                }
                let prepared = self.prepare(&parse.query, &parse.type_oids)?;
                self.statements.insert(name, Arc::new(prepared));
                self.wire.put(&ParseComplete::new());
            }
            Frontend::Bind(bind) => {
                let name = bind.statement_name.unwrap_or_default();
                let prepared = self.prepared(&name)?;
                if bind.parameters.len() != prepared.parameters.len() {
                    return Err(SqlError::new(
                        "08P01",
                        format!(
                            "{} parameters were given, {} are needed",
                            bind.parameters.len(),
                            prepared.parameters.len()
                        ),
                    )
                    .into());
                }
                let parameters = bind
                    .parameters
                    .iter()
                    .zip(&prepared.parameters)
                    .enumerate()
                    .map(|(n, (raw, oid))| {
                        types::read_parameter(
                            raw.as_deref(),
                            *oid,
                            format_of(&bind.parameter_format_codes, n),
                        )
                    })
                    .collect::<Result<_, _>>()?;
                let portal = Portal {
                    prepared,
                    parameters,
                    formats: bind.result_column_format_codes,
                    mode: self.mode,
                    rest: None,
                };
                self.portals
                    .insert(bind.portal_name.unwrap_or_default(), portal);
                self.wire.put(&BindComplete::new());
            }
            Frontend::Describe(describe) => {
                let name = describe.name.unwrap_or_default();
                if describe.target_type == b'S' {
                    let prepared = self.prepared(&name)?;
                    if !prepared.parameters.is_empty() {
                        // Their types were told from tables.
                        self.engine.confirm(self.mode)?;
                    }
                    self.wire
                        .put(&ParameterDescription::new(prepared.parameters.clone()));
                    self.describe(&prepared, &[])?;
                } else {
                    let portal = self.portals.get(&name).ok_or_else(|| no_portal(&name))?;
                    let (prepared, formats) =
                        (Arc::clone(&portal.prepared), portal.formats.clone());
                    self.describe(&prepared, &formats)?;
                }
            }
            Frontend::Execute(execute) => {
                let name = execute.name.unwrap_or_default();
                let portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
                let portal =
                    self.run_portal(portal, usize::try_from(execute.max_rows).unwrap_or(0))?;
                // The end of a transaction took its portals with it.
                self.portals.insert(name, portal);
            }
            Frontend::Close(close) => {
                let name = close.name.unwrap_or_default();
                if close.target_type == b'S' {
                    self.statements.remove(&name);
                } else {
                    self.portals.remove(&name);
                }
                self.wire.put(&CloseComplete::new());
            }
            _ => return Err(SqlError::new("08P01", "a message that does not belong here").into()),
        }
        Ok(())
    }

    fn prepared(&self, name: &str) -> Result<Arc<Prepared>, SqlError> {
        self.statements.get(name).cloned().ok_or_else(|| {
            SqlError::new(
                "26000",
                format!("prepared statement \"{name}\" does not exist"),
            )
        })
    }

    fn prepare(&mut self, text: &str, given: &[u32]) -> Result<Prepared, ExecuteError> {
        let plans = self.plans(text)?;
        let plan = match plans.as_slice() {
            [] => {
                return Ok(Prepared {
                    plan: None,
                    parameters: Vec::new(),
                });
            }
            [plan] => plan.clone(),
            _ => {
                return Err(SqlError::syntax(
                    "cannot insert multiple commands into a prepared statement",
                )
                .into());
            }
        };
        let mut parameters = Vec::new();
        if plan.parameters > 0 {
            let fresh;
            let connection: &CopyConnection = match self.transaction.work.connection() {
                Some(connection) => connection,
                None => {
                    fresh = self.engine.copy.connection()?;
                    &fresh
                }
            };
            parameters = infer::parameters(connection, &plan, given);
        }
        Ok(Prepared {
            plan: Some(plan),
            parameters,
        })
    }

    fn describe(&mut self, prepared: &Prepared, formats: &[i16]) -> Result<(), ExecuteError> {
        let Some(plan) = prepared.plan.as_ref().filter(|plan| plan.returns_rows()) else {
            self.wire.put(&NoData::new());
            return Ok(());
        };
        let fresh;
        let connection: &CopyConnection = match self.transaction.work.connection() {
            Some(connection) => connection,
            None => {
                fresh = self.engine.copy.connection()?;
                &fresh
            }
        };
        // A statement that read-only mode will refuse may still be described.
        let outputs = execute::outputs(connection, plan);
        // Definitions are data too, and so is the lack of them.
        self.engine.confirm(self.mode)?;
        let outputs = outputs?;
        self.wire
            .put(&execute::description(&outputs, |n| format_of(formats, n)));
        Ok(())
    }

    fn run_portal(&mut self, mut portal: Portal, limit: usize) -> Result<Portal, ExecuteError> {
        let prepared = Arc::clone(&portal.prepared);
        let Some(plan) = &prepared.plan else {
            self.wire.put(&EmptyQueryResponse::new());
            return Ok(portal);
        };
        let stream = self.transaction.explicit
            || !self.transaction.is_writing() && matches!(plan.kind, Kind::Read);
        if portal.rest.is_none() {
            if limit == 0 || !plan.returns_rows() {
                let wanted = Wanted {
                    describe: false,
                    formats: &portal.formats,
                    stream,
                };
                self.execute(plan, &portal.parameters, &wanted)?;
                return Ok(portal);
            }
            // Rows in portions: run to the end once, and hand out what came.
            let wanted = Wanted {
                describe: false,
                formats: &portal.formats,
                stream: false,
            };
            let before = std::mem::take(&mut self.wire.out);
            let result = self.execute(plan, &portal.parameters, &wanted);
            let all = std::mem::replace(&mut self.wire.out, before);
            result?;
            portal.mode = self.mode;
            portal.rest = Some(messages(all));
        }
        // Not a leader's to tell if they were read before it led.
        self.engine.leader(portal.mode)?;
        let rest = portal.rest.get_or_insert_default();
        let mut given = 0;
        while let Some(message) = rest.front() {
            if limit > 0 && given == limit && message.first() == Some(&b'D') {
                self.wire.put(&PortalSuspended::new());
                return Ok(portal);
            }
            given += 1;
            self.wire.out.extend_from_slice(message);
            rest.pop_front();
        }
        if given == 0 {
            // Executed again after its end.
            self.complete("SELECT 0".to_owned());
        }
        Ok(portal)
    }
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new("34000", format!("portal \"{name}\" does not exist"))
}

/// Cuts what was put on the wire into its messages.
fn messages(all: BytesMut) -> VecDeque<Bytes> {
    let mut all = all.freeze();
    let mut messages = VecDeque::new();
    while all.len() >= 5 {
        let length = u32::from_be_bytes([all[1], all[2], all[3], all[4]]) as usize;
        messages.push_back(all.split_to((1 + length).min(all.len())));
    }
    messages
}
