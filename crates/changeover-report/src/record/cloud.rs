//! The operations of a run: exact counts and latencies a bin, and of the operations themselves the telling ones.

use super::axis::Axis;
use changeover_model::history::{Class, Connection, ErrorKind, Op, Operation, Outcome, Source};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A run of at most so many operations is shown whole.
const WHOLE: u64 = 15_000;

/// Of a longer one so many operations of a series in a bin are kept.
const KEPT: usize = 3;

/// Buckets of latency an octave.
const AN_OCTAVE: f64 = 4.0;

/// The smallest latency that is told apart, in nanoseconds.
const SMALLEST: f64 = 50_000.0;

/// So many buckets: to about 14 minutes.
const BUCKETS: usize = 96;

/// The classes that latencies are shown by.
pub(crate) const CLASSES: [Class; 3] = [Class::Read, Class::Write, Class::Connect];

/// Who sends operations, in the order of a page.
pub(crate) const SERIES: [&str; 8] = [
    "read/held",
    "write/held",
    "read/new",
    "write/new",
    "connect/new",
    "workload read",
    "workload write",
    "observer",
];

const OBSERVER: usize = 7;

/// An operation that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    intended: u64,
    ended: u64,
    outcome: Outcome,
    error: Option<ErrorKind>,
    client: Option<u64>,
}

impl Point {
    /// What is kept rather: no success before success, slow before fast.
    fn rank(&self) -> (bool, u64) {
        (
            self.outcome != Outcome::Ok,
            self.ended.saturating_sub(self.intended),
        )
    }
}

/// What is known of a class in a bin.
#[derive(Debug, Clone, Default)]
struct Cell {
    ok: u32,
    fail: u32,
    unknown: u32,
    /// Successes by latency, sparse.
    latency: BTreeMap<u8, u32>,
}

/// The operations of a run.
#[derive(Debug)]
pub(crate) struct Cloud {
    axis: Axis,
    cells: Vec<[Cell; CLASSES.len()]>,
    points: Vec<[Vec<Point>; SERIES.len()]>,
    whole: bool,
    kept: u64,
    errors: BTreeMap<ErrorKind, u64>,
    /// How many operations there were, observers aside.
    pub(crate) total: u64,
    /// When the last ended.
    pub(crate) last: u64,
}

impl Cloud {
    /// A cloud on this axis; `expected` is how many operations are said to come.
    pub(super) fn new(axis: Axis, expected: u64) -> Self {
        let bins = axis.starts().len();
        Cloud {
            axis,
            cells: vec![Default::default(); bins],
            points: vec![Default::default(); bins],
            whole: expected <= WHOLE,
            kept: 0,
            errors: BTreeMap::new(),
            total: 0,
            last: 0,
        }
    }

    /// Takes an operation.
    pub(super) fn operation(&mut self, operation: &Operation) {
        let Some((series, class)) = series(operation) else {
            return;
        };
        let intended = operation.intended.unwrap_or(operation.invoke);
        let ended = operation
            .returned
            .or(operation.ended)
            .unwrap_or(operation.invoke);
        let point = Point {
            intended,
            ended: ended.max(intended),
            outcome: operation.outcome,
            error: operation.error.as_ref().map(|error| error.kind),
            client: operation.client,
        };
        self.last = self.last.max(point.ended);
        let bin = self.axis.bin(intended);
        if series != OBSERVER {
            self.total += 1;
            let cell = &mut self.cells[bin][class as usize];
            match point.outcome {
                Outcome::Ok => {
                    cell.ok += 1;
                    *cell
                        .latency
                        .entry(bucket(point.ended - intended))
                        .or_default() += 1;
                }
                Outcome::Fail => cell.fail += 1,
                Outcome::Unknown => cell.unknown += 1,
            }
            if let Some(error) = point.error {
                *self.errors.entry(error).or_default() += 1;
            }
        }
        let kept = &mut self.points[bin][series];
        // More than the verdict knows of: a run is not whole for being said to be.
        if (self.whole && self.kept < 2 * WHOLE) || kept.len() < KEPT {
            self.kept += 1;
            kept.push(point);
        } else if let Some(least) = kept.iter_mut().min_by_key(|point| point.rank())
            && least.rank() < point.rank()
        {
            *least = point;
        }
    }

