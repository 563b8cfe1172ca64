//! Looks at a history while it is written, for what is certain already.
//!
//! It keeps a window and not the whole: a run may be long, and the full check comes at its end. What a window shows is a
//! contradiction whatever came before it and will come after, as long as no value is written twice, which our own
//! workload sees to.

use crate::checker::Consistency;
use crate::models::Models;
use crate::timeline::Timeline;
use changeover_model::history::{Connection, Header, Line, Model, Op, Operation, Source};
use changeover_model::verdict::Finding;
use std::collections::BTreeSet;

/// How many operations are looked at together, at most and at least.
const WINDOW: usize = 20_000;

/// The operations of the last while.
#[derive(Debug)]
pub struct Rolling {
    /// Two windows, the second half as old as the first, so that none begins with nothing.
    older: Models,
    newer: Models,
    count: usize,
    fresh: bool,
    told: BTreeSet<String>,
    header: Header,
}

impl Rolling {
    /// For a history that begins with this line.
    pub fn new(header: &Header) -> Self {
        let empty = || Models::new(header, Consistency::default());
        Rolling {
            older: empty(),
            newer: empty(),
            count: 0,
            fresh: false,
            told: BTreeSet::new(),
            header: header.clone(),
        }
    }

    /// Takes an operation that has ended.
    pub fn take(&mut self, operation: &Operation) {
        let Some(model) = model_of(operation) else {
            return;
        };
        if self.count == WINDOW {
            let empty = Models::new(&self.header, Consistency::default());
            self.older = std::mem::replace(&mut self.newer, empty);
            self.count = WINDOW / 2;
        }
        self.count += 1;
        self.fresh = true;
        let (value, result) = (operation.value.to_string(), operation.result.to_string());
        let line = Line::of(operation, &value, &result);
        // What does not fit its model is told at the end.
        let _ = self.older.take(model, &line, 0);
        if self.count > WINDOW / 2 {
            let _ = self.newer.take(model, &line, 0);
        }
    }

    /// The findings that are new since the last call. Each kind is told once; at the end they are counted.
    pub fn look(&mut self) -> Vec<Finding> {
        if !std::mem::take(&mut self.fresh) {
            return Vec::new();
        }
        let found = self.older.judge_certain(&Timeline::default());
        let kind = |finding: &Finding| {
            let message = finding.message.split_once('×').map_or("", |(_, rest)| rest);
            let headline = message.split(": ").next().unwrap_or_default();
            format!("{}{headline}", finding.check)
        };
        found
            .into_iter()
            .map(|found| found.finding)
            .filter(|finding| self.told.insert(kind(finding)))
            .collect()
    }
}

/// The model that an operation of a run belongs to; none for connecting, and for what went past the front door.
pub(crate) fn model_of(operation: &Operation) -> Option<Model> {
    let apart = operation.op == Op::Connect
        || operation.source == Some(Source::Observer)
        || operation.connection == Some(Connection::Direct);
    match (&operation.model, apart) {
        (_, true) => None,
        (Some(name), _) => Model::named(name),
        (None, _) => Some(Model::Set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, read};
    use changeover_model::check::Check;

    #[test]
    fn a_finding_is_told_as_soon_as_it_is_certain_and_once() {
        let mut rolling = Rolling::new(&Header::new(Model::Set.name()));
        rolling.take(&read(2, "k", &[7], (1, 2)));
        // Perhaps its add is still on its way.
        assert_eq!(rolling.look(), []);
        rolling.take(&add(1, "k", 5, (10, 20)));
        rolling.take(&read(2, "k", &[7], (30, 40)));
        let found = rolling.look();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].check, Check::StaleRead);
        rolling.take(&read(3, "k", &[7], (50, 60)));
        assert_eq!(rolling.look(), []);
        rolling.take(&read(3, "k", &[], (70, 80)));
        assert_eq!(rolling.look()[0].check, Check::NonMonotonicRead);
    }

    #[test]
    fn a_long_run_is_looked_at_through_a_window() {
        let mut rolling = Rolling::new(&Header::new(Model::Set.name()));
        let at = |n: usize| (n as u64 * 10, n as u64 * 10 + 5);
        for n in 0..3 * WINDOW {
            rolling.take(&add(1, &format!("k{}", n / 100), n as i64, at(n)));
            assert!(rolling.older.len() <= WINDOW);
            assert!(n < WINDOW || rolling.older.len() >= WINDOW / 2);
        }
        assert_eq!(rolling.look(), []);
        let last = 3 * WINDOW - 1;
        rolling.take(&read(2, &format!("k{}", last / 100), &[], at(last + 1)));
        assert_eq!(rolling.look()[0].check, Check::StaleRead);
        // Of the first keys nothing is known any more.
        rolling.take(&read(2, "k0", &[], at(last + 2)));
        assert_eq!(rolling.look(), []);
    }
}
