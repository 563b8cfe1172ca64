//! Strict serialisability and durability while the leader is killed again and again.
//!
//! Writers insert rows of their own and raise a shared counter; readers count. Every acknowledged row must be there
//! exactly once in the end, none twice; no read may show less than what was acknowledged, or seen by anybody, before
//! it began; and the counter's answers must be unique and respect real time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use crate::client::Sql;
use crate::instance::wait_for;
use crate::world::{World, on_both_stores};

on_both_stores!(acknowledged_writes_survive_kills_at_random_moments,);

const WRITERS: usize = 3;
const READERS: usize = 2;

#[derive(Default)]
struct Shared {
    address: RwLock<String>,
    stop: AtomicBool,
    /// Rows of each writer that are known to be there: acknowledged, or seen by a reader.
    known: [AtomicI64; WRITERS],
    /// The greatest answer of the counter that somebody has got.
    counter: AtomicI64,
    acknowledged: AtomicI64,
    reads: AtomicI64,
    complaints: Mutex<Vec<String>>,
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn complain(&self, text: String) {
        self.complaints.lock().unwrap().push(text);
    }

    fn connect(&self) -> Option<Sql> {
        while !self.stopped() {
            let address = self.address.read().unwrap().clone();
            if let Ok(sql) = Sql::try_connect(&address) {
                return Some(sql);
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        None
    }
}

#[derive(Default)]
struct Written {
    acknowledged: BTreeSet<i64>,
    unknown: BTreeSet<i64>,
    counts: Vec<i64>,
    unknown_counts: usize,
}

/// Nothing was done: on a busy machine, somebody else has been writing for too long.
fn is_conflict(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&tokio_postgres::error::SqlState::T_R_SERIALIZATION_FAILURE)
}

fn write(shared: &Shared, writer: usize) -> Written {
    let mut written = Written::default();
    let mut next = 0i64;
    while let Some(sql) = shared.connect() {
        while !shared.stopped() {
            let n = next;
            next += 1;
            match sql.execute("INSERT INTO rows VALUES ($1, $2)", &[&(writer as i64), &n]) {
                Ok(_) => {
                    written.acknowledged.insert(n);
                    shared.known[writer]
                        .fetch_max(written.acknowledged.len() as i64, Ordering::SeqCst);
                    shared.acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) if error.code().is_some() => {
                    shared.complain(format!("insert: {error:?}"))
                }
                Err(_) => {
                    written.unknown.insert(n);
                    break;
                }
            }
            let before = shared.counter.load(Ordering::SeqCst);
            match sql.query("UPDATE counter SET n = n + 1 RETURNING n", &[]) {
                Ok(rows) => {
                    let got: i64 = rows[0].get(0);
                    if got <= before {
                        shared.complain(format!(
                            "the counter gave {got} after {before} had been given"
                        ));
                    }
                    shared.counter.fetch_max(got, Ordering::SeqCst);
                    written.counts.push(got);
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) if error.code().is_some() => {
                    shared.complain(format!("counter: {error:?}"))
                }
                Err(_) => {
                    written.unknown_counts += 1;
                    break;
                }
            }
        }
        if shared.stopped() {
            break;
        }
    }
    written
}

fn read(shared: &Shared) {
    while let Some(sql) = shared.connect() {
        while !shared.stopped() {
            let before: Vec<i64> = shared
                .known
                .iter()
                .map(|known| known.load(Ordering::SeqCst))
                .collect();
            let counted = shared.counter.load(Ordering::SeqCst);
            let query = "SELECT (SELECT n FROM counter), c.w, (SELECT count(*) FROM rows r WHERE r.w = c.w) FROM clients c ORDER BY c.w";
            let Ok(rows) = sql.query(query, &[]) else {
                break;
            };
            for (writer, row) in rows.iter().enumerate() {
                let (counter, count): (i64, i64) = (row.get(0), row.get(2));
                if count < before[writer] {
                    shared.complain(format!(
                        "writer {writer}: {count} rows seen, {} known before",
                        before[writer]
                    ));
                }
                if counter < counted {
                    shared.complain(format!(
                        "the counter reads {counter} after {counted} had been given"
                    ));
                }
                shared.known[writer].fetch_max(count, Ordering::SeqCst);
                shared.counter.fetch_max(counter, Ordering::SeqCst);
            }
            shared.reads.fetch_add(1, Ordering::SeqCst);
        }
        if shared.stopped() {
            break;
        }
    }
}

fn acknowledged_writes_survive_kills_at_random_moments(world: World) {
    let rounds: u32 = std::env::var("CHANGEOVER_SOAK_KILLS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(10);
    let mut seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
        | 1;
    println!("seed {seed}");
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut leader = world.leader("leader", "current", 0);
    let sql = Sql::connect(&leader);
    sql.ok("CREATE TABLE rows (w int8, n int8); CREATE INDEX rows_w ON rows (w); CREATE TABLE counter (n int8); INSERT INTO counter VALUES (0); CREATE TABLE clients (w int8)");
    for writer in 0..WRITERS {
        sql.ok(&format!("INSERT INTO clients VALUES ({writer})"));
    }
    drop(sql);
    let shared = Arc::new(Shared::default());
    *shared.address.write().unwrap() = leader.sql.clone();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || write(&shared, writer))
        })
        .collect();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || read(&shared))
        })
        .collect();

    for round in 0..rounds {
        let (writes, reads) = (
            shared.acknowledged.load(Ordering::SeqCst),
            shared.reads.load(Ordering::SeqCst),
        );
        let more = 1 + random(60) as i64;
        wait_for("writes and reads in this round", || {
            let (w, r) = (
                shared.acknowledged.load(Ordering::SeqCst) - writes,
                shared.reads.load(Ordering::SeqCst) - reads,
            );
            if w >= more && r > 0 {
                Ok(())
            } else {
                Err(format!("{w} writes, {r} reads"))
            }
        });
        std::thread::sleep(std::time::Duration::from_micros(random(3000)));
        leader.kill();
        if round % 3 == 2 {
            std::fs::remove_dir_all(leader.data()).unwrap();
        }
        leader.restart();
        leader.wait_ready();
        *shared.address.write().unwrap() = leader.sql.clone();
    }
    shared.stop.store(true, Ordering::SeqCst);
    let written: Vec<Written> = writers
        .into_iter()
        .map(|writer| writer.join().unwrap())
        .collect();
    readers
        .into_iter()
        .for_each(|reader| reader.join().unwrap());
    assert_eq!(*shared.complaints.lock().unwrap(), Vec::<String>::new());

    let sql = Sql::connect(&leader);
    let mut found: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for row in sql.query("SELECT w, n FROM rows", &[]).unwrap() {
        found.entry(row.get(0)).or_default().push(row.get(1));
    }
    let mut counts = BTreeSet::new();
    let (mut given, mut unknown) = (0, 0);
    for (writer, written) in written.iter().enumerate() {
        let rows = found.remove(&(writer as i64)).unwrap_or_default();
        let distinct: BTreeSet<i64> = rows.iter().copied().collect();
        assert_eq!(
            distinct.len(),
            rows.len(),
            "writer {writer}: a row is there twice"
        );
        assert!(
            distinct.is_superset(&written.acknowledged),
            "writer {writer}: lost {:?}",
            &written.acknowledged - &distinct
        );
        let possible: BTreeSet<i64> = &written.acknowledged | &written.unknown;
        assert!(
            distinct.is_subset(&possible),
            "writer {writer}: {:?} came from nowhere",
            &distinct - &possible
        );
        counts.extend(written.counts.iter().copied());
        given += written.counts.len();
        unknown += written.unknown_counts;
    }
    assert_eq!(counts.len(), given, "the counter gave a number twice");
    let last = sql.int("SELECT n FROM counter") as usize;
    assert!(
        (given..=given + unknown).contains(&last),
        "{given} given, {unknown} unknown, but the counter is {last}"
    );
}
