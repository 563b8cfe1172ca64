//! The `register` model: values that are written, read, and compared and swapped.
//!
//! Where every written value is another, a read tells which write it saw, and there is an order that explains all
//! answers unless two values contradict each other (`zones`). That takes a sort. A key where a value was written twice,
//! or that knows compare and swap, has to be searched (`swaps`).

mod stories;
mod swaps;
mod zones;

use crate::checker::{BadInput, Budget, Doubts};
use crate::findings::Cases;
use crate::intern::{FastMap, Interner};
use crate::ops::{ByKey, NEVER, NONE, Ops, What};
use crate::scalar::{NULL, Scalar, Scalars};
use crate::timeline::Timeline;
use changeover_model::history::{Line, Op, Operation, Outcome};
use serde_json::{Value, json};

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Read the value.
    Read,
    /// Wrote the value, and was told so.
    Write,
    /// Perhaps wrote it.
    MayWrite,
    /// Did not write it.
    Failed,
    /// Found the expected value and wrote the new one.
    Swapped,
    /// Found another value than the expected one.
    Differed,
    /// Perhaps swapped.
    MaySwap,
    /// Did nothing.
    FailedSwap,
}

/// A value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    key: u32,
    scalar: Scalar,
}

/// What is known of a value of a key.
#[derive(Debug)]
struct ValueState {
    place: Place,
    /// The write of it, or [`NONE`].
    write: u32,
    /// The operation that ended first, and the one that was sent last, of its write and reads; or [`NONE`].
    first_end: u32,
    last_sent: u32,
}

/// All operations of the `register` model.
#[derive(Debug, Default)]
pub(crate) struct RegisterHistory {
    ops: Ops,
    kinds: Vec<Kind>,
    /// The value that an operation read, wrote, or would have swapped in.
    values: Vec<u32>,
    /// The values that compare and swap expected.
    expected: FastMap<u32, u32>,
    keys: Interner<String>,
    scalars: Scalars,
    numbers: FastMap<Place, u32>,
    states: Vec<ValueState>,
    /// Writes that failed, by value.
    failed: FastMap<u32, u32>,
    /// The keys that must be searched.
    searched: FastMap<u32, ()>,
}

impl RegisterHistory {
    /// Takes an operation.
    pub(crate) fn take(&mut self, line: &Line<'_>, number: u64) -> Result<(), BadInput> {
        let key = match &line.key {
            Some(key) => match self.keys.known(key.as_ref()) {
                Some(key) => key,
                None => self.keys.number(key.clone().into_owned()),
            },
            None => return Err(BadInput::NoKey),
        };
        let (kind, json) = match (line.op, line.outcome) {
            (Op::Read, Outcome::Ok) => (Kind::Read, line.result),
            // It showed nothing to anybody.
            (Op::Read, _) => return Ok(()),
            (Op::Write, Outcome::Ok) => (Kind::Write, line.value),
            (Op::Write, Outcome::Unknown) => (Kind::MayWrite, line.value),
            (Op::Write, Outcome::Fail) => (Kind::Failed, line.value),
            _ => return self.swap(key, line, number),
        };
        let scalar = self.scalars.of(json);
        let value = self.value(key, scalar);
        let op = self.push(line, number, kind, value);
        match kind {
            Kind::Read => self.saw(value, op),
            Kind::Failed => {
                self.failed.entry(value).or_insert(op);
            }
            _ => self.wrote(value, op),
        }
        Ok(())
    }

    fn swap(&mut self, key: u32, line: &Line<'_>, number: u64) -> Result<(), BadInput> {
        let pair: Option<[Value; 2]> = serde_json::from_str(line.value).ok();
        let Some([expected, new]) = pair else {
            return Err(BadInput::Value {
                op: Op::Cas,
                expected: "[expected, new]",
            });
        };
        let kind = match (line.outcome, line.result) {
            (Outcome::Ok, "true") => Kind::Swapped,
            (Outcome::Ok, "false") => Kind::Differed,
            (Outcome::Ok, _) => {
                return Err(BadInput::Result {
                    op: Op::Cas,
                    expected: "true if it swapped, and false if it found another value",
                });
            }
            (Outcome::Unknown, _) => Kind::MaySwap,
            (Outcome::Fail, _) => Kind::FailedSwap,
        };
        let expected = self.scalars.of_value(&expected);
        let expected = self.value(key, expected);
        let new = self.scalars.of_value(&new);
        let new = self.value(key, new);
        let op = self.push(line, number, kind, new);
        self.expected.insert(op, expected);
        self.searched.insert(key, ());
        if kind == Kind::FailedSwap {
            self.failed.entry(new).or_insert(op);
        }
        Ok(())
    }

