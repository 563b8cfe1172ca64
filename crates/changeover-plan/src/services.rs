//! Service arguments: what the services of an upgrade path are started with.

use crate::error::PlanRequestError;
use changeover_model::service::ServiceArgs;
use changeover_model::version::PathVersion;
use std::collections::BTreeMap;

/// The slots, used in turn.
pub(crate) const SLOTS: [&str; 2] = ["mz_1", "mz_2"];

/// The arguments for every service of an upgrade path, as the Python module's `generate_materialized_upgrade_args`
/// gives them.
///
/// Slots alternate, generations count from 0. `parameters` are those of the first version of the path, because newer
/// defaults may hold what an old version cannot take; every element has a copy of its own. The image is
/// `image_repository:VERSION`, and `None` for the current version and for targets without images.
///
/// # Errors
///
/// [`PlanRequestError::EmptyPath`] if there are no versions.
pub fn generate_upgrade_args(
    versions: &[PathVersion],
    parameters: &BTreeMap<String, String>,
    image_repository: Option<&str>,
) -> Result<Vec<ServiceArgs>, PlanRequestError> {
    if versions.is_empty() {
        return Err(PlanRequestError::EmptyPath);
    }
    let image = |version: &PathVersion| {
        let (repository, version) = (image_repository?, version.known()?);
        Some(format!("{repository}:{}", version.tag()))
    };
    Ok(versions
        .iter()
        .zip(SLOTS.into_iter().cycle())
        .zip(0..)
        .map(|((version, slot), deploy_generation)| ServiceArgs {
            name: slot.to_owned(),
            image: image(version),
            deploy_generation,
            system_parameter_defaults: parameters.clone(),
            external_metadata_store: true,
            restart: "on-failure".to_owned(),
        })
        .collect())
}
