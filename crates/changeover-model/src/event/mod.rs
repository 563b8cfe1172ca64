//! `events.jsonl`: what the executor did and saw, in order.
//!
//! The first line is a [`Header`]. Each action of the executor is two events: `…-intent`, written before it is done,
//! and `…-done`. What is merely seen is one event. Readers ignore keys and events they do not know.

mod answer;
mod phase;
mod process;

pub use answer::{Examination, PromoteResult, SessionAnswer, StatusSeen};
pub use phase::Phase;
pub use process::{EndMeaning, ProcessEnd, RestartReason, StopReason};

use crate::fault::{Fault, Point};
use crate::format::Kind;
use crate::history::Outcome;
use crate::observation::Observation;
use crate::scenario::Action;
use crate::version::PathVersion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `changeover.events/1`.
    pub format: String,
    /// The moment at which `at` is 0, RFC 3339.
    pub clock_zero: String,
}

impl Header {
    /// The header of a run whose clock was zero at that moment.
    pub fn new(clock_zero: impl Into<String>) -> Self {
        Header {
            format: Kind::Events.mark(),
            clock_zero: clock_zero.into(),
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1, 2, 3… without a gap.
    pub seq: u64,
    /// Nanoseconds since the run's zero; stamped once, by the producer.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// The step it belongs to; 0 for the start of the first service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// The instance it is about: its slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The instance it is about: its deploy generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "snake_case"
)]
pub enum EventKind {
    /// The run begins.
    RunStarted {
        /// The run's name.
        run: String,
        /// The version of Changeover.
        changeover: String,
        /// How many processors it may use.
        cores: usize,
    },
    /// What the run goes on on.
    Machine {
        /// The operating system and its kernel.
        system: String,
        /// The processor's name.
        processor: String,
        /// Its memory, in kibibytes.
        memory_kb: u64,
    },
    /// What an instance needs at this moment, with the processes it started.
    Sampled {
        /// Processor time since it was started, in milliseconds.
        cpu_ms: u64,
        /// Memory that it holds, in kibibytes.
        memory_kb: u64,
        /// TCP connections that it has open, whoever opened them; `None` where that cannot be seen.
        #[serde(default)]
        connections: Option<u64>,
    },
    /// The front door listens.
    FrontDoorListening {
        /// Where clients connect.
        addr: String,
    },
    /// A step begins (step 0: the start of the first service).
    StepStarted {
        /// The version that leads; absent in step 0.
        from: Option<PathVersion>,
        /// The version that shall lead.
        to: PathVersion,
    },
    /// A phase of the step begins; the one before ends at this very moment.
    PhaseStarted {
        /// The phase.
        phase: Phase,
    },
    /// The step is over; its last phase ends at this very moment.
    StepEnded {
        /// Whether the new service leads, serves, and the old one is gone.
        completed: bool,
    },
    /// A quiet window begins: nothing but load happens in it.
    QuietWindowStarted,
    /// The quiet window is over.
    QuietWindowEnded,
    /// An instance is about to be spawned.
    SpawnIntent {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// It was spawned.
    SpawnDone {
        /// The process.
        pid: u32,
    },
    /// Which image the container really has that was just started. A name may be another image's by tomorrow.
    ImageSeen {
        /// What it was asked for by.
        name: String,
        /// What the engine knows it by.
        id: String,
        /// What the registry knows it by that it came from; absent for one that was made on this machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// The instance runs already; it is neither started nor ended by us.
    Attached {
        /// Where it answers.
        addr: String,
    },
    /// A process is about to be started again in place.
    RestartIntent {
        /// Why.
        reason: RestartReason,
    },
    /// It was.
    RestartDone {
        /// The new process.
        pid: u32,
    },
    /// A process ended.
    ProcessEnded {
        /// How.
        end: ProcessEnd,
        /// What the target says that this means.
        meaning: EndMeaning,
        /// Whether we ended it.
        by_us: bool,
        /// Whether a planned fault did: it says nothing of the instance.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_fault: bool,
    },
    /// The status endpoint said something else than before.
    StatusSeen {
        /// What it said.
        seen: StatusSeen,
        /// How many polls there were since the last such event.
        polls: u64,
    },
    /// The promotion is about to be sent.
    PromoteIntent {
        /// 1 for the first time in this step.
        attempt: u32,
    },
    /// It was sent.
    PromoteDone {
        /// What came of it.
        result: PromoteResult,
    },
    /// A promotion that was acknowledged, or may have been, did not happen.
    PromotionLost,
    /// A query answered on this instance.
    Serving,
    /// The version that the instance says it is, asked through the front door.
    VersionSeen {
        /// What was planned.
        expected: String,
        /// What it said.
        found: String,
    },
    /// The front door is about to be pointed at this instance.
    SwitchIntent {
        /// Its SQL address.
        upstream: String,
    },
    /// It was.
    SwitchDone,
    /// A metadata store of the run's own is about to be started.
    MetadataStoreIntent,
    /// It takes connections.
    MetadataStoreDone {
        /// Where.
        addr: String,
    },
    /// The metadata store does not answer any more. Whether it was broken on purpose, the faults tell.
    MetadataStoreLost {
        /// Where it was asked.
        addr: String,
        /// When it last answered.
        since: u64,
        /// What came instead of an answer.
        reason: String,
    },
    /// It answers again.
    MetadataStoreBack {
        /// Where it was asked.
        addr: String,
    },
    /// How full the kernel's table of tracked connections is: told when it is more than half full, each tenth once,
    /// and when it is not any more. A full table drops new connections, whoever they are for.
    ConnectionsTracked {
        /// How many are in it.
        count: u64,
        /// How many it takes.
        most: u64,
    },
    /// What the run made of a metadata store is about to be removed.
    MetadataStoreEndIntent,
    /// It was.
    MetadataStoreEndDone,
    /// The clients' tables are about to be created.
    PrepareIntent,
    /// They were.
    PrepareDone,
    /// Lanes and workload are about to start.
    LoadIntent,
    /// They run.
    LoadDone,
    /// Lanes and workload are about to end.
    LoadEndIntent,
    /// The last operation has ended.
    LoadEndDone,
    /// Everything acknowledged is about to be read back.
    FullReadIntent {
        /// How many keys.
        keys: u64,
    },
    /// It was read back.
    FullReadDone {
        /// How many of the keys could not be read.
        unread: u64,
    },
    /// What objects there are, as asked through the front door.
    CatalogSeen {
        /// By name, what each is: the same text as long as it is the same object.
        objects: BTreeMap<String, String>,
    },
    /// The catalog was asked, and did not tell.
    CatalogUnseen {
        /// Why.
        reason: String,
    },
    /// A client is about to change definitions.
    DdlIntent {
        /// The statement.
        statement: String,
        /// The objects, by the names they have in [`EventKind::CatalogSeen`], that are there after it and were not, or
        /// are others.
        makes: Vec<String>,
        /// Those that are gone after it; a renamed object is gone under its old name.
        drops: Vec<String>,
    },
    /// It has ended: the last one announced.
    DdlDone {
        /// Acknowledged, certainly without effect, or unknown.
        outcome: Outcome,
    },
    /// What a client that has kept its session was told about the state of it.
    SessionSeen {
        /// What was asked for, such as `the setting application_name`.
        what: String,
        /// What the session had put there.
        expected: String,
        /// What it was answered.
        answer: SessionAnswer,
    },
    /// An instance is about to be stopped.
    StopIntent {
        /// Why.
        reason: StopReason,
    },
    /// It is gone.
    StopDone,
    /// Three crashes in a row, none getting further than the one before.
    CrashLoop {
        /// The ends, oldest first.
        ends: Vec<ProcessEnd>,
        /// The last lines of the instance's log.
        log: Vec<String>,
    },
    /// A step has reached a point at which something is planned.
    PointReached {
        /// Which.
        point: Point,
        /// Whether the instance waits there until it is released.
        held: bool,
    },
    /// Something is about to be broken on purpose.
    FaultIntent {
        /// What, of this step.
        fault: Fault,
        /// The state of its subject before, in words.
        before: String,
    },
    /// It is broken; or could not be.
    FaultDone {
        /// What.
        fault: Fault,
        /// The state of its subject right after, in words.
        after: String,
        /// What shows that it took effect; `None` if nothing does.
        evidence: Option<String>,
    },
    /// What was broken is whole again, as far as that is in our hands: a paused process goes on, a link carries, a
    /// process that was killed has been started again.
    FaultOver {
        /// What.
        fault: Fault,
        /// The state of its subject, in words.
        after: String,
        /// What shows that it had an effect while it lasted, if more than what was known when it began.
        evidence: Option<String>,
    },
    /// A fault that was planned did not happen, for instance because the step never reached its point.
    FaultMissed {
        /// Which.
        fault: Fault,
        /// Why, in a sentence.
        reason: String,
    },
    /// The upgrade is about to be called off: the new instance is stopped.
    CallOffIntent {
        /// Where.
        point: Point,
    },
    /// It was called off, and nothing of the new instance is left.
    CallOffDone {
        /// Where.
        point: Point,
        /// Whether the old instance still says that it leads.
        old_leads: bool,
    },
    /// The leader is about to be started again, to see whether an upgrade that was called off lets it.
    ComebackIntent,
    /// It answers again, or not.
    ComebackDone {
        /// What is wrong; `None` if it leads and serves.
        problem: Option<String>,
    },
    /// A deadline passed.
    DeadlinePassed {
        /// The phase that waited.
        phase: Phase,
        /// How long, in milliseconds.
        waited_ms: u64,
        /// What was still missing.
        missing: String,
    },
    /// The step cannot go on.
    StepFailed {
        /// Why, in a sentence.
        reason: String,
    },
    /// Something of this run was still there after it.
    Leftover {
        /// What.
        what: String,
    },
    /// Older releases are about to make the data that the run begins with.
    AgeIntent {
        /// Which, oldest first.
        versions: Vec<PathVersion>,
    },
    /// They did.
    AgeDone {
        /// Whether they had done so for an earlier run.
        reused: bool,
    },
    /// A workload that acts at moments of a step saw something.
    WorkloadSeen {
        /// What.
        seen: Box<Observation>,
    },
    /// A person or a signal ended the run.
    Interrupted {
        /// The signal's name.
        signal: String,
    },
    /// An endpoint is about to be probed.
    ProbeStarted {
        /// Where, without any password.
        endpoint: String,
        /// What that costs whom it belongs to, in a sentence.
        cost: String,
    },
    /// A lane has had no success for so long that it counts as a gap.
    GapOpened {
        /// The lane.
        lane: String,
        /// The intended send of its last success, or of its first operation.
        since: u64,
    },
    /// A lane with a gap succeeded again.
    GapClosed {
        /// The lane.
        lane: String,
        /// The intended send of its last success before.
        since: u64,
        /// When the first success after it was there.
        until: u64,
        /// What failed in between, by kind of error.
        errors: BTreeMap<String, u64>,
    },
    /// A user's check is about to be done.
    UserCheckIntent {
        /// Its name.
        check: String,
        /// What of it.
        action: Action,
    },
    /// It was.
    UserCheckDone {
        /// Its name.
        check: String,
        /// What of it.
        action: Action,
        /// What was not as it should be.
        problem: Option<String>,
    },
    /// Something was examined around a hand-over besides what clients see.
    Examined {
        /// What.
        what: Examination,
        /// What was to come of it, as text.
        expected: String,
        /// What came of it.
        found: String,
        /// Why that says nothing certain of the instance, if it does not: nobody answered, for instance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        doubt: Option<String>,
        /// How long it took.
        took_ms: u64,
    },
    /// Somebody put a named moment into the record.
    Marker {
        /// The name.
        name: String,
    },
    /// A probe is about to end.
    ProbeEnding {
        /// Why: a signal, or that its time is over.
        reason: String,
    },
    /// The probe's table is about to be removed.
    CleanUpIntent,
    /// It was, or not.
    CleanUpDone {
        /// What is left, and what to do about it.
        left: Option<String>,
    },
    /// The run is over.
    RunEnded,
    /// An event of a newer writer.
    #[serde(other)]
    Unknown,
}

impl Header {
    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// When it is no header, or one of another kind or major version, as a sentence.
    pub fn parse(line: &str) -> Result<Self, String> {
        let header: Header = serde_json::from_str(line).map_err(|e| e.to_string())?;
        Kind::Events
            .accept(&header.format)
            .map_err(|e| e.to_string())?;
        Ok(header)
    }
}

impl Event {
    /// Reads a line after the first.
    ///
    /// # Errors
    ///
    /// When it is no event.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// The event as one line, without the newline.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("an event holds nothing that JSON cannot")
    }

    /// Whether it announces an action, and so must be on disk before the action.
    pub fn is_intent(&self) -> bool {
        matches!(
            self.kind,
            EventKind::SpawnIntent { .. }
                | EventKind::RestartIntent { .. }
                | EventKind::PromoteIntent { .. }
                | EventKind::SwitchIntent { .. }
                | EventKind::MetadataStoreIntent
                | EventKind::MetadataStoreEndIntent
                | EventKind::AgeIntent { .. }
                | EventKind::PrepareIntent
                | EventKind::LoadIntent
                | EventKind::UserCheckIntent { .. }
                | EventKind::LoadEndIntent
                | EventKind::FullReadIntent { .. }
                | EventKind::DdlIntent { .. }
                | EventKind::StopIntent { .. }
                | EventKind::FaultIntent { .. }
                | EventKind::CallOffIntent { .. }
                | EventKind::ComebackIntent
                | EventKind::CleanUpIntent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::DeploymentStatus;

    #[test]
    fn an_event_is_one_line_that_can_be_read_back() {
        let event = Event {
            seq: 7,
            at: 12,
            kind: EventKind::StatusSeen {
                seen: StatusSeen::Status(DeploymentStatus::IsLeader),
                polls: 3,
            },
            step: Some(1),
            slot: Some("mz_2".to_owned()),
            generation: Some(1),
        };
        let line = event.to_line();
        assert_eq!(
            line,
            r#"{"seq":7,"at":12,"event":"status-seen","seen":{"status":"IsLeader"},"polls":3,"step":1,"slot":"mz_2","generation":1}"#
        );
        assert_eq!(Event::parse(&line).unwrap(), event);
    }

    #[test]
    fn events_and_keys_of_a_newer_writer_are_tolerated() {
        let event = Event::parse(r#"{"seq":1,"at":2,"event":"comet-seen","tail":true}"#).unwrap();
        assert_eq!(event.kind, EventKind::Unknown);
    }
}
