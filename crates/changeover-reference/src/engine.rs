//! What all sessions of a process share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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

/// What the process was when something began. It can become the leader meanwhile, but never the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    ReadOnly,
    Leading,
}

struct Leading {
    leader: Leader,
    acknowledgements: Option<AckLog>,
}

/// The database as a session sees it.
pub(crate) struct Engine {
    pub(crate) copy: Arc<PrivateCopy>,
    /// Empty in read-only mode.
    leading: OnceLock<Leading>,
    next_process: AtomicI32,
    sessions: Mutex<HashMap<i32, (i32, Arc<CancelSlot>)>>,
}

impl Engine {
    /// A database in read-only mode.
    pub(crate) fn new(copy: Arc<PrivateCopy>) -> Self {
        Self {
            copy,
            leading: OnceLock::new(),
            next_process: AtomicI32::new(1),
            sessions: Mutex::default(),
        }
    }

    /// From now on this is the leader. Called once, when the copy holds everything up to the log's end.
    pub(crate) fn lead(&self, leader: Leader, acknowledgements: Option<AckLog>) -> &Leader {
        &self
            .leading
            .get_or_init(|| Leading {
                leader,
                acknowledgements,
            })
            .leader
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.leading.get() {
            None => Mode::ReadOnly,
            Some(_) => Mode::Leading,
        }
    }

    /// The leader, for work that began in this mode; `None` if that was read-only, and still is.
    ///
    /// # Errors
    /// A conflict if this process was promoted meanwhile: what was read before may be older than the fence's log end,
    /// and a leader must not tell it.
    pub(crate) fn leader(&self, began: Mode) -> Result<Option<&Leader>, SqlError> {
        match (self.leading.get(), began) {
            (None, _) => Ok(None),
            (Some(leading), Mode::Leading) => Ok(Some(&leading.leader)),
            (Some(_), Mode::ReadOnly) => Err(SqlError::conflict(
                "could not serialize access: the transaction began in read-only mode, which this process has left",
            )),
        }
    }

    /// Confirms that what was read, from this mode on, is not stale; nothing to confirm in read-only mode, where nobody
    /// relies on it.
    pub(crate) fn confirm(&self, began: Mode) -> Result<(), SqlError> {
        self.leader(began)?.map_or(Ok(()), Leader::confirm)
    }

    /// Notes that an answer has just been handed to the socket.
    pub(crate) fn acknowledge(&self, what: Acknowledged) {
        let leading = self.leading.get();
        if let Some(log) = leading.and_then(|leading| leading.acknowledgements.as_ref()) {
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
