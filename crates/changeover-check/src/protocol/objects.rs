//! Definitions: whether every object is there that should be, and is what it was.
//!
//! Each time that the catalog was asked, it must be what it was the time before, but for what clients have changed
//! since. What a client changed without an acknowledgement may be either; a change that was under way when the
//! catalog was asked counts as that too.

use super::{Steps, error};
use changeover_model::check::Check;
use changeover_model::event::{Event, EventKind};
use changeover_model::history::Outcome;
use changeover_model::scenario::Action;
use changeover_model::verdict::Finding;
use serde_json::json;
use std::collections::BTreeMap;

/// How many objects a finding names.
const NAMED: usize = 5;

/// What clients have made of an object since the catalog was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Made,
    Dropped,
    /// Perhaps.
    Open,
}

/// What is wrong with an object, in words.
#[derive(Default)]
struct Wrong {
    /// A change of a client is missing.
    missed: Vec<String>,
    /// It changed although nobody changed it.
    changed: Vec<String>,
}

pub(super) fn judge(steps: &Steps<'_>, events: &[Event]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut known: Option<&BTreeMap<String, String>> = None;
    let mut changes: BTreeMap<&str, Change> = BTreeMap::new();
    let mut announced: Option<(&[String], &[String])> = None;
    for event in events {
        match &event.kind {
            EventKind::DdlIntent { makes, drops, .. } => {
                settle(
                    &mut changes,
                    announced.replace((makes, drops)),
                    Outcome::Unknown,
                );
            }
            // What a user's check makes or drops it alone knows.
            EventKind::UserCheckDone { action, .. } if *action != Action::Validate => {
                known = None;
                changes.clear();
            }
            EventKind::DdlDone { outcome } => settle(&mut changes, announced.take(), *outcome),
            EventKind::CatalogSeen { objects } => {
                settle(&mut changes, announced, Outcome::Unknown);
                let wrong = known.map(|known| compare(known, objects, &changes));
                findings.extend(
                    wrong
                        .into_iter()
                        .flat_map(|wrong| told(steps, event, wrong)),
                );
                known = Some(objects);
                changes.clear();
            }
            _ => {}
        }
    }
    findings
}

/// Takes a change of definitions down, by how it ended.
fn settle<'a>(
    changes: &mut BTreeMap<&'a str, Change>,
    announced: Option<(&'a [String], &'a [String])>,
    outcome: Outcome,
) {
    let Some((makes, drops)) = announced.filter(|_| outcome != Outcome::Fail) else {
        return;
    };
    for (names, change) in [(drops, Change::Dropped), (makes, Change::Made)] {
        for name in names {
            let change = match outcome {
                Outcome::Ok => change,
                Outcome::Fail | Outcome::Unknown => Change::Open,
            };
            changes.insert(name, change);
        }
    }
}

fn compare(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    changes: &BTreeMap<&str, Change>,
) -> Wrong {
    let mut wrong = Wrong::default();
    for (name, change) in changes {
        match (change, now.contains_key(*name)) {
            (Change::Made, false) => wrong
                .missed
                .push(format!("{name} was made and is not there")),
            (Change::Dropped, true) => wrong
                .missed
                .push(format!("{name} was dropped and is there")),
            _ => {}
        }
    }
    let untouched = |name: &str| !changes.contains_key(name);
    for (name, was) in before.iter().filter(|(name, _)| untouched(name)) {
        match now.get(name) {
            None => wrong.changed.push(format!("{name} is gone")),
            Some(is) if is != was => wrong
                .changed
                .push(format!("{name} was {was:?} and is {is:?}")),
            Some(_) => {}
        }
    }
    let appeared = now
        .keys()
        .filter(|name| untouched(name) && !before.contains_key(*name));
    wrong
        .changed
        .extend(appeared.map(|name| format!("{name} appeared")));
    wrong
}

