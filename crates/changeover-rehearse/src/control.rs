//! How one instance is asked where it stands, and told to take over: the target's templates, filled for it.

use crate::http::HttpUrl;
use crate::leader_api::{LeaderApi, StatusWords};
use changeover_model::target::{Promote, Status, Target, fill};
use changeover_runtime::{InstanceSpec, RuntimeError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// How an instance is asked for its status, and promoted.
#[derive(Debug, Clone)]
pub struct Control {
    /// By request, where one of the two is made by request.
    pub(crate) api: LeaderApi,
    /// There is no status to be asked for: it is what a query tells.
    pub(crate) by_query: bool,
    /// What promotes it, if that is a command: a helper that runs until the promotion is done.
    pub(crate) command: Option<InstanceSpec>,
}

impl Control {
    /// The leader API at this address, for both.
    pub fn leader_api(addr: SocketAddr) -> Self {
        Control {
            api: LeaderApi::new(addr),
            by_query: false,
            command: None,
        }
    }

    /// As the target says, for this instance; `values` are what its templates are filled with.
    ///
    /// # Errors
    ///
    /// When a filled URL is none.
    pub(crate) fn of(
        target: &Target,
        spec: &InstanceSpec,
        values: &[(&str, &str)],
        logs: &Path,
    ) -> Result<Self, RuntimeError> {
        let filled = |key: &str, template: &str| {
            let url = fill(template, values);
            HttpUrl::parse(&url).ok_or_else(|| {
                RuntimeError::new(format!("{key} gives {url:?}, which is no http URL"))
            })
        };
        let mut control = Control::leader_api(spec.http_addr);
        match &target.status {
            Status::LeaderApi => {}
            Status::Http(status) => {
                let words = StatusWords {
                    json_pointer: status.json_pointer.clone(),
                    map: status.map.clone(),
                };
                control.api = control
                    .api
                    .with_status(filled("status.url", &status.url)?, words);
            }
            Status::Query => control.by_query = true,
        }
        match &target.promote {
            Promote::LeaderApi => {}
            Promote::Http { method, url } => {
                let url = filled("promote.url", url)?;
                control.api = control.api.with_promotion(method.clone(), url);
            }
            Promote::Command(command) => {
                let InstanceSpec {
                    slot, generation, ..
                } = spec;
                control.command = Some(InstanceSpec {
                    slot: format!("{slot}-promote"),
                    command: command.iter().map(|word| fill(word, values)).collect(),
                    env: BTreeMap::new(),
                    log: logs.join(format!("{slot}.{generation}.promote.log")),
                    container: None,
                    ..spec.clone()
                });
            }
        }
        Ok(control)
    }
}
