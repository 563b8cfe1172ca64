//! A sink that remembers, and what must hold for every history.

use changeover_model::event::Event;
use changeover_model::history::{Class, Connection, ErrorKind, Operation, Outcome, Source};
use changeover_rehearse::clock::Clock;
use changeover_rehearse::record::{Recorder, Sink};
use std::collections::BTreeMap;
use tokio::sync::watch;

pub(super) struct History(watch::Receiver<Vec<Operation>>);

struct Memory(watch::Sender<Vec<Operation>>);

impl Sink for Memory {
    fn event(&mut self, _: &Event) {}
    fn operation(&mut self, operation: &Operation) {
        self.0.send_modify(|all| all.push(operation.clone()));
    }
}

impl History {
    pub(super) fn new() -> (Recorder, History) {
        let (tell, all) = watch::channel(Vec::new());
        let recorder = Recorder::new(Clock::start(), Box::new(Memory(tell)));
        (recorder, History(all))
    }

    /// Waits until the history is such.
    pub(super) async fn until(&mut self, such: impl Fn(&[Operation]) -> bool) {
        self.0.wait_for(|all| such(all)).await.unwrap();
    }

    pub(super) fn all(&self) -> Vec<Operation> {
        self.0.borrow().clone()
    }
}

/// The operations of a lane, by their intended times.
pub(super) fn lane(all: &[Operation], class: Class, connection: Connection) -> Vec<&Operation> {
    let mut lane: Vec<_> = all
        .iter()
        .filter(|o| o.source == Some(Source::Lane))
        .filter(|o| (o.class, o.connection) == (Some(class), Some(connection)))
        .collect();
    lane.sort_by_key(|o| o.intended);
    lane
}

pub(super) fn of(all: &[Operation], source: Source) -> Vec<&Operation> {
    let mut of: Vec<_> = all.iter().filter(|o| o.source == Some(source)).collect();
    of.sort_by_key(|o| (o.intended, o.invoke));
    of
}

pub(super) fn error(operation: &Operation) -> Option<ErrorKind> {
    operation.error.as_ref().map(|e| e.kind)
}

pub(super) fn not_sent(operation: &Operation) -> bool {
    error(operation) == Some(ErrorKind::NotSent)
}

/// What must hold for every history of ours.
pub(super) fn check(all: &[Operation]) {
    let mut clients: BTreeMap<u64, Vec<&Operation>> = BTreeMap::new();
    let mut processes: BTreeMap<u64, Vec<&Operation>> = BTreeMap::new();
    for o in all {
        let ended = o.ended.expect("every operation ends");
        assert!(o.invoke <= ended, "{o:?}");
        assert!(o.intended.is_none_or(|at| at <= o.invoke), "{o:?}");
        let returned = (o.outcome != Outcome::Unknown).then_some(ended);
        assert_eq!(o.returned, returned, "{o:?}");
        assert_eq!(o.error.is_some(), o.outcome != Outcome::Ok, "{o:?}");
        processes.entry(o.process).or_default().push(o);
        if !not_sent(o) {
            let client = o.client.expect("somebody sent it");
            clients.entry(client).or_default().push(o);
        }
    }
    for one_at_a_time in clients.values_mut().chain(processes.values_mut()) {
        one_at_a_time.sort_by_key(|o| o.invoke);
        for pair in one_at_a_time.windows(2) {
            assert!(pair[0].ended.unwrap() <= pair[1].invoke, "{pair:?}");
        }
    }
    for operations in processes.values() {
        let (_, before) = operations.split_last().unwrap();
        assert!(before.iter().all(|o| o.outcome != Outcome::Unknown));
    }
}
