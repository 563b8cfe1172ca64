//! Scenarios as presets: those of Materialize's platform checks that upgrade.

use crate::attempts::{AbortRequest, AfterAbort};
use crate::request::{Request, Strategy};
use crate::seed::Seed;
use changeover_model::catalog::Catalog;
use changeover_model::fault::Point;
use changeover_model::scenario::{Action, ScenarioAction, ScenarioPlan, When};
use changeover_model::version::{PathVersion, Version};
use std::collections::BTreeMap;

use Action::{Initialize, Manipulate1, Manipulate2, Validate};
use When::{After, During};

/// How a preset's path is made, unless versions are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Every candidate.
    Linear,
    /// Some of them.
    Random,
    /// The first and the last.
    Direct,
    /// The last so many minor versions, each with its latest patch, and the current one.
    Back(usize),
    /// One version, four times.
    Restarts,
}

/// A preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    way: Way,
    /// What the current version is started with besides where it is upgraded to.
    argument: Option<&'static str>,
}

/// All of them.
pub const PRESETS: [Preset; 11] = [
    Preset {
        name: "linear-manipulate-before",
        summary: "every version in turn; everything is changed before the first upgrade, and looked at after each",
        way: Way::Linear,
        argument: None,
    },
    Preset {
        name: "linear-manipulate-during",
        summary: "every version in turn; changed before and after the first upgrade, and looked at after each",
        way: Way::Linear,
        argument: None,
    },
    Preset {
        name: "random-path",
        summary: "a path drawn from the seed; changed after upgrades that are drawn too, and looked at from then on",
        way: Way::Random,
        argument: None,
    },
    Preset {
        name: "earliest-to-latest",
        summary: "the oldest version directly to the newest; changed before and after",
        way: Way::Direct,
        argument: None,
    },
    Preset {
        name: "upgrade-once",
        summary: "the last minor version to the current one; changed on the old leader while the new one catches up, and after",
        way: Way::Back(1),
        argument: None,
    },
    Preset {
        name: "two-versions-back",
        summary: "from two minor versions back; changed on the old leader while the new one catches up",
        way: Way::Back(2),
        argument: None,
    },
    Preset {
        name: "four-versions-back",
        summary: "from four minor versions back; changed on the old leader while the new one catches up",
        way: Way::Back(4),
        argument: None,
    },
    Preset {
        name: "restarts",
        summary: "one version, upgraded to itself three times; changed and looked at while the next one catches up",
        way: Way::Restarts,
        argument: None,
    },
    Preset {
        name: "forced-migrations",
        summary: "as restarts, and Materialize's builtin schemas are migrated by force each time (replacement); the current version alone can",
        way: Way::Restarts,
        argument: Some("--unsafe-force-builtin-schema-migration=replacement"),
    },
    Preset {
        name: "preflight-continue",
        summary: "the last minor version to the current one; changed before, and after it was promoted",
        way: Way::Back(1),
        argument: None,
    },
    Preset {
        name: ROLLBACK,
        summary: "as preflight-continue, but the ready upgrade is called off first: changed and looked at on the old leader, then upgraded",
        way: Way::Back(1),
        argument: None,
    },
];

/// The one whose upgrade is called off.
const ROLLBACK: &str = "preflight-rollback";

