//! Judges a probe: an endpoint that somebody else upgrades, for as long as it takes.
//!
//! Nothing here grows with the number of operations but a few words for every hundred writes, so that a probe may last
//! for days: [`gaps`] keeps what is open, `effects` what the full read at the end must show, `histogram` counts.

mod effects;
pub mod gaps;
mod histogram;

use crate::budget::{self, Measured};
use crate::faults::Faults;
use crate::gap::{Sent, StepGaps};
use crate::quality;
use crate::stats::{from_ms, ms, seconds};
use crate::timeline::{Timeline, Window};
use crate::verdict;
use changeover_model::event::{Event, EventKind};
use changeover_model::format::Kind;
use changeover_model::history::{Class, ErrorKind, LaneId, Op, Operation, Outcome, Source};
use changeover_model::probe::{LaneReport, Moment, Probe, ProbeReport, SeenGap};
use changeover_model::verdict::{
    Finding, GapReport, LatencyReport, OperationCounts, StepReport, Verdict, When,
};
use changeover_model::version::PathVersion;
use effects::Effects;
use gaps::{GapStream, LaneGaps};
use histogram::Histogram;
use std::collections::BTreeMap;

/// So many moments are listed; the others are counted.
const MOMENTS: usize = 1000;

/// A lane that sent less than one part in so many of its schedule says too little.
const SENT_SHARE: u64 = 2;

/// One part in so many of a lane's sends may leave late.
const LATE_SHARE: u64 = 20;

/// Judges a probe. Feed it every event and every operation, each in the order of their files.
#[derive(Debug)]
pub struct ProbeJudge {
    probe: Probe,
    run: String,
    lanes: Vec<Lane>,
    effects: Effects,
    counts: OperationCounts,
    /// What the timeline needs.
    events: Vec<Event>,
    moments: Vec<Moment>,
    moments_not_listed: u64,
}

/// A lane so far.
#[derive(Debug)]
struct Lane {
    id: LaneId,
    gaps: GapStream,
    latencies: Histogram,
    counts: OperationCounts,
    errors: BTreeMap<String, u64>,
}

/// A lane, when there are no more operations.
struct Judged {
    id: LaneId,
    gaps: LaneGaps,
    latencies: Histogram,
    counts: OperationCounts,
    errors: BTreeMap<String, u64>,
}

impl ProbeJudge {
    /// A judge of the run of that name.
    pub fn new(probe: &Probe, run: &str) -> Self {
        let (interval, timeout) = (from_ms(probe.probe_interval_ms), from_ms(probe.timeout_ms));
        let lane = |id| Lane {
            id,
            gaps: GapStream::new(interval, timeout),
            latencies: Histogram::default(),
            counts: OperationCounts::default(),
            errors: BTreeMap::new(),
        };
        ProbeJudge {
            probe: probe.clone(),
            run: run.to_owned(),
            lanes: probe.lanes().into_iter().map(lane).collect(),
            effects: Effects::new(timeout),
            counts: OperationCounts {
                acknowledged_writes: Some(0),
                ..OperationCounts::default()
            },
            events: Vec::new(),
            moments: Vec::new(),
            moments_not_listed: 0,
        }
    }

    /// Takes an event.
    pub fn event(&mut self, event: &Event) {
        let (who, what) = match &event.kind {
            EventKind::Marker { name } => ("marker".to_owned(), name.clone()),
            EventKind::StatusSeen { seen, .. } => {
                let who = event.slot.clone().unwrap_or_default();
                (who, seen.to_string())
            }
            EventKind::GapOpened { .. } | EventKind::GapClosed { .. } => return,
            _ => {
                self.events.push(event.clone());
                return;
            }
        };
        if self.moments.len() == MOMENTS {
            self.moments_not_listed += 1;
            return;
        }
        self.moments.push(Moment {
            at_s: seconds(event.at),
            who,
            what,
        });
    }

    /// Takes an operation.
    pub fn operation(&mut self, operation: &Operation) {
        self.effects.operation(operation);
        if operation.source != Some(Source::Lane) {
            return;
        }
        count(&mut self.counts, operation);
        if operation.outcome == Outcome::Ok && operation.op == Op::Add {
            *self.counts.acknowledged_writes.get_or_insert(0) += 1;
        }
        let id = LaneId::of(operation);
        if let Some(lane) = self.lanes.iter_mut().find(|lane| Some(lane.id) == id) {
            lane.operation(operation);
        }
    }

