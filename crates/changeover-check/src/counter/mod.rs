//! The `counter` model: a number that is added to and read.
//!
//! What a read may show lies between everything acknowledged before it was sent and everything sent before it was
//! answered. Where all amounts are equal that and a sort decide (`equal`); where they are not, many sums may give the same
//! number, and the rest is searched.

mod bounds;
mod equal;

use crate::checker::{BadInput, Budget, Doubts};
use crate::evidence;
use crate::findings::{Case, Cases};
use crate::intern::Interner;
use crate::ops::{ByKey, Ops, What};
use crate::scalar::integer;
use crate::search::{Answer, Machine, Span, search};
use crate::subhistory::{SubHistory, shrink};
use crate::timeline::Timeline;
use changeover_model::check::Check;
use changeover_model::history::{Header, Line, Model, Op, Operation, Outcome};
use serde_json::{Value, json};

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Add,
    MayAdd,
    Failed,
    /// A read that answered with no number.
    Odd,
}

/// All operations of the `counter` model.
#[derive(Debug, Default)]
pub(crate) struct CounterHistory {
    ops: Ops,
    kinds: Vec<Kind>,
    keys: Interner<String>,
    key: Vec<u32>,
    /// What was added, or read.
    numbers: Vec<i64>,
}

/// The operations of a key that matter for its order.
struct Counter<'a> {
    history: &'a CounterHistory,
    reads: Vec<u32>,
    adds: Vec<u32>,
}

impl CounterHistory {
    /// Takes an operation.
    pub(crate) fn take(&mut self, line: &Line<'_>, number: u64) -> Result<(), BadInput> {
        let Some(key) = &line.key else {
            return Err(BadInput::NoKey);
        };
        let (kind, amount) = match (line.op, line.outcome) {
            (Op::Read, Outcome::Ok) if line.result == "null" => (Kind::Read, 0),
            (Op::Read, Outcome::Ok) => match integer(line.result) {
                Some(shown) => (Kind::Read, shown),
                None => (Kind::Odd, 0),
            },
            (Op::Read, _) => return Ok(()),
            (_, outcome) => {
                let Some(amount) = integer(line.value) else {
                    return Err(BadInput::Value {
                        op: line.op,
                        expected: "a whole number of 64 bits",
                    });
                };
                let kind = match outcome {
                    Outcome::Ok => Kind::Add,
                    Outcome::Unknown => Kind::MayAdd,
                    Outcome::Fail => Kind::Failed,
                };
                (kind, amount)
            }
        };
        let key = match self.keys.known(key.as_ref()) {
            Some(key) => key,
            None => self.keys.number(key.clone().into_owned()),
        };
        self.kinds.push(kind);
        self.key.push(key);
        self.numbers.push(amount);
        self.ops.push(line, number);
        Ok(())
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
        let mut doubts = Doubts::default();
        let by_key = ByKey::new(self.keys.len(), self.key.iter().copied());
        for key in 0..self.keys.len() as u32 {
            let ops = by_key.of(key);
            let mut sound = self.check_odd(ops, timeline, cases);
            let counter = Counter::new(self, ops);
            sound &= counter.check_bounds(ops, complete, timeline, cases);
            sound &= counter.check_growth(timeline, cases);
            if !sound || !complete {
                continue;
            }
            match counter.explain(budget) {
                Answer::Explained => {}
                Answer::Impossible { stuck } => {
                    counter.tell_impossible(stuck, budget, timeline, cases);
                }
                answer => doubts.add(Model::Counter, self.keys.value(key), answer),
            }
        }
        doubts
    }

    fn check_odd(&self, ops: &[u32], timeline: &Timeline, cases: &mut Cases) -> bool {
        let mut sound = true;
        for &op in ops {
            if self.kinds[op as usize] == Kind::Odd {
                sound = false;
                let words = || {
                    format!(
                        "{} read {} at {}",
                        self.ops.name(op),
                        self.key_name(op),
                        self.ops.sent(op)
                    )
                };
                self.tell(
                    Check::InvariantBroken,
                    "counter that answered with no whole number",
                    op,
                    &[op],
                    words,
                    timeline,
                    cases,
                );
            }
        }
        sound
    }

    fn key_name(&self, op: u32) -> &str {
        self.keys.value(self.key[op as usize])
    }

    fn number(&self, op: u32) -> i64 {
        self.numbers[op as usize]
    }

    fn operation(&self, op: u32) -> Operation {
        let number = Value::from(self.number(op));
        let (name, value, result, outcome) = match self.kinds[op as usize] {
            Kind::Read => (Op::Read, Value::Null, number, Outcome::Ok),
            // What it was is of no use; that it was no number is.
            Kind::Odd => (Op::Read, Value::Null, json!("no number"), Outcome::Ok),
            Kind::Add => (Op::Add, number, Value::Null, Outcome::Ok),
            Kind::MayAdd => (Op::Add, number, Value::Null, Outcome::Unknown),
            Kind::Failed => (Op::Add, number, Value::Null, Outcome::Fail),
        };
        let what = What {
            op: name,
            key: Some(self.key_name(op).to_owned()),
            value,
            result,
            outcome,
        };
        self.ops.operation(op, what)
    }

    fn read_words(&self, op: u32) -> String {
        format!(
            "{} read {} = {} at {}{}",
            self.ops.name(op),
            self.key_name(op),
            self.number(op),
            self.ops.sent(op),
            self.ops.generation(op, "from")
        )
    }

