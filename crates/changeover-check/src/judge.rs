//! The judge: takes events and operations, and gives the verdict.

use crate::budget::{self, Measured};
use crate::call_off;
use crate::checker::{BadInput, Consistency};
use crate::circumstances::Circumstances;
use crate::clients::ClientHistory;
use crate::cliff;
use crate::evidence;
use crate::faults::{self, Aftermath, Faults};
use crate::findings::Found;
use crate::gap::{self, Located, Sent, StepSpan};
use crate::lanes::{LANES, LaneId, Lanes};
use crate::models::Models;
use crate::observed::{self, Issued};
use crate::protocol::{self, ObservedWrite};
use crate::quality::{self, WorkloadCounts};
use crate::rolling::model_of;
use crate::stats::from_ms;
use crate::subhistory::SubHistory;
use crate::timeline::{Timeline, Window};
use crate::verdict::{self, Judged};
use changeover_model::event::Event;
use changeover_model::history::{Header, Line, Model, Op, Operation, Outcome, Source};
use changeover_model::plan::Plan;
use changeover_model::verdict::{Finding, OperationCounts, Verdict, VerdictOutcome};

/// Judges a run.
///
/// Feed it every event and every operation, each in the order of their files; how the two interleave does not
/// matter. It keeps about a hundred bytes an operation, and judges in [`Judge::finish`].
#[derive(Debug)]
pub struct Judge {
    plan: Plan,
    run: String,
    reproduce: String,
    events: Vec<Event>,
    lanes: Lanes,
    clients: ClientHistory,
    models: Models,
    /// Operations that do not fit their model, and the first reason.
    misfits: (u64, Option<BadInput>),
    operations: u64,
    issued: Issued,
    observed_writes: Vec<ObservedWrite>,
    counts: OperationCounts,
    workload: WorkloadCounts,
}

impl Judge {
    /// A judge of the run of that name; `reproduce` is the command that runs the same plan again.
    pub fn new(plan: &Plan, run: &str, reproduce: String) -> Self {
        Judge {
            plan: plan.clone(),
            run: run.to_owned(),
            reproduce,
            events: Vec::new(),
            lanes: Lanes::default(),
            clients: ClientHistory::default(),
            models: Models::new(&Header::new(Model::Set.name()), Consistency::default()),
            misfits: (0, None),
            operations: 0,
            issued: Issued::default(),
            observed_writes: Vec::new(),
            counts: OperationCounts {
                acknowledged_writes: Some(0),
                ..OperationCounts::default()
            },
            workload: WorkloadCounts::default(),
        }
    }

    /// Takes an event.
    pub fn event(&mut self, event: &Event) {
        self.events.push(event.clone());
    }

    /// Takes the first line of the history; without it, the history is one of sets.
    pub fn header(&mut self, header: &Header) {
        self.models = Models::new(header, Consistency::default());
    }

