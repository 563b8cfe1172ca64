//! A helm repository's index: `entries.<chart>[]` with `version`, `appVersion` and `created`.

use super::Found;
use changeover_model::Version;
use changeover_model::catalog::{Chart, Newer};
use serde_json::Value;

/// The chart that installs a target's operator; all others are another matter.
pub(super) const CHART: &str = "materialize-operator";

/// The operator's charts, pre-releases of chart or target left out.
pub(super) fn charts(index: &Value) -> Found {
    let none = Vec::new();
    let entries = index["entries"][CHART].as_array().unwrap_or(&none);
    let charts: Vec<Chart> = entries.iter().filter_map(chart).collect();
    Found {
        skipped: entries.len() - charts.len(),
        total: entries.len(),
        parts: "charts",
        newer: Newer {
            charts,
            ..Newer::default()
        },
    }
}

fn chart(entry: &Value) -> Option<Chart> {
    Some(Chart {
        operator: final_version(&entry["version"])?,
        orchestratord: None,
        environmentd: final_version(&entry["appVersion"])?,
        date: entry["created"]
            .as_str()
            .and_then(|time| time.get(..10))
            .and_then(|day| day.parse().ok()),
        flag: None,
    })
}

/// A version that is no pre-release. Helm allows it with and without a `v`.
fn final_version(value: &Value) -> Option<Version> {
    let text = value.as_str()?;
    let version: Version = match text.starts_with('v') {
        true => text.parse(),
        false => format!("v{text}").parse(),
    }
    .ok()?;
    (!version.is_prerelease()).then_some(version)
}
