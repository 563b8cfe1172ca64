//! Versions: `v` and a Semantic Version, as Materialize writes them, and the version built from local source.
//!
//! Syntax and precedence are those of Materialize's own version module and of SemVer 2.0.0: build metadata does not
//! count, `X-dev` < `X-dev.0` < `X-rc.2` < `X-rc.10` < `X`. An image tag writes `--` where SemVer writes `+`,
//! because a tag may not contain a plus sign.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A version, for instance `v26.22.0`, `v0.45.0-dev (f01773cb1)` or `v26.24.0-dev.0--pr.g5a05`.
///
/// Printing gives back what was parsed. Equality and order are SemVer precedence, so the commit hash in parentheses
/// and build metadata do not count.
#[derive(Debug, Clone)]
pub struct Version {
    semver: semver::Version,
    /// Whether build metadata is written with `--`, as in an image tag.
    tag_form: bool,
    /// What stood in parentheses behind the version.
    hash: Option<String>,
}

/// A string that is no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionError {
    /// The input, as it was given.
    pub input: String,
    /// Where the problem starts, counted in characters.
    pub position: usize,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hostile input must not move the caret or the cursor.
        let shown: String = self
            .input
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        write!(
            f,
            "{shown:?} is not a version: {}\n  {shown}\n  {}^",
            self.problem,
            " ".repeat(self.position)
        )
    }
}

impl std::error::Error for VersionError {}

impl VersionError {
    fn new(input: &str, byte: usize, problem: impl Into<String>) -> Self {
        let position = input
            .char_indices()
            .take_while(|(index, _)| *index < byte)
            .count();
        VersionError {
            input: input.to_owned(),
            position,
            problem: problem.into(),
        }
    }
}

impl Version {
    /// A plain release `vMAJOR.MINOR.PATCH`.
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Version {
            semver: semver::Version::new(major, minor, patch),
            tag_form: false,
            hash: None,
        }
    }

    /// A release candidate of a first version, `vMAJOR.MINOR.0-rc.NUMBER`.
    pub fn candidate(major: u64, minor: u64, number: u64) -> Self {
        let mut candidate = Version::new(major, minor, 0);
        candidate.semver.pre = semver::Prerelease::new(&format!("rc.{number}"))
            .expect("a word and a number are a pre-release");
        candidate
    }

    /// The version as SemVer.
    pub fn semver(&self) -> &semver::Version {
        &self.semver
    }

    /// Whether it has a pre-release part.
    pub fn is_prerelease(&self) -> bool {
        !self.semver.pre.is_empty()
    }

    /// The version as an image tag: `+` becomes `--`, the hash is dropped.
    pub fn tag(&self) -> String {
        self.render(true)
    }

    /// Whether it is the very same version. Builds of one version from two commits are equal by precedence, and not
    /// the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.tag() == other.tag()
    }

    fn render(&self, tag_form: bool) -> String {
        let text = format!("v{}", self.semver);
        if tag_form {
            text.replacen('+', "--", 1)
        } else {
            text
        }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(input: &str) -> Result<Self, VersionError> {
        let refuse = |byte: usize, problem: &str| Err(VersionError::new(input, byte, problem));
        let Some(rest) = input.strip_prefix('v') else {
            return refuse(0, "a version starts with \"v\", as in v26.22.0");
        };
        let (number, hash) = match rest.find(' ') {
            None => (rest, None),
            Some(space) => {
                let tail = &rest[space + 1..];
                let inner = tail.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
                match inner {
                    Some(hash)
                        if !hash.is_empty() && hash.chars().all(|c| c.is_ascii_alphanumeric()) =>
                    {
                        (&rest[..space], Some(hash.to_owned()))
                    }
                    _ => {
                        return refuse(
                            space + 2,
                            "only a commit hash in parentheses may follow, as in v0.45.0-dev (f01773cb1)",
                        );
                    }
                }
            }
        };
        if let Some((byte, problem)) = core_problem(number) {
            return refuse(byte + 1, problem);
        }
        let dashes = number.find("--");
        if let Some(byte) = dashes
            && number.contains('+')
        {
            return refuse(
                byte + 1,
                "\"--\" stands for \"+\" in an image tag; both is one too many",
            );
        }
        let spelled = match dashes {
            Some(byte) => format!("{}+{}", &number[..byte], &number[byte + 2..]),
            None => number.to_owned(),
        };
        match semver::Version::parse(&spelled) {
            Ok(semver) => Ok(Version {
                semver,
                tag_form: dashes.is_some(),
                hash,
            }),
            Err(error) => refuse(1 + suffix_problem(number), &error.to_string()),
        }
    }
}

