//! When operations were sent, when they ended, and by whom: the columns that all models share.

use crate::intern::Interner;
use crate::stats::seconds;
use changeover_model::history::{Line, Op, Operation, Outcome};
use serde_json::{Value, json};

/// The end of an operation whose answer never came. Later than any time that a history may hold.
pub(crate) const NEVER: i64 = i64::MAX;

/// No operation.
pub(crate) const NONE: u32 = u32::MAX;

/// Who sent an operation, and who answered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    pub(crate) process: u64,
    pub(crate) client: Option<u64>,
    pub(crate) generation: Option<u64>,
}

/// The operations of a model, by number.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    invoke: Vec<i64>,
    end: Vec<i64>,
    who: Vec<u32>,
    line: Vec<u32>,
    whos: Interner<Who>,
}

impl Ops {
    /// Adds an operation. Returns its number.
    pub(crate) fn push(&mut self, line: &Line<'_>, number: u64) -> u32 {
        let at = |time: u64| i64::try_from(time).unwrap_or(NEVER);
        let ended = line.returned.or(line.ended);
        self.invoke.push(at(line.invoke));
        self.end.push(match line.outcome {
            Outcome::Ok | Outcome::Fail => at(ended.unwrap_or(line.invoke)),
            Outcome::Unknown => NEVER,
        });
        self.who.push(self.whos.number(Who {
            process: line.process,
            client: line.client,
            generation: line.generation,
        }));
        self.line.push(u32::try_from(number).unwrap_or(u32::MAX));
        (self.invoke.len() - 1) as u32
    }

    pub(crate) fn len(&self) -> usize {
        self.invoke.len()
    }

    pub(crate) fn invoke(&self, op: u32) -> i64 {
        self.invoke[op as usize]
    }

    pub(crate) fn end(&self, op: u32) -> i64 {
        self.end[op as usize]
    }

    /// Whether it had ended before the other was sent. Two moments that are equal are in no order.
    pub(crate) fn precedes(&self, op: u32, other: u32) -> bool {
        self.end(op) < self.invoke(other)
    }

    pub(crate) fn who(&self, op: u32) -> Who {
        *self.whos.value(self.who[op as usize])
    }

    /// Whether both are of the same session: the stable client's, else the process's.
    pub(crate) fn same_session(&self, op: u32, other: u32) -> bool {
        let (a, b) = (self.who(op), self.who(other));
        match (a.client, b.client) {
            (Some(a), Some(b)) => a == b,
            (None, None) => a.process == b.process,
            _ => false,
        }
    }

    /// `client 3`, or `process 7` where clients are not told.
    pub(crate) fn name(&self, op: u32) -> String {
        let who = self.who(op);
        match who.client {
            Some(client) => format!("client {client}"),
            None => format!("process {}", who.process),
        }
    }

    /// ` from generation 2`, or nothing where it is not told.
    pub(crate) fn generation(&self, op: u32, word: &str) -> String {
        match self.who(op).generation {
            Some(generation) => format!(" {word} generation {generation}"),
            None => String::new(),
        }
    }

    /// `14.203 s`, of when it was sent.
    pub(crate) fn sent(&self, op: u32) -> String {
        time(self.invoke(op))
    }

    /// `14.203 s`, of when it ended.
    pub(crate) fn ended(&self, op: u32) -> String {
        time(self.end(op))
    }

    /// The operation as it was in its history.
    pub(crate) fn operation(&self, op: u32, what: What) -> Operation {
        let who = self.who(op);
        let unsigned = |time: i64| u64::try_from(time).unwrap_or(0);
        Operation {
            process: who.process,
            op: what.op,
            model: None,
            key: what.key,
            value: what.value,
            result: what.result,
            invoke: unsigned(self.invoke(op)),
            returned: (what.outcome != Outcome::Unknown).then(|| unsigned(self.end(op))),
            outcome: what.outcome,
            client: who.client,
            source: None,
            class: None,
            connection: None,
            intended: None,
            lateness: None,
            slot: None,
            generation: who.generation,
            error: None,
            ended: None,
        }
    }

    /// The operation as evidence: as it was, with its line.
    pub(crate) fn evidence(&self, op: u32, operation: &Operation) -> Value {
        let mut value = json!(operation);
        let line = self.line[op as usize];
        if let Some(fields) = value.as_object_mut()
            && line != 0
        {
            fields.insert("line".to_owned(), line.into());
        }
        value
    }
}

/// What an operation did, in the words of its history.
pub(crate) struct What {
    pub(crate) op: Op,
    pub(crate) key: Option<String>,
    pub(crate) value: Value,
    pub(crate) result: Value,
    pub(crate) outcome: Outcome,
}

/// `14.203 s`.
pub(crate) fn time(at: i64) -> String {
    format!("{} s", seconds(u64::try_from(at).unwrap_or(0)))
}

/// Numbers sorted into their keys: those of key k are `order[starts[k]..starts[k + 1]]`, in their own order.
pub(crate) struct ByKey {
    starts: Vec<u32>,
    order: Vec<u32>,
}

impl ByKey {
    /// Sorts 0, 1, 2… by the key of each; those whose key is [`NONE`] are left out.
    pub(crate) fn new(keys: usize, of: impl Iterator<Item = u32> + Clone) -> Self {
        let mut starts = vec![0_u32; keys + 1];
        for key in of.clone().filter(|key| *key != NONE) {
            starts[key as usize + 1] += 1;
        }
        for key in 0..keys {
            starts[key + 1] += starts[key];
        }
        let mut next = starts.clone();
        let mut order = vec![0; starts[keys] as usize];
        for (number, key) in of.enumerate() {
            if key != NONE {
                let place = &mut next[key as usize];
                order[*place as usize] = number as u32;
                *place += 1;
            }
        }
        ByKey { starts, order }
    }

    /// The numbers of a key.
    pub(crate) fn of(&self, key: u32) -> &[u32] {
        let key = key as usize;
        &self.order[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_into_their_keys() {
        let by_key = ByKey::new(3, [2, 0, NONE, 2, 0].into_iter());
        assert_eq!(by_key.of(0), [1, 4]);
        assert_eq!(by_key.of(1), [0_u32; 0]);
        assert_eq!(by_key.of(2), [0, 3]);
    }
}
