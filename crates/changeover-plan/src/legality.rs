//! Judges the hops of a path: a legal one is kept, an illegal one filled, reported or refused.

use crate::error::PlanRequestError;
use crate::request::{Generator, Request, Strategy};
use crate::route::{Router, joined};
use changeover_model::check::{Check, Severity};
use changeover_model::plan::{Plan, PlanFinding, StepPlan};
use changeover_model::version::PathVersion;

/// What becomes of an illegal hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Illegal {
    /// There is no plan.
    Refused,
    /// The plan says so.
    Reported,
    /// The stops of the legal route are put between, and the plan says so. Where there is no route, there is no plan.
    Filled,
}

impl Illegal {
    /// As a request wants it.
    pub(crate) fn of(request: &Request) -> Self {
        let chacha = request.draw.generator != Some(Generator::Python);
        match request.strategy() {
            _ if request.allow_illegal => Illegal::Reported,
            Strategy::Random if chacha => Illegal::Filled,
            _ => Illegal::Refused,
        }
    }
}

/// Judges every hop of a path.
///
/// Returns the path that may be planned, and what the plan must say about it.
///
/// # Errors
///
/// The first hop that is illegal and stays so.
pub(crate) fn judge(
    path: &[PathVersion],
    router: &Router<'_>,
    illegal: Illegal,
    allow_restart: bool,
) -> Result<(Vec<PathVersion>, Vec<PlanFinding>), PlanRequestError> {
    let mut legal: Vec<PathVersion> = path.iter().take(1).cloned().collect();
    let mut findings = Vec::new();
    for (hop, number) in path.windows(2).zip(1..) {
        let (from, to) = (&hop[0], &hop[1]);
        let Some(objection) = objection(from, to, number, router, allow_restart) else {
            legal.push(to.clone());
            continue;
        };
        match (illegal, router.stops(from, to)) {
            (Illegal::Reported, _) => {
                legal.push(to.clone());
                // The hop that ends at the version just put on the path.
                let step = u32::try_from(legal.len() - 1).ok();
                findings.push(finding(step, objection.what));
            }
            (Illegal::Filled, Some(stops)) => {
                let between = &stops[1..stops.len() - 1];
                let names: Vec<String> = between.iter().map(PathVersion::to_string).collect();
                findings.push(finding(
                    None,
                    format!(
                        "the draw had {from} → {to}, which is not legal ({}); it was filled with {}",
                        router.objections(from, to).join("; "),
                        names.join(", ")
                    ),
                ));
                legal.extend(stops.into_iter().skip(1));
            }
            (Illegal::Refused | Illegal::Filled, _) => return Err(objection.into()),
        }
    }
    Ok((legal, findings))
}

/// What is wrong with a hop, and what would be right.
struct Objection {
    what: String,
    advice: String,
}

impl From<Objection> for PlanRequestError {
    fn from(objection: Objection) -> Self {
        let Objection { what, advice } = objection;
        PlanRequestError::IllegalHop { what, advice }
    }
}

fn objection(
    from: &PathVersion,
    to: &PathVersion,
    number: usize,
    router: &Router<'_>,
    allow_restart: bool,
) -> Option<Objection> {
    if from.is_same(to) {
        return (!allow_restart).then(|| Objection {
            what: format!(
                "{to} follows itself on the upgrade path (places {number} and {})",
                number + 1
            ),
            advice: "name it once, or give --allow-restart to rehearse a restart".to_owned(),
        });
    }
    if to < from {
        return Some(Objection {
            what: format!("{to} is older than {from}, which stands before it on the upgrade path"),
            advice: "an upgrade goes forward only, so list the versions oldest first, or give --allow-illegal to rehearse it all the same".to_owned(),
        });
    }
    let objections = router.objections(from, to);
    (!objections.is_empty()).then(|| Objection {
        what: format!(
            "{from} → {to} is not a legal upgrade, because {}",
            objections.join("; ")
        ),
        advice: match router.stops(from, to) {
            Some(stops) => format!(
                "go {}, or give --allow-illegal to rehearse it all the same",
                joined(&stops)
            ),
            None => "no legal route leads there; give --allow-illegal to rehearse it all the same"
                .to_owned(),
        },
    })
}

/// Judges the hops of a plan that was read. Returns what it should say about illegal ones, and does not, and warnings.
///
/// What `current` was taken for is no part of a plan, so an objection to a hop onto it may be wrong, and is a warning.
/// That a version follows itself is fine: a plan made with `--allow-restart` runs from its file alone.
///
/// # Errors
///
/// Unless illegal hops are allowed, the first that the plan says nothing about.
pub(crate) fn review(
    plan: &Plan,
    router: &Router<'_>,
    allow_illegal: bool,
) -> Result<(Vec<PlanFinding>, Vec<String>), PlanRequestError> {
    let mut findings = Vec::new();
    let mut warnings = Vec::new();
    for step in &plan.steps {
        let StepPlan { from, to, .. } = step;
        let step = step.number;
        let owned_up = |finding: &PlanFinding| {
            finding.check == Check::IllegalHop && finding.step == Some(step)
        };
        if plan.findings.iter().any(owned_up) {
            continue;
        }
        let number = usize::try_from(step).unwrap_or(usize::MAX);
        match objection(from, to, number, router, true) {
            Some(objection) if to.known().is_none() => warnings.push(format!(
                "step {step}: {}, if current counts as the newest usable version; a plan does not say what it is, so the step is kept",
                objection.what
            )),
            Some(objection) if allow_illegal => {
                findings.push(finding(Some(step), objection.what));
            }
            Some(objection) => return Err(objection.into()),
            None => {}
        }
    }
    Ok((findings, warnings))
}

fn finding(step: Option<u32>, message: String) -> PlanFinding {
    PlanFinding {
        check: Check::IllegalHop,
        severity: Severity::Warning,
        step,
        message,
    }
}
