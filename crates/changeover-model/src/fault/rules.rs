//! Which faults can happen, and together.

use super::{Action, Delay, Fault, Link, Point, Subject};
use crate::target::{Reach, Target};
use std::fmt;

/// What the rules need to know of a plan and its target.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// How the target says that a point is reached.
    pub target: &'a Target,
    /// The runtime's name.
    pub runtime: &'a str,
    /// The kind of metadata store.
    pub metadata_store: &'a str,
    /// Where each step is called off; `None` for one that is gone through.
    pub called_off: &'a [Option<Point>],
}

impl Surroundings<'_> {
    /// How many steps there are.
    pub fn steps(&self) -> u32 {
        u32::try_from(self.called_off.len()).unwrap_or(u32::MAX)
    }
}

/// A fault that cannot happen in this plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultConflict {
    /// Which, counted from 0.
    pub index: usize,
    /// The fault, as text.
    pub fault: String,
    /// Why it cannot happen, and what to do.
    pub problem: String,
}

impl fmt::Display for FaultConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault {} cannot happen: {}", self.fault, self.problem)
    }
}

impl std::error::Error for FaultConflict {}

/// Checks that every fault can happen in a plan, and that no two contradict each other.
///
/// # Errors
///
/// The first that cannot.
pub fn check_faults(faults: &[Fault], plan: &Surroundings<'_>) -> Result<(), FaultConflict> {
    for (index, fault) in faults.iter().enumerate() {
        let refuse = |problem: String| FaultConflict {
            index,
            fault: fault.to_string(),
            problem,
        };
        alone(fault, plan).map_err(refuse)?;
        for earlier in &faults[..index] {
            together(earlier, fault).map_err(refuse)?;
        }
    }
    Ok(())
}

fn alone(fault: &Fault, plan: &Surroundings<'_>) -> Result<(), String> {
    let Fault {
        step,
        subject,
        action,
        point,
        ..
    } = fault;
    if !action.fits(*subject) {
        let fitting: Vec<String> = Subject::ALL
            .into_iter()
            .filter(|other| action.fits(*other))
            .map(|other| other.to_string())
            .collect();
        return Err(format!(
            "{} is nothing that can be done to {subject}; it is done to {}",
            action.name(),
            fitting.join(", ")
        ));
    }
    if let Some(step) = step
        && *step > plan.steps()
    {
        return Err(format!(
            "there is no step {step}; the plan has {}",
            plan.steps()
        ));
    }
    if let Reach::Unreachable(why) = plan.target.reach(*point, plan.runtime) {
        return Err(format!("point {point} cannot be reached: {why}"));
    }
    called_off_before(fault, plan)?;
    subject_is_there(fault, plan)?;
    store(*subject, plan)?;
    call(fault, plan)
}

/// A step that is called off goes no further.
fn called_off_before(fault: &Fault, plan: &Surroundings<'_>) -> Result<(), String> {
    let reaches =
        |step: u32, at: &Option<Point>| fault.is_in(step) && at.is_none_or(|at| fault.point <= at);
    let mut steps = (1..).zip(plan.called_off);
    if plan.called_off.is_empty() || steps.any(|(step, at)| reaches(step, at)) {
        return Ok(());
    }
    Err(format!(
        "the upgrade is called off before point {}; name an earlier point, or another step",
        fault.point
    ))
}

/// Whether what is broken is there at that point.
fn subject_is_there(fault: &Fault, plan: &Surroundings<'_>) -> Result<(), String> {
    let point = fault.point;
    match fault.subject {
        Subject::New | Subject::Old if plan.target.is_attached() => Err(
            "instances that run already are not ours to break; describe how they are started, with [instance] command"
                .to_owned(),
        ),
        Subject::New if point == Point::BeforeBoot => {
            Err("the new instance is not there yet; name point booting or a later one".to_owned())
        }
        Subject::Old
            if point >= Point::PromoteSent
                && plan.target.reach(Point::OldFenced, plan.runtime) != Reach::Held =>
        {
            Err(format!(
                "at point {point} the old instance may be gone, and this target cannot be held there; name an earlier point"
            ))
        }
        _ => Ok(()),
    }
}

