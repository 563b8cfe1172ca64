//! The `set` model: what was added, what every read showed, and the checks on it.
//!
//! Millions of operations must fit. Keys, elements and clients are numbers, and an answer is a bit set over the
//! numbers its key gave to elements, because keys hold about a hundred. Nothing is judged while operations come in:
//! a read may be recorded before the write whose element it shows.

mod effects;
mod freshness;
mod linear;
mod session;
mod small;

use crate::bits::Bits;
use crate::checker::BadInput;
use crate::findings::{Cases, Found};
use crate::intern::{FastMap, Interner};
use crate::ops::NONE;
use crate::scalar::{Scalar as Element, Scalars, items};
use crate::stats::seconds;
use crate::timeline::Timeline;
use changeover_model::history::{Class, Connection, Line, Op, Operation, Outcome, Source};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Whose session an operation belongs to: the stable client where there is one, else the process. The rest keeps
/// numbers apart that different parts of a harness may have given twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Session {
    source: Option<Source>,
    class: Option<Class>,
    connection: Option<Connection>,
    generation: Option<u64>,
    client: Option<u64>,
    process: Option<u64>,
}

/// What a read is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadKind {
    /// A lane's or the workload's.
    Client,
    /// Part of a full read: what it lacks is lost.
    Full,
    /// A direct observer's: it may lag behind.
    Observer,
}

/// A successful read.
#[derive(Debug)]
struct ReadRecord {
    key: u32,
    session: u32,
    process: u64,
    invoke: u64,
    returned: u64,
    kind: ReadKind,
    line: u32,
    shown: Bits,
}

/// An add, however it ended.
#[derive(Debug)]
struct AddRecord {
    key: u32,
    element: u32,
    session: u32,
    process: u64,
    invoke: u64,
    /// When it was acknowledged.
    acknowledged: Option<u64>,
    /// Whether it certainly had no effect.
    failed: bool,
    /// Whether a direct observer sent it: then it is neither expected in full reads nor missed in answers.
    observer: bool,
    line: u32,
    /// The add before this one of the same element, or [`NONE`].
    previous: u32,
}

/// What is known of an element of a key.
#[derive(Debug)]
struct ElementState {
    element: Element,
    /// The last add of it, or [`NONE`].
    last_add: u32,
    /// The read that returned first of those that showed it, or [`NONE`], and when.
    first_shown: u32,
    first_shown_at: u64,
}

#[derive(Debug, Default)]
struct KeyState {
    numbers: FastMap<Element, u32>,
    elements: Vec<ElementState>,
}

impl KeyState {
    /// The number of an element. Answers mostly list elements in the order in which they were added, so the number
    /// after the last one is tried first.
    fn number(&mut self, element: Element, guess: u32) -> u32 {
        if let Some(state) = self.elements.get(guess as usize)
            && state.element == element
        {
            return guess;
        }
        let next = self.elements.len() as u32;
        let number = *self.numbers.entry(element).or_insert(next);
        if number == next {
            self.elements.push(ElementState {
                element,
                last_add: NONE,
                first_shown: NONE,
                first_shown_at: u64::MAX,
            });
        }
        number
    }
}

/// An element that an answer showed more than once.
#[derive(Debug)]
struct Repeat {
    /// The read that showed it most often.
    read: u32,
    times: u32,
}

/// An answer that is no list.
#[derive(Debug)]
struct OddAnswer {
    key: u32,
    session: u32,
    process: u64,
    invoke: u64,
    returned: u64,
}

/// All operations of the `set` model.
#[derive(Debug, Default)]
pub(crate) struct SetHistory {
    keys: Interner<String>,
    states: Vec<KeyState>,
    scalars: Scalars,
    sessions: Interner<Session>,
    adds: Vec<AddRecord>,
    reads: Vec<ReadRecord>,
    /// By key and element.
    repeats: FastMap<(u32, u32), Repeat>,
    odd: Vec<OddAnswer>,
}

impl SetHistory {
    /// Takes an operation, if it is one of the model.
    pub(crate) fn operation(&mut self, operation: &Operation) {
        if operation.model.as_deref().is_some_and(|m| m != "set") || operation.key.is_none() {
            return;
        }
        let (value, result) = (operation.value.to_string(), operation.result.to_string());
        // A key is all that could be missing.
        let _ = self.take(&Line::of(operation, &value, &result), 0);
    }

