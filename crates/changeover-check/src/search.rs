//! Wing and Gong's search for an order that explains the answers, with Lowe's improvements: an operation is put in
//! order only when its answer is due, and what was tried once is not tried again.
//!
//! A configuration is a moment, which of the operations in flight are in order already, and the state. Only those in
//! flight count, so a configuration is small however long the history is.
//!
//! Two shortcuts, neither of which loses an order: an operation that only looks is put in order as soon as the state
//! agrees with it, because nothing gets harder by that; and of several operations that would do the same, the one whose
//! answer is due first goes first.

use crate::intern::FastMap;
use crate::ops::{NEVER, NONE};
use std::hash::Hash;

/// How many operations may be in flight at once.
const SLOTS: usize = 256;

/// A state machine whose operations are known by number.
pub(crate) trait Machine {
    /// Its state.
    type State: Copy + Eq + Hash;

    /// The state before everything.
    fn start(&self) -> Self::State;

    /// The state after the operation, or `None` when its answer would have been another.
    fn apply(&mut self, state: Self::State, op: u32) -> Option<Self::State>;

    /// Whether it leaves every state as it is.
    fn only_looks(&self, op: u32) -> bool;

    /// Equal for operations that do the same to every state.
    fn effect(&self, op: u32) -> (u64, u64);
}

/// When an operation was sent and when it ended; [`NEVER`] for one that need not have taken effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) invoke: i64,
    pub(crate) end: i64,
}

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is an order.
    Explained,
    /// There is none: whatever the order, the answer of this operation cannot be right.
    Impossible { stuck: u32 },
    /// The budget was used up.
    OutOfBudget,
    /// Too many operations were in flight at once.
    TooManyAtOnce,
}

type Mask = [u64; SLOTS / 64];

fn has(mask: &Mask, slot: usize) -> bool {
    mask[slot / 64] & (1 << (slot % 64)) != 0
}

fn set(mask: &mut Mask, slot: usize) {
    mask[slot / 64] |= 1 << (slot % 64);
}

fn clear(mask: &mut Mask, slot: usize) {
    mask[slot / 64] &= !(1 << (slot % 64));
}

fn without(mask: &Mask, other: &Mask) -> Mask {
    std::array::from_fn(|word| mask[word] & !other[word])
}

/// The first slot in it from this one on.
fn next_bit(mask: &Mask, from: usize) -> Option<usize> {
    let mut word = from / 64;
    let mut rest = mask.get(word)? & (u64::MAX << (from % 64));
    while rest == 0 {
        word += 1;
        rest = *mask.get(word)?;
    }
    Some(word * 64 + rest.trailing_zeros() as usize)
}

fn bits(mask: &Mask) -> impl Iterator<Item = usize> + use<> {
    let mask = *mask;
    let mut from = 0;
    std::iter::from_fn(move || {
        let slot = next_bit(&mask, from)?;
        from = slot + 1;
        Some(slot)
    })
}

#[derive(Clone, Copy)]
struct Event {
    op: u32,
    slot: u32,
    returns: bool,
}

struct Frame<S> {
    event: usize,
    done: Mask,
    state: S,
    /// The next slot to try; the one that is due is tried first, as number 0.
    next: usize,
}

/// Looks for an order of the operations 0, 1, 2… that keeps to their times. `budget` is how many configurations it
/// may look at; what was used is taken off.
pub(crate) fn search<M: Machine>(machine: &mut M, spans: &[Span], budget: &mut u64) -> Answer {
    let Some(events) = events(spans) else {
        return Answer::TooManyAtOnce;
    };
    let mut run = Run {
        machine,
        spans,
        slots: vec![NONE; SLOTS],
        changing: Mask::default(),
        looking: Mask::default(),
    };
    let mut seen: FastMap<(u32, Mask, M::State), ()> = FastMap::default();
    let mut stack: Vec<Frame<M::State>> = Vec::new();
    let (mut event, mut done, mut state) = (0, Mask::default(), run.machine.start());
    let mut furthest = 0;
    'advance: loop {
        loop {
            let Some(&next) = events.get(event) else {
                return Answer::Explained;
            };
            let slot = next.slot as usize;
            if next.returns {
                if !has(&done, slot) {
                    break;
                }
                clear(&mut done, slot);
            } else if run.machine.only_looks(next.op) && run.machine.apply(state, next.op).is_some()
            {
                set(&mut done, slot);
            }
            run.pass(next);
            event += 1;
        }
        furthest = furthest.max(event);
        if seen.insert((event as u32, done, state), ()).is_none() {
            if *budget == 0 {
                return Answer::OutOfBudget;
            }
            *budget -= 1;
            stack.push(Frame {
                event,
                done,
                state,
                next: 0,
            });
        }
        loop {
            let Some(frame) = stack.last_mut() else {
                return Answer::Impossible {
                    stuck: events[furthest].op,
                };
            };
            while event > frame.event {
                event -= 1;
                run.unpass(events[event]);
            }
            if let Some((slot, after)) = run.choose(frame, events[event]) {
                (done, state) = (frame.done, after);
                set(&mut done, slot);
                run.look_around(&mut done, state);
                continue 'advance;
            }
            stack.pop();
        }
    }
}