    /// Takes an operation.
    pub fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.count(operation);
        self.lanes.operation(operation);
        self.clients.operation(operation);
        self.judged(operation);
        self.issued.operation(operation);
        self.observed_write(operation);
    }

    /// Hands an operation to its model. What went past the front door is judged as a set's prefixes only.
    fn judged(&mut self, operation: &Operation) {
        let Some(model) = model_of(operation) else {
            if operation.op != Op::Connect {
                self.models.set.operation(operation);
            }
            return;
        };
        let (value, result) = (operation.value.to_string(), operation.result.to_string());
        let line = Line::of(operation, &value, &result);
        // As its place in the history: after the first line.
        let number = self.operations + 1;
        let taken = match model.operations().contains(&operation.op) {
            true => self.models.take(model, &line, number),
            false => Err(BadInput::Misplaced {
                op: operation.op,
                model,
            }),
        };
        if let Err(misfit) = taken {
            self.misfits.0 += 1;
            self.misfits.1.get_or_insert(misfit);
        }
    }

    fn count(&mut self, operation: &Operation) {
        if matches!(operation.source, Some(Source::Observer | Source::FullRead)) {
            return;
        }
        self.counts.total += 1;
        match operation.outcome {
            Outcome::Ok => self.counts.ok += 1,
            Outcome::Fail => self.counts.fail += 1,
            Outcome::Unknown => self.counts.unknown += 1,
        }
        let ok = operation.outcome == Outcome::Ok;
        if ok && reads_and_writes(operation).1 {
            *self.counts.acknowledged_writes.get_or_insert(0) += 1;
        }
        if operation.source == Some(Source::Lane) {
            return;
        }
        self.workload.total += 1;
        if let Some(model) = model_of(operation) {
            let (total, succeeded) = self.workload.by_model.entry(model.name()).or_default();
            *total += 1;
            *succeeded += u64::from(ok);
        }
        if ok {
            let (reads, writes) = reads_and_writes(operation);
            self.workload.reads += u64::from(reads);
            self.workload.writes += u64::from(writes);
        }
    }

    fn observed_write(&mut self, operation: &Operation) {
        let write = matches!(operation.op, Op::Add | Op::Write);
        let acknowledged = operation.outcome == Outcome::Ok;
        let Some(generation) = operation.generation else {
            return;
        };
        if operation.source == Some(Source::Observer) && write && acknowledged {
            self.observed_writes.push(ObservedWrite {
                slot: operation.slot.clone(),
                generation,
                process: operation.process,
                key: operation.key.clone(),
                value: operation.value.clone(),
                invoke: operation.invoke,
                returned: operation.returned.or(operation.ended),
            });
        }
    }

    /// The verdict.
    pub fn finish(self) -> Verdict {
        self.finish_with_histories("").0
    }

    /// The verdict, and the small histories that show its findings: `evidence` names the n-th as
    /// [`history_name`](crate::history_name) behind `directory`.
    pub fn finish_with_histories(mut self, directory: &str) -> (Verdict, Vec<SubHistory>) {
        // As written, should they have come in another order.
        self.events.sort_by_key(|event| event.seq);
        let timeline = Timeline::new(&self.events);
        let faults = Faults::new(&self.plan, &self.events);
        let lanes = std::mem::take(&mut self.lanes).into_sorted();
        let located = self.measure(&lanes, &timeline, &faults);
        let measured: Vec<Measured> = located.iter().map(|(measured, _)| *measured).collect();
        let mut findings: Vec<Finding> = self
            .plan
            .findings
            .iter()
            .map(verdict::planned_finding)
            .collect();
        findings.extend(protocol::judge(
            &self.plan,
            &self.events,
            &self.observed_writes,
            &faults,
        ));
        let clients = std::mem::take(&mut self.clients);
        findings.extend(clients.judge(&self.plan, &self.events, &timeline, &lanes, &faults));
        findings.extend(cliff::judge(&timeline, &lanes, self.interval(), &faults));
        findings.extend(observed::judge(&self.plan, &self.events));
        let issued = std::mem::take(&mut self.issued);
        findings.extend(issued.judge(|at| timeline.step_at(at)));
        let judged = self.models.judge(&timeline);
        let circumstances = Circumstances::of(&self.events);
        let mut doubts = circumstances.doubts();
        doubts.extend(self.doubts(&lanes, &timeline, &faults));
        for model in judged.models {
            if model.outcome == VerdictOutcome::Inconclusive {
                doubts.extend(model.reason);
            }
        }
        if let (misfits, Some(first)) = &self.misfits {
            doubts.push(format!(
                "{misfits} operation(s) do not fit their model: {first}"
            ));
        }
        // A load that was broken off says nothing about what would have come.
        let broken_off = timeline.interrupted.is_some() || timeline.load_ended.is_none();
        let dead: Vec<usize> = (0..LANES.len())
            .filter(|_| !broken_off)
            .filter(|&lane| !lanes[lane].is_empty())
            .filter(|&lane| lanes[lane].iter().all(|s| s.completed.is_none()))
            .collect();
        findings.extend(
            dead.iter()
                .map(|&lane| budget::dead_lane(LANES[lane], lanes[lane].len() as u64)),
        );
        let unrecovered = match broken_off {
            true => Vec::new(),
            false => self.unrecovered(&lanes, &timeline),
        };
        findings.extend(
            unrecovered
                .iter()
                .map(|&(lane, step, span)| budget::unrecovered_lane(lane, Some(step), span)),
        );
        let endless: Vec<LaneId> = dead
            .into_iter()
            .map(|lane| LANES[lane])
            .chain(unrecovered.iter().map(|(lane, ..)| *lane))
            .collect();
        let budgets = budget::judge(&self.plan.budgets, &measured, &endless);
        findings.extend(budgets.findings);
        doubts.extend(budgets.doubts);
        let freshness = self.models.set.freshness(&timeline);
        let mut steps = verdict::steps(&self.plan, &timeline, &lanes, &located, &freshness);
        // What follows is judged by what everybody else found, wrong answers among it.
        let wrong = judged.findings.iter().map(|found| found.finding.clone());
        let mut others: Vec<Finding> = findings.iter().cloned().chain(wrong).collect();
        let call_offs = call_off::judge(
            &self.plan,
            &self.events,
            &timeline,
            &located,
            &faults,
            &others,
        );
        for step in &mut steps {
            step.called_off = call_offs.reports.get(&step.number).cloned();
        }
        others.extend(call_offs.findings.iter().cloned());
        let (fault_reports, missed) = faults::judge(
            &faults,
            &Aftermath {
                plan: &self.plan,
                timeline: &timeline,
                findings: &others,
                measured: &located,
                unrecovered: &unrecovered,
            },
        );
        verdict::name_faults(&mut steps, &faults);
        findings.extend(call_offs.findings);
        findings.extend(missed);
        let mut found: Vec<Found> = findings.into_iter().map(Found::from).collect();
        found.extend(judged.findings);
        circumstances.excuse(found.iter_mut().map(|one| &mut one.finding), &timeline);
        verdict::sort_found(&mut found);
        evidence::name_histories(&mut found, directory);
        let mut histories = Vec::new();
        let mut findings = Vec::new();
        for found in found {
            findings.push(found.finding);
            histories.extend(found.history);
        }
        let verdict = verdict::verdict(
            &self.plan,
            Judged {
                run: self.run,
                reproduce: self.reproduce,
                steps,
                findings,
                doubts,
                budgets: budgets.reports,
                operations: self.counts,
                faults: fault_reports,
                point_of_no_return: call_offs.point_of_no_return,
            },
        );
        (verdict, histories)
    }

    fn interval(&self) -> u64 {
        from_ms(self.plan.workload.probe_interval_ms)
    }

    /// The gaps of every lane in every step that began, steps first.
    fn measure(
        &self,
        lanes: &[Vec<Sent>; LANES.len()],
        timeline: &Timeline,
        faults: &Faults,
    ) -> Vec<(Measured, Vec<Window>)> {
        let interval = self.interval();
        let spans = step_spans(timeline);
        let mut located: Vec<Vec<Located>> = lanes
            .iter()
            .map(|sent| gap::located(sent, interval, &spans))
            .collect();
        let mut measured = Vec::new();
        for (index, step) in timeline.upgrades().enumerate() {
            for (lane, id) in LANES.into_iter().enumerate() {
                let located = std::mem::take(&mut located[lane][index]);
                let unexplained = unexplained(&located, faults);
                let Located { gaps, spans, .. } = located;
                let measured_lane = Measured {
                    lane: id,
                    step: Some(step.number),
                    gaps,
                    unexplained,
                    doubtful: quality::too_late(&lanes[lane], interval, step).is_some(),
                };
                measured.push((measured_lane, spans));
            }
        }
        measured
    }

    /// The lanes that were not served again before the load ended, with the step and the time of it. A load that was
    /// broken off, or of which the end is not on record, says nothing about what would have come.
    fn unrecovered(
        &self,
        lanes: &[Vec<Sent>; LANES.len()],
        timeline: &Timeline,
    ) -> Vec<(LaneId, u32, Window)> {
        let spans = step_spans(timeline);
        let numbers: Vec<u32> = timeline.upgrades().map(|step| step.number).collect();
        LANES
            .into_iter()
            .zip(lanes)
            .filter_map(|(lane, sent)| {
                let open = gap::open_end(sent, self.interval(), &spans)?;
                Some((lane, numbers[open.step], open.span))
            })
            .collect()
    }

    fn doubts(
        &self,
        lanes: &[Vec<Sent>; LANES.len()],
        timeline: &Timeline,
        faults: &Faults,
    ) -> Vec<String> {
        let interval = self.interval();
        let left_out = call_off::left_out(&self.plan, &self.events);
        let mut doubts = quality::doubts_of_run(&self.plan, timeline, &left_out);
        doubts.extend(protocol::doubts(&self.events));
        doubts.extend(observed::doubts(&self.plan, &self.events));
        doubts.extend(quality::doubts_of_workload(
            &self.plan,
            &self.workload,
            timeline,
        ));
        if timeline.load_began.is_some() {
            doubts.extend(quality::doubts_of_windows(&self.plan, timeline, faults));
            for (lane, sent) in LANES.into_iter().zip(lanes) {
                if sent.is_empty() {
                    doubts.push(format!("lane {lane} has no operations"));
                } else {
                    doubts.extend(quality::doubts_of_lane(
                        lane, sent, interval, timeline, faults,
                    ));
                }
            }
        }
        doubts.extend(quality::doubts_of_full_reads(timeline, faults));
        if timeline.load_ended.is_some()
            && let Some(uncompared) = self.models.set.uncompared()
        {
            doubts.push(format!(
                "{} acknowledged write(s) to {} key(s) were never compared with a full read",
                uncompared.writes, uncompared.keys
            ));
        }
        doubts
    }
}