    /// The verdict.
    pub fn finish(self) -> Verdict {
        let timeline = Timeline::new(&self.events);
        let interval = from_ms(self.probe.probe_interval_ms);
        let lanes: Vec<Judged> = self.lanes.into_iter().map(Lane::finish).collect();
        let mut doubts = doubts_of_run(&timeline);
        if timeline.load_began.is_some() {
            let ran = Window {
                start: timeline.load_began.unwrap_or_default(),
                end: timeline.load_end_intent.unwrap_or(timeline.last),
            };
            doubts.extend(lanes.iter().filter_map(|lane| lane.doubt(ran, interval)));
        }
        if self.probe.write_table.is_some() {
            doubts.extend(quality::doubts_of_full_reads(&timeline, &Faults::default()));
            doubts.extend(effects::doubts(&self.effects));
        }
        let freshness = self.effects.freshness();
        let mut findings = self.effects.finish(&timeline);
        findings.extend(lanes.iter().filter_map(Judged::dead));
        findings.extend(lanes.iter().filter_map(Judged::unrecovered));
        let endless: Vec<LaneId> = lanes
            .iter()
            .filter(|lane| lane.is_endless())
            .map(|lane| lane.id)
            .collect();
        let measured: Vec<Measured> = lanes.iter().map(Judged::measured).collect();
        let budgets = budget::judge(&self.probe.budgets, &measured, &endless);
        findings.extend(budgets.findings);
        doubts.extend(budgets.doubts);
        verdict::sort(&mut findings);
        let (gaps, gaps_not_listed) = seen_gaps(&lanes);
        let lasted = timeline.load_began.map_or(0, |began| {
            let ended = timeline.load_end_intent.unwrap_or(timeline.last);
            ended.saturating_sub(began)
        });
        Verdict {
            format: Kind::Verdict.mark(),
            outcome: verdict::outcome(&findings, &doubts),
            reasons: verdict::reasons(&findings, &doubts),
            run: self.run,
            seed: String::new(),
            target: "probe".to_owned(),
            runtime: "attached".to_owned(),
            path: Vec::new(),
            steps: vec![StepReport {
                number: 1,
                from: PathVersion::Current,
                to: PathVersion::Current,
                service: self.probe.what(),
                deploy_generation: 0,
                called_off: None,
                phases: Vec::new(),
                gaps: measured.iter().map(gap_report).collect(),
                freshness,
                latency: latency(&lanes),
            }],
            findings,
            budgets: budgets.reports,
            operations: self.counts,
            faults: Vec::new(),
            point_of_no_return: Vec::new(),
            repeat: None,
            control: None,
            skipped: Vec::new(),
            reproduce: self.probe.reproduce.clone(),
            probe: Some(ProbeReport {
                endpoint: self.probe.what(),
                began_s: seconds(timeline.load_began.unwrap_or_default()),
                lasted_ms: ms(lasted),
                probe_interval_ms: self.probe.probe_interval_ms,
                lanes: lanes.iter().map(Judged::report).collect(),
                gaps,
                gaps_not_listed,
                moments: self.moments,
                moments_not_listed: self.moments_not_listed,
            }),
        }
    }
}

fn count(counts: &mut OperationCounts, operation: &Operation) {
    counts.total += 1;
    match operation.outcome {
        Outcome::Ok => counts.ok += 1,
        Outcome::Fail => counts.fail += 1,
        Outcome::Unknown => counts.unknown += 1,
    }
}

impl Lane {
    fn operation(&mut self, operation: &Operation) {
        count(&mut self.counts, operation);
        let kind = operation.error.as_ref().map(|error| error.kind);
        let sent = Sent {
            intended: operation.intended.unwrap_or(operation.invoke),
            completed: match operation.outcome {
                Outcome::Ok => operation.returned.or(operation.ended),
                Outcome::Fail | Outcome::Unknown => None,
            },
            lateness: operation.lateness.unwrap_or(0),
            not_sent: kind == Some(ErrorKind::NotSent),
        };
        if let Some(latency) = sent.latency() {
            self.latencies.add(latency);
        }
        let error = operation.error.as_ref().map(ToString::to_string);
        if let Some(error) = &error {
            *self.errors.entry(error.clone()).or_default() += 1;
        }
        self.gaps.operation(sent, error);
    }

