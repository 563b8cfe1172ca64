//! The metadata store as a schema of a PostgreSQL database, shared by processes wherever they are.
//!
//! Every write is a single statement ([`statements`]), committed by the server by itself: a process that is stopped
//! leaves no transaction open that writes, and so no lock that a writer would wait for. Reads are plain SELECTs; one that
//! is stopped in the middle keeps its snapshot, and who drops the tables waits for it. A handle connects
//! when it is first used, and again after the connection broke; only a write that was under way then has an unknown
//! outcome.

mod address;
mod connection;
mod database;
mod look;
mod percent;
mod statements;
mod tls;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSqlOwned, Type};

pub use address::PostgresAddress;
pub use database::{look_for_database, make_database, remove_database};
pub use look::{StoreTrouble, look, remove};

use self::connection::{Connection, Fault};
use self::look::Look;
use self::statements::Over;
use super::format::Part;
use super::place::{Place, Raw, signed, unsigned};
use super::{Appended, Effect, Fence, MetadataStore, Migration, Record, Role, StoreError, Token};
use crate::ladder::Release;

/// The longest statement that is sent, in bytes. PostgreSQL takes a gigabyte, and needs a multiple of it.
const LONGEST: usize = 64 * 1024 * 1024;

/// Bytes of records after which a portion of a migration is large enough: commits wait for it.
const PORTION: i64 = 1024 * 1024;

pub(super) struct PostgresStore {
    connection: Connection,
    place: Place,
}

/// The fence row.
struct State {
    /// `None` before the first claim.
    fence: Option<Fence>,
    format: Option<String>,
    migrated: u64,
    migrate_until: u64,
}

impl PostgresStore {
    pub(super) fn open(
        address: &PostgresAddress,
        release: &'static Release,
    ) -> Result<Self, StoreError> {
        let name = address.to_string();
        match tls::connector(address.trust()) {
            Ok(connector) => Ok(Self {
                connection: Connection::new(address.clone(), connector),
                place: Place {
                    name,
                    release,
                    id: None,
                },
            }),
            Err(cause) => Err(StoreError::Unreachable { store: name, cause }),
        }
    }

    /// Refuses a schema that holds something else; makes an empty one, or one that is not there, a store.
    fn check(&mut self) -> Result<(), StoreError> {
        let there = match self.look_for_use()? {
            Look::Ours => return Ok(()),
            Look::Empty => true,
            Look::Absent => false,
        };
        let schema = self.connection.address().schema().to_owned();
        self.send(&statements::initialise(&schema, there)).map(drop)
    }

    fn state(&mut self) -> Result<State, StoreError> {
        let row = self
            .connection
            .ask(async |client| client.query_typed_opt(statements::FENCE, &[]).await)
            .map_err(|fault| match fault {
                Fault::Refused { state, .. }
                    if state == SqlState::UNDEFINED_TABLE && self.place.id.is_some() =>
                {
                    self.place.replaced()
                }
                fault => self.reading(fault),
            })?
            .ok_or_else(|| self.place.damaged("the fence is missing"))?;
        let id: String = self.column(&row, 0)?;
        self.place.meet(&id)?;
        let number = |n| self.column::<i64>(&row, n).map(unsigned);
        let generation: Option<i64> = self.column(&row, 1)?;
        let (epoch, upper) = (number(2)?, number(3)?);
        Ok(State {
            fence: generation.map(|generation| Fence {
                token: Token {
                    generation: unsigned(generation),
                    epoch,
                },
                upper,
            }),
            format: self.column(&row, 4)?,
            migrated: number(5)?,
            migrate_until: number(6)?,
        })
    }

    /// Takes the fence, if it may be taken.
    fn claim(&mut self, generation: u64, over: Over) -> Result<Option<Fence>, StoreError> {
        let id = self.id()?;
        let text = statements::claim(self.place.release, &id, generation, over);
        match self.send(&text)?.as_slice() {
            [] => Ok(None),
            [generation, epoch, upper] => Ok(Some(Fence {
                token: Token {
                    generation: *generation,
                    epoch: *epoch,
                },
                upper: *upper,
            })),
            other => Err(self.unexpected(other)),
        }
    }