impl Preset {
    /// The preset of that name.
    pub fn find(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Whether it depends on the seed.
    pub(crate) fn draws(&self) -> bool {
        self.way == Way::Random
    }

    /// Lets a request ask for this preset's path, where the person asked for none.
    pub(crate) fn shape(&self, request: &mut Request, catalog: &Catalog) {
        request
            .upgraded_args
            .extend(self.argument.map(str::to_owned));
        if self.name == ROLLBACK && request.abort.is_none() {
            request.abort = Some(AbortRequest {
                at: Some(Point::Ready),
                hop: Some(1),
                then: AfterAbort::Retry,
            });
        }
        let open = request.strategy.is_none() && request.ends.is_none();
        if self.way == Way::Restarts {
            let given = request.versions.as_ref().and_then(|it| it.first().cloned());
            let alone = request.versions.as_ref().is_none_or(|it| it.len() == 1);
            if open && alone {
                request.versions = Some(vec![given.unwrap_or(PathVersion::Current); 4]);
            }
            request.allow_restart = true;
            return;
        }
        if !open || request.versions.is_some() {
            return;
        }
        match self.way {
            Way::Linear | Way::Restarts => {}
            Way::Random => {
                request.strategy = Some(Strategy::Random);
                if request.then.is_empty() && !catalog.is_complete() {
                    request.then = vec![PathVersion::Current];
                }
            }
            // What Materialize's own suite upgrades so, not every rule set allows: that is a finding of the plan then.
            Way::Direct => {
                request.strategy = Some(Strategy::Direct);
                request.allow_illegal = true;
            }
            Way::Back(count) => {
                let mut versions = newest_of_minors(catalog, count);
                versions.push(PathVersion::Current);
                request.versions = Some(versions);
            }
        }
    }

    /// What is done on a path of so many steps.
    pub(crate) fn plan(&self, steps: u32, seed: &Seed) -> ScenarioPlan {
        let mut actions = vec![(0, After, Initialize)];
        match self.name {
            "linear-manipulate-before" => {
                actions.extend([(0, After, Manipulate1), (0, After, Manipulate2)]);
                actions.extend((0..=steps).map(|step| (step, After, Validate)));
            }
            "linear-manipulate-during" => {
                actions.extend([(0, After, Manipulate1), (1, After, Manipulate2)]);
                actions.extend((1..=steps).map(|step| (step, After, Validate)));
            }
            "random-path" => {
                let mut stream = seed.stream("scenario");
                let mut draw = || stream.below(u64::from(steps) + 1) as u32;
                let (one, other) = (draw(), draw());
                let (first, second) = (one.min(other), one.max(other));
                actions.extend([(first, After, Manipulate1), (second, After, Manipulate2)]);
                actions.extend((second..=steps).map(|step| (step, After, Validate)));
            }
            "restarts" | "forced-migrations" => {
                actions.extend([
                    (1, During, Manipulate1),
                    (2, During, Manipulate2),
                    (3, During, Validate),
                ]);
                actions.extend((2..=steps).map(|step| (step, After, Validate)));
            }
            "two-versions-back" | "four-versions-back" => {
                actions.extend([(1, During, Manipulate1), (2, During, Manipulate2)]);
                actions.extend((2..=steps).map(|step| (step, After, Validate)));
            }
            // Step 1 is the one that is called off.
            ROLLBACK => {
                actions.extend([(0, After, Manipulate1), (1, After, Manipulate2)]);
                actions.extend((1..=steps).map(|step| (step, After, Validate)));
            }
            "upgrade-once" => actions.extend([
                (1, During, Manipulate1),
                (1, After, Manipulate2),
                (1, After, Validate),
            ]),
            // earliest-to-latest and preflight-continue.
            _ => actions.extend([
                (0, After, Manipulate1),
                (1, After, Manipulate2),
                (1, After, Validate),
            ]),
        }
        // A path may be shorter than the preset means it; then what is left is done after its last step.
        let actions = actions
            .into_iter()
            .map(|(step, when, action)| ScenarioAction {
                step: u32::min(step, steps),
                when: if step > steps { After } else { when },
                action,
            });
        let mut actions: Vec<ScenarioAction> = actions.collect();
        actions.sort_by_key(|it| (it.step, it.when == After, it.action));
        actions.dedup();
        ScenarioPlan {
            name: self.name.to_owned(),
            actions,
        }
    }
}

/// The latest usable patch of each of the last so many minor versions, oldest first.
fn newest_of_minors(catalog: &Catalog, count: usize) -> Vec<PathVersion> {
    let mut minors: BTreeMap<(u64, u64), &Version> = BTreeMap::new();
    for release in catalog.finals() {
        let semver = release.version.semver();
        minors.insert((semver.major, semver.minor), &release.version);
    }
    let newest = minors.into_values().rev().take(count).cloned();
    let mut newest: Vec<PathVersion> = newest.map(PathVersion::Known).collect();
    newest.reverse();
    newest
}
