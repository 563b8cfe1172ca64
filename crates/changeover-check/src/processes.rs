//! A process has at most one operation in flight.

use crate::intern::FastMap;
use crate::ops::time;
use changeover_model::history::{Line, Outcome};
use std::fmt;

/// The last operation of a process.
#[derive(Debug, Clone, Copy)]
struct Last {
    invoke: u64,
    /// `None` after an `unknown`: it may still be going on.
    end: Option<u64>,
    line: u64,
}

/// All processes so far.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    last: FastMap<u64, Last>,
}

/// Two operations of a process that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    process: u64,
    /// When the operation was sent.
    invoke: u64,
    /// The line of the other one, which came before it in the file.
    other: u64,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// The other had not ended.
    InFlight,
    /// The other never ended.
    AfterUnknown,
    /// The other was sent later.
    OutOfOrder,
}

impl Processes {
    pub(crate) fn take(&mut self, line: &Line<'_>, number: u64) -> Result<(), Overlap> {
        let end = match line.outcome {
            Outcome::Unknown => None,
            _ => Some(line.returned.or(line.ended).unwrap_or(line.invoke)),
        };
        let last = Last {
            invoke: line.invoke,
            end,
            line: number,
        };
        let Some(before) = self.last.insert(line.process, last) else {
            return Ok(());
        };
        let why = match before.end {
            None => Why::AfterUnknown,
            Some(end) if end <= line.invoke => return Ok(()),
            Some(_) if last.end.is_some_and(|end| end <= before.invoke) => Why::OutOfOrder,
            Some(_) => Why::InFlight,
        };
        Err(Overlap {
            process: line.process,
            invoke: line.invoke,
            other: before.line,
            why,
        })
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = i64::try_from(self.invoke).map_or_else(|_| self.invoke.to_string(), time);
        write!(f, "process {} sent this at {at}, ", self.process)?;
        match self.why {
            Why::InFlight => write!(
                f,
                "while its operation of line {} was in flight: give each of two at once a process of its own",
                self.other
            ),
            Why::AfterUnknown => write!(
                f,
                "after its operation of line {}, which is unknown and may still be going on: give it a new process number",
                self.other
            ),
            Why::OutOfOrder => write!(
                f,
                "before its operation of line {}: write the operations of a process in the order in which it sent them",
                self.other
            ),
        }
    }
}