    /// What went wrong, by kind of error.
    pub(crate) fn errors(&self) -> &BTreeMap<ErrorKind, u64> {
        &self.errors
    }

    /// How many operations are shown one by one, observers aside.
    pub(crate) fn shown(&self) -> u64 {
        let points = self.points.iter().flat_map(|series| &series[..OBSERVER]);
        points.map(|points| points.len() as u64).sum()
    }

    /// As the page's script reads it: columns, times in microseconds. See `script.js`.
    pub(crate) fn to_json(&self) -> Value {
        let kinds: Vec<ErrorKind> = {
            let mut kinds: Vec<ErrorKind> = self.errors.keys().copied().collect();
            let points = self.points.iter().flatten().flatten();
            kinds.extend(points.filter_map(|point| point.error));
            kinds.sort_unstable();
            kinds.dedup();
            kinds
        };
        let mut classes = Vec::new();
        for class in CLASSES {
            let cells = || self.cells.iter().map(move |cell| &cell[class as usize]);
            let latency: Vec<Value> = cells()
                .map(|cell| {
                    let pairs = cell.latency.iter();
                    Value::from(
                        pairs
                            .flat_map(|(b, n)| [u32::from(*b), *n])
                            .collect::<Vec<_>>(),
                    )
                })
                .collect();
            classes.push(json!({
                "name": class.name(),
                "ok": cells().map(|cell| cell.ok).collect::<Vec<_>>(),
                "fail": cells().map(|cell| cell.fail).collect::<Vec<_>>(),
                "unknown": cells().map(|cell| cell.unknown).collect::<Vec<_>>(),
                "latency": latency,
            }));
        }
        json!({
            "total": self.total,
            "shown": self.shown(),
            "starts": self.axis.starts().iter().map(|at| at / super::MICRO).collect::<Vec<_>>(),
            "bucket": {"smallest_us": SMALLEST / 1_000.0, "an_octave": AN_OCTAVE},
            "classes": classes,
            "series": SERIES,
            "errors": kinds.iter().map(|kind| json!(kind)).collect::<Vec<_>>(),
            "points": (0..SERIES.len()).map(|series| self.columns(series, &kinds)).collect::<Vec<_>>(),
        })
    }

    /// A series by time: each begins so long after the one before, and lasts so long.
    fn columns(&self, series: usize, kinds: &[ErrorKind]) -> Value {
        let mut points: Vec<Point> = self
            .points
            .iter()
            .flat_map(|bin| bin[series].iter().copied())
            .collect();
        points.sort_by_key(|point| (point.intended, point.ended));
        let mut before = 0;
        let micros = |nanos: u64| nanos / super::MICRO;
        let after: Vec<u64> = points
            .iter()
            .map(|point| {
                let at = micros(point.intended);
                at - std::mem::replace(&mut before, at)
            })
            .collect();
        json!({
            "after": after,
            "lasts": points.iter().map(|p| micros(p.ended) - micros(p.intended)).collect::<Vec<_>>(),
            "outcome": points.iter().map(|p| match p.outcome {
                Outcome::Ok => '0',
                Outcome::Fail => '1',
                Outcome::Unknown => '2',
            }).collect::<String>(),
            "error": points.iter().enumerate().filter_map(|(index, p)| {
                let kind = kinds.iter().position(|kind| Some(*kind) == p.error)?;
                Some(json!([index, kind]))
            }).collect::<Vec<_>>(),
            "client": points.iter().map(|p| p.client).collect::<Vec<_>>(),
        })
    }
}

