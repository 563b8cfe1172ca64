//! A target's known versions.

use crate::nearest;
use crate::version::{PathVersion, Version};
use std::fmt;

/// One known version of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// The day it was released, `YYYY-MM-DD`.
    pub date: String,
    /// Why nobody may upgrade to it, if so.
    pub unusable: Option<String>,
    /// What it changed, in a sentence.
    pub summary: String,
}

/// A target's known versions, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    target: String,
    complete: bool,
    releases: Vec<Release>,
}

/// A version that the catalog refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogError {
    /// Not known, and the catalog knows all.
    Unknown {
        /// The target.
        target: String,
        /// The version asked for.
        version: Version,
        /// What to do about it.
        suggestion: String,
    },
    /// Known, and not to be used.
    Unusable {
        /// The target.
        target: String,
        /// The version asked for.
        version: Version,
        /// Why.
        reason: String,
        /// What to do about it.
        suggestion: String,
    },
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogError::Unknown {
                target,
                version,
                suggestion,
            } => write!(f, "target {target} has no version {version}: {suggestion}"),
            CatalogError::Unusable {
                target,
                version,
                reason,
                suggestion,
            } => write!(
                f,
                "version {version} of target {target} is unusable ({reason}): {suggestion}"
            ),
        }
    }
}

impl std::error::Error for CatalogError {}

impl Catalog {
    /// A catalog of `target`. `complete` says that a version which is not listed does not exist.
    pub fn new(target: impl Into<String>, complete: bool, mut releases: Vec<Release>) -> Self {
        releases.sort_by(|a, b| a.version.cmp(&b.version));
        Catalog {
            target: target.into(),
            complete,
            releases,
        }
    }

    /// The target's name.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// All known versions, oldest first.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// The versions that may be used, oldest first.
    pub fn usable(&self) -> impl Iterator<Item = &Release> {
        self.releases.iter().filter(|r| r.unusable.is_none())
    }

    /// The entry of a version.
    pub fn get(&self, version: &Version) -> Option<&Release> {
        self.releases.iter().find(|r| r.version == *version)
    }

    /// Judges a version that a person asked for by name.
    ///
    /// A catalog that can be incomplete keeps what it does not know or deems unusable, and returns a warning; a
    /// complete one refuses it.
    ///
    /// # Errors
    ///
    /// The refusal, with the nearest version that would do.
    pub fn admit(&self, version: &PathVersion) -> Result<Option<String>, CatalogError> {
        let PathVersion::Known(version) = version else {
            return Ok(None);
        };
        let error = match self.get(version) {
            Some(Release { unusable: None, .. }) => return Ok(None),
            Some(Release {
                unusable: Some(reason),
                ..
            }) => CatalogError::Unusable {
                target: self.target.clone(),
                version: version.clone(),
                reason: reason.clone(),
                suggestion: self.suggestion(version),
            },
            None => CatalogError::Unknown {
                target: self.target.clone(),
                version: version.clone(),
                suggestion: self.suggestion(version),
            },
        };
        if self.complete {
            Err(error)
        } else {
            Ok(Some(error.to_string()))
        }
    }

    fn suggestion(&self, version: &Version) -> String {
        let names: Vec<String> = self
            .usable()
            .map(|r| r.version.to_string())
            .chain(["current".to_owned()])
            .collect();
        nearest::suggestion(&version.to_string(), names.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(complete: bool) -> Catalog {
        let release = |v: &str, unusable: Option<&str>| Release {
            version: v.parse().unwrap(),
            date: "2026-01-01".to_owned(),
            unusable: unusable.map(str::to_owned),
            summary: String::new(),
        };
        Catalog::new(
            "sample",
            complete,
            vec![
                release("v0.2.0", Some("withdrawn")),
                release("v0.1.0", None),
            ],
        )
    }

    #[test]
    fn a_complete_catalog_refuses_with_the_nearest_name() {
        let ask = |v: &str| {
            catalog(true)
                .admit(&v.parse().unwrap())
                .map_err(|e| e.to_string())
        };
        assert_eq!(ask("v0.1.0"), Ok(None));
        assert_eq!(ask("current"), Ok(None));
        assert_eq!(
            ask("v0.1.7").unwrap_err(),
            "target sample has no version v0.1.7: did you mean v0.1.0?"
        );
        assert!(ask("v0.2.0").unwrap_err().contains("unusable (withdrawn)"));
    }

    #[test]
    fn an_incomplete_catalog_warns() {
        let warning = catalog(false).admit(&"v7.0.0".parse().unwrap()).unwrap();
        assert!(warning.unwrap().contains("has no version v7.0.0"));
    }
}