    /// Takes an operation of the model.
    pub(crate) fn take(&mut self, line: &Line<'_>, number: u64) -> Result<(), BadInput> {
        let Some(key) = &line.key else {
            return Err(BadInput::NoKey);
        };
        match (line.op, line.outcome) {
            (Op::Add, _) => {
                let key = self.key(key);
                self.add(key, line, number);
            }
            (Op::Read, Outcome::Ok) => {
                let key = self.key(key);
                self.read(key, line, number);
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, key: u32, line: &Line<'_>, number: u64) {
        let element = self.scalars.of(line.value);
        let session = self.session(line);
        let state = &mut self.states[key as usize];
        let guess = state.elements.len() as u32;
        let element = state.number(element, guess);
        let record = AddRecord {
            key,
            element,
            session,
            process: line.process,
            invoke: line.invoke,
            acknowledged: line.acknowledged(),
            failed: line.outcome == Outcome::Fail,
            observer: line.source == Some(Source::Observer),
            line: u32::try_from(number).unwrap_or(u32::MAX),
            previous: state.elements[element as usize].last_add,
        };
        state.elements[element as usize].last_add = self.adds.len() as u32;
        self.adds.push(record);
    }

    fn read(&mut self, key: u32, line: &Line<'_>, number: u64) {
        let session = self.session(line);
        let returned = line.acknowledged().unwrap_or(line.invoke);
        let read = self.reads.len() as u32;
        let mut shown = Bits::default();
        let mut again: Vec<u32> = Vec::new();
        let mut guess = 0;
        let state = &mut self.states[key as usize];
        let list = items(&mut self.scalars, line.result, |element| {
            let number = state.number(element, guess);
            guess = number + 1;
            if !shown.insert(number) {
                again.push(number);
                return;
            }
            let element = &mut state.elements[number as usize];
            if element.first_shown == NONE || returned < element.first_shown_at {
                (element.first_shown, element.first_shown_at) = (read, returned);
            }
        });
        if list.is_none() {
            self.odd.push(OddAnswer {
                key,
                session,
                process: line.process,
                invoke: line.invoke,
                returned,
            });
            return;
        }
        self.note_repeats(key, read, &mut again);
        self.reads.push(ReadRecord {
            key,
            session,
            process: line.process,
            invoke: line.invoke,
            returned,
            kind: match line.source {
                Some(Source::Observer) => ReadKind::Observer,
                Some(Source::FullRead) => ReadKind::Full,
                Some(Source::Lane | Source::Workload) | None => ReadKind::Client,
            },
            line: u32::try_from(number).unwrap_or(u32::MAX),
            shown,
        });
    }

    fn note_repeats(&mut self, key: u32, read: u32, again: &mut [u32]) {
        again.sort_unstable();
        for run in again.chunk_by(|a, b| a == b) {
            let times = run.len() as u32 + 1;
            let repeat = self
                .repeats
                .entry((key, run[0]))
                .or_insert(Repeat { read, times });
            if times > repeat.times {
                *repeat = Repeat { read, times };
            }
        }
    }

    fn key(&mut self, name: &str) -> u32 {
        let key = match self.keys.known(name) {
            Some(key) => key,
            None => self.keys.number(name.to_owned()),
        };
        if self.states.len() <= key as usize {
            self.states.push(KeyState::default());
        }
        key
    }

    fn session(&mut self, line: &Line<'_>) -> u32 {
        self.sessions.number(Session {
            source: line.source,
            class: line.class,
            connection: line.connection,
            generation: line.generation,
            client: line.client,
            process: match line.client {
                Some(_) => None,
                None => Some(line.process),
            },
        })
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.adds.len() + self.reads.len() + self.odd.len()
    }

    /// What the events of a run make wrong.
    #[cfg(test)]
    pub(crate) fn judge(&self, timeline: &Timeline) -> Vec<changeover_model::verdict::Finding> {
        let mut cases = Cases::default();
        self.check_effects(timeline, &mut cases);
        self.check_sessions(timeline, &mut cases);
        cases.into_findings()
    }

    /// All findings of the model: what happened to single writes and single clients, and whether one order explains
    /// all answers.
    pub(crate) fn judge_all(&self, timeline: &Timeline) -> Vec<Found> {
        let mut cases = Cases::default();
        let lost = self.check_effects(timeline, &mut cases);
        let told = self.check_sessions(timeline, &mut cases);
        self.check_order(&lost, &told, true, timeline, &mut cases);
        cases.into_found()
    }

    /// What no further operation can explain.
    pub(crate) fn judge_certain(&self, timeline: &Timeline) -> Vec<Found> {
        let mut cases = Cases::default();
        let told = self.check_sessions(timeline, &mut cases);
        self.check_order(&BTreeSet::new(), &told, false, timeline, &mut cases);
        cases.into_found()
    }

    fn adds_of(&self, state: &ElementState) -> impl Iterator<Item = &AddRecord> {
        let mut next = state.last_add;
        std::iter::from_fn(move || {
            let add = self.adds.get(next as usize)?;
            next = add.previous;
            Some(add)
        })
    }

    fn key_name(&self, key: u32) -> &str {
        self.keys.value(key)
    }

    fn element_json(&self, key: u32, element: u32) -> Value {
        let state = &self.states[key as usize].elements[element as usize];
        self.scalars.json(state.element)
    }

    fn add_json(&self, add: &AddRecord) -> Value {
        let outcome = match (add.acknowledged, add.failed) {
            (Some(_), _) => "ok",
            (None, true) => "fail",
            (None, false) => "unknown",
        };
        with_line(
            add.line,
            json!({
                "op": "add",
                "process": add.process,
                "client": self.sessions.value(add.session).client,
                "key": self.key_name(add.key),
                "value": self.element_json(add.key, add.element),
                "outcome": outcome,
                "sent_s": seconds(add.invoke),
                "returned_s": add.acknowledged.map(seconds),
            }),
        )
    }

    fn read_json(&self, read: &ReadRecord) -> Value {
        let session = self.sessions.value(read.session);
        with_line(
            read.line,
            json!({
                "op": "read",
                "by": match read.kind {
                    ReadKind::Client => "client",
                    ReadKind::Full => "full-read",
                    ReadKind::Observer => "observer",
                },
                "process": read.process,
                "client": session.client,
                "generation": session.generation,
                "key": self.key_name(read.key),
                "sent_s": seconds(read.invoke),
                "returned_s": seconds(read.returned),
            }),
        )
    }
}

/// Says where in its file an operation stands, if it was read from one.
fn with_line(line: u32, mut operation: Value) -> Value {
    if let Some(fields) = operation.as_object_mut()
        && line != 0
    {
        fields.insert("line".to_owned(), line.into());
    }
    operation
}
