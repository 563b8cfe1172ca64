//! Whether writes are there and answers are right, over any number of operations.
//!
//! Lanes fill one key after the other, each with a hundred elements. As long as a key is in use its operations are
//! judged as those of every `set` are; then a few words of bits are all that is kept of it, which is enough to compare
//! everything acknowledged with the full read at the end.

use super::histogram::Histogram;
use crate::findings::{Case, Cases, LISTED};
use crate::set::SetHistory;
use crate::stats::{SECOND, seconds};
use crate::timeline::Timeline;
use changeover_model::check::Check;
use changeover_model::history::{Op, Operation, Outcome, Source};
use changeover_model::verdict::{Finding, FreshnessReport};
use changeover_model::workload::ELEMENTS_PER_KEY;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How often it is looked for keys that are no longer in use, in operations.
const LOOK: u64 = 1024;

#[derive(Debug, Default)]
pub(super) struct Effects {
    horizon: u64,
    taken: u64,
    in_use: BTreeMap<String, InUse>,
    keys: BTreeMap<String, Known>,
    lags: Histogram,
    findings: BTreeMap<Check, Listed>,
    cases: Cases,
}

/// A key of which operations may still come.
#[derive(Debug, Default)]
struct InUse {
    history: SetHistory,
    newest: u64,
    /// The acknowledged elements, and when.
    acknowledged: Vec<(u64, i64)>,
}

/// What is kept of a key: element n is bit n modulo 100.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    acknowledged: u128,
    unknown: u128,
    failed: u128,
    shown: u128,
    compared: bool,
}

/// Findings of a check, of which only the first are listed.
#[derive(Debug, Default)]
struct Listed {
    findings: Vec<Finding>,
    more: u64,
}

/// Acknowledged writes that no full read ever compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uncompared {
    pub(super) writes: u64,
    pub(super) keys: u64,
}

impl Effects {
    /// Operations may take `timeout` nanoseconds.
    pub(super) fn new(timeout: u64) -> Self {
        Effects {
            horizon: timeout.saturating_mul(3).saturating_add(5 * SECOND),
            ..Effects::default()
        }
    }

    /// Takes an operation, if it is one of the model.
    pub(super) fn operation(&mut self, operation: &Operation) {
        let Some(key) = &operation.key else {
            return;
        };
        match (operation.source, operation.op) {
            (Some(Source::FullRead), Op::Read) => self.full_read(key, operation),
            (_, Op::Add | Op::Read) => self.of_lane(key, operation),
            _ => return,
        }
        self.taken += 1;
        if self.taken.is_multiple_of(LOOK) {
            self.retire(operation.invoke, false, &Timeline::default());
        }
    }