/// Whose an operation is, and of which class.
fn series(operation: &Operation) -> Option<(usize, Class)> {
    let by_op = match operation.op {
        Op::Read | Op::Query => Class::Read,
        Op::Connect => Class::Connect,
        _ => Class::Write,
    };
    let series = match operation.source {
        Some(Source::FullRead) => return None,
        Some(Source::Observer) => return Some((OBSERVER, by_op)),
        Some(Source::Lane) => {
            let class = operation.class.unwrap_or(by_op);
            let series = match (class, operation.connection) {
                (Class::Read, Some(Connection::Held)) => 0,
                (Class::Write, Some(Connection::Held)) => 1,
                (Class::Read, _) => 2,
                (Class::Write, _) => 3,
                (Class::Connect, _) => 4,
            };
            return Some((series, class));
        }
        _ => match by_op {
            Class::Read => 5,
            _ => 6,
        },
    };
    Some((series, by_op))
}

/// The bucket of a latency: four an octave, so that its bounds are a fifth apart.
fn bucket(nanos: u64) -> u8 {
    let octaves = (nanos as f64 / SMALLEST).max(1.0).log2();
    // Never negative, and far from the type's end.
    ((octaves * AN_OCTAVE) as usize).min(BUCKETS - 1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn operation(n: u64, latency: u64, outcome: &str) -> Operation {
        let (at, end) = (n * MS, n * MS + latency);
        let line = format!(
            r#"{{"process":1,"op":"add","invoke":{at},"ended":{end},"outcome":"{outcome}","source":"lane","class":"write","connection":"new","client":7}}"#
        );
        Operation::parse(&line).unwrap()
    }

    fn cloud(end: u64, expected: u64) -> Cloud {
        Cloud::new(Axis::new(end * MS, &[]), expected)
    }

    #[test]
    fn a_short_run_is_shown_whole() {
        let mut cloud = cloud(100, 100);
        for n in 0..100 {
            cloud.operation(&operation(n, MS, "ok"));
        }
        assert_eq!((cloud.total, cloud.shown()), (100, 100));
        let json = cloud.to_json();
        assert_eq!(json["points"][3]["after"][1], 1_000);
        assert_eq!(json["points"][3]["lasts"][0], 1_000);
        assert_eq!(json["points"][3]["client"][0], 7);
        // 1 ms is 20 times the smallest, 4.3 octaves above it.
        assert_eq!(json["classes"][1]["latency"][5], json!([17, 1]));
    }

    #[test]
    fn of_a_long_run_the_extremes_are_kept_and_everything_is_counted() {
        let total = 1_000_000;
        let mut cloud = cloud(1_200, total);
        for n in 0..total {
            let (latency, outcome) = match n {
                700_000 => (50 * MS, "ok"),
                700_001 => (MS, "unknown"),
                _ => (MS + n % 7, "ok"),
            };
            cloud.operation(&operation(n * 1_200 / total, latency, outcome));
        }
        assert_eq!(cloud.total, total);
        assert!(cloud.shown() <= 3_600, "{}", cloud.shown());
        let json = cloud.to_json();
        let lasts = json["points"][3]["lasts"].as_array().unwrap();
        assert!(lasts.contains(&json!(50_000)));
        assert!(json["points"][3]["outcome"].as_str().unwrap().contains('2'));
        let counted: u64 = ["ok", "fail", "unknown"]
            .iter()
            .flat_map(|key| json["classes"][1][key].as_array().unwrap())
            .map(|n| n.as_u64().unwrap())
            .sum();
        assert_eq!(counted, total);
    }

    #[test]
    fn a_run_that_is_longer_than_it_was_said_to_be_is_bounded_too() {
        let mut cloud = cloud(1_000, 1);
        for n in 0..200_000 {
            cloud.operation(&operation(n / 200, MS, "fail"));
        }
        assert!(cloud.shown() <= 2 * WHOLE + 3 * 1_200, "{}", cloud.shown());
    }

    #[test]
    fn no_latency_leaves_the_buckets() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), 95);
        assert!(bucket(2 * MS) == bucket(MS) + 4);
    }
}
