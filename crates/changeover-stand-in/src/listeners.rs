//! Where it listens: as its configuration says, or where older versions always did.

use crate::settings::{Minor, Settings};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The addresses of its listeners.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listeners {
    /// SQL for people.
    pub(crate) sql_external: Vec<String>,
    /// SQL for `mz_system`.
    pub(crate) sql_internal: Vec<String>,
    /// HTTP without the leader API.
    pub(crate) http_external: Vec<String>,
    /// HTTP with it.
    pub(crate) http_internal: String,
}

/// Observation 8: the file's form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sql: BTreeMap<String, Sql>,
    http: BTreeMap<String, Http>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sql {
    addr: String,
    authenticator_kind: String,
    allowed_roles: String,
    enable_tls: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    addr: String,
    authenticator_kind: String,
    allowed_roles: String,
    enable_tls: bool,
    routes: Routes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "what is there must be known; only some of it matters here"
)]
struct Routes {
    base: bool,
    webhook: bool,
    internal: bool,
    metrics: bool,
    profiling: bool,
    #[serde(default)]
    mcp_agent: bool,
    #[serde(default)]
    mcp_developer: bool,
    #[serde(default)]
    console_config: bool,
}

impl Listeners {
    pub(crate) fn of(settings: &Settings) -> Result<Self, String> {
        match &settings.listeners {
            None => Ok(Self::as_ever()),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
            }
        }
    }

    /// Fact 4.1: the ports.
    fn as_ever() -> Self {
        Listeners {
            sql_external: vec!["0.0.0.0:6875".to_owned()],
            sql_internal: vec!["0.0.0.0:6877".to_owned()],
            http_external: vec!["0.0.0.0:6876".to_owned()],
            http_internal: "0.0.0.0:6878".to_owned(),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut listeners = Listeners {
            sql_external: Vec::new(),
            sql_internal: Vec::new(),
            http_external: Vec::new(),
            http_internal: String::new(),
        };
        for (name, it) in file.sql {
            known(&name, &it.authenticator_kind, it.enable_tls)?;
            match it.allowed_roles.as_str() {
                "Normal" | "NormalAndInternal" => listeners.sql_external.push(it.addr),
                "Internal" => listeners.sql_internal.push(it.addr),
                other => return Err(format!("sql.{name}: unknown allowed_roles {other}")),
            }
        }
        for (name, it) in file.http {
            known(&name, &it.authenticator_kind, it.enable_tls)?;
            if !["Normal", "Internal", "NormalAndInternal"].contains(&it.allowed_roles.as_str()) {
                return Err(format!(
                    "http.{name}: unknown allowed_roles {}",
                    it.allowed_roles
                ));
            }
            // Fact 5.2: the leader API is where `routes.internal` is true.
            match it.routes.internal {
                true => listeners.http_internal = it.addr,
                false => listeners.http_external.push(it.addr),
            }
        }
        match listeners.http_internal.is_empty() {
            true => Err("no http listener has routes.internal".to_owned()),
            false => Ok(listeners),
        }
    }
}

/// Fact 5.2 names the kinds of authenticators; only `None` is stood in for.
fn known(name: &str, authenticator: &str, tls: bool) -> Result<(), String> {
    match (authenticator, tls) {
        ("None", false) => Ok(()),
        _ => Err(format!(
            "{name}: this stand-in has no authenticator {authenticator} and no TLS"
        )),
    }
}

/// Which release of the reference database plays this version: later for later, so that every upgrade is one. All of
/// them restart when they are promoted, as fact 5.3 says.
pub(crate) fn release_for(version: &str) -> &'static str {
    match Minor::of(version) {
        Some(minor) if minor < Minor(0, 148) => "v0.1.0",
        Some(minor) if minor < Minor(26, 6) => "v0.2.0",
        Some(minor) if minor < Minor(26, 12) => "v0.3.0",
        Some(minor) if minor < Minor(26, 20) => "v0.5.0",
        _ => "v0.6.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        let error = Listeners::parse(r#"{"sql":{},"http":{},"grpc":{}}"#).unwrap_err();
        assert!(error.contains("unknown field `grpc`"), "{error}");
        let error = Listeners::parse(r#"{"sql":{},"http":{}}"#).unwrap_err();
        assert!(error.contains("routes.internal"), "{error}");
    }

    #[test]
    fn later_versions_are_later_releases() {
        let all = ["v0.130.0", "v26.0.0", "v26.10.0", "v26.15.0", "v26.22.0"];
        let releases: Vec<&str> = all.into_iter().map(release_for).collect();
        let mut sorted = releases.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(releases, sorted);
    }
}
