//! The recorder: the one place where events and operations get their time and leave the executor.

use crate::clock::Clock;
use changeover_model::event::{Event, EventKind};
use changeover_model::history::{Op, Operation};
use changeover_model::observation::Observation;
use changeover_model::workload::WorkloadKind;
use changeover_runtime::ImageSeen;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Takes events and operations, in the order of their stamps. Called from many tasks, one at a time; must be quick.
pub trait Sink: Send {
    /// An event; an intent must be durable when this returns.
    fn event(&mut self, event: &Event);
    /// An operation that has ended.
    fn operation(&mut self, operation: &Operation);
}

/// Whom an event is about.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The step.
    pub step: Option<u32>,
    /// The instance's slot.
    pub slot: Option<String>,
    /// The instance's generation.
    pub generation: Option<u64>,
}

/// Stamps and hands out what happens. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    clock: Clock,
    shared: Arc<Mutex<Shared>>,
    processes: Arc<AtomicU64>,
    clients: Arc<AtomicU64>,
    /// Told when a phase begins or a step ends.
    phases: Arc<Notify>,
}

struct Shared {
    /// Whether every operation names its model.
    mixed: bool,
    sink: Box<dyn Sink>,
    seq: u64,
    /// The instances' processes that run.
    running: BTreeMap<(String, u64), u32>,
}

/// An instance's process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunningProcess {
    pub(crate) slot: String,
    pub(crate) generation: u64,
    pub(crate) pid: u32,
}

impl Recorder {
    /// A recorder that hands everything to `sink`.
    pub fn new(clock: Clock, sink: Box<dyn Sink>) -> Self {
        Recorder {
            clock,
            shared: Arc::new(Mutex::new(Shared {
                mixed: false,
                sink,
                seq: 0,
                running: BTreeMap::new(),
            })),
            phases: Arc::new(Notify::new()),
            processes: Arc::new(AtomicU64::new(0)),
            clients: Arc::new(AtomicU64::new(0)),
        }
    }

    /// From now on the history is a mixed one: what names no model, and is of one, is of `set`.
    pub fn mix(&self) {
        self.lock().mixed = true;
    }

    /// The run's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// A process number nobody has had.
    pub fn new_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// A client number nobody has had.
    pub fn new_client(&self) -> u64 {
        self.clients.fetch_add(1, Ordering::Relaxed)
    }

    /// Records an event now. Returns its stamp.
    pub fn event(&self, about: &About, kind: EventKind) -> u64 {
        let mut shared = self.lock();
        shared.note(about, &kind);
        if matches!(
            kind,
            EventKind::PhaseStarted { .. } | EventKind::StepEnded { .. }
        ) {
            self.phases.notify_one();
        }
        // Stamped under the lock: sequence and time agree.
        let at = self.clock.now();
        shared.seq += 1;
        let event = Event {
            seq: shared.seq,
            at,
            kind,
            step: about.step,
            slot: about.slot.clone(),
            generation: about.generation,
        };
        shared.sink.event(&event);
        at
    }

    /// Records what a workload saw. Returns its stamp.
    pub fn observed(&self, about: &About, seen: Observation) -> u64 {
        let seen = Box::new(seen);
        self.event(about, EventKind::WorkloadSeen { seen })
    }

    /// Records an operation that has ended.
    pub fn operation(&self, operation: &Operation) {
        let mut shared = self.lock();
        if shared.mixed && operation.model.is_none() && operation.op != Op::Connect {
            let mut operation = operation.clone();
            operation.model = Some(WorkloadKind::Set.name().to_owned());
            shared.sink.operation(&operation);
        } else {
            shared.sink.operation(operation);
        }
    }

    /// The instances' processes that run now.
    pub(crate) fn running(&self) -> Vec<RunningProcess> {
        let shared = self.lock();
        let running = shared.running.iter();
        running
            .map(|((slot, generation), pid)| RunningProcess {
                slot: slot.clone(),
                generation: *generation,
                pid: *pid,
            })
            .collect()
    }

    /// Returns when a phase begins or a step ends; at once, if one did since the last call.
    pub(crate) async fn next_phase(&self) {
        self.phases.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        // A sink that panicked once is still the only place the evidence can go.
        self.shared.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Shared {
    /// Keeps track of which processes run.
    fn note(&mut self, about: &About, kind: &EventKind) {
        let (Some(slot), Some(generation)) = (&about.slot, about.generation) else {
            return;
        };
        match kind {
            EventKind::SpawnDone { pid } | EventKind::RestartDone { pid } => {
                self.running.insert((slot.clone(), generation), *pid);
            }
            EventKind::ProcessEnded { .. } => {
                self.running.remove(&(slot.clone(), generation));
            }
            _ => {}
        }
    }
}

/// What is recorded of the image of a container.
pub(crate) fn image_seen(seen: &ImageSeen) -> EventKind {
    let ImageSeen { name, id, digest } = seen.clone();
    EventKind::ImageSeen { name, id, digest }
}
