//! What the load leaves behind: operations in the recorder, figures for the live view, and the keys to read back.
//!
//! Nothing here grows with the number of operations, only with the number of keys.

use crate::client::{Answer, Request};
use crate::clock::Clock;
use crate::record::Recorder;
use crate::workload::script::ScriptTally;
use changeover_model::history::{Class, Connection, Op, Operation, Outcome, Source};
use changeover_model::workload::{Call, read_back};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A client: its number is stable, its process number changes after every operation of unknown outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) client: u64,
    pub(crate) process: u64,
}

impl Seat {
    /// A client nobody has had.
    pub(crate) fn new(recorder: &Recorder) -> Self {
        Seat {
            client: recorder.new_client(),
            process: recorder.new_process(),
        }
    }

    /// Draws the consequence of how its operation ended.
    pub(crate) fn after(&mut self, outcome: Outcome, recorder: &Recorder) {
        if outcome == Outcome::Unknown {
            self.process = recorder.new_process();
        }
    }
}

/// An operation's place in the history, apart from what was asked and answered.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub(crate) source: Source,
    pub(crate) class: Option<Class>,
    pub(crate) connection: Option<Connection>,
    pub(crate) client: Option<u64>,
    pub(crate) process: u64,
    pub(crate) intended: Option<u64>,
    pub(crate) lateness: Option<u64>,
    pub(crate) invoke: u64,
    /// A direct observer's instance.
    pub(crate) instance: Option<(String, u64)>,
}

/// Puts an operation together.
pub(crate) fn operation(
    sending: Sending,
    request: Request,
    answer: Answer,
    ended: u64,
) -> Operation {
    let mut model = None;
    let (op, key, value) = match request {
        Request::Add { key, value } => (Op::Add, Some(key), Value::from(value)),
        Request::Read { key } => (Op::Read, Some(key), Value::Null),
        Request::Connect | Request::Script(_) => (Op::Connect, None, Value::Null),
        Request::Own(own) => (Op::Query, own.key.clone(), Value::Null),
        Request::Call(call) => {
            model = Some(call.workload.name().to_owned());
            (call.op, call.key, call.value)
        }
    };
    let (slot, generation) = sending.instance.unzip();
    Operation {
        process: sending.process,
        op,
        model,
        key,
        value,
        result: answer.result,
        invoke: sending.invoke,
        returned: (answer.outcome != Outcome::Unknown).then_some(ended),
        outcome: answer.outcome,
        client: sending.client,
        source: Some(sending.source),
        class: sending.class,
        connection: sending.connection,
        intended: sending.intended,
        lateness: sending.lateness,
        slot,
        generation,
        error: answer.error,
        ended: Some(ended),
    }
}

/// Where lanes and workload record what they did.
pub(crate) struct Tally {
    recorder: Recorder,
    keys: Arc<Keys>,
    live: Arc<Live>,
    script: Option<Arc<ScriptTally>>,
}

impl Tally {
    pub(crate) fn new(recorder: Recorder) -> Self {
        Tally::with_script(recorder, None)
    }

    /// `script` takes the answers to a script's statements.
    pub(crate) fn with_script(recorder: Recorder, script: Option<Arc<ScriptTally>>) -> Self {
        Tally {
            live: Arc::new(Live::new(recorder.clock())),
            script,
            recorder,
            keys: Arc::default(),
        }
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(crate) fn clock(&self) -> Clock {
        self.recorder.clock()
    }

    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Records an operation that ended at `ended`.
    pub(crate) fn record(&self, sending: Sending, request: Request, answer: Answer, ended: u64) {
        if answer.outcome != Outcome::Fail {
            self.keys.written(&request);
        }
        self.live.count(&request, answer.outcome, ended);
        if let (Request::Script(line), Some(script)) = (&request, &self.script) {
            script.answered(line, &answer);
            return;
        }
        self.recorder
            .operation(&operation(sending, request, answer, ended));
    }
}

/// What was written, or may have been: the sets' keys, and what else is to be read back.
#[derive(Debug, Default)]
pub struct Keys(Mutex<KeysInner>);

#[derive(Debug, Default)]
struct KeysInner {
    all: BTreeSet<String>,
    /// The newest key of each series; keys are `SERIES.NUMBER`.
    newest: BTreeMap<String, String>,
    /// What reads back the writes of other models, by what it reads.
    calls: BTreeMap<String, Call>,
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, KeysInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn added(&self, key: &str) {
        let mut inner = self.lock();
        if inner.all.contains(key) {
            return;
        }
        inner.all.insert(key.to_owned());
        let series = key.rsplit_once('.').map_or(key, |(series, _)| series);
        inner.newest.insert(series.to_owned(), key.to_owned());
    }

