//! A target described as data: how to start it, watch it and talk to it.

use crate::plan::{BUDGETS, Timeout};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A target, read from TOML.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name and runtime.
    pub target: TargetHead,
    /// How an instance is started; nothing for a target that this build can plan for and not start.
    #[serde(default)]
    pub instance: InstanceTemplate,
    /// How clients talk to it.
    pub client: ClientTemplate,
    /// What a plan says unless told otherwise.
    pub defaults: LoadDefaults,
    /// Deadlines in milliseconds; see [`Timeout`].
    pub timeouts_ms: BTreeMap<String, u64>,
    /// Budgets in milliseconds; see [`BUDGETS`].
    pub budgets: BTreeMap<String, f64>,
}

/// `[target]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetHead {
    /// The name in plans and reports.
    pub name: String,
    /// The runtime it runs on by default.
    pub runtime: String,
    /// Where its images are, without a tag; `None` for a target without images.
    pub image: Option<String>,
    /// The kind of metadata store that its generations share by default.
    pub metadata_store: String,
}

/// `[instance]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceTemplate {
    /// Program and arguments, with placeholders. No shell.
    pub command: Vec<String>,
    /// Environment variables, with placeholders.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Exit codes that ask for a restart in place.
    pub restart_exit_codes: Vec<i32>,
    /// Exit codes that say "I was fenced".
    pub fenced_exit_codes: Vec<i32>,
}

/// `[client]`: SQL with `{id}` (text) and `{value}` (64-bit integer) as parameters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTemplate {
    /// The connection URL; `{sql_addr}` is the instance's or the front door's address.
    pub url: String,
    /// Creates what the clients need, once, idempotently.
    pub create: Vec<String>,
    /// Adds `{value}` to the set `{id}`.
    pub write: String,
    /// Returns the elements of the set `{id}`, a row each.
    pub read: String,
    /// Returns the version that answers, one row of one column.
    pub version: String,
}

/// `[defaults]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadDefaults {
    /// Workload operations a second.
    pub rate: u32,
    /// Workload clients.
    pub clients: u32,
    /// The lanes' interval in milliseconds.
    pub probe_interval_ms: u64,
}

impl Target {
    /// Reads a target.
    ///
    /// # Errors
    ///
    /// When the text is no target, with the line; or a deadline or budget is unknown or missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let target: Target = toml::from_str(text).map_err(|e| e.to_string())?;
        for (_, name) in Timeout::ALL {
            if !target.timeouts_ms.contains_key(name) {
                return Err(format!("[timeouts_ms] has no {name:?}; add it"));
            }
        }
        let known = |name: &str| Timeout::ALL.iter().any(|(_, n)| *n == name);
        if let Some(name) = target.timeouts_ms.keys().find(|n| !known(n)) {
            return Err(format!("[timeouts_ms] has an unknown {name:?}"));
        }
        if let Some(name) = target
            .budgets
            .keys()
            .find(|n| !BUDGETS.contains(&n.as_str()))
        {
            return Err(format!("[budgets] has an unknown {name:?}"));
        }
        Ok(target)
    }

    /// A deadline that plans have unless told otherwise, in milliseconds.
    pub fn timeout_ms(&self, timeout: Timeout) -> u64 {
        self.timeouts_ms[timeout.name()]
    }
}

/// Replaces each `{name}` by its value. What is not known stays as it is.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    // One pass: a value that looks like a placeholder must not be filled again.
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let hit = rest.find('}').and_then(|close| {
            let name = &rest[1..close];
            let (_, value) = values.iter().find(|(n, _)| *n == name)?;
            Some((close, *value))
        });
        match hit {
            Some((close, value)) => {
                out.push_str(value);
                rest = &rest[close + 1..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_reference_target_reads() {
        let target = Target::parse(include_str!("../../../targets/reference/target.toml")).unwrap();
        assert_eq!(target.target.name, "reference");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = include_str!("../../../targets/reference/target.toml");
        let error = Target::parse(&text.replace("[defaults]", "[defaults]\nrat = 3")).unwrap_err();
        assert!(error.contains("rat") && error.contains("line"), "{error}");
    }

    #[test]
    fn placeholders_are_filled_once() {
        let filled = fill("{a} {b} {c", &[("a", "{b}"), ("b", "2")]);
        assert_eq!(filled, "{b} 2 {c");
    }
}
