//! What all sessions of a process share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::InterruptHandle;

use crate::acklog::{AckLog, Acknowledged, monotonic};
use crate::commit::Leader;
use crate::copy::PrivateCopy;
use crate::sql::SqlError;

/// The part of a session by which another connection can cancel its statement.
#[derive(Default)]
pub(crate) struct CancelSlot {
    running: Mutex<Option<InterruptHandle>>,
    cancelled: Arc<AtomicBool>,
}

impl CancelSlot {
    /// Whether the running statement was cancelled, for what SQLite cannot interrupt.
    pub(crate) fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }

    pub(crate) fn set(&self, handle: Option<InterruptHandle>) {
        self.cancelled.store(false, Ordering::Relaxed);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    fn cancel(&self) {
        if let Some(handle) = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            self.cancelled.store(true, Ordering::Relaxed);
            handle.interrupt();
        }
    }
}

/// The database as a session sees it.
pub(crate) struct Engine {
    pub(crate) copy: Arc<PrivateCopy>,
    /// `None` in read-only mode.
    pub(crate) leader: Option<Leader>,
    pub(crate) acknowledgements: Option<AckLog>,
    next_process: AtomicI32,
    sessions: Mutex<HashMap<i32, (i32, Arc<CancelSlot>)>>,
}

impl Engine {
    pub(crate) fn new(
        copy: Arc<PrivateCopy>,
        leader: Option<Leader>,
        acknowledgements: Option<AckLog>,
    ) -> Self {
        Self {
            copy,
            leader,
            acknowledgements,
            next_process: AtomicI32::new(1),
            sessions: Mutex::default(),
        }
    }

    /// Confirms that what was read is not stale; nothing to confirm in read-only mode, where nobody relies on it.
    pub(crate) fn confirm(&self) -> Result<(), SqlError> {
        self.leader.as_ref().map_or(Ok(()), Leader::confirm)
    }

    /// Notes that an answer has just been handed to the socket.
    pub(crate) fn acknowledge(&self, what: Acknowledged) {
        if let Some(log) = self
            .acknowledgements
            .as_ref()
            .filter(|_| self.leader.is_some())
        {
            log.note(what, monotonic());
        }
    }

    /// Gives a session its number and the secret that cancels it.
    pub(crate) fn register(&self, slot: Arc<CancelSlot>) -> (i32, i32) {
        let process = self.next_process.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        // Unlikely to be met by accident, which is all it is for.
        let secret = (monotonic() as i32).wrapping_mul(0x2545_f491) ^ process;
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(process, (secret, slot));
        (process, secret)
    }

    pub(crate) fn unregister(&self, process: i32) {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&process);
    }

    pub(crate) fn cancel(&self, process: i32, secret: i32) {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = sessions.get(&process).filter(|(known, _)| *known == secret) {
            slot.cancel();
        }
    }
}
