//! The faults of a plan: those that were asked for, in each of the steps they are meant for, and those that are drawn.

use crate::error::PlanRequestError;
use crate::seed::Seed;
use changeover_model::fault::{Action, Delay, Fault, Point, Subject, Surroundings, check_faults};

/// How long a drawn fault lasts, in milliseconds.
const DRAWN_MS: u64 = 2000;

/// By how much a drawn delay delays, in milliseconds.
const DRAWN_DELAY_MS: u64 = 50;

/// What a person asks to be broken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultRequest {
    /// These.
    pub given: Vec<Fault>,
    /// So many more, drawn from the seed.
    pub random: u32,
}

/// The faults of a plan: each in one step.
///
/// # Errors
///
/// The first that cannot happen, or that there are not so many to draw.
pub(crate) fn faults(
    request: &FaultRequest,
    seed: &Seed,
    plan: &Surroundings<'_>,
) -> Result<Vec<Fault>, PlanRequestError> {
    // Before they are spread over the steps: who reads of one that cannot happen wants to read what was typed.
    check_faults(&request.given, plan)?;
    let mut faults = Vec::new();
    for fault in &request.given {
        faults.extend(in_each_step(fault, plan));
    }
    check_faults(&faults, plan)?;
    draw(request.random, seed, plan, &mut faults)?;
    Ok(faults)
}

/// A fault in each of the steps that reach its point.
fn in_each_step(fault: &Fault, plan: &Surroundings<'_>) -> Vec<Fault> {
    let steps = (1..=plan.steps()).filter(|step| fault.is_in(*step));
    let alone = steps.map(|step| fault.in_step(step));
    alone
        .filter(|fault| check_faults(std::slice::from_ref(fault), plan).is_ok())
        .collect()
}

/// Adds faults that can happen beside those that are there, each with the same probability. A draw takes one number.
fn draw(
    count: u32,
    seed: &Seed,
    plan: &Surroundings<'_>,
    faults: &mut Vec<Fault>,
) -> Result<(), PlanRequestError> {
    let mut stream = seed.stream("faults");
    for drawn in 0..count {
        let possible: Vec<Fault> = candidates(plan.steps())
            .filter(|fault| {
                let mut all = faults.clone();
                all.push(fault.clone());
                let certain = faults
                    .iter()
                    .all(|other| !keeps_away(other, fault) && !keeps_away(fault, other));
                certain && check_faults(&all, plan).is_ok()
            })
            .collect();
        if possible.is_empty() {
            return Err(PlanRequestError::NotSoManyFaults {
                asked: count,
                drawn,
                seed: seed.to_string(),
            });
        }
        // A list of this length fits into memory, and so its length into both.
        let index = stream.below(possible.len() as u64) as usize;
        faults.push(possible[index].clone());
    }
    // In the order in which they happen.
    faults.sort_by_key(|fault| (fault.step, fault.point));
    Ok(())
}

/// Whether a fault may keep another from happening: an old instance that was started again before it is fenced may be
/// gone before it could be broken, or come to where it says that it leaves. Who asks for both may have them; nobody draws
/// what may miss.
fn keeps_away(earlier: &Fault, later: &Fault) -> bool {
    let ends = matches!(earlier.action, Action::Kill { .. } | Action::Restart);
    let of_old = later.subject == Subject::Old && later.point >= Point::PromoteSent
        || matches!(later.point, Point::OldFenced | Point::Retiring);
    earlier.step == later.step
        && earlier.subject == Subject::Old
        && ends
        && earlier.point < later.point
        && of_old
}

/// What is drawn from: what breaks something that a real machine breaks, at each point of each step.
fn candidates(steps: u32) -> impl Iterator<Item = Fault> {
    let ms = DRAWN_MS;
    let actions = [
        Action::Kill { times: 1 },
        Action::Pause { ms },
        Action::Restart,
        Action::Cut { ms },
        Action::Delay {
            by_ms: DRAWN_DELAY_MS,
            ms,
        },
        Action::Reset,
        Action::HalfOpen { ms },
        Action::BlackHole { ms },
        Action::PromoteEarly,
        Action::PromoteTwice,
        Action::PromoteOld,
    ];
    (1..=steps).flat_map(move |step| {
        let actions = actions.clone();
        Point::ALL.into_iter().flat_map(move |point| {
            let actions = actions.clone();
            Subject::ALL.into_iter().flat_map(move |subject| {
                let fits = actions.clone().into_iter().filter(move |a| a.fits(subject));
                fits.map(move |action| Fault {
                    step: Some(step),
                    subject,
                    action,
                    point,
                    delay: Delay::None,
                })
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_instance_that_was_ended_may_not_come_to_its_last_points() {
        let keeps = |earlier: &str, later: &str| {
            keeps_away(&earlier.parse().unwrap(), &later.parse().unwrap())
        };
        assert!(keeps("1:old:restart@ready", "1:old:kill@retiring"));
        assert!(keeps("1:old:kill@booting", "1:old:pause:2s@promote-sent"));
        assert!(keeps("1:old:kill@booting", "1:new:kill@old-fenced"));
        assert!(!keeps("1:old:kill@booting", "2:old:kill@retiring"));
        assert!(!keeps("1:old:kill@booting", "1:old:pause:2s@ready"));
        assert!(!keeps("1:old:kill@booting", "1:new:kill@leader"));
        assert!(!keeps("1:old:pause:2s@ready", "1:old:kill@retiring"));
        assert!(!keeps("1:new:kill@ready", "1:old:kill@retiring"));
    }
}
