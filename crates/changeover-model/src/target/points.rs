//! How the points of a step are reached at which a fault can happen.

use super::Target;
use crate::fault::{Party, Point};
use std::collections::BTreeMap;

/// `[points]`: see the keys' text in the schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PointsTemplate {
    /// Arguments that make an instance wait at a point, with `{point}` and `{socket}`; `None` if it cannot.
    pub hold: Option<Vec<String>>,
    /// What a line of an instance's log contains when it has reached a point.
    pub log: BTreeMap<Point, String>,
}

/// How a point is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The instance stops there, and waits until it is released.
    Held,
    /// It is seen, and what is done there is done after it: by the status, by the end of a process, by a call of our
    /// own, or, if the text is given, by a line of the instance's log that contains it.
    Seen(Option<String>),
    /// It cannot be, and why.
    Unreachable(String),
}

impl Target {
    /// How a point is reached where instances run on this runtime.
    pub fn reach(&self, point: Point, runtime: &str) -> Reach {
        let by_process = matches!(
            point,
            Point::Booting | Point::NewRestarting | Point::OldFenced
        );
        if self.is_attached() && by_process {
            return Reach::Unreachable(
                "nobody sees the processes of instances that run already".to_owned(),
            );
        }
        // The socket is a file of this machine, which containers do not have.
        let can_hold = self.points.hold.is_some() && runtime == "process" && !self.is_attached();
        if can_hold && point.party() != Party::Driver {
            return Reach::Held;
        }
        let line = self.points.log.get(&point).cloned();
        if point == Point::FenceWritten && line.is_none() {
            return Reach::Unreachable(
                "nothing but the instance knows when it writes the fence; name the line that it logs in [points] log"
                    .to_owned(),
            );
        }
        Reach::Seen(line)
    }
}
