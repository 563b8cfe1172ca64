//! The `append` model: lists that transactions append to and read, judged by Elle's method (Kingsbury and Alvaro, 2020).
//!
//! A list shows the order in which its elements were appended, so reads tell who came before whom: `order` gathers that
//! while the history is read, `graph` makes edges of it, `cycles` looks for orders that bite their own tail, and `stories`
//! says what they mean. What one read alone gives away is found by `single`.
//!
//! As every element of a key is another, a history without contradiction does have an order that explains it.

mod anomaly;
mod cycles;
mod graph;
mod order;
mod single;
mod stories;

use crate::checker::{BadInput, Consistency, Doubts};
use crate::findings::Cases;
use crate::intern::Interner;
use crate::ops::{NONE, Ops};
use crate::scalar::{NULL, Scalar, Scalars, items};
use crate::timeline::Timeline;
use changeover_model::history::{Line, Op, Outcome};
use order::KeyOrder;
use serde_json::value::RawValue;

/// A transaction's step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Micro {
    /// Appended this element of the key, by its number there.
    Append { key: u32, element: u32 },
    /// Read so many elements of the key, of which the transaction had appended the last `own` itself.
    Read { key: u32, length: u32, own: u32 },
    /// Read something that does not go with other answers: the number of the oddity.
    Odd { key: u32, odd: u32 },
}

/// All operations of the `append` model.
#[derive(Debug, Default)]
pub(crate) struct AppendHistory {
    consistency: Consistency,
    ops: Ops,
    outcomes: Vec<Outcome>,
    /// Where the steps of each transaction begin; those of the last go to the end.
    starts: Vec<u32>,
    steps: Vec<Micro>,
    scalars: Scalars,
    keys: Interner<String>,
    orders: Vec<KeyOrder>,
    /// Answers that do not go with the order of their key, as elements.
    odd: Vec<Vec<u32>>,
    /// Reads that lack what their own transaction had appended before, by transaction and key.
    own_missing: Vec<(u32, u32)>,
    /// Pairs of reads of one transaction that differ by more than its own appends.
    unrepeatable: Vec<(u32, u32)>,
    /// Lists that show an element twice, by transaction, key and element.
    repeated: Vec<(u32, u32, u32)>,
    /// Answers that were no list.
    no_lists: Vec<(u32, u32)>,
}

/// A step as its JSON says it.
type Borrowed<'a> = (&'a str, &'a str, &'a RawValue);
type Owned = (String, String, Box<RawValue>);

const SHAPE: &str = "a list of steps, each [\"append\", key, element] or [\"read\", key, null]";

impl AppendHistory {
    pub(crate) fn new(consistency: Consistency) -> Self {
        AppendHistory {
            consistency,
            ..AppendHistory::default()
        }
    }

