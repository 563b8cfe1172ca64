//! What happened, from the events: who ran, who said what, who led, the steps and their phases.

use crate::describe::{describe, is_bad_news};
use changeover_model::event::{EndMeaning, Event, EventKind, Phase, StatusSeen};
use changeover_model::text::harmless_cut;
use changeover_model::version::PathVersion;
use std::collections::VecDeque;

/// So many moments are kept from the beginning, and as many from the end; bad news among them counts apart.
const MOMENTS: usize = 600;

/// Words of targets are cut to so many characters.
const WORDS: usize = 80;

/// A stretch of time, in nanoseconds since the run's zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A generation of a service.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) slot: String,
    pub(crate) generation: u64,
    pub(crate) version: String,
    pub(crate) from: u64,
    /// What it said, or what else is known of it, from when on. The last holds until `to`.
    pub(crate) said: Vec<(u64, String)>,
    /// When its process ended for good.
    pub(crate) to: Option<u64>,
    /// How it ended.
    pub(crate) end: Option<String>,
}

/// What an instance needed during a step.
#[derive(Debug, Clone)]
pub(crate) struct Need {
    pub(crate) slot: String,
    pub(crate) generation: u64,
    pub(crate) cpu_ms: Option<u64>,
    pub(crate) memory_kb: u64,
    pub(crate) connections: Option<u64>,
    pub(crate) samples: u64,
    first_cpu_ms: u64,
}

/// A step.
#[derive(Debug)]
pub(crate) struct StepStory {
    pub(crate) number: u32,
    pub(crate) from: Option<PathVersion>,
    pub(crate) to: PathVersion,
    pub(crate) span: Stretch,
    pub(crate) phases: Vec<(Phase, u64)>,
    pub(crate) needs: Vec<Need>,
    ended: bool,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) at: u64,
    pub(crate) step: Option<u32>,
    pub(crate) slot: Option<String>,
    pub(crate) text: String,
    pub(crate) log: Vec<String>,
    pub(crate) bad: bool,
    /// A word for its mark, if it has one of its own.
    pub(crate) kind: Option<&'static str>,
}

/// What happened in a run.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) run: Option<String>,
    pub(crate) changeover: Option<String>,
    pub(crate) cores: Option<usize>,
    pub(crate) machine: Option<(String, String, u64)>,
    pub(crate) instances: Vec<Instance>,
    /// Whom the front door leads to, from when on.
    pub(crate) door: Vec<(u64, String, u64)>,
    /// The metadata store of the run's own, if it has one.
    pub(crate) store: Option<(u64, Option<u64>)>,
    /// The images that containers had: the names they were asked for by, and what they are.
    pub(crate) images: Vec<(String, String)>,
    pub(crate) steps: Vec<StepStory>,
    /// The gaps that a probe saw close: the lane, since when and until when.
    pub(crate) gaps: Vec<(String, u64, u64)>,
    /// Quiet windows, full reads, faults at work and the load, by name.
    pub(crate) asides: Vec<(String, u64, Option<u64>)>,
    pub(crate) first_moments: Vec<Moment>,
    pub(crate) last_moments: VecDeque<Moment>,
    pub(crate) bad_moments: Vec<Moment>,
    pub(crate) left_out: u64,
    /// The last event.
    pub(crate) end: u64,
}

impl Story {
    /// Takes an event.
    pub(super) fn event(&mut self, event: &Event) {
        let at = event.at;
        self.end = self.end.max(at);
        self.moment(event);
        match &event.kind {
            EventKind::RunStarted {
                run,
                changeover,
                cores,
            } => {
                self.run = Some(run.clone());
                self.changeover = Some(changeover.clone());
                self.cores = Some(*cores);
            }
            EventKind::Machine {
                system,
                processor,
                memory_kb,
            } => self.machine = Some((system.clone(), processor.clone(), *memory_kb)),
            EventKind::StepStarted { from, to } => self.steps.push(StepStory {
                number: event.step.unwrap_or_default(),
                from: from.clone(),
                to: to.clone(),
                span: Stretch { from: at, to: at },
                phases: Vec::new(),
                needs: Vec::new(),
                ended: false,
            }),
            EventKind::PhaseStarted { phase } => {
                if let Some(step) = self.open_step() {
                    if step.phases.is_empty() {
                        step.span.from = at;
                    }
                    step.phases.push((*phase, at));
                }
            }
            EventKind::StepEnded { .. } => {
                if let Some(step) = self.open_step() {
                    step.ended = true;
                }
            }
            EventKind::SwitchDone => {
                if let (Some(slot), Some(generation)) = (&event.slot, event.generation) {
                    self.door.push((at, slot.clone(), generation));
                }
            }
            EventKind::MetadataStoreDone { .. } => self.store = Some((at, None)),
            EventKind::ImageSeen { name, id, digest } => {
                let image = (name.clone(), digest.as_ref().unwrap_or(id).clone());
                if !self.images.contains(&image) && self.images.len() < MOMENTS {
                    self.images.push(image);
                }
            }
            EventKind::MetadataStoreEndIntent => {
                if let Some((_, end)) = &mut self.store {
                    end.get_or_insert(at);
                }
            }
            EventKind::GapClosed {
                lane, since, until, ..
            } => {
                if self.gaps.len() < MOMENTS {
                    self.gaps.push((lane.clone(), *since, *until));
                }
            }
            EventKind::Sampled {
                cpu_ms,
                memory_kb,
                connections,
            } => self.sampled(event, *cpu_ms, *memory_kb, *connections),
            kind => {
                self.aside(kind, at);
                self.instance(event);
            }
        }
        // A step lasts to its end, or to the last event when it has none.
        if let Some(step) = self.steps.last_mut()
            && (!step.ended || matches!(event.kind, EventKind::StepEnded { .. }))
        {
            step.span.to = at.max(step.span.from);
        }
    }