    /// Sends a statement that writes. The numbers of the row that it gives, none if it changed nothing.
    fn send(&mut self, text: &str) -> Result<Vec<u64>, StoreError> {
        let answer = self
            .connection
            .ask(async |client| client.simple_query(text).await)
            .map_err(|fault| match fault {
                Fault::Lost(cause) => StoreError::Unknown {
                    store: self.place.name.clone(),
                    cause,
                },
                fault => self.reading(fault),
            })?;
        let row = answer.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(row.map_or_else(Vec::new, |row| {
            (0..row.len())
                .filter_map(|n| row.get(n)?.parse().ok())
                .collect()
        }))
    }

    /// The records after `position`, at most `limit`, and no more once they take `enough` bytes.
    fn records(
        &mut self,
        position: u64,
        limit: usize,
        enough: i64,
    ) -> Result<Vec<(u8, Record)>, StoreError> {
        let last = signed(position.saturating_add(limit as u64));
        let (after, id) = (signed(position), self.id()?);
        let rows = self
            .connection
            .ask(async |client| {
                client
                    .query_typed(
                        statements::READ,
                        &[
                            (&after, Type::INT8),
                            (&last, Type::INT8),
                            (&enough, Type::INT8),
                            (&id, Type::TEXT),
                        ],
                    )
                    .await
            })
            .map_err(|fault| self.reading(fault))?;
        if rows.is_empty() {
            // Also what another store has for us.
            self.state()?;
        }
        let mut raw = Vec::with_capacity(rows.len());
        for row in &rows {
            let mark: i16 = self.column(row, 1)?;
            let parts: Vec<Vec<u8>> = self.column(row, 2)?;
            raw.push(Raw {
                position: unsigned(self.column(row, 0)?),
                // What is no mark at all is none that we know.
                mark: u8::try_from(mark).unwrap_or(u8::MAX),
                parts: parts.into_iter().map(Part::Bytes).collect(),
            });
        }
        self.place.records(position, raw)
    }

    fn column<T: FromSqlOwned>(
        &self,
        row: &tokio_postgres::Row,
        n: usize,
    ) -> Result<T, StoreError> {
        row.try_get(n)
            .map_err(|e| self.place.damaged(format!("column {n}: {e}")))
    }

    fn unexpected(&self, numbers: &[u64]) -> StoreError {
        self.place
            .damaged(format!("a statement gave {} numbers", numbers.len()))
    }

    /// What went wrong where nothing can have been written.
    fn reading(&self, fault: Fault) -> StoreError {
        let store = self.place.name.clone();
        match fault {
            Fault::Unreachable(cause) | Fault::Lost(cause) => {
                StoreError::Unreachable { store, cause }
            }
            // Somebody may grant it, or make the server a primary again; what we asked for is as it should be.
            Fault::Refused { state, cause }
                if [
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    SqlState::READ_ONLY_SQL_TRANSACTION,
                ]
                .contains(&state) =>
            {
                StoreError::Unreachable { store, cause }
            }
            // The tables are not what we made.
            Fault::Refused { state, cause }
                if [
                    SqlState::UNDEFINED_TABLE,
                    SqlState::UNDEFINED_COLUMN,
                    SqlState::INVALID_SCHEMA_NAME,
                ]
                .contains(&state) =>
            {
                StoreError::Damaged { store, cause }
            }
            Fault::Refused { cause, .. } => StoreError::Failed { store, cause },
        }
    }
}

impl MetadataStore for PostgresStore {
    fn id(&mut self) -> Result<String, StoreError> {
        if self.place.id.is_none() {
            self.state()?;
        }
        self.place
            .id
            .clone()
            .ok_or_else(|| self.place.damaged("it has no id"))
    }

    fn tie(&mut self, id: &str) -> Result<(), StoreError> {
        self.place.meet(id)
    }

