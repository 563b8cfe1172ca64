//! The steps of a path: one a hop, and one more for each time that the upgrade is called off before it.

use crate::error::PlanRequestError;
use crate::services::SLOTS;
use changeover_model::fault::Point;
use changeover_model::plan::StepPlan;
use changeover_model::service::ServiceArgs;
use changeover_model::target::{Reach, Target};
use changeover_model::version::PathVersion;
use std::str::FromStr;

/// Where upgrades are called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortRequest {
    /// The point; `None` for every point in turn, to find the point of no return.
    pub at: Option<Point>,
    /// The hop, counted from 1; `None` for each.
    pub hop: Option<u32>,
    /// What comes after.
    pub then: AfterAbort,
}

/// What comes after an upgrade that was called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterAbort {
    /// The same version again, with a higher generation.
    #[default]
    Retry,
    /// The next version of the path.
    GoOn,
}

impl FromStr for AfterAbort {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "retry" => Ok(AfterAbort::Retry),
            "go-on" => Ok(AfterAbort::GoOn),
            _ => Err(format!("unknown word {word:?}; known: retry, go-on")),
        }
    }
}

impl AbortRequest {
    /// Calling off at `[HOP:]POINT`.
    ///
    /// # Errors
    ///
    /// When it names no hop or no point, as a sentence.
    pub fn parse(text: &str, then: AfterAbort) -> Result<Self, String> {
        let (hop, point) = match text.split_once(':') {
            None => (None, text),
            Some((hop, point)) => match hop.parse() {
                Ok(hop) if hop > 0 => (Some(hop), point),
                _ => {
                    return Err(format!(
                        "{hop:?} is no step; write STEP:POINT, as in 1:ready"
                    ));
                }
            },
        };
        Ok(AbortRequest {
            at: Some(point.parse()?),
            hop,
            then,
        })
    }

    /// What a plan says of it.
    pub(crate) fn word(&self) -> String {
        match self.at {
            Some(point) => point.to_string(),
            None => changeover_model::plan::EVERY_POINT.to_owned(),
        }
    }
}

/// One attempt to get from the version that leads to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) to: PathVersion,
    pub(crate) called_off_at: Option<Point>,
}

/// The attempts of a path.
///
/// # Errors
///
/// When an upgrade cannot be called off there.
pub(crate) fn attempts(
    path: &[PathVersion],
    abort: Option<&AbortRequest>,
    target: &Target,
    runtime: &str,
) -> Result<Vec<Attempt>, PlanRequestError> {
    let hops = &path[1..];
    let Some(abort) = abort else {
        let through = |to: &PathVersion| Attempt {
            to: to.clone(),
            called_off_at: None,
        };
        return Ok(hops.iter().map(through).collect());
    };
    let refuse = |problem: String| Err(PlanRequestError::Abort { problem });
    if let Some(hop) = abort.hop
        && hop as usize > hops.len()
    {
        return refuse(format!(
            "there is no step {hop} to call off; the path has {}",
            hops.len()
        ));
    }
    let points = points(abort, target, runtime)?;
    let mut attempts = Vec::new();
    for (number, to) in (1..).zip(hops) {
        let meant = abort.hop.is_none_or(|hop| hop == number);
        let last = number as usize == hops.len();
        if meant {
            attempts.extend(points.iter().map(|point| Attempt {
                to: to.clone(),
                called_off_at: Some(*point),
            }));
        }
        // Without a version to go on to, the last is tried again.
        if !meant || last || abort.then == AfterAbort::Retry {
            attempts.push(Attempt {
                to: to.clone(),
                called_off_at: None,
            });
        }
    }
    Ok(attempts)
}

fn points(
    abort: &AbortRequest,
    target: &Target,
    runtime: &str,
) -> Result<Vec<Point>, PlanRequestError> {
    let reachable = |point: &Point| !matches!(target.reach(*point, runtime), Reach::Unreachable(_));
    let refuse = |problem: String| Err(PlanRequestError::Abort { problem });
    if target.is_attached() {
        return refuse(
            "instances that run already are not ours to stop; describe how they are started, with [instance] command"
                .to_owned(),
        );
    }
    let Some(point) = abort.at else {
        return Ok(Point::ALL.into_iter().filter(reachable).collect());
    };
    if !point.before_the_fence() {
        return refuse(format!(
            "at point {point} the metadata store belongs to the new generation already, so there is no way back; name an earlier point, or find the last one with --find-point-of-no-return"
        ));
    }
    match target.reach(point, runtime) {
        Reach::Unreachable(why) => refuse(format!("point {point} cannot be reached: {why}")),
        _ => Ok(vec![point]),
    }
}

/// The steps of these attempts. The services, one for each attempt and one before them, get their slots: an attempt
/// takes the one that the leader has not.
pub(crate) fn steps(
    path: &[PathVersion],
    attempts: &[Attempt],
    services: &mut [ServiceArgs],
) -> Vec<StepPlan> {
    let (mut leads, mut leader) = (path[0].clone(), 0);
    let mut steps = Vec::with_capacity(attempts.len());
    for (index, attempt) in attempts.iter().enumerate() {
        let taken = services[leader].name.clone();
        let free = SLOTS.into_iter().find(|slot| *slot != taken);
        let service = &mut services[index + 1];
        service.name = free.unwrap_or(SLOTS[0]).to_owned();
        steps.push(StepPlan {
            number: u32::try_from(index + 1).unwrap_or(u32::MAX),
            from: leads.clone(),
            to: attempt.to.clone(),
            service: service.name.clone(),
            previous_service: taken,
            deploy_generation: service.deploy_generation,
            called_off_at: attempt.called_off_at,
        });
        if attempt.called_off_at.is_none() {
            (leads, leader) = (attempt.to.clone(), index + 1);
        }
    }
    steps
}