    fn open_step(&mut self) -> Option<&mut StepStory> {
        self.steps.last_mut().filter(|step| !step.ended)
    }

    fn aside(&mut self, kind: &EventKind, at: u64) {
        let (name, begins) = match kind {
            EventKind::QuietWindowStarted => ("quiet window".to_owned(), true),
            EventKind::QuietWindowEnded => ("quiet window".to_owned(), false),
            EventKind::FullReadIntent { .. } => ("full read".to_owned(), true),
            EventKind::FullReadDone { .. } => ("full read".to_owned(), false),
            EventKind::FaultIntent { fault, .. } => (format!("fault {fault}"), true),
            EventKind::FaultOver { fault, .. } => (format!("fault {fault}"), false),
            // What is done at once is over at once.
            EventKind::FaultDone { fault, .. } if fault.action.is_over_at_once() => {
                (format!("fault {fault}"), false)
            }
            EventKind::LoadDone => ("load".to_owned(), true),
            EventKind::LoadEndDone => ("load".to_owned(), false),
            _ => return,
        };
        if begins {
            self.asides.push((name, at, None));
        } else if let Some((_, _, to)) = self.asides.iter_mut().rev().find(|a| a.0 == name) {
            to.get_or_insert(at);
        }
    }

    fn instance(&mut self, event: &Event) {
        let (Some(slot), Some(generation)) = (&event.slot, event.generation) else {
            return;
        };
        let at = event.at;
        let known = |i: &Instance| i.slot == *slot && i.generation == generation;
        let said = match &event.kind {
            EventKind::SpawnIntent { .. } | EventKind::Attached { .. } => {
                if !self.instances.iter().any(known) {
                    let version = self.steps.last().map(|step| step.to.to_string());
                    self.instances.push(Instance {
                        slot: slot.clone(),
                        generation,
                        version: version.unwrap_or_default(),
                        from: at,
                        said: Vec::new(),
                        to: None,
                        end: None,
                    });
                }
                "starting".to_owned()
            }
            EventKind::RestartIntent { .. } => "restarting".to_owned(),
            EventKind::StatusSeen { seen, .. } => match seen {
                StatusSeen::Status(status) => status.to_string(),
                StatusSeen::Unreachable => "unreachable".to_owned(),
                StatusSeen::Silent => "silent".to_owned(),
                StatusSeen::Nonsense(text) | StatusSeen::Unmapped(text) => {
                    format!("nonsense: {}", harmless_cut(text, WORDS))
                }
            },
            EventKind::ProcessEnded {
                end,
                meaning,
                by_us,
                by_fault,
            } => {
                if let Some(instance) = self.instances.iter_mut().find(|i| known(i)) {
                    instance.end = Some(match (meaning, by_us) {
                        _ if *by_fault => format!("{end}, ended by a fault"),
                        (_, true) => format!("{end}, ended by the harness"),
                        (EndMeaning::Fenced, false) => format!("{end}, fenced"),
                        (EndMeaning::Restart, false) => format!("{end}, asks for a restart"),
                        (EndMeaning::Crash, false) => format!("{end}, a crash"),
                    });
                    instance.to = Some(at);
                }
                return;
            }
            _ => return,
        };
        if let Some(instance) = self.instances.iter_mut().find(|i| known(i)) {
            // Whoever says something is there again.
            instance.to = None;
            if instance.said.last().is_none_or(|(_, last)| *last != said) {
                instance.said.push((at, said));
            }
        }
    }

    fn sampled(&mut self, event: &Event, cpu_ms: u64, memory_kb: u64, connections: Option<u64>) {
        let (Some(slot), Some(generation)) = (&event.slot, event.generation) else {
            return;
        };
        let Some(step) = self.open_step() else { return };
        let known = |need: &Need| need.slot == *slot && need.generation == generation;
        if !step.needs.iter().any(known) {
            step.needs.push(Need {
                slot: slot.clone(),
                generation,
                cpu_ms: None,
                memory_kb: 0,
                connections: None,
                samples: 0,
                first_cpu_ms: cpu_ms,
            });
        }
        if let Some(need) = step.needs.iter_mut().find(|need| known(need)) {
            need.memory_kb = need.memory_kb.max(memory_kb);
            need.connections = need.connections.max(connections);
            need.samples += 1;
            if need.samples > 1 {
                // A process that was started again counts from zero.
                need.cpu_ms = Some(cpu_ms.saturating_sub(need.first_cpu_ms));
            }
        }
    }

    fn moment(&mut self, event: &Event) {
        let Some((text, log)) = describe(event) else {
            return;
        };
        let moment = Moment {
            at: event.at,
            step: event.step,
            slot: event.slot.clone(),
            text,
            log,
            bad: is_bad_news(&event.kind),
            kind: match event.kind {
                EventKind::Marker { .. } => Some("marker"),
                EventKind::FaultDone { .. } | EventKind::CallOffIntent { .. } => Some("fault"),
                _ => None,
            },
        };
        if moment.bad && self.bad_moments.len() < MOMENTS {
            self.bad_moments.push(moment);
        } else if self.first_moments.len() < MOMENTS {
            self.first_moments.push(moment);
        } else {
            if self.last_moments.len() == MOMENTS {
                self.last_moments.pop_front();
                self.left_out += 1;
            }
            self.last_moments.push_back(moment);
        }
    }

    /// The moments that are kept, in order.
    pub(crate) fn moments(&self) -> Vec<&Moment> {
        let mut moments: Vec<&Moment> = self
            .first_moments
            .iter()
            .chain(&self.last_moments)
            .chain(&self.bad_moments)
            .collect();
        moments.sort_by_key(|moment| moment.at);
        moments
    }
}
