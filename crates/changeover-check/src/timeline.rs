//! When what happened: steps, phases and quiet windows, from the events.

use changeover_model::event::{Event, EventKind, Phase};

/// A stretch of time, nanoseconds since the run's zero; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub start: u64,
    /// Its last moment, not before the first.
    pub end: u64,
}

impl Window {
    /// Whether a moment lies in it.
    pub fn contains(&self, at: u64) -> bool {
        self.start <= at && at <= self.end
    }

    /// Its length, in nanoseconds.
    pub fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// A step that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTimes {
    /// Its number; 0 for the first service's start.
    pub number: u32,
    /// From its first phase (or its announcement, when it never came to a phase) to its end, or to the run's last
    /// event when it did not end.
    pub span: Window,
    /// Whether it ended.
    pub ended: bool,
    /// Whether it ended with the new service leading and the old one gone.
    pub completed: bool,
    /// The phases, with the moment each began, in order.
    pub phases: Vec<(Phase, u64)>,
    /// The quiet window before it.
    pub before: Option<Window>,
    /// The quiet window after it.
    pub after: Option<Window>,
}

impl StepTimes {
    /// The step with its quiet windows.
    pub fn whole(&self) -> Window {
        Window {
            start: self.before.map_or(self.span.start, |w| w.start),
            end: self.after.map_or(self.span.end, |w| w.end),
        }
    }

    /// From the quiet window before to the one after; without them, the step itself.
    pub fn during(&self) -> Window {
        let start = self.before.map_or(self.span.start, |w| w.end);
        Window {
            start,
            end: self.after.map_or(self.span.end, |w| w.start).max(start),
        }
    }
}

/// A full read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullRead {
    /// When it was announced.
    pub began: u64,
    /// How many keys could not be read; `None` if it did not end.
    pub unread: Option<u64>,
}

/// What the events say about time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The steps that began, step 0 included, in order of time.
    pub steps: Vec<StepTimes>,
    /// When the load was announced.
    pub load_intent: Option<u64>,
    /// When lanes and workload ran.
    pub load_began: Option<u64>,
    /// When their end was announced.
    pub load_end_intent: Option<u64>,
    /// When the last operation had ended.
    pub load_ended: Option<u64>,
    /// The full reads, in order.
    pub full_reads: Vec<FullRead>,
    /// The signal that ended the run early.
    pub interrupted: Option<String>,
    /// Whether the run came to its end.
    pub run_ended: bool,
    /// The last event.
    pub last: u64,
}

impl Timeline {
    /// Reads events in their order.
    pub fn new(events: &[Event]) -> Self {
        let mut line = Timeline {
            last: events.iter().map(|e| e.at).max().unwrap_or(0),
            ..Timeline::default()
        };
        let mut windows: Vec<(u64, Option<u64>)> = Vec::new();
        for event in events {
            line.take(event, &mut windows);
        }
        for step in &mut line.steps {
            if !step.ended {
                step.span.end = line.last;
            }
            step.span.end = step.span.end.max(step.span.start);
        }
        let windows: Vec<Window> = windows
            .into_iter()
            .map(|(start, end)| Window {
                start,
                end: end.unwrap_or(line.last).max(start),
            })
            .collect();
        line.place_windows(&windows);
        line
    }

    fn take(&mut self, event: &Event, windows: &mut Vec<(u64, Option<u64>)>) {
        let at = event.at;
        match &event.kind {
            EventKind::StepStarted { .. } => {
                let number = event.step.unwrap_or(0);
                if self.step(number).is_none() {
                    self.steps.push(StepTimes {
                        number,
                        span: Window { start: at, end: at },
                        ended: false,
                        completed: false,
                        phases: Vec::new(),
                        before: None,
                        after: None,
                    });
                }
            }
            EventKind::PhaseStarted { phase } => {
                if let Some(step) = self.open_step(event.step) {
                    if step.phases.is_empty() {
                        step.span.start = at;
                    }
                    step.phases.push((*phase, at));
                }
            }
            EventKind::StepEnded { completed } => {
                if let Some(step) = self.open_step(event.step) {
                    step.span.end = at;
                    step.ended = true;
                    step.completed = *completed;
                }
            }
            EventKind::QuietWindowStarted => {
                close(windows, at);
                windows.push((at, None));
            }
            EventKind::QuietWindowEnded => close(windows, at),
            EventKind::LoadIntent => self.load_intent = self.load_intent.or(Some(at)),
            EventKind::LoadDone => self.load_began = self.load_began.or(Some(at)),
            EventKind::LoadEndIntent => self.load_end_intent = Some(at),
            EventKind::LoadEndDone => self.load_ended = Some(at),
            EventKind::FullReadIntent { .. } => self.full_reads.push(FullRead {
                began: at,
                unread: None,
            }),
            EventKind::FullReadDone { unread } => {
                if let Some(read) = self.full_reads.last_mut() {
                    read.unread = Some(*unread);
                }
            }
            EventKind::Interrupted { signal } => {
                self.interrupted.get_or_insert_with(|| signal.clone());
            }
            EventKind::RunEnded => self.run_ended = true,
            _ => {}
        }
    }

    /// A step's times.
    pub fn step(&self, number: u32) -> Option<&StepTimes> {
        self.steps.iter().find(|s| s.number == number)
    }

