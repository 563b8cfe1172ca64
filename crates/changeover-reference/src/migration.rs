//! Bringing the records of older releases into the format of ours.

use std::time::{Duration, Instant};

use crate::commit::Leader;
use crate::store::{Migration, StoreError};
use crate::{exit, log};

/// How long a migration waits for a store that cannot be reached or is too slow, before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a new leader serves those who come back to it, before it takes turns and the machine for itself.
const CALM: Duration = Duration::from_millis(100);

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
    let mut progress = patiently(leader, || leader.migration());
    if matches!(progress, Migration::At { position, until } if position < until) {
        std::thread::sleep(CALM);
    }
    // The end is where the log ended when we took the fence, so that the last portion says that it is the last.
    while let Migration::At { position, until } = progress
        && position < until
    {
        if portions > 0 && hold == Some(portions) {
            log::info!("migration held at {position} of {until}");
            return;
        }
        progress = patiently(leader, || leader.migrate(portion));
        portions += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    if portions > 0 {
        log::info!(
            "migrated the store in {:.1} ms; portions: {portions}",
            started.elapsed().as_secs_f64() * 1000.0
        );
    }
}

/// Asks again while the store cannot be reached or does not do its work: then nothing was written, and nobody waits for
/// it. Ends the process when it is fenced, or the outcome is unknown.
fn patiently(leader: &Leader, mut ask: impl FnMut() -> Result<Migration, StoreError>) -> Migration {
    loop {
        match ask() {
            Ok(Migration::Fenced(newer)) => exit::fenced(leader.token(), newer),
            Ok(progress) => return progress,
            Err(error @ (StoreError::Unreachable { .. } | StoreError::Failed { .. })) => {
                log::warning!("{error}; the migration goes on later");
                std::thread::sleep(PAUSE);
            }
            Err(error) => exit::store_failed(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;
    use crate::copy::{DataDirectory, PrivateCopy};
    use crate::ladder;
    use crate::store::{Role, StoreAddress};

    #[test]
    fn a_leader_with_nothing_to_migrate_waits_for_no_writer() {
        let place = tempfile::tempdir().unwrap();
        let address = StoreAddress::Sqlite(place.path().join("store.db"));
        let open = || address.open(ladder::find("current").unwrap()).unwrap();
        let mut store = open();
        let Role::Lead(fence) = store.begin(0).unwrap() else {
            panic!("an empty store is ours")
        };
        let data = DataDirectory::take(place.path()).unwrap();
        let copy = PrivateCopy::open(data, &store.id().unwrap(), "current", 0).unwrap();
        let (tidy, _) = sync_channel(1);
        let leader = Leader::new(fence.token, 0, open(), store, Arc::new(copy), tidy);
        let leader = Arc::new(leader);

        let writing = leader.begin().unwrap();
        let (tell, done) = channel();
        let migrating = Arc::clone(&leader);
        std::thread::spawn(move || {
            run(&migrating, 64);
            tell.send(()).unwrap();
        });
        // Only a failing test waits so long.
        done.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(writing);
    }
}
