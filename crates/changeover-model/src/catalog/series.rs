//! Series of versions: all that share the first two numbers.

use crate::version::Version;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::str::FromStr;

/// The versions `vMAJOR.MINOR.*`, written `MAJOR.MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The first number.
    pub major: u64,
    /// The second number.
    pub minor: u64,
}

impl Series {
    /// The series of a version.
    pub fn of(version: &Version) -> Self {
        let semver = version.semver();
        Series {
            major: semver.major,
            minor: semver.minor,
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is no series of versions: give MAJOR.MINOR, as in 25.2");
        // A series is the beginning of a version, and follows its syntax.
        let version: Version = format!("v{text}.0").parse().map_err(|_| refuse())?;
        let series = Series::of(&version);
        (series.to_string() == text)
            .then_some(series)
            .ok_or_else(refuse)
    }
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Versions from which a path is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawFrom {
    /// Those that an operator of this series carries, such as `25.2`.
    Operators(Series),
    /// Those with this first number, such as `26`.
    Major(u64),
}

impl<'de> Deserialize<'de> for DrawFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(major) => Ok(DrawFrom::Major(major)),
            Err(_) => text
                .parse()
                .map(DrawFrom::Operators)
                .map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_two_numbers() {
        let series: Series = "25.2".parse().unwrap();
        assert_eq!(series, Series::of(&"v25.2.16".parse().unwrap()));
        assert_eq!(series.to_string(), "25.2");
        for text in ["25", "25.2.1", "25.02", "25.x", "25.2-rc", ""] {
            assert!(text.parse::<Series>().is_err(), "{text}");
        }
    }
}
