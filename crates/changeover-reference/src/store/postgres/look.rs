//! Looking at a place before a store is made or used there, and removing it.

use tokio_postgres::types::Type;

use super::address::PostgresAddress;
use super::{PostgresStore, statements};
use crate::ladder::Release;
use crate::store::StoreError;

/// Why a store cannot be used, before anything is started on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreTrouble {
    /// Nobody answers there, or not to us.
    #[error("{0}")]
    Unreachable(String),
    /// What is there is something else.
    #[error("{0}")]
    Foreign(String),
    /// It did not do what it was asked for.
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for StoreTrouble {
    fn from(error: StoreError) -> Self {
        let told = error.to_string();
        match error {
            StoreError::Unreachable { .. } => StoreTrouble::Unreachable(told),
            StoreError::Foreign { .. } => StoreTrouble::Foreign(told),
            _ => StoreTrouble::Failed(told),
        }
    }
}

/// Looks whether a store can be used: the server answers, lets us in and takes writes, the schema is absent, empty or a
/// store, and the role has the rights that are needed for it. It changes nothing.
///
/// # Errors
///
/// What is in the way, in a sentence without a password.
pub fn look(address: &PostgresAddress) -> Result<(), StoreTrouble> {
    let mut store = PostgresStore::open(address, newest())?;
    Ok(store.look_for_use().map(drop)?)
}

/// Removes a store with its schema. A schema that is absent, or holds something else, is left as it is.
///
/// # Errors
///
/// When the schema holds something else, or could not be removed.
pub fn remove(address: &PostgresAddress) -> Result<(), StoreTrouble> {
    let mut store = PostgresStore::open(address, newest())?;
    if store.look()?.0 == Look::Absent {
        return Ok(());
    }
    store.send(&statements::remove(address.schema()))?;
    Ok(())
}

pub(super) fn newest() -> &'static Release {
    let ladder = crate::ladder::releases();
    &ladder[ladder.len() - 1]
}

/// What is found where a store should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// No such schema.
    Absent,
    /// A schema without a thing in it.
    Empty,
    /// A store.
    Ours,
}

impl PostgresStore {
    /// Refuses a schema that holds something else, and a role that could not use what is there.
    pub(super) fn look_for_use(&mut self) -> Result<Look, StoreError> {
        match self.look()? {
            (look, None) => Ok(look),
            (_, Some(lacking)) => Err(StoreError::Unreachable {
                store: self.place.name.clone(),
                cause: format!("the role lacks rights, which must be granted: {lacking}"),
            }),
        }
    }

    /// What is there, and which rights the role lacks. Refuses a schema that holds something else.
    fn look(&mut self) -> Result<(Look, Option<String>), StoreError> {
        let schema = self.connection.address().schema().to_owned();
        let row = self
            .connection
            .ask(async |client| {
                client
                    .query_typed_one(statements::LOOK, &[(&schema, Type::TEXT)])
                    .await
            })
            .map_err(|fault| self.reading(fault))?;
        let (there, things): (bool, i64) = (self.column(&row, 0)?, self.column(&row, 1)?);
        let comment: Option<String> = self.column(&row, 2)?;
        let look = match (there, things) {
            (false, _) => Look::Absent,
            (true, 0) => Look::Empty,
            _ if comment.as_deref() == Some(statements::OURS) => Look::Ours,
            _ => {
                return Err(self.place.foreign(format!(
                    "the schema `{schema}` holds something of another product; give another with `schema=NAME`"
                )));
            }
        };
        Ok((look, self.column(&row, 3)?))
    }
}