    fn of_lane(&mut self, key: &str, operation: &Operation) {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.to_owned(), Known::default());
            self.in_use.insert(key.to_owned(), InUse::default());
        }
        if let Some(known) = self.keys.get_mut(key) {
            known.take(operation);
        }
        // What comes after its key was done with is compared all the same.
        let Some(in_use) = self.in_use.get_mut(key) else {
            return;
        };
        in_use.newest = in_use.newest.max(operation.invoke);
        if operation.outcome == Outcome::Ok {
            match (operation.op, operation.value.as_i64()) {
                (Op::Add, Some(value)) => {
                    let at = operation.returned.unwrap_or(operation.invoke);
                    in_use.acknowledged.push((at, value));
                }
                _ => self.lags.add(in_use.lag(operation)),
            }
        }
        in_use.history.operation(operation);
    }

    /// Judges keys that are no longer in use, or all of them, and keeps what the full read at the end needs.
    fn retire(&mut self, now: u64, all: bool, timeline: &Timeline) {
        let done: Vec<String> = self
            .in_use
            .iter()
            .filter(|(_, key)| all || key.newest.saturating_add(self.horizon) < now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in done {
            let Some(key) = self.in_use.remove(&name) else {
                continue;
            };
            for found in key.history.judge_all(timeline) {
                let finding = found.finding;
                let listed = self.findings.entry(finding.check).or_default();
                match listed.findings.len() < LISTED {
                    true => listed.findings.push(finding),
                    false => listed.more += 1,
                }
            }
        }
    }

    fn full_read(&mut self, key: &str, operation: &Operation) {
        if operation.outcome != Outcome::Ok {
            return;
        }
        let known = self.keys.entry(key.to_owned()).or_default();
        known.compared = true;
        let mut shown = 0;
        let mut problems = Vec::new();
        for value in operation.result.as_array().map_or(&[][..], Vec::as_slice) {
            match value.as_i64().and_then(|value| bit(key, value)) {
                None => problems.push((
                    Check::InvariantBroken,
                    "element shown that nobody ever wrote",
                    value.clone(),
                )),
                Some(bit) if shown & bit != 0 => problems.push((
                    Check::DuplicatedEffect,
                    "element shown more often than it was added",
                    value.clone(),
                )),
                Some(bit) => shown |= bit,
            }
        }
        let explained = known.acknowledged | known.unknown;
        let lost = known.acknowledged & !shown;
        let vanished = known.shown & explained & !known.acknowledged & !shown;
        let zombies = shown & !explained & known.failed;
        let strangers = shown & !explained & !known.failed;
        for (check, headline, bits) in [
            (
                Check::LostWrite,
                "acknowledged write missing from a later full read",
                lost,
            ),
            (
                Check::LostWrite,
                "element that a client was shown, missing from a later full read",
                vanished,
            ),
            (
                Check::ZombieWrite,
                "element shown whose write had failed",
                zombies,
            ),
            (
                Check::InvariantBroken,
                "element shown that nobody ever wrote",
                strangers,
            ),
        ] {
            let values = elements(key, bits);
            problems.extend(values.map(|value| (check, headline, json!(value))));
        }
        for (check, headline, value) in problems {
            self.cases.add(check, None, headline, || Case {
                words: format!("{value} of key {key}"),
                evidence: json!({
                    "key": key,
                    "value": value,
                    "read_sent_s": seconds(operation.invoke),
                    "read_returned_s": operation.returned.map(seconds),
                }),
            });
        }
    }

    /// Acknowledged writes that were never compared with a full read.
    pub(super) fn uncompared(&self) -> Option<Uncompared> {
        let open = self
            .keys
            .values()
            .filter(|known| !known.compared && known.acknowledged != 0);
        let (mut writes, mut keys) = (0, 0);
        for known in open {
            writes += u64::from(known.acknowledged.count_ones());
            keys += 1;
        }
        (keys > 0).then_some(Uncompared { writes, keys })
    }

    /// The lag of the lanes' reads: the age, when one was sent, of the oldest acknowledged write that it lacks.
    pub(super) fn freshness(&self) -> FreshnessReport {
        FreshnessReport {
            p50_ms: self.lags.percentile_ms(50),
            max_ms: self.lags.max_ms(),
        }
    }

    /// What was found.
    pub(super) fn finish(mut self, timeline: &Timeline) -> Vec<Finding> {
        self.retire(0, true, timeline);
        let mut findings = self.cases.into_findings();
        for listed in std::mem::take(&mut self.findings).into_values() {
            let mut of_check = listed.findings;
            if let Some(last) = of_check.last_mut()
                && listed.more > 0
            {
                last.message = format!("{}; and in {} more keys", last.message, listed.more);
            }
            findings.extend(of_check);
        }
        findings
    }
}

impl InUse {
    fn lag(&self, read: &Operation) -> u64 {
        let shown = read.result.as_array().map_or(&[][..], Vec::as_slice);
        let missing = self
            .acknowledged
            .iter()
            .filter(|(at, value)| *at < read.invoke && !shown.iter().any(|v| v == value));
        missing
            .map(|(at, _)| read.invoke - at)
            .max()
            .unwrap_or_default()
    }
}

impl Known {
    fn take(&mut self, operation: &Operation) {
        let key = operation.key.as_deref().unwrap_or_default();
        match operation.op {
            Op::Add => {
                let bit = operation.value.as_i64().and_then(|v| bit(key, v));
                let bits = match operation.outcome {
                    Outcome::Ok => &mut self.acknowledged,
                    Outcome::Unknown => &mut self.unknown,
                    Outcome::Fail => &mut self.failed,
                };
                *bits |= bit.unwrap_or_default();
            }
            _ => {
                let shown = operation.result.as_array().map_or(&[][..], Vec::as_slice);
                for value in shown.iter().filter_map(Value::as_i64) {
                    self.shown |= bit(key, value).unwrap_or_default();
                }
            }
        }
    }
}

/// The element's bit; `None` if lanes do not put it into that key.
fn bit(key: &str, value: i64) -> Option<u128> {
    let value = u64::try_from(value).ok()?;
    (value / ELEMENTS_PER_KEY == number(key)?).then(|| 1 << (value % ELEMENTS_PER_KEY))
}

fn elements(key: &str, bits: u128) -> impl Iterator<Item = u64> {
    let first = number(key).unwrap_or_default() * ELEMENTS_PER_KEY;
    let set = move |n: &u64| bits >> n & 1 == 1;
    (0..ELEMENTS_PER_KEY).filter(set).map(move |n| first + n)
}

