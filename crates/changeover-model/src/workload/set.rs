//! `set`: elements are added, and whole sets are read.

use super::draw::{mix, seed_of};

/// Elements a key of a set holds at most. Reads stay small, and a full read is one read for each key.
pub const ELEMENTS_PER_KEY: u64 = 100;

/// One operation of the `set` workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetOperation {
    /// Adds a value nobody else ever adds.
    Add {
        /// The set.
        key: String,
        /// The element.
        value: i64,
    },
    /// Reads a whole set.
    Read {
        /// The set.
        key: String,
    },
}

/// The `set` workload: half adds, half reads; each client adds to keys of its own and reads keys of all.
#[derive(Debug, Clone)]
pub struct SetWorkload {
    seed: u64,
    clients: u64,
}

impl SetWorkload {
    /// The workload of a plan's workload seed, shared by `clients` clients (at least 1).
    pub fn new(seed: &str, clients: u32) -> Self {
        SetWorkload {
            seed: seed_of(seed),
            clients: u64::from(clients.max(1)),
        }
    }

    /// Operation `n` (0, 1, …) of client `client` (0, 1, …).
    pub fn operation(&self, client: u64, n: u64) -> SetOperation {
        let draw = mix(self.seed ^ mix(client ^ mix(n)));
        // Each pair of operations has exactly one add, in random order: the element's number is then n / 2, and a
        // key's fill never depends on the draws before.
        let pair = n / 2;
        let first_is_add = mix(self.seed ^ mix(client ^ mix(!pair))) & 1 == 0;
        if n.is_multiple_of(2) == first_is_add {
            SetOperation::Add {
                key: key(client, pair / ELEMENTS_PER_KEY),
                value: i64::try_from(pair * self.clients + client).unwrap_or(i64::MAX),
            }
        } else {
            // Mostly the newest key of a random client, where something can still go wrong; now and then an old one.
            let newest = pair / ELEMENTS_PER_KEY;
            let generation = if draw & 0x700 == 0 {
                mix(draw) % (newest + 1)
            } else {
                newest
            };
            SetOperation::Read {
                key: key(draw % self.clients, generation),
            }
        }
    }
}

fn key(client: u64, number: u64) -> String {
    format!("w{client}.{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn values_are_unique_and_keys_stay_small() {
        let workload = SetWorkload::new("42", 3);
        let mut values = BTreeSet::new();
        let mut keys: BTreeMap<String, u64> = BTreeMap::new();
        let mut reads = 0;
        for client in 0..3 {
            for n in 0..1000 {
                match workload.operation(client, n) {
                    SetOperation::Add { key, value } => {
                        assert!(values.insert(value), "value {value} twice");
                        *keys.entry(key).or_default() += 1;
                    }
                    SetOperation::Read { .. } => reads += 1,
                }
            }
        }
        assert_eq!(values.len(), 1500);
        assert_eq!(reads, 1500);
        assert!(keys.values().all(|&n| n <= ELEMENTS_PER_KEY));
    }

    #[test]
    fn the_same_seed_gives_the_same_operations() {
        let operations = |seed| {
            let workload = SetWorkload::new(seed, 8);
            (0..50)
                .map(|n| workload.operation(1, n))
                .collect::<Vec<_>>()
        };
        assert_eq!(operations("42"), operations("42"));
        assert_ne!(operations("42"), operations("43"));
    }
}