    #[allow(clippy::too_many_arguments)]
    fn tell(
        &self,
        check: Check,
        headline: &'static str,
        about: u32,
        ops: &[u32],
        words: impl FnOnce() -> String,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let at = u64::try_from(self.ops.invoke(about)).unwrap_or(0);
        cases.add_shown(
            check,
            timeline.step_at(at),
            headline,
            || Case {
                words: words(),
                evidence: evidence::of(
                    Model::Counter,
                    timeline.phase_at(at),
                    std::iter::once(&about)
                        .chain(ops.iter().filter(|op| **op != about))
                        .take(evidence::OPERATIONS)
                        .map(|op| self.ops.evidence(*op, &self.operation(*op))),
                ),
            },
            || {
                let mut sorted = ops.to_vec();
                sorted.sort_by_key(|op| (self.ops.invoke(*op), *op));
                sorted.dedup();
                Some(SubHistory {
                    header: Header::new(Model::Counter.name()),
                    operations: sorted.into_iter().map(|op| self.operation(op)).collect(),
                })
            },
        );
    }
}

impl<'a> Counter<'a> {
    fn new(history: &'a CounterHistory, ops: &[u32]) -> Self {
        let kind = |op: &u32| history.kinds[*op as usize];
        let of = |wanted: &[Kind]| -> Vec<u32> {
            ops.iter()
                .copied()
                .filter(|op| wanted.contains(&kind(op)))
                .collect()
        };
        let mut adds = of(&[Kind::Add, Kind::MayAdd]);
        adds.retain(|add| history.number(*add) != 0);
        Counter {
            history,
            reads: of(&[Kind::Read]),
            adds,
        }
    }

    /// Whether there is an order that gives these numbers. `stuck` is the operation's own number.
    fn explain(&self, budget: &mut Budget) -> Answer {
        if let Some(answer) = self.explain_equal() {
            return answer;
        }
        let ops: Vec<u32> = self.in_order(&self.reads);
        let (answer, used) = self.search(&ops, budget.for_one(ops.len()));
        budget.spend(used);
        match answer {
            Answer::Impossible { stuck } => Answer::Impossible {
                stuck: ops[stuck as usize],
            },
            answer => answer,
        }
    }

    /// All adds and these reads, by number.
    fn in_order(&self, reads: &[u32]) -> Vec<u32> {
        let mut ops = [self.adds.as_slice(), reads].concat();
        ops.sort_unstable();
        ops
    }

    fn search(&self, ops: &[u32], budget: u64) -> (Answer, u64) {
        let times = &self.history.ops;
        let spans: Vec<Span> = ops
            .iter()
            .map(|op| Span {
                invoke: times.invoke(*op),
                end: times.end(*op),
            })
            .collect();
        let mut machine = Sum {
            ops: ops
                .iter()
                .map(|op| {
                    let read = self.history.kinds[*op as usize] == Kind::Read;
                    (read, i128::from(self.history.number(*op)))
                })
                .collect(),
        };
        let mut left = budget;
        let answer = search(&mut machine, &spans, &mut left);
        (answer, budget - left)
    }

    fn tell_impossible(
        &self,
        stuck: u32,
        budget: &mut Budget,
        timeline: &Timeline,
        cases: &mut Cases,
    ) {
        let history = self.history;
        // Only reads can go: without an add, a number may lose its explanation.
        let reads = shrink(self.reads.clone(), 200, |reads| {
            let smaller = Counter {
                history,
                reads: reads.to_vec(),
                adds: self.adds.clone(),
            };
            if let Some(answer) = smaller.explain_equal() {
                return matches!(answer, Answer::Impossible { .. });
            }
            let (answer, used) = self.search(&self.in_order(reads), budget.for_shrinking());
            budget.spend_shrinking(used);
            matches!(answer, Answer::Impossible { .. })
        });
        let last = reads.iter().map(|read| history.ops.end(*read)).max();
        let mut shows = self.in_order(&reads);
        // What was sent after the last answer is in none.
        shows.retain(|op| last.is_none_or(|last| history.ops.invoke(*op) <= last));
        let about = match reads.contains(&stuck) {
            true => stuck,
            false => reads.last().copied().unwrap_or(stuck),
        };
        let words = || {
            format!(
                "of {} operations, no order explains that {}",
                shows.len(),
                history.read_words(about)
            )
        };
        history.tell(
            Check::NonLinearizable,
            "counter whose answers no order of the operations explains",
            about,
            &shows,
            words,
            timeline,
            cases,
        );
    }
}

/// A counter as the search sees it.
struct Sum {
    ops: Vec<(bool, i128)>,
}

impl Machine for Sum {
    type State = i128;

    fn start(&self) -> i128 {
        0
    }

    fn apply(&mut self, state: i128, op: u32) -> Option<i128> {
        match self.ops[op as usize] {
            (true, shown) => (state == shown).then_some(state),
            (false, amount) => Some(state + amount),
        }
    }

    fn only_looks(&self, op: u32) -> bool {
        self.ops[op as usize].0
    }

    fn effect(&self, op: u32) -> (u64, u64) {
        let (_, amount) = self.ops[op as usize];
        (amount as u64, (amount >> 64) as u64)
    }
}
