//! The schedule: sends are due when the plan says so, whatever the target does.
//!
//! The runtime's timers are a millisecond coarse and wait for their turn among the tasks, so one thread of its own
//! waits for all schedules together. It sleeps to the next due moment, hands out everything that is due, and never
//! skips: after a late wake-up it fires what was missed, in order, each with the time it was meant for.

use crate::clock::Clock;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::sync::oneshot;

const SECOND: u64 = 1_000_000_000;

/// An endless, evenly spaced sequence of moments, in nanoseconds on the run's clock.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    first: u64,
    span: u64,
    sends: u64,
}

impl Pace {
    /// One moment every `interval` nanoseconds from `first` on; an interval of 0 counts as 1.
    pub fn every(first: u64, interval: u64) -> Self {
        Pace {
            first,
            span: interval.max(1),
            sends: 1,
        }
    }

    /// `rate` moments a second from `first` on, without drift; a rate of 0 counts as 1.
    pub fn per_second(first: u64, rate: u32) -> Self {
        Pace {
            first,
            span: SECOND,
            sends: u64::from(rate.max(1)),
        }
    }

    /// Moment `n` (0, 1, …).
    pub fn at(&self, n: u64) -> u64 {
        let after = u128::from(n) * u128::from(self.span) / u128::from(self.sends);
        self.first
            .saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }
}

/// A send that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which of the schedules, counted from 0 in the order they were given.
    pub schedule: usize,
    /// The number of the send in its schedule.
    pub n: u64,
    /// The moment it was meant for.
    pub intended: u64,
    /// The moment it was handed out.
    pub fired: u64,
}

/// Hands out sends until stopped. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Ticker {
    /// What was meant for later than this is not fired.
    until: Arc<AtomicU64>,
    thread: Thread,
    clock: Clock,
    ended: Option<oneshot::Receiver<()>>,
}

impl Ticker {
    /// Starts firing. `fire` is called on the ticker's thread, for one send at a time, in the order of their
    /// moments; it must be quick, because the next ones wait for it.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(
        clock: Clock,
        paces: Vec<Pace>,
        fire: impl FnMut(Due) + Send + 'static,
    ) -> io::Result<Self> {
        let until = Arc::new(AtomicU64::new(u64::MAX));
        let (over, ended) = oneshot::channel();
        let handle = thread::Builder::new().name("schedule".to_owned()).spawn({
            let until = Arc::clone(&until);
            move || {
                run(clock, &paces, &until, fire);
                // Whoever waits may be gone.
                let _ = over.send(());
            }
        })?;
        Ok(Ticker {
            until,
            thread: handle.thread().clone(),
            clock,
            ended: Some(ended),
        })
    }

    /// Ends the schedules. When this returns, everything meant for a moment up to now has been fired, nothing will be
    /// any more, and `fire` is dropped.
    pub async fn stop(mut self) {
        self.end();
        if let Some(ended) = self.ended.take() {
            // An error means that the thread is gone, which is what is waited for.
            let _ = ended.await;
        }
    }

    fn end(&self) {
        self.until.fetch_min(self.clock.now(), Ordering::Relaxed);
        self.thread.unpark();
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(clock: Clock, paces: &[Pace], until: &AtomicU64, mut fire: impl FnMut(Due)) {
    let mut next = vec![0; paces.len()];
    loop {
        let earliest = (0..paces.len()).min_by_key(|&s| paces[s].at(next[s]));
        let Some(schedule) = earliest else { return };
        let n = next[schedule];
        let intended = paces[schedule].at(n);
        loop {
            if intended > until.load(Ordering::Relaxed) {
                return;
            }
            let now = clock.now();
            if now >= intended {
                break;
            }
            // Wakes early when the schedules end, and for no reason at all when it likes: hence the loop.
            thread::park_timeout(Duration::from_nanos(intended - now));
        }
        fire(Due {
            schedule,
            n,
            intended,
            fired: clock.now(),
        });
        next[schedule] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_rate_does_not_drift() {
        let pace = Pace::per_second(7, 300);
        assert_eq!(pace.at(0), 7);
        assert_eq!(pace.at(1), 7 + 3_333_333);
        assert_eq!(pace.at(300 * 86_400), 7 + 86_400 * SECOND);
        assert_eq!(Pace::every(5, 10).at(3), 35);
    }

    #[tokio::test]
    async fn nothing_is_skipped_after_a_late_wake_up() {
        let clock = Clock::start();
        let paces = vec![Pace::every(0, 1_000_000), Pace::every(500_000, 3_000_000)];
        let (go, wait) = mpsc::channel::<()>();
        let (fired, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let ticker = Ticker::start(clock, paces.clone(), move |due| {
            // Held until the test lets go, so that everything after the first is late.
            if due.schedule == 0 && due.n == 0 {
                let _ = wait.recv();
            }
            let _ = fired.send(due);
        })
        .unwrap();
        tokio::task::spawn_blocking(move || {
            while clock.now() < 20_000_000 {
                std::hint::spin_loop();
            }
        })
        .await
        .unwrap();
        let due = clock.now();
        // Stopped while it is behind: what is due by then is still owed.
        tokio::join!(ticker.stop(), async { go.send(()).unwrap() });
        let mut all = Vec::new();
        while let Ok(due) = seen.try_recv() {
            all.push(due);
        }
        assert!(all.is_sorted_by_key(|due| due.intended));
        assert!(all.iter().all(|due| due.fired >= due.intended));
        for (schedule, pace) in paces.iter().enumerate() {
            let sends: Vec<_> = all.iter().filter(|d| d.schedule == schedule).collect();
            assert!(pace.at(sends.len() as u64) > due, "{} sends", sends.len());
            for (n, due) in (0u64..).zip(sends) {
                assert_eq!((due.n, due.intended), (n, pace.at(n)));
            }
        }
    }

    #[tokio::test]
    async fn an_end_far_ahead_of_the_next_send_is_prompt() {
        let clock = Clock::start();
        let hour = 3_600 * SECOND;
        let ticker = Ticker::start(clock, vec![Pace::every(hour, hour)], |_| {}).unwrap();
        // Hangs for an hour if the thread does not notice.
        ticker.stop().await;
    }
}