    fn push(&mut self, line: &Line<'_>, number: u64, kind: Kind, value: u32) -> u32 {
        self.kinds.push(kind);
        self.values.push(value);
        self.ops.push(line, number)
    }

    fn value(&mut self, key: u32, scalar: Scalar) -> u32 {
        let place = Place { key, scalar };
        let next = self.states.len() as u32;
        let number = *self.numbers.entry(place).or_insert(next);
        if number == next {
            self.states.push(ValueState {
                place,
                write: NONE,
                first_end: NONE,
                last_sent: NONE,
            });
        }
        number
    }

    fn wrote(&mut self, value: u32, op: u32) {
        let state = &mut self.states[value as usize];
        // Null is there from the beginning, so that is a second write of it.
        if state.write != NONE || state.place.scalar == NULL {
            self.searched.insert(state.place.key, ());
        }
        state.write = op;
        self.saw(value, op);
    }

    /// Widens what is known of when the value was there.
    fn saw(&mut self, value: u32, op: u32) {
        let state = &mut self.states[value as usize];
        if state.first_end == NONE || self.ops.end(op) < self.ops.end(state.first_end) {
            state.first_end = op;
        }
        if state.last_sent == NONE || self.ops.invoke(op) > self.ops.invoke(state.last_sent) {
            state.last_sent = op;
        }
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.ops.len()
    }

    /// Looks for contradictions. Of an incomplete history, only those that no further operation can explain.
    pub(crate) fn judge(
        &self,
        timeline: &Timeline,
        complete: bool,
        budget: &mut Budget,
        cases: &mut Cases,
    ) -> Doubts {
        self.check_origins(timeline, complete, cases);
        let keys = self.keys.len();
        let by_key = ByKey::new(keys, self.states.iter().map(|state| state.place.key));
        let mut conflicts = Vec::new();
        for key in 0..keys as u32 {
            if !self.searched.contains_key(&key) {
                self.check_zones(by_key.of(key), &mut conflicts);
            }
        }
        self.tell_conflicts(&conflicts, timeline, cases);
        match complete {
            true => self.check_swaps(timeline, budget, cases),
            false => Doubts::default(),
        }
    }

    /// When the first of the value's operations had ended: at the latest then it was there. Before everything for what
    /// was there from the beginning, and [`NEVER`] if nobody saw it.
    fn first_end(&self, value: u32) -> i64 {
        let state = &self.states[value as usize];
        match state.first_end {
            _ if state.place.scalar == NULL => i64::MIN,
            NONE => NEVER,
            op => self.ops.end(op),
        }
    }

    /// When the last of the value's operations was sent: then it was still to come, or still there.
    fn last_sent(&self, value: u32) -> i64 {
        match self.states[value as usize].last_sent {
            NONE => i64::MIN,
            op => self.ops.invoke(op),
        }
    }

    fn key_name(&self, key: u32) -> &str {
        self.keys.value(key)
    }

    /// The operation as it was in the history.
    fn operation(&self, op: u32) -> Operation {
        let kind = self.kinds[op as usize];
        let state = &self.states[self.values[op as usize] as usize];
        let value = self.scalars.json(state.place.scalar);
        let expected = || {
            let expected = self.expected.get(&op).copied().unwrap_or(0);
            self.scalars
                .json(self.states[expected as usize].place.scalar)
        };
        let (op_name, value, result, outcome) = match kind {
            Kind::Read => (Op::Read, Value::Null, value, Outcome::Ok),
            Kind::Write => (Op::Write, value, Value::Null, Outcome::Ok),
            Kind::MayWrite => (Op::Write, value, Value::Null, Outcome::Unknown),
            Kind::Failed => (Op::Write, value, Value::Null, Outcome::Fail),
            Kind::Swapped => (
                Op::Cas,
                json!([expected(), value]),
                json!(true),
                Outcome::Ok,
            ),
            Kind::Differed => (
                Op::Cas,
                json!([expected(), value]),
                json!(false),
                Outcome::Ok,
            ),
            Kind::MaySwap => (
                Op::Cas,
                json!([expected(), value]),
                Value::Null,
                Outcome::Unknown,
            ),
            Kind::FailedSwap => (
                Op::Cas,
                json!([expected(), value]),
                Value::Null,
                Outcome::Fail,
            ),
        };
        let what = What {
            op: op_name,
            key: Some(self.key_name(state.place.key).to_owned()),
            value,
            result,
            outcome,
        };
        self.ops.operation(op, what)
    }
}
