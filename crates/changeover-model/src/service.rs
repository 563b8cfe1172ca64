//! Service arguments: the six fields that scripts of Materialize's Python module know.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a service of an upgrade path is started with: exactly the fields of the Python module's
/// `MaterializedUpgradeArgs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceArgs {
    /// The slot: `mz_1` or `mz_2` in turn.
    pub name: String,
    /// The image with its tag; `None` for what has no image (the current version, or a target without images).
    pub image: Option<String>,
    /// 0 for the first service, one more for each after it.
    pub deploy_generation: u64,
    /// System parameters, those of the *first* version of the path, in every service.
    pub system_parameter_defaults: BTreeMap<String, String>,
    /// Always true: the generations share one metadata store.
    pub external_metadata_store: bool,
    /// Always `on-failure`: a process that asks to be restarted is restarted.
    pub restart: String,
}

impl ServiceArgs {
    /// Its system parameters, as the one variable has them that Materialize reads.
    pub fn system_parameters(&self) -> String {
        let pairs = self.system_parameter_defaults.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join(";")
    }
}

/// Why services cannot be upgraded one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// Which service, from 0.
    pub index: usize,
    /// Its field.
    pub field: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "service {}, field {}: {}",
            self.index, self.field, self.problem
        )
    }
}

impl std::error::Error for ServiceError {}

/// Checks that each service can follow the one before it, and that slots can name files.
///
/// # Errors
///
/// The first thing that makes no sense.
pub fn check_services(services: &[ServiceArgs]) -> Result<(), ServiceError> {
    let neighbours = services
        .windows(2)
        .position(|two| two[0].name == two[1].name);
    if let Some(index) = neighbours {
        return Err(ServiceError {
            index: index + 1,
            field: "name",
            problem: format!(
                "slot {} twice in a row; neighbouring services take different slots",
                services[index].name
            ),
        });
    }
    check_generations(services)
}

/// Checks that each generation is higher than the one before, and that slots can name files. A service may take the
/// slot of the one before it, if that one was called off.
///
/// # Errors
///
/// The first thing that makes no sense.
pub fn check_generations(services: &[ServiceArgs]) -> Result<(), ServiceError> {
    let refuse = |index, field, problem| {
        Err(ServiceError {
            index,
            field,
            problem,
        })
    };
    for (index, pair) in services.windows(2).enumerate() {
        let (old, new) = (&pair[0], &pair[1]);
        if new.deploy_generation <= old.deploy_generation {
            return refuse(
                index + 1,
                "deploy_generation",
                format!(
                    "generation {} after {}; each must be higher than the one before",
                    new.deploy_generation, old.deploy_generation
                ),
            );
        }
    }
    match services.iter().position(|service| !is_slot(&service.name)) {
        Some(index) => refuse(
            index,
            "name",
            format!(
                "{:?} is no slot name; letters, digits, - and _ only",
                services[index].name
            ),
        ),
        None => Ok(()),
    }
}

/// A slot names files and processes, so it must be tame. So must a target's name.
pub(crate) fn is_slot(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