/// Checks `MAJOR.MINOR.PATCH` by hand, because the caret needs to know where it went wrong.
fn core_problem(number: &str) -> Option<(usize, &'static str)> {
    let core_end = number.find(['-', '+']).unwrap_or(number.len());
    let mut at = 0;
    let mut parts = 0;
    for part in number[..core_end].split('.') {
        parts += 1;
        if parts > 3 {
            return Some((at - 1, "a version has three numbers, MAJOR.MINOR.PATCH"));
        }
        if part.is_empty() {
            return Some((at, "a number is missing here"));
        }
        if let Some(bad) = part.find(|c: char| !c.is_ascii_digit()) {
            return Some((at + bad, "only digits may stand here"));
        }
        if part.len() > 1 && part.starts_with('0') {
            return Some((at, "a number has no leading zero"));
        }
        if part.parse::<u64>().is_err() {
            return Some((
                at,
                "this number is too large, give one up to 18446744073709551615",
            ));
        }
        at += part.len() + 1;
    }
    (parts < 3).then_some((core_end, "a version has three numbers, MAJOR.MINOR.PATCH"))
}

/// Where the pre-release or build part of a version with a sound core is unsound.
fn suffix_problem(number: &str) -> usize {
    let start = number.find(['-', '+']).unwrap_or(number.len());
    let suffix = &number[start..];
    let bad = suffix.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')));
    if let Some(bad) = bad {
        return start + bad;
    }
    // An empty identifier, or a number with a leading zero.
    let mut at = start;
    for part in suffix.split(['-', '+', '.']).skip(1) {
        at += 1;
        let numeric = part.chars().all(|c| c.is_ascii_digit());
        if part.is_empty() || (numeric && part.len() > 1 && part.starts_with('0')) {
            return at;
        }
        at += part.len();
    }
    start
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(self.tag_form))?;
        match &self.hash {
            Some(hash) => write!(f, " ({hash})"),
            None => Ok(()),
        }
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.semver.cmp_precedence(&other.semver)
    }
}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let semver::Version {
            major,
            minor,
            patch,
            pre,
            build: _,
        } = &self.semver;
        (major, minor, patch, pre).hash(state);
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: VersionError| {
            // One line: the caret would not survive inside a sentence about a file.
            serde::de::Error::custom(format!(
                "{:?} is not a version: {}",
                error.input, error.problem
            ))
        })
    }
}

/// A version on an upgrade path: a known one, or the one built from local source.
///
/// `Current` is newer than every known version, is written `current`, and is `null` in JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathVersion {
    /// A version with a number.
    Known(Version),
    /// The version built from local source.
    Current,
}

impl PathVersion {
    /// The known version, if it is one.
    pub fn known(&self) -> Option<&Version> {
        match self {
            PathVersion::Known(version) => Some(version),
            PathVersion::Current => None,
        }
    }

    /// Whether it is the very same version, so that going from one to the other is a restart; see
    /// [`Version::is_same`].
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.known(), other.known()) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl From<Version> for PathVersion {
    fn from(version: Version) -> Self {
        PathVersion::Known(version)
    }
}

impl FromStr for PathVersion {
    type Err = VersionError;

    fn from_str(input: &str) -> Result<Self, VersionError> {
        match input {
            "current" => Ok(PathVersion::Current),
            _ => input.parse().map(PathVersion::Known),
        }
    }
}

impl fmt::Display for PathVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathVersion::Known(version) => version.fmt(f),
            PathVersion::Current => f.write_str("current"),
        }
    }
}

impl Serialize for PathVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.known().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PathVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = Option::<Version>::deserialize(deserializer)?;
        Ok(version.map_or(PathVersion::Current, PathVersion::Known))
    }
}

