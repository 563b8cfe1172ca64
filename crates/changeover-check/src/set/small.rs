//! The small history that shows a finding about a set.
//!
//! A set's history is still right when everything about an element is taken out of it: its adds, and its place in the
//! answers. So a few reads, and of their answers a few elements, are enough.

use super::{AddRecord, ReadKind, ReadRecord, SetHistory};
use crate::subhistory::SubHistory;
use changeover_model::history::{Connection, Header, Model, Op, Operation, Outcome, Source};
use serde_json::Value;

impl SetHistory {
    /// These reads, and the adds of these elements of their key.
    pub(super) fn small(&self, reads: &[&ReadRecord], elements: &[u32]) -> SubHistory {
        let Some(key) = reads.first().map(|read| read.key) else {
            return SubHistory {
                header: Header::new(Model::Set.name()),
                operations: Vec::new(),
            };
        };
        let mut operations: Vec<Operation> = Vec::new();
        for &element in elements {
            let state = &self.states[key as usize].elements[element as usize];
            operations.extend(self.adds_of(state).map(|add| self.add_operation(add)));
        }
        for read in reads {
            let mut shown: Vec<u32> = elements.to_vec();
            shown.retain(|element| read.shown.contains(*element));
            let shown = shown.iter().map(|element| self.element_json(key, *element));
            operations.push(self.read_operation(read, shown.collect()));
        }
        operations.sort_by_key(|o| (o.invoke, o.returned.unwrap_or(u64::MAX)));
        operations.dedup();
        SubHistory {
            header: Header::new(Model::Set.name()),
            operations,
        }
    }

    /// A read that shows an element too often.
    pub(super) fn small_repeated(&self, read: &ReadRecord, element: u32, times: u32) -> SubHistory {
        let mut small = self.small(&[read], &[element]);
        let shown = vec![self.element_json(read.key, element); times as usize];
        for operation in &mut small.operations {
            if operation.op == Op::Read {
                operation.result = Value::Array(shown.clone());
            }
        }
        small
    }

    pub(super) fn add_operation(&self, add: &AddRecord) -> Operation {
        let (outcome, returned) = match (add.acknowledged, add.failed) {
            (Some(at), _) => (Outcome::Ok, Some(at)),
            (None, true) => (Outcome::Fail, Some(add.invoke)),
            (None, false) => (Outcome::Unknown, None),
        };
        let session = self.sessions.value(add.session);
        Operation {
            process: add.process,
            op: Op::Add,
            value: self.element_json(add.key, add.element),
            key: Some(self.key_name(add.key).to_owned()),
            invoke: add.invoke,
            returned,
            outcome,
            client: session.client,
            ..blank()
        }
    }

    pub(super) fn read_operation(&self, read: &ReadRecord, shown: Vec<Value>) -> Operation {
        let session = self.sessions.value(read.session);
        let (source, connection) = match read.kind {
            ReadKind::Client => (None, None),
            ReadKind::Full => (Some(Source::FullRead), None),
            ReadKind::Observer => (Some(Source::Observer), Some(Connection::Direct)),
        };
        Operation {
            process: read.process,
            op: Op::Read,
            key: Some(self.key_name(read.key).to_owned()),
            result: Value::Array(shown),
            invoke: read.invoke,
            returned: Some(read.returned),
            client: session.client,
            generation: session.generation,
            source,
            connection,
            ..blank()
        }
    }
}

fn blank() -> Operation {
    Operation {
        process: 0,
        op: Op::Read,
        model: None,
        key: None,
        value: Value::Null,
        result: Value::Null,
        invoke: 0,
        returned: None,
        outcome: Outcome::Ok,
        client: None,
        source: None,
        class: None,
        connection: None,
        intended: None,
        lateness: None,
        slot: None,
        generation: None,
        error: None,
        ended: None,
    }
}
