//! Values that depend on the version, as a target's data writes them.

use changeover_model::version::Version;
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer};
use serde::{Deserialize, Deserializer};

/// A value that holds for every version, or for those on one side of a version.
///
/// In TOML the value itself, or `{ when = ">= v0.132.0-dev", then = …, otherwise = … }`. Without `otherwise` the other
/// versions have no value.
#[derive(Debug, Clone)]
pub(crate) enum ByVersion<T> {
    Always(T),
    When(Branch<T>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Branch<T> {
    when: Condition,
    then: T,
    otherwise: Option<T>,
}

impl<T> ByVersion<T> {
    /// The value that holds for `version`, if there is one.
    pub(crate) fn at(&self, version: &Version) -> Option<&T> {
        match self {
            ByVersion::Always(value) => Some(value),
            ByVersion::When(branch) if branch.when.holds(version) => Some(&branch.then),
            ByVersion::When(branch) => branch.otherwise.as_ref(),
        }
    }

    /// Every value that holds for some version.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        let (first, second) = match self {
            ByVersion::Always(value) => (value, None),
            ByVersion::When(branch) => (&branch.then, branch.otherwise.as_ref()),
        };
        std::iter::once(first).chain(second)
    }

    /// The version at which the value changes, if it does.
    pub(crate) fn threshold(&self) -> Option<&Version> {
        match self {
            ByVersion::Always(_) => None,
            ByVersion::When(branch) => Some(&branch.when.threshold),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for ByVersion<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum: that would answer every slip with the same sentence.
        let value = toml::Value::deserialize(deserializer)?;
        let read = match value {
            toml::Value::Table(_) => value.try_into().map(ByVersion::When),
            _ => value.try_into().map(ByVersion::Always),
        };
        read.map_err(|error: toml::de::Error| D::Error::custom(error.message()))
    }
}

/// A set of versions: those on one side of a threshold, by SemVer precedence.
#[derive(Debug, Clone)]
struct Condition {
    comparison: Comparison,
    threshold: Version,
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    AtLeast,
    Above,
    Below,
}

impl Condition {
    fn holds(&self, version: &Version) -> bool {
        match self.comparison {
            Comparison::AtLeast => *version >= self.threshold,
            Comparison::Above => *version > self.threshold,
            Comparison::Below => *version < self.threshold,
        }
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (comparison, version) = match text.split_once(' ') {
            Some((">=", version)) => (Comparison::AtLeast, version),
            Some((">", version)) => (Comparison::Above, version),
            Some(("<", version)) => (Comparison::Below, version),
            _ => {
                return Err(D::Error::custom(format!(
                    "{text:?} is no condition: write >=, > or <, a space and a version, as in \">= v0.132.0-dev\""
                )));
            }
        };
        let threshold = Version::deserialize(version.into_deserializer())?;
        Ok(Condition {
            comparison,
            threshold,
        })
    }
}

/// A version from every range into which the thresholds divide all versions, the thresholds themselves included.
pub(crate) fn one_of_each_range<'a>(
    thresholds: impl IntoIterator<Item = &'a Version>,
) -> Vec<Version> {
    let mut versions = vec![version("v0.0.0-0")];
    for threshold in thresholds {
        versions.extend([threshold.clone(), successor(threshold)]);
    }
    versions
}

/// The next version by SemVer precedence; nothing lies between the two.
fn successor(of: &Version) -> Version {
    let semver = of.semver();
    let (major, minor, patch) = (semver.major, semver.minor, semver.patch);
    if of.is_prerelease() {
        version(&format!("v{major}.{minor}.{patch}-{}.0", semver.pre))
    } else {
        version(&format!("v{major}.{minor}.{}-0", patch.saturating_add(1)))
    }
}

fn version(text: &str) -> Version {
    text.parse().expect("made from a version's own parts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        value: ByVersion<String>,
    }

    fn parse(value: &str) -> Result<ByVersion<String>, String> {
        let file: Result<File, _> = toml::from_str(&format!("value = {value}"));
        file.map(|file| file.value)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_condition_splits_the_versions_where_it_says() {
        let at = |operator: &str, version: &str| {
            let text = format!(r#"{{ when = "{operator} v1.0.0-dev", then = "on" }}"#);
            parse(&text).unwrap().at(&self::version(version)).is_some()
        };
        for (operator, below, same, above) in [
            (">=", false, true, true),
            (">", false, false, true),
            ("<", true, false, false),
        ] {
            assert_eq!(at(operator, "v0.99.9"), below, "{operator}");
            assert_eq!(at(operator, "v1.0.0-dev"), same, "{operator}");
            assert_eq!(at(operator, "v1.0.0-dev--pr.g1"), same, "{operator}");
            assert_eq!(at(operator, "v1.0.0-dev.0"), above, "{operator}");
            assert_eq!(at(operator, "v1.0.0"), above, "{operator}");
        }
    }

    #[test]
    fn a_slip_is_answered_by_what_is_wrong() {
        for (value, message) in [
            ("7", "invalid type: integer `7`, expected a string"),
            (
                r#"{ when = "= v1.0.0", then = "a" }"#,
                r#""= v1.0.0" is no condition: write >=, > or <, a space and a version, as in ">= v0.132.0-dev""#,
            ),
            (
                r#"{ when = ">= 1.0.0", then = "a" }"#,
                r#""1.0.0" is not a version: a version starts with "v", as in v26.22.0"#,
            ),
            (
                r#"{ when = ">= v1.0.0", then = "a", else = "b" }"#,
                "unknown field `else`, expected one of `when`, `then`, `otherwise`",
            ),
            (r#"{ when = ">= v1.0.0" }"#, "missing field `then`"),
        ] {
            assert!(parse(value).unwrap_err().contains(message), "{value}");
        }
    }

    #[test]
    fn nothing_lies_between_a_version_and_its_successor() {
        for (of, next) in [
            ("v0.127.0-dev", "v0.127.0-dev.0"),
            ("v0.127.0-rc.1", "v0.127.0-rc.1.0"),
            ("v26.9.0", "v26.9.1-0"),
        ] {
            assert_eq!(successor(&version(of)), version(next));
            assert!(version(of) < version(next));
        }
    }
}
