//! How the process ends: always with a reason in the log, and with the temporary directory gone.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::bug::{self, Bug};
use crate::hold::{self, Point};
use crate::log;
use crate::store::{StoreError, Token};

/// Fenced out by a higher generation: not to be restarted.
pub(crate) const FENCED: i32 = 0;
/// Something failed.
pub(crate) const FAILED: i32 = 1;
/// Bad arguments: also a store that is another product's.
pub(crate) const BAD_ARGUMENTS: i32 = 2;
/// Could not run here: store unreachable, port taken.
pub(crate) const CANNOT_RUN: i32 = 4;
/// To be restarted in place, at once.
pub(crate) const RESTART: i32 = 166;
/// Ended by SIGTERM.
pub(crate) const TERMINATED: i32 = 143;
/// Ended by SIGINT.
pub(crate) const INTERRUPTED: i32 = 130;

static REMOVE: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Names the directory that goes when the process ends.
pub(crate) fn remove_at_end(directory: PathBuf) {
    *REMOVE.lock().unwrap_or_else(PoisonError::into_inner) = Some(directory);
}

/// Ends the process: no destructor runs, no answer that is not yet in a socket is sent.
pub(crate) fn now(code: i32) -> ! {
    if let Some(directory) = REMOVE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = std::fs::remove_dir_all(directory);
    }
    std::process::exit(code)
}

/// Ends the process because `newer` is in the fence instead of `own`. Of two processes of one generation the later one
/// goes on and the other fails; an older generation's has simply done its work.
pub(crate) fn fenced(own: Token, newer: Token) -> ! {
    if newer.generation > own.generation {
        outlived(newer);
    }
    log::error!(
        "exiting (1): fenced by epoch {} of the same generation; ours is {}",
        newer.epoch,
        own.epoch
    );
    now(FAILED)
}

/// Ends the process because a higher generation leads.
pub(crate) fn outlived(newer: Token) -> ! {
    hold::at(Point::OldFenced);
    hold::at(Point::Retiring);
    while bug::on(Bug::FencedHangs) {
        std::thread::park();
    }
    log::info!("exiting (0): fenced by generation {}", newer.generation);
    now(match bug::on(Bug::FencedFails) {
        true => FAILED,
        false => FENCED,
    })
}

/// Ends the process because the log ends before a record that was in it.
pub(crate) fn put_back(known: u64, found: u64) -> ! {
    log::error!(
        "the metadata store was put back to an older state while this process used it: its log ends at {found}, \
         although record {known} was there; start the process again to use what is there now"
    );
    now(FAILED)
}

/// The exit code that belongs to a store's error.
pub(crate) fn code(error: &StoreError) -> i32 {
    match error {
        StoreError::Unreachable { .. } => CANNOT_RUN,
        StoreError::Foreign { .. } => BAD_ARGUMENTS,
        _ => FAILED,
    }
}

/// Ends the process because the store cannot be used.
pub(crate) fn store_failed(error: &StoreError) -> ! {
    log::error!("{error}");
    now(code(error))
}