    /// Takes an operation.
    pub(crate) fn take(&mut self, line: &Line<'_>, number: u64) -> Result<(), BadInput> {
        let ok = line.outcome == Outcome::Ok;
        let txn = self.ops.len() as u32;
        self.starts.push(self.steps.len() as u32);
        self.outcomes.push(line.outcome);
        self.ops.push(line, number);
        // The result repeats the value and fills in what was read.
        let answered = ok && line.result != "null";
        let json = match answered {
            true => line.result,
            false => line.value,
        };
        let bad = || match answered {
            true => BadInput::Result {
                op: Op::Txn,
                expected: "the value's list of steps, with what each read showed",
            },
            false => BadInput::Value {
                op: Op::Txn,
                expected: SHAPE,
            },
        };
        match serde_json::from_str::<Vec<Borrowed<'_>>>(json) {
            Ok(steps) => {
                for (what, key, value) in steps {
                    self.step(txn, what, key, value.get(), answered)
                        .ok_or_else(bad)?;
                }
            }
            // Escapes cannot be borrowed.
            Err(_) => {
                let steps: Vec<Owned> = serde_json::from_str(json).map_err(|_| bad())?;
                for (what, key, value) in steps {
                    self.step(txn, &what, &key, value.get(), answered)
                        .ok_or_else(bad)?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, txn: u32, what: &str, key: &str, json: &str, answered: bool) -> Option<()> {
        let key = match self.keys.known(key) {
            Some(key) => key,
            None => {
                self.orders.push(KeyOrder::default());
                self.keys.number(key.to_owned())
            }
        };
        match what {
            "append" => {
                let scalar = self.scalars.of(json);
                if scalar == NULL {
                    return None;
                }
                let step = self.steps.len() as u32;
                let failed = self.outcomes[txn as usize] == Outcome::Fail;
                let element = self.orders[key as usize].append(scalar, txn, step, failed);
                self.steps.push(Micro::Append { key, element });
            }
            "read" if answered => self.read(txn, key, json),
            "read" => {}
            _ => return None,
        }
        Some(())
    }

    fn read(&mut self, txn: u32, key: u32, json: &str) {
        let order = &mut self.orders[key as usize];
        let mut reading = order.reading();
        let list = items(&mut self.scalars, json, |scalar| reading.next(scalar));
        let Some(()) = list else {
            self.no_lists.push((txn, key));
            return;
        };
        let (length, odd, repeated) = reading.finish(txn);
        self.repeated
            .extend(repeated.map(|element| (txn, key, element)));
        if let Some(list) = odd {
            let odd = self.odd.len() as u32;
            self.odd.push(list);
            self.steps.push(Micro::Odd { key, odd });
            return;
        }
        let own = self.own(txn, key, length);
        self.steps.push(Micro::Read { key, length, own });
    }

    /// How many of the last elements of a list the transaction had appended itself. Notes what is wrong with that.
    fn own(&mut self, txn: u32, key: u32, length: u32) -> u32 {
        let order = &self.orders[key as usize];
        let start = self.starts[txn as usize] as usize;
        let mut own = 0;
        let mut outside = None;
        for step in &self.steps[start..] {
            match *step {
                Micro::Append { key: of, .. } if of == key => own += 1,
                Micro::Read {
                    key: of,
                    length,
                    own,
                } if of == key => outside = Some(length - own),
                _ => {}
            }
        }
        let mut there = 0;
        while there < own && there < length {
            let element = order.at(length - 1 - there);
            if order.writer(element) != txn {
                break;
            }
            there += 1;
        }
        if there < own {
            self.own_missing.push((txn, key));
        }
        if outside.is_some_and(|outside| outside != length - there) {
            self.unrepeatable.push((txn, key));
        }
        there
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.ops.len()
    }

    /// Looks for anomalies.
    pub(crate) fn judge(&self, timeline: &Timeline, complete: bool, cases: &mut Cases) -> Doubts {
        let mut doubts = Doubts::default();
        for (key, order) in self.orders.iter().enumerate() {
            if order.is_ambiguous() {
                let key = changeover_model::text::harmless_cut(self.keys.value(key as u32), 40);
                doubts.say(format!(
                    "append key {key} could not be decided: an element was appended more than once"
                ));
            }
        }
        self.check_single(timeline, complete, cases);
        if complete {
            self.check_cycles(timeline, cases);
        }
        doubts
    }

    /// The steps of a transaction.
    fn steps_of(&self, txn: u32) -> &[Micro] {
        let start = self.starts[txn as usize] as usize;
        let end = self.starts.get(txn as usize + 1).copied();
        &self.steps[start..end.map_or(self.steps.len(), |end| end as usize)]
    }

    /// Whether it certainly took effect: it was acknowledged, or somebody saw what it did.
    fn committed(&self) -> Vec<bool> {
        let mut committed: Vec<bool> = self
            .outcomes
            .iter()
            .map(|outcome| *outcome == Outcome::Ok)
            .collect();
        for order in &self.orders {
            for element in order.seen() {
                let writer = order.writer(element);
                if writer != NONE && self.outcomes[writer as usize] == Outcome::Unknown {
                    committed[writer as usize] = true;
                }
            }
        }
        committed
    }

    fn scalar(&self, key: u32, element: u32) -> Scalar {
        self.orders[key as usize].scalar(element)
    }
}