/// Whether an operation reads, and whether it writes: a transaction may do both.
fn reads_and_writes(operation: &Operation) -> (bool, bool) {
    match operation.op {
        Op::Read => (true, false),
        Op::Connect | Op::Query => (false, false),
        Op::Txn => {
            let parts = operation.value.as_array().map(Vec::as_slice);
            let does = |what: &str| parts.unwrap_or_default().iter().any(|part| part[0] == what);
            (does("read"), does("append"))
        }
        Op::Add | Op::Write | Op::Cas | Op::Transfer => (false, true),
    }
}

/// The longest span of a lane in a step that no fault explains; `None` if none is explained.
fn unexplained(located: &Located, faults: &Faults) -> Option<u64> {
    let gaps = located.spans.iter().filter(|_| located.gaps.count > 0);
    let (explained, others): (Vec<&Window>, Vec<&Window>) =
        gaps.partition(|gap| faults.explains(**gap));
    let longest = others.iter().map(|gap| gap.length()).max();
    (!explained.is_empty()).then(|| longest.max(located.longest_short).unwrap_or(0))
}

/// The upgrades, as far as gaps care.
fn step_spans(timeline: &Timeline) -> Vec<StepSpan> {
    timeline
        .upgrades()
        .map(|step| StepSpan {
            span: step.span,
            before: step.before,
        })
        .collect()
}
