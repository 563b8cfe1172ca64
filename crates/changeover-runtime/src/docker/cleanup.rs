//! Removes what a run left on the engine after its harness was killed.

use super::names::Names;
use super::{Engine, blocking, remove_all};
use crate::process::Outcome;
use std::path::Path;

/// Removes the containers, the network and the volumes of the run of that directory: what carries both its name and
/// its directory as labels. Nothing, and no question to any engine, where the run has no record of containers.
pub fn cleanup(run_dir: &Path) -> Vec<Outcome> {
    let names = match Names::left_by(run_dir) {
        None => return Vec::new(),
        Some(Ok(names)) => names,
        Some(Err(error)) => {
            return vec![Outcome::Refused(format!(
                "the record of containers cannot be read: {error}; look for containers with the label changeover.run yourself"
            ))];
        }
    };
    let asked = Engine::asked_for();
    let host = match (names.engine(), &asked) {
        (Some(recorded), Some(asked)) if recorded != asked => {
            return vec![Outcome::Refused(format!(
                "containers of run {} are on the engine {recorded}, and DOCKER_HOST is {asked}; run changeover cleanup again with DOCKER_HOST={recorded}",
                names.run()
            ))];
        }
        (recorded, asked) => recorded.or(asked.as_deref()),
    };
    let work = async {
        let engine = Engine::connect_to(host).await?;
        Ok(remove_all(&engine, &names).await)
    };
    match blocking(work) {
        Some(Ok(removed)) => {
            if removed.stuck.is_empty() {
                names.retract();
            }
            let gone = removed.containers.into_iter().chain(removed.others);
            let stuck = removed.stuck.into_iter();
            gone.map(Outcome::Removed)
                .chain(stuck.map(|what| {
                    Outcome::Refused(format!("{what}; remove it with docker, or try again"))
                }))
                .collect()
        }
        Some(Err(error)) => {
            let error: crate::RuntimeError = error;
            vec![Outcome::Refused(format!(
                "containers of run {}: {error}, then run changeover cleanup again",
                names.run()
            ))]
        }
        None => vec![Outcome::Refused(
            "containers: no thread could be started; try again".to_owned(),
        )],
    }
}
