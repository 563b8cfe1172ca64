//! Exit codes: a contract with scripts, written down in docs/exit-codes.md.

use changeover_model::verdict::VerdictOutcome;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked; a rehearsal passed.
    Passed = 0,
    /// A rehearsal failed, the first instance crashed, the store was made by a newer release, or something that
    /// should be gone is still there.
    Failed = 1,
    /// Bad arguments, configuration, plan or history, or an output that cannot be written.
    BadInput = 2,
    /// A rehearsal gave reasons for doubt, and no proof of a failure.
    Inconclusive = 3,
    /// It cannot run here: runtime, program or image missing, a port taken, the metadata store unreachable before
    /// anything started.
    CannotRunHere = 4,
    /// A person or a signal interrupted it.
    Interrupted = 130,
}

impl Exit {
    /// All exit codes, in the order of their numbers.
    pub const ALL: [Exit; 6] = [
        Exit::Passed,
        Exit::Failed,
        Exit::BadInput,
        Exit::Inconclusive,
        Exit::CannotRunHere,
        Exit::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl From<VerdictOutcome> for Exit {
    fn from(outcome: VerdictOutcome) -> Exit {
        match outcome {
            VerdictOutcome::Pass => Exit::Passed,
            VerdictOutcome::Fail => Exit::Failed,
            VerdictOutcome::Inconclusive => Exit::Inconclusive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_contract() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 130]);
    }

    #[test]
    fn a_verdict_has_its_own_code() {
        assert_eq!(Exit::from(VerdictOutcome::Pass), Exit::Passed);
        assert_eq!(Exit::from(VerdictOutcome::Fail), Exit::Failed);
        assert_eq!(Exit::from(VerdictOutcome::Inconclusive), Exit::Inconclusive);
    }

    #[test]
    fn the_document_has_a_row_for_every_code() {
        let document = include_str!("../../../docs/exit-codes.md");
        for exit in Exit::ALL {
            let row = format!("| {} |", exit.code());
            assert_eq!(document.matches(&row).count(), 1, "{row}");
        }
    }
}