    /// The steps that are reported: all but the first service's start.
    pub fn upgrades(&self) -> impl Iterator<Item = &StepTimes> {
        self.steps.iter().filter(|s| s.number > 0)
    }

    /// The step that a moment belongs to: the last one that had begun.
    pub fn step_at(&self, at: u64) -> Option<u32> {
        self.steps
            .iter()
            .rev()
            .find(|s| s.span.start <= at)
            .map(|s| s.number)
    }

    /// The phase that a moment belongs to, if a step was going on.
    pub fn phase_at(&self, at: u64) -> Option<Phase> {
        let step = self.steps.iter().find(|s| s.span.contains(at))?;
        let begun = step.phases.iter().rev().find(|(_, began)| *began <= at);
        begun.map(|(phase, _)| *phase)
    }

    /// Whether every operation that began is in the history: without that, an element that nobody is known to have
    /// added may be that of an operation whose record is missing.
    pub fn history_is_complete(&self) -> bool {
        self.load_intent.is_none() || self.load_ended.is_some()
    }

    fn open_step(&mut self, number: Option<u32>) -> Option<&mut StepTimes> {
        match number {
            Some(number) => self.steps.iter_mut().find(|s| s.number == number),
            None => self.steps.last_mut(),
        }
        .filter(|s| !s.ended)
    }

    /// The window before a step is the last that began between the previous step's end and its own start; the one
    /// after it, the first between its end and the next step's start. So neighbours share one.
    fn place_windows(&mut self, windows: &[Window]) {
        for index in 0..self.steps.len() {
            let free_from = match index {
                0 => 0,
                _ => self.steps[index - 1].span.end,
            };
            let free_to = self.steps.get(index + 1).map(|s| s.span.start);
            let step = &mut self.steps[index];
            step.before = windows
                .iter()
                .rev()
                .find(|w| free_from <= w.start && w.start <= step.span.start)
                .map(|w| Window {
                    start: w.start,
                    end: w.end.min(step.span.start),
                });
            if !step.ended {
                continue;
            }
            step.after = windows
                .iter()
                .find(|w| w.start >= step.span.end && free_to.is_none_or(|to| w.start <= to))
                .map(|w| Window {
                    start: w.start,
                    end: free_to.map_or(w.end, |to| w.end.min(to)),
                });
        }
    }
}

fn close(windows: &mut [(u64, Option<u64>)], at: u64) {
    if let Some((_, end @ None)) = windows.last_mut() {
        *end = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::events;

    #[test]
    fn neighbouring_steps_share_a_quiet_window() {
        let mut e = events();
        e.step(0).at(10).started().at(20).ended(true);
        e.at(30).quiet(true).at(40).quiet(false);
        e.step(1).at(50).started().phase(Phase::Boot);
        e.at(60).phase(Phase::CatchUp).at(70).ended(true);
        e.at(80).quiet(true).at(90).quiet(false);
        e.step(2).at(100).started().at(105).phase(Phase::Boot);
        e.at(110).ended(false).at(120).quiet(true);
        e.at(130).push(EventKind::RunEnded);
        let line = Timeline::new(&e.list);
        let window = |start, end| Some(Window { start, end });
        let step = line.step(1).unwrap();
        assert_eq!(step.span, Window { start: 50, end: 70 });
        assert_eq!(step.phases, [(Phase::Boot, 50), (Phase::CatchUp, 60)]);
        assert_eq!((step.before, step.after), (window(30, 40), window(80, 90)));
        assert!(step.completed);
        assert_eq!(step.during(), Window { start: 40, end: 80 });
        let step = line.step(2).unwrap();
        assert_eq!(
            step.span,
            Window {
                start: 105,
                end: 110
            }
        );
        assert_eq!(
            (step.before, step.after),
            (window(80, 90), window(120, 130))
        );
        assert!(!step.completed);
        assert_eq!(line.step_at(49), Some(0));
        assert_eq!(line.step_at(50), Some(1));
        assert_eq!(line.step_at(104), Some(1));
        assert_eq!(line.step_at(9), None);
        assert!(line.run_ended);
    }

    #[test]
    fn a_quiet_window_lies_next_to_its_step() {
        let mut e = events();
        e.step(0)
            .at(10)
            .started()
            .at(15)
            .quiet(true)
            .at(18)
            .quiet(false);
        e.at(20).ended(true);
        e.step(1).at(50).started().at(70).ended(true);
        e.step(2).at(80).started().at(90).ended(true);
        e.at(95).quiet(true).at(99).quiet(false);
        let line = Timeline::new(&e.list);
        assert_eq!(line.step(1).unwrap().before, None);
        assert_eq!(line.step(1).unwrap().after, None);
        assert!(line.step(2).unwrap().after.is_some());
    }

    #[test]
    fn a_step_that_did_not_end_lasts_to_the_last_event() {
        let mut e = events();
        e.at(1).quiet(true).at(2).quiet(false);
        e.step(1).at(3).started();
        e.at(9).push(EventKind::Interrupted {
            signal: "SIGINT".to_owned(),
        });
        let line = Timeline::new(&e.list);
        let step = line.step(1).unwrap();
        assert_eq!(step.span, Window { start: 3, end: 9 });
        assert!(!step.ended && step.after.is_none());
        assert_eq!(line.interrupted.as_deref(), Some("SIGINT"));
        assert!(!line.run_ended);
    }
}
