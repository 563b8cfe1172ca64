//! Service arguments: the six fields that scripts of Materialize's Python module know.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
