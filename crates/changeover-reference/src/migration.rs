//! Bringing the records of older releases into the format of ours.

use std::time::{Duration, Instant};

use crate::commit::Leader;
use crate::store::{Migration, StoreError};
use crate::{exit, log};

/// How long a migration waits for a store that cannot be reached, before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// Rewrites records of older releases in ours. SQL is answered meanwhile: each record says which format it has, so
/// nothing waits for the end, and a process that dies here leaves a store that the next one reads and goes on with.
/// Commits have their turn between portions of so many records.
pub(crate) fn run(leader: &Leader, portion: usize) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<usize>().ok())
    };
    // For tests only: small steps, and a place to be killed at.
    let portion = number("CHANGEOVER_TEST_MIGRATION_CHUNK").unwrap_or(portion);
    let hold = number("CHANGEOVER_TEST_MIGRATION_HOLD_AFTER");
    let started = Instant::now();
    let mut portions = 0;
    loop {
        match leader.migrate(portion) {
            Ok(Migration::Done) => {
                if portions > 0 {
                    log::info!(
                        "migrated the store in {:.1} ms; portions: {portions}",
                        started.elapsed().as_secs_f64() * 1000.0
                    );
                }
                return;
            }
            Ok(Migration::At { position, until }) => {
                portions += 1;
                if hold == Some(portions) {
                    log::info!("migration held at {position} of {until}");
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(Migration::Fenced(newer)) => exit::fenced(leader.token(), newer),
            // Nothing was written, and nobody waits for it.
            Err(error @ StoreError::Unreachable { .. }) => {
                log::warning!("{error}; the migration goes on later");
                std::thread::sleep(PAUSE);
            }
            Err(error) => exit::store_failed(&error),
        }
    }
}
