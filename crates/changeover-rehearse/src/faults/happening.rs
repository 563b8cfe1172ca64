//! The record of one fault: announced with the state of its subject, done with what shows it, over when it lasted.

use crate::record::{About, Recorder};
use changeover_model::event::EventKind;
use changeover_model::fault::Fault;

/// A fault that has been announced.
pub(super) struct Happening {
    pub(super) fault: Fault,
    /// Whom it is about.
    pub(super) about: About,
    recorder: Recorder,
}

impl Happening {
    /// Announces it, with how its subject is `before`.
    pub(super) fn begin(recorder: &Recorder, about: About, fault: Fault, before: String) -> Self {
        let it = Happening {
            fault,
            about,
            recorder: recorder.clone(),
        };
        it.event(EventKind::FaultIntent {
            fault: it.fault.clone(),
            before,
        });
        it
    }

    /// Records something else about its subject.
    pub(super) fn event(&self, kind: EventKind) {
        self.recorder.event(&self.about, kind);
    }

    /// It was done: how its subject is after, and what shows that it took effect.
    pub(super) fn done(&self, after: String, evidence: Option<String>) {
        self.event(EventKind::FaultDone {
            fault: self.fault.clone(),
            after,
            evidence,
        });
    }

    /// It came to nothing.
    pub(super) fn failed(&self, problem: String) {
        self.done(problem, None);
    }

    /// What lasted has ended, with what was seen meanwhile.
    pub(super) fn over(self, after: String, evidence: Option<String>) {
        self.recorder.event(
            &self.about,
            EventKind::FaultOver {
                fault: self.fault,
                after,
                evidence,
            },
        );
    }
}
