//! The `"format": "changeover.<kind>/<major>"` mark that every file starts with.

use std::fmt;

/// The major version of all formats this build writes and reads.
pub const MAJOR: u32 = 1;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `plan.json`.
    Plan,
    /// `events.jsonl`.
    Events,
    /// `history.jsonl`.
    History,
    /// `verdict.json`.
    Verdict,
    /// `processes.jsonl`.
    Processes,
    /// What `changeover check` prints.
    Check,
    /// What `changeover releases` prints.
    Releases,
    /// What `changeover route` prints.
    Route,
    /// The data in `report.html`.
    Report,
    /// What `changeover runs` prints.
    Runs,
    /// What `changeover runs diff` prints.
    Diff,
    /// `probe.json`.
    Probe,
}

impl Kind {
    /// The word in the mark.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plan => "plan",
            Kind::Events => "events",
            Kind::History => "history",
            Kind::Verdict => "verdict",
            Kind::Processes => "processes",
            Kind::Check => "check",
            Kind::Releases => "releases",
            Kind::Route => "route",
            Kind::Report => "report",
            Kind::Runs => "runs",
            Kind::Diff => "diff",
            Kind::Probe => "probe",
        }
    }

    /// The mark this build writes, for instance `changeover.plan/1`.
    pub fn mark(self) -> String {
        format!("changeover.{}/{MAJOR}", self.name())
    }

    /// Accepts a mark of this kind whose major version this build knows.
    ///
    /// # Errors
    ///
    /// When the mark is of another kind, is none at all, or has another major version.
    pub fn accept(self, mark: &str) -> Result<(), FormatError> {
        let refuse = |problem| {
            Err(FormatError {
                expected: self,
                found: mark.chars().take(60).collect(),
                problem,
            })
        };
        let Some((kind, major)) = mark
            .strip_prefix("changeover.")
            .and_then(|rest| rest.split_once('/'))
        else {
            return refuse(FormatProblem::NotOurs);
        };
        if kind != self.name() {
            return refuse(FormatProblem::OtherKind);
        }
        match major.parse::<u32>() {
            Ok(MAJOR) => Ok(()),
            Ok(_) => refuse(FormatProblem::OtherMajor),
            Err(_) => refuse(FormatProblem::NotOurs),
        }
    }
}

/// A mark that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// What the reader wanted.
    pub expected: Kind,
    /// What it found, cut to 60 characters.
    pub found: String,
    /// Why it is refused.
    pub problem: FormatProblem,
}

/// Why a mark is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatProblem {
    /// Not a mark of Changeover.
    NotOurs,
    /// Another kind of file.
    OtherKind,
    /// A major version this build does not know.
    OtherMajor,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, found) = (self.expected.mark(), &self.found);
        match self.problem {
            FormatProblem::NotOurs => {
                write!(f, "\"format\" is {found:?}, expected {mark:?}")
            }
            FormatProblem::OtherKind => write!(
                f,
                "this is a {found:?} file, expected {mark:?}: give the right file"
            ),
            FormatProblem::OtherMajor => write!(
                f,
                "format {found:?} is of another major version than {mark:?}: use the Changeover that wrote it"
            ),
        }
    }
}

impl std::error::Error for FormatError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_its_own_kind_and_major() {
        assert!(Kind::Plan.accept("changeover.plan/1").is_ok());
        let problem = |mark| Kind::Plan.accept(mark).unwrap_err().problem;
        assert_eq!(problem("changeover.plan/2"), FormatProblem::OtherMajor);
        assert_eq!(problem("changeover.verdict/1"), FormatProblem::OtherKind);
        assert_eq!(problem("changeover.plan/one"), FormatProblem::NotOurs);
        assert_eq!(problem(""), FormatProblem::NotOurs);
    }
}