    fn written(&self, request: &Request) {
        match request {
            Request::Add { key, .. } => self.added(key),
            Request::Call(call) => {
                let reads = read_back(call);
                let mut inner = self.lock();
                for (name, read) in reads {
                    inner.calls.entry(name).or_insert(read);
                }
            }
            Request::Read { .. } | Request::Connect | Request::Own(_) | Request::Script(_) => {}
        }
    }

    /// The sets' keys.
    pub fn all(&self) -> Vec<String> {
        self.lock().all.iter().cloned().collect()
    }

    /// What reads back everything.
    pub fn reads(&self) -> Vec<Request> {
        let inner = self.lock();
        let sets = inner.all.iter().cloned().map(|key| Request::Read { key });
        let calls = inner.calls.values().cloned();
        sets.chain(calls.map(|call| Request::Call(Box::new(call))))
            .collect()
    }

    /// One that is being filled now, another for each `turn`; `None` as long as there are none.
    pub fn being_filled(&self, turn: usize) -> Option<String> {
        let inner = self.lock();
        let turn = turn.checked_rem(inner.newest.len())?;
        inner.newest.values().nth(turn).cloned()
    }
}

/// Figures of the load, to be looked at while it runs.
#[derive(Debug)]
pub struct Live {
    clock: Clock,
    ok: AtomicU64,
    fail: AtomicU64,
    unknown: AtomicU64,
    writes: AtomicU64,
    write_acknowledged: AtomicU64,
    read_acknowledged: AtomicU64,
}

/// What [`Live`] showed at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveFigures {
    /// Operations of lanes and workload that ended `ok`.
    pub ok: u64,
    /// Those that ended `fail`.
    pub fail: u64,
    /// Those that ended `unknown`.
    pub unknown: u64,
    /// Nanoseconds since the last acknowledged write; `None` before the first.
    pub since_write: Option<u64>,
    /// Nanoseconds since the last answered read; `None` before the first.
    pub since_read: Option<u64>,
}

impl Live {
    fn new(clock: Clock) -> Self {
        Live {
            clock,
            ok: AtomicU64::new(0),
            fail: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            write_acknowledged: AtomicU64::new(0),
            read_acknowledged: AtomicU64::new(0),
        }
    }

    fn count(&self, request: &Request, outcome: Outcome, ended: u64) {
        let counter = match outcome {
            Outcome::Ok => &self.ok,
            Outcome::Fail => &self.fail,
            Outcome::Unknown => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if outcome == Outcome::Ok {
            match request {
                Request::Connect | Request::Own(_) => 0,
                request if request.writes() => {
                    self.writes.fetch_add(1, Ordering::Relaxed);
                    self.write_acknowledged.fetch_max(ended, Ordering::Relaxed)
                }
                _ => self.read_acknowledged.fetch_max(ended, Ordering::Relaxed),
            };
        }
    }

    /// How many writes were acknowledged.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// The figures now.
    pub fn figures(&self) -> LiveFigures {
        let now = self.clock.now();
        let since = |last: &AtomicU64| match last.load(Ordering::Relaxed) {
            0 => None,
            last => Some(now.saturating_sub(last)),
        };
        LiveFigures {
            ok: self.ok.load(Ordering::Relaxed),
            fail: self.fail.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
            since_write: since(&self.write_acknowledged),
            since_read: since(&self.read_acknowledged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_once_and_the_newest_of_a_series_is_being_filled() {
        let keys = Keys::default();
        assert_eq!(keys.being_filled(3), None);
        for key in ["w0.0", "lane.held.9", "w0.1", "lane.held.10", "w0.0"] {
            keys.added(key);
        }
        assert_eq!((keys.all().len(), keys.reads().len()), (4, 4));
        assert_eq!(keys.being_filled(0).unwrap(), "lane.held.10");
        assert_eq!(keys.being_filled(1).unwrap(), "w0.1");
        assert_eq!(keys.being_filled(2).unwrap(), "lane.held.10");
    }

    #[test]
    fn figures_know_the_last_acknowledgements() {
        let live = Live::new(Clock::start());
        let add = Request::Add {
            key: "k".to_owned(),
            value: 1,
        };
        live.count(&add, Outcome::Unknown, 5);
        live.count(&Request::Connect, Outcome::Ok, 6);
        assert_eq!(live.figures().since_write, None);
        live.count(&add, Outcome::Ok, 7);
        let figures = live.figures();
        assert_eq!((figures.ok, figures.fail, figures.unknown), (2, 0, 1));
        assert!(figures.since_write.is_some());
        assert_eq!(figures.since_read, None);
    }
}
