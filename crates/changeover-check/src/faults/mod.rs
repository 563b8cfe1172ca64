//! What was broken on purpose: when it was at work, on whom, and what it explains.
//!
//! A fault is at work from its intent until it is over: until a paused process goes on, a link carries again, a killed
//! process has been started again. What is done at once is over with its own event. A fault explains the gaps that
//! overlap the time of its work, if an outage is what may come of it ([`Expectation::Recovers`]); it excuses instances
//! and clients a little longer, as who was in an outage needs a moment to be over it. It never excuses an answer.

mod reports;

pub(crate) use reports::{Aftermath, judge};

use crate::stats::{SECOND, from_ms};
use crate::timeline::Window;
use changeover_model::event::{Event, EventKind};
use changeover_model::fault::{Expectation, Fault, Subject};
use changeover_model::plan::{Plan, Timeout};

/// How long after a fault was over its consequences may still show. An operation that was sent at its last moment may
/// wait for its whole time limit, and a process that failed for it is started again after a tenth of a second, and
/// starts.
const AFTERMATH: u64 = SECOND;

/// A fault of the plan, and what the events say of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broken {
    pub(crate) fault: Fault,
    pub(crate) step: u32,
    /// The deploy generation of the instance that it was done to.
    generation: Option<u64>,
    /// When it was at work; `None` if it did not happen.
    pub(crate) window: Option<Window>,
    /// Whether it ended, as far as that was in the harness's hands.
    over: bool,
    before: String,
    after: String,
    evidence: Vec<String>,
    /// Why it did not happen, if anybody said so.
    missed: Option<String>,
}

/// Another stretch in which the harness itself kept clients from being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnDoing {
    /// The leader was started again to see whether it can be.
    Comeback,
    /// An upgrade was called off beyond the point of no return, and nobody led until the next one.
    NobodyLed,
}

/// What was broken in a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Faults {
    pub(crate) all: Vec<Broken>,
    own: Vec<(OwnDoing, Window)>,
    /// How long an operation may take.
    operation: u64,
}

impl Faults {
    /// Reads events in their order.
    pub(crate) fn new(plan: &Plan, events: &[Event]) -> Self {
        let last = events.iter().map(|event| event.at).max().unwrap_or(0);
        let each = plan.faults.iter().flat_map(|fault| {
            let steps = plan.steps.iter().map(|step| step.number);
            steps
                .filter(|step| fault.is_in(*step))
                .map(|step| Broken::of(fault.in_step(step), step, plan, events, last))
        });
        Faults {
            all: each.collect(),
            own: own_doing(plan, events, last),
            operation: from_ms(
                plan.timeouts_ms
                    .get(Timeout::Operation.name())
                    .copied()
                    .unwrap_or(0),
            ),
        }
    }

    /// The fault that explains a stretch without a success; `None` if the upgrade has to answer for it.
    pub(crate) fn explaining(&self, gap: Window) -> Option<&Broken> {
        self.all
            .iter()
            .filter(|broken| broken.fault.expectation() == Expectation::Recovers)
            .find(|broken| broken.window.is_some_and(|window| overlap(window, gap)))
    }

    /// Whether a stretch without a success is the harness's own doing, or explained by a fault.
    pub(crate) fn explains(&self, gap: Window) -> bool {
        self.explaining(gap).is_some() || self.own.iter().any(|(_, window)| overlap(*window, gap))
    }

    /// Whether clients may behave oddly in this stretch: something is broken, or was just before.
    pub(crate) fn disturb_clients(&self, stretch: Window) -> bool {
        let mut windows = self.all.iter().filter_map(|broken| broken.window);
        let late = AFTERMATH.saturating_add(self.operation);
        windows.any(|window| overlap(extended(window, late), stretch))
            || self
                .own
                .iter()
                .any(|(_, window)| overlap(extended(*window, late), stretch))
    }

    /// Whether an instance may fail or be late at this moment: it is broken itself, or the metadata store or its way
    /// there is, or was just before.
    pub(crate) fn excuse(&self, generation: Option<u64>, at: u64) -> bool {
        self.all.iter().any(|broken| {
            let window = broken.window.map(|window| extended(window, AFTERMATH));
            let hit = match broken.fault.subject {
                Subject::MetadataStore => true,
                _ => broken.generation.is_some() && broken.generation == generation,
            };
            hit && window.is_some_and(|window| window.contains(at))
        })
    }