    fn finish(self) -> Judged {
        Judged {
            id: self.id,
            gaps: self.gaps.finish(),
            latencies: self.latencies,
            counts: self.counts,
            errors: self.errors,
        }
    }
}

impl Judged {
    fn is_endless(&self) -> bool {
        self.is_dead() || self.gaps.open_end.is_some()
    }

    fn is_dead(&self) -> bool {
        self.gaps.sends > 0 && self.gaps.longest.is_none()
    }

    fn dead(&self) -> Option<Finding> {
        self.is_dead()
            .then(|| budget::dead_lane(self.id, self.gaps.sends))
    }

    fn unrecovered(&self) -> Option<Finding> {
        let span = self.gaps.open_end?;
        Some(budget::unrecovered_lane(self.id, None, span))
    }

    fn is_late(&self) -> bool {
        self.gaps.late * LATE_SHARE > self.gaps.sends
    }

    fn doubt(&self, ran: Window, interval: u64) -> Option<String> {
        let (lane, sends, late) = (self.id, self.gaps.sends, self.gaps.late);
        let scheduled = ran.length() / interval.max(1);
        if sends == 0 {
            return Some(format!("lane {lane} has no operations"));
        }
        if sends < scheduled / SENT_SHARE {
            return Some(format!(
                "lane {lane} sent only {sends} of about {scheduled} operations"
            ));
        }
        self.is_late().then(|| {
            format!(
                "{late} of {sends} operations of lane {lane} left more than one interval late: this machine is too busy"
            )
        })
    }

    fn measured(&self) -> Measured {
        Measured {
            lane: self.id,
            step: None,
            gaps: StepGaps {
                longest: self.gaps.longest.map(|span| span.length()),
                total: self.gaps.total,
                count: self.gaps.count(),
                resolution: self.gaps.resolution,
            },
            unexplained: None,
            doubtful: self.is_late(),
        }
    }

    fn report(&self) -> LaneReport {
        LaneReport {
            lane: self.id.to_string(),
            total: self.counts.total,
            ok: self.counts.ok,
            fail: self.counts.fail,
            unknown: self.counts.unknown,
            errors: self.errors.clone(),
            p50_ms: self.latencies.percentile_ms(50),
            p99_ms: self.latencies.percentile_ms(99),
            max_ms: self.latencies.max_ms(),
        }
    }
}

fn gap_report(measured: &Measured) -> GapReport {
    verdict::gap_report(measured, &[])
}

fn latency(lanes: &[Judged]) -> Vec<LatencyReport> {
    let classes = [Class::Read, Class::Write, Class::Connect];
    let of = |class| {
        let mut all = Histogram::default();
        let own = |lane: &&Judged| lane.id.class == class && lane.id.own.is_none();
        for lane in lanes.iter().filter(own) {
            all.join(&lane.latencies);
        }
        LatencyReport {
            class,
            when: When::During,
            p50_ms: all.percentile_ms(50),
            p99_ms: all.percentile_ms(99),
            max_ms: all.max_ms(),
        }
    };
    classes.map(of).into()
}

/// All gaps in the order of time.
fn seen_gaps(lanes: &[Judged]) -> (Vec<SeenGap>, u64) {
    let mut gaps: Vec<SeenGap> = Vec::new();
    for lane in lanes {
        gaps.extend(lane.gaps.gaps.iter().map(|gap| SeenGap {
            lane: lane.id.to_string(),
            from_s: seconds(gap.span.start),
            ms: ms(gap.span.length()),
            resolution_ms: ms(gap.resolution),
            ended: gap.ended,
            errors: gap.errors.clone(),
        }));
    }
    gaps.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    (gaps, lanes.iter().map(|lane| lane.gaps.not_listed).sum())
}

fn doubts_of_run(timeline: &Timeline) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(signal) = &timeline.interrupted {
        doubts.push(format!("the probe was interrupted by {signal}"));
    } else if !timeline.run_ended {
        doubts.push("the probe was interrupted: its events stop before its end".to_owned());
    }
    if timeline.load_began.is_none() {
        doubts.push("the lanes did not begin, so nothing was measured".to_owned());
    }
    doubts
}

#[cfg(test)]
mod tests;
