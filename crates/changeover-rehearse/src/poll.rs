//! Waiting for something that only asking can tell: level-triggered, dense at first, always with a deadline.

use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long after one poll the next one begins, `elapsed` after the wait began: 5 ms for the first second, 20 ms up
/// to 30 s, then a 1,500th of the time waited so far, at most 250 ms.
pub fn interval(elapsed: Duration) -> Duration {
    if elapsed < Duration::from_secs(1) {
        Duration::from_millis(5)
    } else {
        // 30 s / 1500 = 20 ms: the schedule has no jump there.
        (elapsed / 1500).clamp(Duration::from_millis(20), Duration::from_millis(250))
    }
}

/// A wait that is over without what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// How long it waited.
    pub waited: Duration,
}

/// A wait.
#[derive(Debug)]
pub struct Wait {
    began: Instant,
    deadline: Instant,
    last_poll: Option<Instant>,
}

impl Wait {
    /// A wait that begins now and lasts at most `limit`.
    pub fn new(limit: Duration) -> Self {
        let began = Instant::now();
        Wait {
            began,
            deadline: began + limit,
            last_poll: None,
        }
    }

    /// Moves the deadline to `limit` from now.
    pub fn extend(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
    }

    /// What is left until the deadline, at least a little: the last poll, due at the deadline itself, needs time for
    /// an answer too.
    pub fn left(&self) -> Duration {
        self.deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(20))
    }

    /// Returns when the next poll is due: at once the first time, and for the last time at the deadline. Intervals
    /// count from poll to poll, so a slow answer does not slow down the schedule. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the deadline has passed and the poll that was due at it is over.
    pub async fn due(&mut self) -> Result<(), Expired> {
        let now = Instant::now();
        if let Some(last) = self.last_poll {
            if last >= self.deadline {
                return Err(Expired {
                    waited: now - self.began,
                });
            }
            let next = last + interval(last - self.began);
            sleep_until(next.min(self.deadline)).await;
        }
        self.last_poll = Some(Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_the_one_of_the_protocol() {
        let ms = |elapsed_ms| interval(Duration::from_millis(elapsed_ms)).as_millis();
        assert_eq!([ms(0), ms(999)], [5, 5]);
        assert_eq!([ms(1000), ms(30_000)], [20, 20]);
        assert!((21..250).contains(&ms(60_000)));
        assert_eq!([ms(375_000), ms(100_000_000)], [250, 250]);
    }

    #[tokio::test(start_paused = true)]
    async fn polls_are_dense_first_and_the_last_one_is_at_the_deadline() {
        let began = Instant::now();
        let mut wait = Wait::new(Duration::from_millis(2013));
        let mut polls = Vec::new();
        let expired = loop {
            match wait.due().await {
                Ok(()) => polls.push(began.elapsed().as_millis()),
                Err(expired) => break expired,
            }
        };
        assert_eq!(polls[..3], [0, 5, 10]);
        assert_eq!(polls.iter().filter(|&&at| at < 1000).count(), 200);
        // 1000, 1020, … 2000, and the deadline.
        assert_eq!(polls.len(), 200 + 51 + 1);
        assert_eq!(polls.last(), Some(&2013));
        assert_eq!(expired.waited, Duration::from_millis(2013));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_does_not_slow_down_the_schedule() {
        let began = Instant::now();
        let mut wait = Wait::new(Duration::from_secs(9));
        wait.due().await.unwrap();
        tokio::time::advance(Duration::from_millis(300)).await;
        wait.due().await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(300));
        wait.due().await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(305));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_can_move() {
        let mut wait = Wait::new(Duration::from_millis(1));
        wait.extend(Duration::from_secs(3600));
        let mut polls = 0;
        while polls < 1000 {
            wait.due().await.unwrap();
            polls += 1;
        }
        assert!(wait.left() < Duration::from_secs(3600));
    }
}
