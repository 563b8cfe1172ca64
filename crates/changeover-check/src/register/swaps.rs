//! Registers where a read does not tell which write it saw: values written twice, and compare and swap.

use super::{Kind, RegisterHistory};
use crate::checker::{Budget, Doubts};
use crate::findings::Cases;
use crate::intern::FastMap;
use crate::ops::{NEVER, NONE};
use crate::scalar::NULL;
use crate::search::{Answer, Machine, Span, search};
use crate::subhistory::shrink;
use crate::timeline::Timeline;
use changeover_model::check::Check;
use changeover_model::history::Model;
use std::collections::{BTreeMap, BTreeSet};

/// A register as the search sees it; operations are numbered within the key.
struct Register {
    start: u32,
    ops: Vec<(Kind, u32, u32)>,
}

impl Machine for Register {
    type State = u32;

    fn start(&self) -> u32 {
        self.start
    }

    fn apply(&mut self, state: u32, op: u32) -> Option<u32> {
        let (kind, expected, value) = self.ops[op as usize];
        match kind {
            Kind::Read => (state == value).then_some(state),
            Kind::Write | Kind::MayWrite => Some(value),
            Kind::Swapped | Kind::MaySwap => (state == expected).then_some(value),
            Kind::Differed => (state != expected).then_some(state),
            Kind::Failed | Kind::FailedSwap => None,
        }
    }

    fn only_looks(&self, op: u32) -> bool {
        matches!(self.ops[op as usize].0, Kind::Read | Kind::Differed)
    }

    fn effect(&self, op: u32) -> (u64, u64) {
        let (kind, expected, value) = self.ops[op as usize];
        match kind {
            Kind::Write | Kind::MayWrite => (u64::MAX, u64::from(value)),
            _ => (u64::from(expected), u64::from(value)),
        }
    }
}

impl RegisterHistory {
    pub(super) fn check_swaps(
        &self,
        timeline: &Timeline,
        budget: &mut Budget,
        cases: &mut Cases,
    ) -> Doubts {
        let mut doubts = Doubts::default();
        let mut of_key: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (op, kind) in self.kinds.iter().enumerate() {
            let key = self.states[self.values[op] as usize].place.key;
            if self.searched.contains_key(&key) && !matches!(kind, Kind::Failed | Kind::FailedSwap)
            {
                of_key.entry(key).or_default().push(op as u32);
            }
        }
        let swapped = self.swapped_in();
        for (key, ops) in of_key {
            // A value from nowhere has been told, and there is no order with it.
            if ops.iter().any(|op| self.is_from_nowhere(*op, &swapped)) {
                continue;
            }
            let ops = self.without_idle(ops);
            match self.search(&ops, budget.for_one(ops.len())) {
                (Answer::Explained, used) => budget.spend(used),
                (Answer::Impossible { stuck }, used) => {
                    budget.spend(used);
                    self.tell_impossible(&ops, ops[stuck as usize], budget, timeline, cases);
                }
                (answer, used) => {
                    budget.spend(used);
                    doubts.add(Model::Register, self.key_name(key), answer);
                }
            }
        }
        doubts
    }

    fn is_from_nowhere(&self, op: u32, swapped: &BTreeSet<u32>) -> bool {
        let seen = match self.kinds[op as usize] {
            Kind::Read => self.values[op as usize],
            Kind::Swapped => match self.expected.get(&op) {
                Some(expected) => *expected,
                None => return false,
            },
            _ => return false,
        };
        let state = &self.states[seen as usize];
        state.write == NONE && state.place.scalar != NULL && !swapped.contains(&seen)
    }

    /// Leaves out what may never have taken effect and nobody saw: if there is an order with it, there is one without.
    fn without_idle(&self, ops: Vec<u32>) -> Vec<u32> {
        let kind = |op: &u32| self.kinds[*op as usize];
        // A value that somebody did not find may be any value.
        if ops.iter().any(|op| kind(op) == Kind::Differed) {
            return ops;
        }
        let mut seen: BTreeSet<u32> = BTreeSet::new();
        for op in &ops {
            match kind(op) {
                Kind::Read => {
                    seen.insert(self.values[*op as usize]);
                }
                Kind::Swapped | Kind::MaySwap => {
                    seen.extend(self.expected.get(op));
                }
                _ => {}
            }
        }
        ops.into_iter()
            .filter(|op| !self.is_open(*op) || seen.contains(&self.values[*op as usize]))
            .collect()
    }

