//! The one clock of a run: nanoseconds of `CLOCK_MONOTONIC` since the run's zero.

use std::time::Duration;
use tokio::time::Instant;

/// The run's clock. Events and operations are stamped with it and with nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// A clock that is zero now.
    pub fn start() -> Self {
        Clock {
            zero: Instant::now(),
        }
    }

    /// Nanoseconds since zero.
    pub fn now(&self) -> u64 {
        nanos(self.zero.elapsed())
    }

    /// The moment `at` nanoseconds after zero, to sleep until.
    pub fn instant(&self, at: u64) -> Instant {
        self.zero + Duration::from_nanos(at)
    }
}

/// A duration in nanoseconds; 584 years fit.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
