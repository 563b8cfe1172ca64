//! What clients do, as asked for: names are looked up, and what the target cannot do is left out by name.

use crate::error::PlanRequestError;
use crate::knowledge::Knowledge;
use crate::request::UnknownName;
use changeover_model::plan::{Skipped, WorkloadDetails};
use changeover_model::target::Target;
use changeover_model::version::PathVersion;
use changeover_model::workload::{Capability, WorkloadKind};

/// The workloads that a person asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkloadRequest {
    /// Their names; `set` without it.
    pub names: Option<Vec<String>>,
    /// The text of the file of `objects`.
    pub objects: Option<String>,
    /// The text of the file of `script`.
    pub script: Option<String>,
}

/// How many releases make the data of `aged`, at most.
const AGED: usize = 3;

impl WorkloadRequest {
    /// Which workloads a plan has for this target, and what they are told.
    pub(crate) fn of_target(
        &self,
        known: &Knowledge,
        path: &[PathVersion],
    ) -> Result<(Vec<String>, WorkloadDetails), PlanRequestError> {
        let kinds = match &self.names {
            None => vec![WorkloadKind::Set],
            Some(names) => named(names)?,
        };
        let mut details = WorkloadDetails::default();
        let mut models = Vec::new();
        for kind in kinds {
            match lacks(kind, &known.target) {
                Some(lacks) => details.skipped.push(Skipped {
                    workload: kind,
                    lacks,
                }),
                None => models.push(kind.name().to_owned()),
            }
        }
        if models.is_empty() {
            return Err(PlanRequestError::NothingToDo {
                target: known.target.target.name.clone(),
                skipped: details.skipped,
            });
        }
        let has = |kind: WorkloadKind| models.iter().any(|name| name == kind.name());
        if has(WorkloadKind::Objects) {
            details.objects.clone_from(&self.objects);
        }
        if has(WorkloadKind::Script) {
            details.script.clone_from(&self.script);
        }
        if has(WorkloadKind::Aged) {
            details.aged = older(known, path)?;
        }
        Ok((models, details))
    }
}

/// What a target lacks for a workload, if anything.
pub(crate) fn lacks(kind: WorkloadKind, target: &Target) -> Option<Capability> {
    let can = &target.workload.capabilities;
    kind.needs()
        .iter()
        .copied()
        .find(|need| !can.contains(need))
}

fn named(names: &[String]) -> Result<Vec<WorkloadKind>, PlanRequestError> {
    let mut kinds = Vec::new();
    for name in names {
        let kind = UnknownName::find("workload", name, WorkloadKind::ALL, WorkloadKind::name)?;
        if kinds.contains(&kind) {
            return Err(PlanRequestError::WorkloadTwice { kind });
        }
        kinds.push(kind);
    }
    Ok(kinds)
}

/// The usable releases right before the path, oldest first.
fn older(known: &Knowledge, path: &[PathVersion]) -> Result<Vec<PathVersion>, PlanRequestError> {
    let finals: Vec<PathVersion> = known
        .catalog
        .finals()
        .filter(|release| release.unusable.is_none())
        .map(|release| PathVersion::Known(release.version.clone()))
        .collect();
    let first = &path[0];
    let before: Vec<PathVersion> = match first {
        PathVersion::Current => finals,
        PathVersion::Known(first) => {
            let older = finals.into_iter();
            older
                .filter(|version| matches!(version, PathVersion::Known(v) if v < first))
                .collect()
        }
    };
    if before.is_empty() {
        return Err(PlanRequestError::NothingOlder {
            first: first.clone(),
        });
    }
    Ok(before[before.len().saturating_sub(AGED)..].to_vec())
}