fn store(subject: Subject, plan: &Surroundings<'_>) -> Result<(), String> {
    let of_store = matches!(
        subject,
        Subject::MetadataStore | Subject::Link(Link::NewStore | Link::OldStore)
    );
    if of_store && plan.metadata_store == "sqlite" {
        return Err(
            "a SQLite file is no process, and nothing is between it and an instance; add --metadata-store postgres"
                .to_owned(),
        );
    }
    if matches!(subject, Subject::Link(Link::NewStore | Link::OldStore)) && plan.runtime == "docker"
    {
        return Err(
            "containers reach the metadata store by a network of their own, which is not broken; run on processes"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether a call of the upgrade makes sense at that point.
fn call(fault: &Fault, plan: &Surroundings<'_>) -> Result<(), String> {
    use Point::{BeforeBoot, CatchingUp, PromoteSent, Ready, Retiring};
    let (first, last) = match fault.action {
        // An instance that boots answers nobody.
        Action::PromoteEarly => (CatchingUp, CatchingUp),
        Action::PromoteTwice => (PromoteSent, Retiring),
        Action::PromoteOld => (BeforeBoot, PromoteSent),
        Action::SkipCatchup | Action::Rival { .. } => (CatchingUp, Ready),
        Action::Next | Action::Race => (CatchingUp, Ready),
        _ => (BeforeBoot, Retiring),
    };
    let (name, point) = (fault.action.name(), fault.point);
    if !(first..=last).contains(&point) {
        let places = match first == last {
            true => format!("name point {first}"),
            false => format!("name one from {first} to {last}"),
        };
        return Err(format!("{name} makes no sense at point {point}; {places}"));
    }
    if matches!(fault.action, Action::Ddl { .. }) && plan.target.client.speaks_http() {
        return Err(
            "clients of this target speak HTTP, which has no definitions to change".to_owned(),
        );
    }
    let overlaps = matches!(
        fault.action,
        Action::Rival { .. } | Action::Next | Action::Race
    );
    if overlaps && plan.target.is_attached() {
        return Err(
            "instances that run already are not started by us, and so is no other; describe how they are started, with [instance] command"
                .to_owned(),
        );
    }
    // What it starts has the generations that later steps would have.
    let overtakes = matches!(fault.action, Action::Next | Action::Race);
    if overtakes && fault.step != Some(plan.steps()) && plan.steps() > 1 {
        return Err(format!(
            "{name} takes the generation of a later step; put it into the last step, as {}",
            fault.in_step(plan.steps())
        ));
    }
    Ok(())
}

/// Whether a fault and an earlier one contradict each other: both are done to the same thing, and one lasts while the
/// other is done. What begins at different points is not compared, as nobody knows what lies between them.
fn together(earlier: &Fault, fault: &Fault) -> Result<(), String> {
    let same_step = match (earlier.step, fault.step) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    if !same_step || earlier.subject != fault.subject || earlier.point != fault.point {
        return Ok(());
    }
    let (Some(one), Some(other)) = (window(earlier), window(fault)) else {
        return Ok(());
    };
    let calls = fault.subject == Subject::Upgrade && earlier.action != fault.action;
    if calls || one.1 <= other.0 || other.1 <= one.0 {
        return Ok(());
    }
    Err(format!(
        "it contradicts {earlier}: both are done to {} at the same time; leave one out, or delay it",
        fault.subject
    ))
}

/// When it begins and ends, in milliseconds after its point; `None` if that depends on data.
fn window(fault: &Fault) -> Option<(u64, u64)> {
    let begins = match fault.delay {
        Delay::None => 0,
        Delay::Ms(ms) => ms,
        Delay::Writes(_) => return None,
    };
    Some((begins, begins + fault.action.lasts_ms().max(1)))
}