    /// Searches the operations of one key. Also says how much of the budget was used.
    fn search(&self, ops: &[u32], budget: u64) -> (Answer, u64) {
        // Null is there from the beginning; a number that no value has stands for it if nobody mentions it.
        let mut start = NONE;
        let mut known: FastMap<u32, ()> = FastMap::default();
        let mut note = |value: u32| {
            known.insert(value, ());
            if self.states[value as usize].place.scalar == NULL {
                start = value;
            }
        };
        let mut numbered = Vec::with_capacity(ops.len());
        let mut spans = Vec::with_capacity(ops.len());
        for &op in ops {
            let value = self.values[op as usize];
            let expected = self.expected.get(&op).copied().unwrap_or(NONE);
            note(value);
            if expected != NONE {
                note(expected);
            }
            let kind = self.kinds[op as usize];
            numbered.push((kind, expected, value));
            spans.push(Span {
                invoke: self.ops.invoke(op),
                end: match kind {
                    Kind::MayWrite | Kind::MaySwap => NEVER,
                    _ => self.ops.end(op),
                },
            });
        }
        let mut machine = Register {
            start,
            ops: numbered,
        };
        let mut left = budget;
        let answer = search(&mut machine, &spans, &mut left);
        (answer, budget - left)
    }

    fn tell_impossible(
        &self,
        ops: &[u32],
        stuck: u32,
        budget: &mut Budget,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let small = self.smaller(ops, stuck, budget);
        let key = self.states[self.values[stuck as usize] as usize].place.key;
        let words = || {
            format!(
                "of {} operations on key {}, no order explains that {}",
                small.len(),
                self.key_name(key),
                self.op_words(stuck)
            )
        };
        self.tell(
            Check::NonLinearizable,
            "key whose answers no order of the operations explains",
            stuck,
            &small,
            words,
            timeline,
            cases,
        );
    }

    /// Fewer operations that no order explains either.
    ///
    /// What was sent after the answer that came too much is gone, unless it is needed as a witness. After that only
    /// what merely looked may go: without a write, a read of it would have no explanation that it had before.
    fn smaller(&self, ops: &[u32], stuck: u32, budget: &mut Budget) -> Vec<u32> {
        let due = self.ops.end(stuck);
        let kept: Vec<u32> = ops
            .iter()
            .copied()
            .filter(|op| self.ops.invoke(*op) <= due)
            .collect();
        let mut fails = |ops: &[u32]| {
            let (answer, used) = self.search(ops, budget.for_shrinking());
            budget.spend_shrinking(used);
            // What was answered later may lack what it needs: that would be another failure.
            matches!(answer, Answer::Impossible { stuck } if self.ops.end(ops[stuck as usize]) <= due)
        };
        let looks = |op: &u32| matches!(self.kinds[*op as usize], Kind::Read | Kind::Differed);
        // Of those sent before that were answered after it, writes may be what reads answered after it saw; without
        // these reads they only help.
        let early: Vec<u32> = kept
            .iter()
            .copied()
            .filter(|op| !looks(op) || self.ops.end(*op) <= due)
            .collect();
        let base = match fails(&early) {
            true => early,
            false => ops.to_vec(),
        };
        let (looking, writing): (Vec<u32>, Vec<u32>) = base.into_iter().partition(|op| looks(op));
        let with = |parts: &[u32]| {
            let mut all = [writing.as_slice(), parts].concat();
            all.sort_unstable();
            all
        };
        let needed = shrink(looking, 200, |parts| fails(&with(parts)));
        let small = with(&needed);
        let unseen = self.drop_unseen(&small);
        match fails(&unseen) {
            true => unseen,
            false => small,
        }
    }

    /// Without the values that nobody looked for: whatever order there was, there is one without them.
    fn drop_unseen(&self, ops: &[u32]) -> Vec<u32> {
        let differed = |op: &u32| self.kinds[*op as usize] == Kind::Differed;
        if ops.iter().any(differed) {
            return ops.to_vec();
        }
        let mut seen: BTreeSet<u32> = BTreeSet::new();
        for op in ops {
            if self.kinds[*op as usize] == Kind::Read {
                seen.insert(self.values[*op as usize]);
            }
            seen.extend(self.expected.get(op));
        }
        let keep =
            |op: &u32| self.expected.contains_key(op) || seen.contains(&self.values[*op as usize]);
        ops.iter().copied().filter(keep).collect()
    }

    fn op_words(&self, op: u32) -> String {
        match self.kinds[op as usize] {
            Kind::Read | Kind::Swapped => self.read_words(op),
            Kind::Differed => format!(
                "{} did not find {} at {}",
                self.ops.name(op),
                self.expected_words(op),
                self.ops.sent(op)
            ),
            _ => format!(
                "{} wrote {} between {} and {}",
                self.ops.name(op),
                self.scalars
                    .words(self.states[self.values[op as usize] as usize].place.scalar),
                self.ops.sent(op),
                self.ops.ended(op)
            ),
        }
    }

    fn expected_words(&self, op: u32) -> String {
        match self.expected.get(&op) {
            Some(value) => {
                let scalar = self.states[*value as usize].place.scalar;
                self.scalars.words(scalar).into_owned()
            }
            None => String::new(),
        }
    }
}
