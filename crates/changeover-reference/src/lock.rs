//! A fair lock with a time limit, whose guard can be kept across requests of a session.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

struct Waiter<T> {
    given: Mutex<Option<T>>,
    woken: Condvar,
}

struct Inner<T> {
    /// The value, unless someone holds it.
    value: Option<T>,
    queue: VecDeque<Arc<Waiter<T>>>,
}

/// Holds one value; hands it to whoever asked first.
pub(crate) struct FairLock<T> {
    inner: Mutex<Inner<T>>,
}

fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> FairLock<T> {
    pub(crate) fn new(value: T) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                value: Some(value),
                queue: VecDeque::new(),
            }),
        })
    }

    /// Waits at most so long for the value.
    pub(crate) fn acquire(self: &Arc<Self>, at_most: Duration) -> Option<Permit<T>> {
        let permit = |value| Permit {
            value: Some(value),
            lock: Arc::clone(self),
        };
        let waiter = {
            let mut inner = lock(&self.inner);
            if let Some(value) = inner.value.take() {
                return Some(permit(value));
            }
            let waiter = Arc::new(Waiter {
                given: Mutex::new(None),
                woken: Condvar::new(),
            });
            inner.queue.push_back(Arc::clone(&waiter));
            waiter
        };
        let given = lock(&waiter.given);
        let (mut given, _) = waiter
            .woken
            .wait_timeout_while(given, at_most, |given| given.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = given.take() {
            return Some(permit(value));
        }
        drop(given);
        // Late: leave the queue, unless the value came in this very moment.
        lock(&self.inner)
            .queue
            .retain(|other| !Arc::ptr_eq(other, &waiter));
        lock(&waiter.given).take().map(permit)
    }

    fn release(&self, value: T) {
        let mut inner = lock(&self.inner);
        match inner.queue.pop_front() {
            Some(waiter) => {
                // Given while the queue is locked, so that a waiter that leaves it sees what it was given.
                *lock(&waiter.given) = Some(value);
                drop(inner);
                waiter.woken.notify_one();
            }
            None => inner.value = Some(value),
        }
    }
}

/// The value, until dropped.
pub(crate) struct Permit<T> {
    value: Option<T>,
    lock: Arc<FairLock<T>>,
}

impl<T> Deref for Permit<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("the value leaves only on drop"),
        }
    }
}

impl<T> DerefMut for Permit<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("the value leaves only on drop"),
        }
    }
}

impl<T> Drop for Permit<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.lock.release(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_none_is_lost() {
        let counter = FairLock::new(0u32);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        *counter.acquire(Duration::from_secs(60)).unwrap() += 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*counter.acquire(Duration::ZERO).unwrap(), 2000);
    }

    #[test]
    fn who_waits_too_long_goes_without() {
        let held = FairLock::new(());
        let permit = held.acquire(Duration::ZERO).unwrap();
        assert!(held.acquire(Duration::from_millis(1)).is_none());
        drop(permit);
        assert!(held.acquire(Duration::ZERO).is_some());
    }
}