struct Run<'a, M> {
    machine: &'a mut M,
    spans: &'a [Span],
    /// The operations in flight, by slot.
    slots: Vec<u32>,
    /// Those that may change the state, and those that only look.
    changing: Mask,
    looking: Mask,
}

impl<M: Machine> Run<'_, M> {
    fn pass(&mut self, event: Event) {
        let slot = event.slot as usize;
        if event.returns {
            self.slots[slot] = NONE;
            clear(&mut self.changing, slot);
            clear(&mut self.looking, slot);
        } else {
            self.slots[slot] = event.op;
            match self.machine.only_looks(event.op) {
                true => set(&mut self.looking, slot),
                false => set(&mut self.changing, slot),
            }
        }
    }

    fn unpass(&mut self, event: Event) {
        self.pass(Event {
            returns: !event.returns,
            ..event
        });
    }

    /// The next operation that may be put in order, and the state after it.
    fn choose(&mut self, frame: &mut Frame<M::State>, due: Event) -> Option<(usize, M::State)> {
        if frame.next == 0 {
            frame.next = 1;
            if let Some(after) = self.machine.apply(frame.state, due.op) {
                return Some((due.slot as usize, after));
            }
        }
        let open = without(&self.changing, &frame.done);
        while let Some(slot) = next_bit(&open, frame.next - 1) {
            frame.next = slot + 2;
            let op = self.slots[slot];
            if slot == due.slot as usize || self.has_better(op, &open) {
                continue;
            }
            if let Some(after) = self.machine.apply(frame.state, op) {
                return Some((slot, after));
            }
        }
        None
    }

    /// Whether another of these operations does the same and is due earlier.
    fn has_better(&self, op: u32, open: &Mask) -> bool {
        let rank = |op: u32| (self.spans[op as usize].end, op);
        let (own, effect) = (rank(op), self.machine.effect(op));
        bits(open).any(|slot| {
            let other = self.slots[slot];
            rank(other) < own && self.machine.effect(other) == effect
        })
    }

    /// Puts in order what only looks and agrees with the state.
    fn look_around(&mut self, done: &mut Mask, state: M::State) {
        for slot in bits(&without(&self.looking, done)) {
            if self.machine.apply(state, self.slots[slot]).is_some() {
                set(done, slot);
            }
        }
    }
}

/// Calls and returns in the order of time, calls first where they are equal, and a slot for each operation while it
/// is in flight. `None` when there are too many at once.
fn events(spans: &[Span]) -> Option<Vec<Event>> {
    let mut times: Vec<(i64, bool, u32)> = Vec::with_capacity(spans.len() * 2);
    for (op, span) in spans.iter().enumerate() {
        times.push((span.invoke, false, op as u32));
        if span.end != NEVER {
            times.push((span.end, true, op as u32));
        }
    }
    times.sort_unstable();
    let mut slots = vec![0_u32; spans.len()];
    let mut free: Vec<u32> = (0..SLOTS as u32).rev().collect();
    let mut events = Vec::with_capacity(times.len());
    for (_, returns, op) in times {
        if returns {
            free.push(slots[op as usize]);
        } else {
            slots[op as usize] = free.pop()?;
        }
        events.push(Event {
            op,
            slot: slots[op as usize],
            returns,
        });
    }
    Some(events)
}