/// Whether what an instance answered to the question for its version names the expected one. It may be the version
/// itself, or, as Materialize answers, the version and a commit in parentheses; then one that was built from local
/// source, of which only its builder knows the version, has any.
pub fn names_version(found: &str, expected: &str) -> bool {
    match found.split_once(' ') {
        Some((version, rest)) if rest.starts_with('(') && rest.ends_with(')') => {
            version == expected || expected == "current"
        }
        _ => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn accepts_every_form_that_materialize_writes() {
        for text in [
            "v0.45.0",
            "v0.45.0-dev (f01773cb1)",
            "v0.115.0-dev.0",
            "v26.0.0-rc.1",
            "v26.24.0-dev.0--pr.g5a05",
            "v26.24.0-dev.0+pr.g5a05",
            "v1.2.3+build",
        ] {
            assert_eq!(version(text).to_string(), text);
        }
        assert_eq!(
            version("v26.24.0-dev.0--pr.g5a05").semver().build.as_str(),
            "pr.g5a05"
        );
        assert_eq!(version("v1.0.0+main.g1").tag(), "v1.0.0--main.g1");
    }

    #[test]
    fn refused_input_is_shown_with_a_caret() {
        let shown = |text: &str| text.parse::<Version>().unwrap_err().to_string();
        assert_eq!(
            shown("0.45.0"),
            "\"0.45.0\" is not a version: a version starts with \"v\", as in v26.22.0\n  0.45.0\n  ^"
        );
        assert_eq!(
            shown("v0.045.0"),
            "\"v0.045.0\" is not a version: a number has no leading zero\n  v0.045.0\n     ^"
        );
        let caret = |text: &str| text.parse::<Version>().unwrap_err().position;
        assert_eq!(caret("v0.45"), 5);
        assert_eq!(caret("v0.45.x"), 6);
        assert_eq!(caret("v0.45.0.1"), 7);
        assert_eq!(caret("v0.45.0-dev.01"), 12);
        assert_eq!(caret("v0.147.0 (abc, helm chart: 25.2.0)"), 9);
        assert_eq!(caret("v1.2.3-ä"), 7);
    }

    #[test]
    fn a_number_that_does_not_fit_says_what_would() {
        let error = "v0.18446744073709551616.0".parse::<Version>().unwrap_err();
        assert_eq!(error.position, 3);
        assert_eq!(
            error.problem,
            format!("this number is too large, give one up to {}", u64::MAX)
        );
    }

    #[test]
    fn builds_of_one_version_are_equal_and_not_the_same() {
        let same = |a: &str, b: &str| {
            let [a, b]: [PathVersion; 2] = [a, b].map(|text| text.parse().unwrap());
            a.is_same(&b)
        };
        assert!(same("v1.0.0+main.g1", "v1.0.0--main.g1") && same("current", "current"));
        assert!(same("v1.0.0", "v1.0.0 (f01773cb1)"));
        assert!(!same("v1.0.0--main.g1", "v1.0.0--main.g2") && !same("v1.0.0", "current"));
    }

    #[test]
    fn order_is_semver_precedence_and_current_is_newest() {
        let ordered = [
            "v1.0.0-dev",
            "v1.0.0-dev.0",
            "v1.0.0-rc.2",
            "v1.0.0-rc.10",
            "v1.0.0",
            "v1.0.1",
        ];
        for pair in ordered.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("v1.0.0+a"), version("v1.0.0--b"));
        assert!(PathVersion::Known(version("v999.0.0")) < PathVersion::Current);
    }

    #[test]
    fn current_is_null_in_json() {
        let path = vec![PathVersion::Known(version("v0.1.0")), PathVersion::Current];
        let json = serde_json::to_string(&path).unwrap();
        assert_eq!(json, r#"["v0.1.0",null]"#);
        assert_eq!(
            serde_json::from_str::<Vec<PathVersion>>(&json).unwrap(),
            path
        );
    }

    /// A string that is nearly a version.
    fn nearly() -> impl Strategy<Value = String> {
        "v?[0-9]{0,3}\\.?[0-9]{0,2}\\.?[0-9]{0,2}(-[a-z0-9.]{0,8})?((\\+|--)[a-z0-9.]{0,6})?( \\([a-z0-9]{0,5}\\)?)?"
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_prints_what_it_read(text in prop_oneof![nearly(), any::<String>()]) {
            match text.parse::<Version>() {
                Ok(version) => prop_assert_eq!(version.to_string(), text),
                Err(error) => prop_assert!(error.position <= text.chars().count()),
            }
        }

        #[test]
        fn order_is_total(texts in prop::collection::vec("v[0-2]\\.[0-2]\\.[0-2](-(dev|rc)(\\.[0-3])?)?", 3)) {
            let [a, b, c] = [&texts[0], &texts[1], &texts[2]].map(|t| version(t));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }
    }
}
