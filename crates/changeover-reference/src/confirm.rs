//! Confirming in the store that we still lead.
//!
//! A read on the leader is strictly serialisable because it is answered only after the fence was read once in the
//! store, *after the read began*, and held our token: so nobody else had led, and acknowledged anything, before the
//! read began. Reads that wait at the same time share one such look, if it started after each of them began, and its
//! failure too: a store that hangs keeps them for the time of one look, not of one each.
//!
//! A store that was recreated, or put back to what it was before our last record, is another's, whatever token it holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::bug::{self, Bug};
use crate::exit;
use crate::store::{MetadataStore, Migration, StoreError, Token};

#[derive(Debug, Default)]
struct Rounds {
    /// Looks begun, and the number of the last one that came back.
    started: u64,
    finished: u64,
    /// The last one that failed.
    failed: Option<(u64, Arc<StoreError>)>,
    running: bool,
}

/// Looks at the fence on behalf of many.
pub(crate) struct Confirm {
    token: Token,
    /// The position of a record that is in the log.
    known: AtomicU64,
    rounds: Mutex<Rounds>,
    changed: Condvar,
    store: Mutex<Box<dyn MetadataStore>>,
}

impl Confirm {
    /// `upper` is the end of the log when the fence was taken.
    pub(crate) fn new(token: Token, upper: u64, store: Box<dyn MetadataStore>) -> Self {
        Self {
            token,
            known: AtomicU64::new(upper),
            rounds: Mutex::new(Rounds::default()),
            changed: Condvar::new(),
            store: Mutex::new(store),
        }
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// From now on the log holds our record at this position.
    pub(crate) fn note_written(&self, position: u64) {
        self.known.fetch_max(position, Ordering::AcqRel);
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once a look that started after this call found our token. Ends the process if it found another, or
    /// another store.
    pub(crate) fn still_leading(&self) -> Result<(), Arc<StoreError>> {
        if bug::on(Bug::UnconfirmedReads) || bug::on(Bug::FenceIgnored) {
            return Ok(());
        }
        let mut rounds = self.rounds();
        let polled = bug::on(Bug::PolledConfirmation);
        let needed = rounds.started + if polled { 8 } else { 1 };
        loop {
            if rounds.finished >= needed {
                return Ok(());
            }
            if let Some((number, error)) = &rounds.failed
                && *number >= needed
            {
                return Err(Arc::clone(error));
            }
            if !rounds.running && (!polled || std::thread::current().name() == Some("main")) {
                rounds.running = true;
                rounds.started += 1;
                let number = rounds.started;
                drop(rounds);
                let seen = self.look().map_err(Arc::new);
                let mut rounds = self.rounds();
                rounds.running = false;
                match &seen {
                    Ok(()) => rounds.finished = number,
                    Err(error) => rounds.failed = Some((number, Arc::clone(error))),
                }
                drop(rounds);
                self.changed.notify_all();
                return seen;
            }
            rounds = self
                .changed
                .wait(rounds)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How far the migration is, asked beside those who write.
    pub(crate) fn migration(&self) -> Result<Migration, StoreError> {
        self.store().migration()
    }

    fn store(&self) -> MutexGuard<'_, Box<dyn MetadataStore>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Result<(), StoreError> {
        // Before the look, which may be overtaken by a commit.
        let known = self.known.load(Ordering::Acquire);
        let found = self.store().fence();
        match found {
            Ok(fence) if fence.token != self.token && !bug::on(Bug::OldLeaderStays) => {
                exit::fenced(self.token, fence.token)
            }
            Ok(fence) if fence.upper < known => exit::put_back(known, fence.upper),
            Ok(_) => Ok(()),
            Err(error @ StoreError::Replaced { .. }) => exit::store_failed(&error),
            Err(error) => Err(error),
        }
    }
}
