//! What both kinds of store have in common: a name for messages, the release that uses the store, and what that
//! release makes of the formats and records it finds.

use super::format::{self, Part};
use super::{Record, StoreError};
use crate::bug::{self, Bug};
use crate::ladder::{self, Release};

/// A store as one release sees it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// How messages name it.
    pub(super) name: String,
    pub(super) release: &'static Release,
    /// The id of the store that the handle belongs to, once it is known.
    pub(super) id: Option<String>,
}

/// A record as it lies in the store.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) position: u64,
    pub(super) mark: u8,
    pub(super) parts: Vec<Part>,
}

impl Place {
    /// Compares the id of the store that is there with that of the handle's, which is the first one it meets.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if it is another.
    pub(super) fn meet(&mut self, found: &str) -> Result<(), StoreError> {
        match &self.id {
            None => self.id = Some(found.to_owned()),
            Some(id) if id == found => {}
            Some(_) => return Err(self.replaced()),
        }
        Ok(())
    }

    pub(super) fn replaced(&self) -> StoreError {
        StoreError::Replaced {
            store: self.name.clone(),
        }
    }

    pub(super) fn damaged(&self, cause: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            store: self.name.clone(),
            cause: cause.into(),
        }
    }

    pub(super) fn foreign(&self, cause: impl Into<String>) -> StoreError {
        StoreError::Foreign {
            store: self.name.clone(),
            cause: cause.into(),
        }
    }

    fn newer(&self, found: String) -> StoreError {
        StoreError::Newer {
            store: self.name.clone(),
            found,
            own: self.release.format,
            version: self.release.version,
        }
    }

    /// The release that writes the format of this name.
    ///
    /// # Errors
    /// [`StoreError::Newer`] if it is one that ours cannot read.
    pub(super) fn known(&self, format: String) -> Result<&'static Release, StoreError> {
        match ladder::by_format(&format) {
            Some(release) if release.mark <= self.release.mark => Ok(release),
            _ => Err(self.newer(format)),
        }
    }

    /// Decodes the records that were found after `position`, each with its mark.
    ///
    /// # Errors
    /// If one is missing, cannot be decoded or is of a newer format.
    pub(super) fn records(
        &self,
        position: u64,
        raw: Vec<Raw>,
    ) -> Result<Vec<(u8, Record)>, StoreError> {
        raw.into_iter()
            .zip(position + 1..)
            .map(|(raw, expected)| self.record(expected, raw))
            .collect()
    }

    fn record(&self, expected: u64, raw: Raw) -> Result<(u8, Record), StoreError> {
        let Raw {
            position,
            mark,
            parts,
        } = raw;
        if position != expected {
            return Err(self.damaged(format!("record {expected} is missing")));
        }
        if mark > self.release.mark {
            let found = ladder::releases()
                .iter()
                .find(|release| release.mark == mark);
            return Err(self.newer(found.map_or_else(
                || format!("mark {mark}"),
                |release| release.format.to_owned(),
            )));
        }
        let older = self.release.mark - mark;
        if bug::on(Bug::RefusesOlder) && older > 0 || bug::on(Bug::SkipVersionHole) && older > 1 {
            return Err(self.damaged(format!("record {position} is of an unknown format")));
        }
        let mut effects = format::decode(mark, &parts)
            .map_err(|e| self.damaged(format!("record {position}: {e}")))?;
        if older > 0 && (bug::on(Bug::MisreadsOlder) || bug::on(Bug::EmptiesField)) {
            effects.iter_mut().for_each(bug::misread);
        }
        Ok((mark, Record { position, effects }))
    }
}

/// Positions and generations are kept in signed integers; what does not fit is far beyond any log.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