    /// Whether this stretch touches one in which nobody led, because an upgrade was called off too late.
    pub(crate) fn left_nobody_leading(&self, stretch: Window) -> bool {
        self.own
            .iter()
            .any(|(what, window)| *what == OwnDoing::NobodyLed && overlap(*window, stretch))
    }
}

impl Broken {
    fn of(fault: Fault, step: u32, plan: &Plan, events: &[Event], last: u64) -> Self {
        let mut broken = Broken {
            generation: generation(&fault, step, plan),
            step,
            window: None,
            over: false,
            before: String::new(),
            after: String::new(),
            evidence: Vec::new(),
            missed: None,
            fault,
        };
        for event in events {
            broken.take(event);
        }
        if let Some(window) = &mut broken.window
            && !broken.over
        {
            // Nobody said that it ended. What lasts goes on by the clock, and at the longest to the end of the run.
            let by_itself = window
                .start
                .saturating_add(from_ms(broken.fault.action.lasts_ms()));
            window.end = window.end.max(by_itself.min(last));
        }
        broken
    }

    fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::FaultIntent { fault, before } if *fault == self.fault => {
                self.before.clone_from(before);
                self.window = Some(Window {
                    start: event.at,
                    end: event.at,
                });
            }
            EventKind::FaultDone {
                fault,
                after,
                evidence,
            } if *fault == self.fault => self.shown(event.at, after, evidence),
            EventKind::FaultOver {
                fault,
                after,
                evidence,
            } if *fault == self.fault => {
                self.shown(event.at, after, evidence);
                self.over = true;
            }
            EventKind::FaultMissed { fault, reason } if *fault == self.fault => {
                self.missed = Some(reason.clone());
            }
            _ => {}
        }
    }

    fn shown(&mut self, at: u64, after: &str, evidence: &Option<String>) {
        self.after = after.to_owned();
        self.evidence.extend(evidence.clone());
        if let Some(window) = &mut self.window {
            window.end = window.end.max(at);
        }
    }
}

/// The instance that a fault is done to, or whose way to the metadata store.
fn generation(fault: &Fault, step: u32, plan: &Plan) -> Option<u64> {
    use changeover_model::fault::Link;
    let planned = plan.steps.iter().find(|planned| planned.number == step)?;
    match fault.subject {
        Subject::New | Subject::Link(Link::NewStore) => Some(planned.deploy_generation),
        Subject::Old | Subject::Link(Link::OldStore) => {
            Some(plan.leader_before(step).deploy_generation)
        }
        Subject::MetadataStore | Subject::Link(Link::ClientsDoor) | Subject::Upgrade => None,
    }
}

fn own_doing(plan: &Plan, events: &[Event], last: u64) -> Vec<(OwnDoing, Window)> {
    let until = |start: u64, ends: fn(&EventKind) -> bool| {
        let mut later = events.iter().filter(|event| event.at >= start);
        let end = later.find(|event| ends(&event.kind));
        Window {
            start,
            end: end.map_or(last, |event| event.at),
        }
    };
    let mut own = Vec::new();
    // Without a call-off there is neither.
    if plan.abort_at.is_none() {
        return own;
    }
    for (index, event) in events.iter().enumerate() {
        match event.kind {
            EventKind::ComebackIntent => {
                let ends = |kind: &EventKind| matches!(kind, EventKind::ComebackDone { .. });
                own.push((OwnDoing::Comeback, until(event.at, ends)));
            }
            EventKind::ComebackDone { problem: Some(_) } => {
                let ends = |kind: &EventKind| matches!(kind, EventKind::SwitchDone);
                own.push((OwnDoing::NobodyLed, until(event.at, ends)));
            }
            EventKind::CallOffDone {
                old_leads: false, ..
            } => {
                // The old one stopped to serve when it was fenced, which is before the call-off.
                let began = events[..index]
                    .iter()
                    .rev()
                    .find(|e| matches!(e.kind, EventKind::PromoteIntent { .. }))
                    .map_or(event.at, |e| e.at);
                let ends = |kind: &EventKind| matches!(kind, EventKind::SwitchDone);
                let mut window = until(event.at, ends);
                window.start = began;
                own.push((OwnDoing::NobodyLed, window));
            }
            _ => {}
        }
    }
    own
}

fn overlap(one: Window, other: Window) -> bool {
    one.start <= other.end && other.start <= one.end
}

fn extended(window: Window, by: u64) -> Window {
    Window {
        end: window.end.saturating_add(by),
        ..window
    }
}

#[cfg(test)]
mod tests;