    fn begin(&mut self, generation: u64) -> Result<Role, StoreError> {
        self.check()?;
        loop {
            let state = self.state()?;
            // Fenced out first of all, whatever the format.
            if let Some(fence) = state.fence.filter(|f| f.token.generation > generation) {
                return Ok(Role::FencedOut(fence));
            }
            state
                .format
                .map(|name| self.place.known(name))
                .transpose()?;
            if let Some(fence) = state.fence.filter(|f| f.token.generation < generation) {
                return Ok(Role::Follow(fence));
            }
            // Else somebody was faster, and we look again.
            if let Some(fence) = self.claim(generation, Over::Own)? {
                return Ok(Role::Lead(fence));
            }
        }
    }

    fn promote(&mut self, generation: u64) -> Result<Role, StoreError> {
        loop {
            if let Some(fence) = self.claim(generation, Over::Lower)? {
                return Ok(Role::Lead(fence));
            }
            let state = self.state()?;
            if let Some(fence) = state.fence.filter(|f| f.token.generation > generation) {
                return Ok(Role::FencedOut(fence));
            }
            state
                .format
                .map(|name| self.place.known(name))
                .transpose()?;
        }
    }

    fn fence(&mut self) -> Result<Fence, StoreError> {
        self.state()?
            .fence
            .ok_or_else(|| self.place.damaged("the fence was never taken"))
    }

    fn append(
        &mut self,
        token: Token,
        upper: u64,
        effects: &[Effect],
    ) -> Result<Appended, StoreError> {
        let id = self.id()?;
        let text = statements::append(self.place.release, &id, Fence { token, upper }, effects);
        if text.len() > LONGEST {
            return Err(StoreError::Failed {
                store: self.place.name.clone(),
                cause: format!(
                    "a transaction's effects take {} bytes as a statement, and {LONGEST} are allowed; write less at a \
                     time",
                    text.len()
                ),
            });
        }
        match self.send(&text)?.as_slice() {
            [position] => return Ok(Appended::At(*position)),
            [] => {}
            other => return Err(self.unexpected(other)),
        }
        let fence = self.fence()?;
        Ok(if fence.token == token {
            Appended::UpperMoved(fence.upper)
        } else {
            Appended::Fenced(fence.token)
        })
    }

    fn read(&mut self, position: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        let records = self.records(position, limit, i64::MAX)?;
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    fn migration(&mut self) -> Result<Migration, StoreError> {
        let State {
            migrated: position,
            migrate_until: until,
            ..
        } = self.state()?;
        Ok(Migration::from(position, until))
    }

    fn migrate(&mut self, token: Token, limit: usize) -> Result<Migration, StoreError> {
        let State {
            fence,
            migrated: from,
            migrate_until: until,
            ..
        } = self.state()?;
        if from >= until {
            return Ok(Migration::Done);
        }
        let fenced = |fence: Option<Fence>| {
            fence
                .filter(|fence| fence.token != token)
                .map(|fence| Migration::Fenced(fence.token))
        };
        if let Some(fenced) = fenced(fence) {
            return Ok(fenced);
        }
        let limit = limit.min(usize::try_from(until - from).unwrap_or(usize::MAX));
        let records = self.records(from, limit, PORTION)?;
        if records.is_empty() {
            return Err(self
                .place
                .damaged(format!("record {} is missing", from + 1)));
        }
        let to = from + records.len() as u64;
        let older: Vec<Record> = records
            .into_iter()
            .filter(|(mark, _)| *mark < self.place.release.mark)
            .map(|(_, record)| record)
            .collect();
        let id = self.id()?;
        let text = statements::migrate(self.place.release, &id, token, from, to, &older);
        if self.send(&text)?.is_empty() {
            // Refused: the fence is another's by now.
            let fence = self.state()?.fence;
            return fenced(fence)
                .ok_or_else(|| self.place.damaged("the migration went on without us"));
        }
        Ok(Migration::At {
            position: to,
            until,
        })
    }

    /// PostgreSQL does it by itself. Without a question the handle has no connection either.
    fn tidy(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