/// Keys are `SERIES.NUMBER`.
fn number(key: &str) -> Option<u64> {
    key.rsplit_once('.')?.1.parse().ok()
}

/// Doubts about the comparison.
pub(super) fn doubts(effects: &Effects) -> Option<String> {
    let Uncompared { writes, keys } = effects.uncompared()?;
    Some(format!(
        "{writes} acknowledged write(s) to {keys} key(s) were never compared with a full read"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, ended, full_read, read};

    const KEY: &str = "p.lane.held.3";

    fn found(operations: &[Operation]) -> (Vec<Check>, Option<Uncompared>) {
        let mut effects = Effects::new(SECOND);
        for operation in operations {
            effects.operation(operation);
        }
        let uncompared = effects.uncompared();
        let findings = effects.finish(&Timeline::default());
        (findings.iter().map(|f| f.check).collect(), uncompared)
    }

    fn checks(operations: &[Operation]) -> Vec<Check> {
        found(operations).0
    }

    fn write(value: i64, at: u64) -> Operation {
        add(1, KEY, value, (at, at + 5))
    }

    #[test]
    fn everything_acknowledged_must_be_in_the_full_read() {
        let writes = [write(300, 10), write(399, 20)];
        let with = |shown: &[i64]| [&writes[..], &[full_read(KEY, shown, (90, 95))]].concat();
        assert_eq!(found(&with(&[300, 399])), (vec![], None));
        assert_eq!(checks(&with(&[399])), [Check::LostWrite]);
        assert_eq!(checks(&with(&[399, 300, 300])), [Check::DuplicatedEffect]);
        assert_eq!(checks(&with(&[300, 399, 301])), [Check::InvariantBroken]);
        assert_eq!(checks(&with(&[300, 399, 7])), [Check::InvariantBroken]);
        let uncompared = Uncompared { writes: 2, keys: 1 };
        assert_eq!(found(&writes), (vec![], Some(uncompared)));
        let unread = ended(full_read(KEY, &[], (90, 95)), Outcome::Fail);
        let unread = [&writes[..], &[unread]].concat();
        assert_eq!(found(&unread), (vec![], Some(uncompared)));
    }

    #[test]
    fn a_failed_write_must_not_show_and_one_that_was_shown_must_stay() {
        let failed = ended(write(300, 10), Outcome::Fail);
        let shown = full_read(KEY, &[300], (90, 95));
        assert_eq!(checks(&[failed, shown.clone()]), [Check::ZombieWrite]);
        let unknown = ended(write(300, 10), Outcome::Unknown);
        assert_eq!(checks(&[unknown.clone(), shown]), []);
        let gone = full_read(KEY, &[], (90, 95));
        assert_eq!(checks(&[unknown.clone(), gone.clone()]), []);
        let seen = read(2, KEY, &[300], (30, 40));
        assert_eq!(checks(&[unknown, seen, gone]), [Check::LostWrite]);
    }

    #[test]
    fn what_was_found_in_a_key_outlives_it_and_little_else_does() {
        let mut effects = Effects::new(SECOND);
        let mut most = 0;
        for n in 0..10_000_i64 {
            let (key, at) = (format!("p.lane.held.{}", n / 100), n as u64 * 10_000_000);
            effects.operation(&add(1, &key, n, (at, at + 5)));
            let first = n / 100 * 100;
            let mut shown: Vec<i64> = (first..=n).collect();
            if n == 1234 {
                shown.push(first);
            }
            effects.operation(&read(2, &key, &shown, (at + 6, at + 9)));
            most = most.max(effects.in_use.len());
        }
        assert!(most < 40, "{most}");
        assert_eq!(effects.freshness().max_ms, Some(0.0));
        let uncompared = effects.uncompared().unwrap();
        assert_eq!((uncompared.writes, uncompared.keys), (10_000, 100));
        let findings = effects.finish(&Timeline::default());
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].check, Check::DuplicatedEffect);
    }

    #[test]
    fn lag_is_the_age_of_the_oldest_write_that_is_missing() {
        let mut effects = Effects::new(SECOND);
        let at = |ms: u64| ms * 1_000_000;
        effects.operation(&add(1, KEY, 300, (at(10), at(20))));
        effects.operation(&add(1, KEY, 301, (at(30), at(40))));
        effects.operation(&read(2, KEY, &[300], (at(50), at(60))));
        assert_eq!(effects.freshness().max_ms, Some(10.0));
        effects.operation(&read(2, KEY, &[301], (at(50), at(60))));
        assert_eq!(effects.freshness().max_ms, Some(30.0));
    }
}
