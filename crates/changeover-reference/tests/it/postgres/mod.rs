//! What the metadata store in PostgreSQL promises beyond that in SQLite, and what a database does whose store fails.

mod failing_store;
mod places;
mod rights;
mod stopped;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::client::Sql;
use crate::instance::Instance;

/// What a writer knows of its rows.
#[derive(Default)]
struct Written {
    acknowledged: Vec<i64>,
    /// The last row, if its answer did not come.
    unknown: Option<i64>,
}

/// Inserts rows from `first` on until told to stop or cut off. A refusal is tried again: it says that nothing was
/// written.
fn write(
    leader: &Instance,
    first: i64,
    width: usize,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<Written> {
    let (address, stop) = (leader.sql.clone(), Arc::clone(stop));
    std::thread::spawn(move || {
        let sql = Sql::try_connect(&address).expect("the leader");
        let filling = "x".repeat(width);
        let mut written = Written::default();
        let mut n = first;
        while !stop.load(Ordering::Relaxed) {
            match sql.execute("INSERT INTO t VALUES ($1, $2)", &[&n, &filling]) {
                Ok(_) => written.acknowledged.push(n),
                Err(error) if error.code().is_some() => continue,
                Err(_) => {
                    written.unknown = Some(n);
                    break;
                }
            }
            n += 1;
        }
        written
    })
}

/// Everything acknowledged is there exactly once, and nothing else but what may be.
fn compare(leader: &Instance, written: &[Written]) {
    let rows = Sql::connect(leader)
        .query("SELECT n FROM t ORDER BY n", &[])
        .expect("a read");
    let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let mut wanted: Vec<i64> = written
        .iter()
        .flat_map(|w| w.acknowledged.iter().copied())
        .collect();
    let unknown = written.iter().filter_map(|w| w.unknown);
    wanted.extend(unknown.filter(|n| found.contains(n)));
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}
