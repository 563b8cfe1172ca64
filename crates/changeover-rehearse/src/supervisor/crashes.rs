//! When crashes are a loop, and when they count for nothing.

use super::Progress;
use changeover_model::event::ProcessEnd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// So many crashes in a row, none getting further than the one before, are a crash loop.
pub const CRASHES_OF_A_LOOP: usize = 3;

/// Why no crash counts for now: something that all instances need is broken on purpose. Cheap to clone; all clones are
/// one.
#[derive(Debug, Clone, Default)]
pub struct Excuse(Arc<AtomicU32>);

impl Excuse {
    /// Lets crashes count for nothing as long as the guard lives.
    pub fn hold(&self) -> ExcuseGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        ExcuseGuard(self.clone())
    }

    pub(super) fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// As long as it lives, crashes count for nothing.
#[derive(Debug)]
pub struct ExcuseGuard(Excuse);

impl ExcuseGuard {
    /// Lets crashes count again after so long. Must be called within a runtime.
    pub fn drop_after(self, time: Duration) {
        tokio::spawn(async move {
            sleep(time).await;
            drop(self);
        });
    }
}

impl Drop for ExcuseGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Crashes in a row, none getting further than the one before. See also [`STEADY`].
#[derive(Debug, Default)]
pub(super) struct CrashRow {
    pub(super) ends: Vec<ProcessEnd>,
    last: Progress,
}

impl CrashRow {
    /// Counts a crash of a process that got so far.
    pub(super) fn crashed(&mut self, end: ProcessEnd, progress: Progress) {
        if progress > self.last {
            self.ends.clear();
        }
        self.ends.push(end);
        self.last = progress;
    }

    pub(super) fn is_loop(&self) -> bool {
        self.ends.len() >= CRASHES_OF_A_LOOP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: ProcessEnd = ProcessEnd::Code(101);

    fn row(progress: &[Progress]) -> bool {
        let mut row = CrashRow::default();
        progress.iter().any(|&progress| {
            row.crashed(CRASH, progress);
            row.is_loop()
        })
    }

    #[test]
    fn three_crashes_that_get_no_further_are_a_loop() {
        use Progress::{Initializing, IsLeader, Nothing, ReadyToPromote, Serving};
        assert!(row(&[Nothing, Nothing, Nothing]));
        assert!(row(&[Serving, Serving, Serving]));
        assert!(row(&[IsLeader, Initializing, Initializing]));
        assert!(!row(&[Nothing, Nothing, Initializing]));
        assert!(!row(&[
            Nothing,
            Initializing,
            ReadyToPromote,
            IsLeader,
            Serving
        ]));
        assert!(!row(&[
            IsLeader,
            Initializing,
            ReadyToPromote,
            ReadyToPromote
        ]));
        assert!(row(&[Nothing, Initializing, Initializing, Initializing]));
    }
}
