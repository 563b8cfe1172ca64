//! A scenario: what is done to a database before, during and after its upgrades, and when.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Makes what is looked at later.
    Initialize,
    /// Changes it for the first time.
    #[serde(rename = "manipulate-1")]
    Manipulate1,
    /// Changes it for the second time.
    #[serde(rename = "manipulate-2")]
    Manipulate2,
    /// Looks whether it is as it should be. It may be done several times.
    Validate,
}

impl Action {
    /// All of them, in the order in which they are first done.
    pub const ALL: [Action; 4] = [
        Action::Initialize,
        Action::Manipulate1,
        Action::Manipulate2,
        Action::Validate,
    ];

    /// The stable word, which is also the name of its files.
    pub fn name(self) -> &'static str {
        match self {
            Action::Initialize => "initialize",
            Action::Manipulate1 => "manipulate-1",
            Action::Manipulate2 => "manipulate-2",
            Action::Validate => "validate",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// On the old leader, while the new instance catches up.
    During,
    /// On the new leader. Step 0 is the start of the first service.
    After,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioAction {
    /// In which step.
    pub step: u32,
    /// When in it.
    pub when: When,
    /// What.
    pub action: Action,
}

/// The scenario of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioPlan {
    /// The preset's name.
    pub name: String,
    /// What is done, in order.
    pub actions: Vec<ScenarioAction>,
}

impl ScenarioPlan {
    /// What is done at this point.
    pub fn at(&self, step: u32, when: When) -> impl Iterator<Item = Action> {
        let here = self.actions.iter();
        here.filter(move |it| it.step == step && it.when == when)
            .map(|it| it.action)
    }
}