fn told(steps: &Steps<'_>, event: &Event, wrong: Wrong) -> Vec<Finding> {
    [
        (
            Check::DdlMissed,
            wrong.missed,
            "change(s) of definitions by clients were lost",
        ),
        (
            Check::ObjectChanged,
            wrong.changed,
            "object(s) changed that nobody had changed",
        ),
    ]
    .into_iter()
    .filter(|(_, cases, _)| !cases.is_empty())
    .map(|(check, cases, what)| {
        let mut words = cases[..cases.len().min(NAMED)].join("; ");
        if cases.len() > NAMED {
            words += &format!("; and {} more", cases.len() - NAMED);
        }
        error(
            check,
            steps.of_event(event),
            format!("{} {what}: {words}", cases.len()),
            json!({ "objects": cases }),
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Events, events, plan};

    fn checks(build: impl FnOnce(&mut Events)) -> Vec<(Check, Option<u32>)> {
        let mut e = events();
        build(&mut e);
        judge(&Steps::of(&plan(2)), &e.list)
            .into_iter()
            .map(|f| (f.check, f.step))
            .collect()
    }

    fn catalog(objects: &[(&str, &str)]) -> EventKind {
        EventKind::CatalogSeen {
            objects: objects
                .iter()
                .map(|(name, what)| ((*name).to_owned(), (*what).to_owned()))
                .collect(),
        }
    }

    fn ddl(makes: &[&str], drops: &[&str]) -> EventKind {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        EventKind::DdlIntent {
            statement: String::new(),
            makes: owned(makes),
            drops: owned(drops),
        }
    }

    const MISSED: (Check, Option<u32>) = (Check::DdlMissed, Some(1));
    const CHANGED: (Check, Option<u32>) = (Check::ObjectChanged, Some(1));

    /// What becomes of a table and an index over step 1.
    fn after(objects: &[(&str, &str)]) -> Vec<(Check, Option<u32>)> {
        checks(|e| {
            e.step(0)
                .push(catalog(&[("table t", "a int"), ("index i", "t (a)")]));
            e.step(1).push(catalog(objects));
        })
    }

    #[test]
    fn what_nobody_changed_stays_what_it_was() {
        assert_eq!(after(&[("table t", "a int"), ("index i", "t (a)")]), []);
        assert_eq!(after(&[("table t", "a int")]), [CHANGED]);
        assert_eq!(
            after(&[("table t", "a text"), ("index i", "t (a)")]),
            [CHANGED]
        );
        assert_eq!(
            after(&[("table t", "a int"), ("index i", "t (a)"), ("table u", "")]),
            [CHANGED]
        );
        // With nothing to compare with there is nothing to say.
        let once = checks(|e| {
            e.step(1).push(catalog(&[]));
        });
        assert_eq!(once, []);
    }

    /// A view is made, a table is renamed, with that outcome; then the catalog is this.
    fn changed(outcome: Option<Outcome>, objects: &[(&str, &str)]) -> Vec<(Check, Option<u32>)> {
        checks(|e| {
            e.step(0).push(catalog(&[("table t", "")]));
            e.step(1).push(ddl(&["view v"], &[]));
            e.push(EventKind::DdlDone {
                outcome: Outcome::Ok,
            });
            e.push(ddl(&["table u"], &["table t"]));
            if let Some(outcome) = outcome {
                e.push(EventKind::DdlDone { outcome });
            }
            e.push(catalog(objects));
        })
    }

    #[test]
    fn what_was_acknowledged_is_there() {
        let ok = Some(Outcome::Ok);
        assert_eq!(changed(ok, &[("view v", ""), ("table u", "")]), []);
        assert_eq!(changed(ok, &[("table u", "")]), [MISSED]);
        assert_eq!(changed(ok, &[("view v", ""), ("table t", "")]), [MISSED]);
        assert_eq!(
            changed(ok, &[("view v", ""), ("table u", ""), ("table t", "")]),
            [MISSED]
        );
    }

    #[test]
    fn what_was_not_acknowledged_may_be_either() {
        for open in [None, Some(Outcome::Unknown)] {
            assert_eq!(changed(open, &[("view v", ""), ("table u", "")]), []);
            assert_eq!(changed(open, &[("view v", ""), ("table t", "")]), []);
        }
        // A refusal is none.
        let refused = Some(Outcome::Fail);
        assert_eq!(changed(refused, &[("view v", ""), ("table t", "")]), []);
        assert_eq!(
            changed(refused, &[("view v", ""), ("table u", "")]),
            [CHANGED]
        );
    }

    #[test]
    fn an_object_that_is_made_anew_is_another() {
        let found = checks(|e| {
            e.step(0).push(catalog(&[("view v", "1")]));
            e.step(1).push(ddl(&[], &["view v"]));
            e.push(EventKind::DdlDone {
                outcome: Outcome::Ok,
            });
            e.push(ddl(&["view v"], &[]));
            e.push(EventKind::DdlDone {
                outcome: Outcome::Ok,
            });
            e.push(catalog(&[("view v", "2")]));
        });
        assert_eq!(found, []);
    }
}
