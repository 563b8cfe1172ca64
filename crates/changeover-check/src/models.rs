//! The operations of a history, sorted by model.

use crate::append::AppendHistory;
use crate::bank::BankHistory;
use crate::checker::{BadInput, Budget, Consistency, Doubts, ModelReport};
use crate::counter::CounterHistory;
use crate::findings::{Cases, Found};
use crate::register::RegisterHistory;
use crate::set::SetHistory;
use crate::timeline::Timeline;
use changeover_model::check::Severity;
use changeover_model::history::{Header, Line, Model};
use changeover_model::verdict::VerdictOutcome;

/// All models' operations.
#[derive(Debug)]
pub(crate) struct Models {
    register: RegisterHistory,
    pub(crate) set: SetHistory,
    counter: CounterHistory,
    append: AppendHistory,
    bank: BankHistory,
}

/// What came out of judging them.
pub(crate) struct JudgedModels {
    pub(crate) models: Vec<ModelReport>,
    pub(crate) findings: Vec<Found>,
}

impl Models {
    /// The models of a history with this first line.
    pub(crate) fn new(header: &Header, consistency: Consistency) -> Self {
        Models {
            register: RegisterHistory::default(),
            set: SetHistory::default(),
            counter: CounterHistory::default(),
            append: AppendHistory::new(consistency),
            bank: BankHistory::new(header),
        }
    }

    /// Takes an operation of a model.
    pub(crate) fn take(
        &mut self,
        model: Model,
        line: &Line<'_>,
        number: u64,
    ) -> Result<(), BadInput> {
        match model {
            Model::Register => self.register.take(line, number),
            Model::Set => self.set.take(line, number),
            Model::Counter => self.counter.take(line, number),
            Model::Append => self.append.take(line, number),
            Model::Bank => self.bank.take(line, number),
        }
    }

    /// How many operations there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.register.len()
            + self.set.len()
            + self.counter.len()
            + self.append.len()
            + self.bank.len()
    }

    /// What no further operation can explain.
    pub(crate) fn judge_certain(&self, timeline: &Timeline) -> Vec<Found> {
        let mut budget = Budget::default();
        let mut cases = Cases::default();
        // Without a doubt about what is not there yet, and without a search.
        let _ = self
            .register
            .judge(timeline, false, &mut budget, &mut cases);
        let _ = self.append.judge(timeline, false, &mut cases);
        let _ = self.bank.judge(timeline, &mut cases);
        let mut found = self.set.judge_certain(timeline);
        found.extend(cases.into_found());
        found
    }

    /// Judges each model that has operations.
    pub(crate) fn judge(&self, timeline: &Timeline) -> JudgedModels {
        let complete = timeline.history_is_complete();
        let mut budget = Budget::default();
        let mut judged = JudgedModels {
            models: Vec::new(),
            findings: Vec::new(),
        };
        if self.register.len() > 0 {
            let mut cases = Cases::default();
            let doubts = self
                .register
                .judge(timeline, complete, &mut budget, &mut cases);
            judged.add(Model::Register, cases.into_found(), &doubts);
        }
        if self.set.len() > 0 {
            let found = self.set.judge_all(timeline);
            judged.add(Model::Set, found, &Doubts::default());
        }
        if self.counter.len() > 0 {
            let mut cases = Cases::default();
            let doubts = self
                .counter
                .judge(timeline, complete, &mut budget, &mut cases);
            judged.add(Model::Counter, cases.into_found(), &doubts);
        }
        if self.append.len() > 0 {
            let mut cases = Cases::default();
            let doubts = self.append.judge(timeline, complete, &mut cases);
            judged.add(Model::Append, cases.into_found(), &doubts);
        }
        if self.bank.len() > 0 {
            let mut cases = Cases::default();
            let doubts = self.bank.judge(timeline, &mut cases);
            judged.add(Model::Bank, cases.into_found(), &doubts);
        }
        judged
    }
}

impl JudgedModels {
    fn add(&mut self, model: Model, found: Vec<Found>, doubts: &Doubts) {
        let errors = found
            .iter()
            .filter(|f| f.finding.severity == Severity::Error)
            .count();
        let (outcome, reason) = match (errors, doubts.reason()) {
            (0, None) => (VerdictOutcome::Pass, None),
            (0, reason) => (VerdictOutcome::Inconclusive, reason),
            (n, None) => (VerdictOutcome::Fail, Some(format!("{n} finding(s)"))),
            (n, Some(doubts)) => (
                VerdictOutcome::Fail,
                Some(format!("{n} finding(s); {doubts}")),
            ),
        };
        self.models.push(ModelReport {
            model,
            outcome,
            reason,
        });
        self.findings.extend(found);
    }
}
