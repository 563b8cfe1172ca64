//! What the end of a process means.

use changeover_model::event::{EndMeaning, ProcessEnd};
use changeover_model::target::{ContainerTemplate, Instances};

/// What the exit codes of a target mean. All others are crashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitRules {
    /// Codes that ask for a restart in place.
    pub restart: Vec<i32>,
    /// Codes that say "I was fenced, do not restart me".
    pub fenced: Vec<i32>,
}

impl From<&Instances> for ExitRules {
    /// Who is not started has no exit codes.
    fn from(instances: &Instances) -> Self {
        let (restart, fenced) = match instances {
            Instances::Started(template) => (
                template.restart_exit_codes.clone(),
                template.fenced_exit_codes.clone(),
            ),
            Instances::Attached(_) | Instances::Unknown => Default::default(),
        };
        ExitRules { restart, fenced }
    }
}

impl From<&ContainerTemplate> for ExitRules {
    fn from(container: &ContainerTemplate) -> Self {
        ExitRules {
            restart: container.restart_exit_codes.clone(),
            fenced: container.fenced_exit_codes.clone(),
        }
    }
}

impl ExitRules {
    /// What an end means.
    pub fn meaning(&self, end: ProcessEnd) -> EndMeaning {
        match end {
            ProcessEnd::Code(code) if self.fenced.contains(&code) => EndMeaning::Fenced,
            ProcessEnd::Code(code) if self.restart.contains(&code) => EndMeaning::Restart,
            _ => EndMeaning::Crash,
        }
    }
}
