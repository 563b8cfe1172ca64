//! The terminal view of a run that is under way.

use crate::describe::is_bad_news;
use crate::numbers::{count, time};
use crate::plain;
use crate::screen::Screen;
use changeover_model::event::{Event, EventKind, Phase};
use changeover_model::text::{harmless, harmless_cut};
use std::collections::BTreeMap;

/// Pictures a second at most.
const HZ: u64 = 4;

/// Nanoseconds between two pictures.
pub(crate) const PERIOD: u64 = 1_000_000_000 / HZ;

/// What an instance said is cut to so many characters.
const SAID: usize = 60;

/// What the load has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LoadSnapshot {
    /// Operations acknowledged.
    pub ok: u64,
    /// Operations certainly without effect.
    pub fail: u64,
    /// Operations perhaps with effect.
    pub unknown: u64,
    /// Milliseconds since a write of a lane succeeded; `None` before the first.
    pub since_last_write_ms: Option<f64>,
    /// Milliseconds since a read of a lane succeeded; `None` before the first.
    pub since_last_read_ms: Option<f64>,
}

/// The live view, on standard error so that standard output stays the report's.
///
/// It draws at most four times a second, on its caller's clock: stamps of events and of snapshots are nanoseconds
/// since the run's zero. Where standard error is no terminal it draws nothing; use [`plain`] there.
#[derive(Debug)]
pub struct Live {
    screen: Screen,
    picture: Picture,
    drawn: Option<u64>,
}

impl Default for Live {
    fn default() -> Self {
        Live::new()
    }
}

impl Live {
    /// A view on standard error.
    pub fn new() -> Self {
        Live::on(Screen::of_stderr())
    }

    fn on(screen: Screen) -> Self {
        Live {
            screen,
            picture: Picture::default(),
            drawn: None,
        }
    }

    /// Takes an event. Bad news stays above the view.
    pub fn event(&mut self, event: &Event) {
        self.picture.event(event);
        if is_bad_news(&event.kind)
            && let Some(line) = plain::line(event)
        {
            self.screen.above(&line);
        }
        self.draw(event.at);
    }

    /// Puts a line above the view.
    pub fn note(&mut self, line: &str) {
        self.screen.above(line);
    }

    /// Takes what the load has seen by `at`. Call it a few times a second; calls in between are cheap.
    pub fn load(&mut self, at: u64, snapshot: &LoadSnapshot) {
        self.picture.load(at, snapshot);
        self.draw(at);
    }

    /// Removes the view. What is drawn after it starts on a clean line.
    pub fn finish(&mut self) {
        self.screen.clear();
    }

    fn draw(&mut self, at: u64) {
        if self.drawn.is_some_and(|drawn| at < drawn + PERIOD) {
            return;
        }
        self.drawn = Some(at);
        self.screen.draw(self.picture.lines(at));
    }
}

/// What the view shows, as data.
#[derive(Debug, Default)]
struct Picture {
    leader: Option<Leader>,
    step: Option<Step>,
    phase: Option<(Phase, u64)>,
    /// What goes on besides the steps.
    aside: Option<&'static str>,
    /// The slots that have been used, with the last instance in each.
    lanes: BTreeMap<String, Lane>,
    load: Option<LoadSnapshot>,
    /// When operations were last counted for the rate, and how many there were.
    counted: Option<(u64, u64)>,
    /// Operations a second between the last two counts.
    rate: Option<f64>,
}

#[derive(Debug)]
struct Leader {
    slot: String,
    generation: u64,
    version: String,
}

/// The last instance in a slot.
#[derive(Debug)]
struct Lane {
    generation: u64,
    version: String,
    said: String,
}

#[derive(Debug)]
struct Step {
    number: u32,
    title: String,
    to: String,
}

impl Picture {
    fn event(&mut self, event: &Event) {
        self.lane(event);
        match &event.kind {
            EventKind::StepStarted { from, to } => {
                let title = match from {
                    Some(from) => format!("{from} → {to}"),
                    None => format!("start {to}"),
                };
                self.step = Some(Step {
                    number: event.step.unwrap_or_default(),
                    title,
                    to: to.to_string(),
                });
                self.phase = None;
            }
            EventKind::PhaseStarted { phase } => self.phase = Some((*phase, event.at)),
            EventKind::StepEnded { .. } => {
                self.step = None;
                self.phase = None;
            }
            EventKind::QuietWindowStarted => self.aside = Some("quiet window"),
            EventKind::FullReadIntent { .. } => self.aside = Some("reading everything back"),
            EventKind::LoadEndIntent => self.aside = Some("ending lanes and workload"),
            EventKind::QuietWindowEnded
            | EventKind::FullReadDone { .. }
            | EventKind::LoadEndDone => self.aside = None,
            EventKind::SwitchDone => {
                if let (Some(slot), Some(generation), Some(step)) =
                    (&event.slot, event.generation, &self.step)
                {
                    self.leader = Some(Leader {
                        slot: harmless(slot),
                        generation,
                        version: step.to.clone(),
                    });
                }
            }
            _ => {}
        }
    }

    /// What the event says of an instance.
    fn lane(&mut self, event: &Event) {
        let (Some(slot), Some(generation)) = (&event.slot, event.generation) else {
            return;
        };
        let said = match &event.kind {
            EventKind::SpawnDone { .. } | EventKind::RestartDone { .. } => "starting".to_owned(),
            EventKind::Attached { .. } => "attached".to_owned(),
            EventKind::StatusSeen { seen, .. } => harmless_cut(&seen.to_string(), SAID),
            EventKind::Serving => "serves".to_owned(),
            EventKind::ProcessEnded { end, .. } => format!("ended: {end}"),
            _ => return,
        };
        let version = self.step.as_ref().map(|step| step.to.clone());
        let lane = self.lanes.entry(slot.clone()).or_insert_with(|| Lane {
            generation,
            version: String::new(),
            said: String::new(),
        });
        if lane.generation != generation || lane.version.is_empty() {
            lane.generation = generation;
            lane.version = version.unwrap_or_default();
        }
        lane.said = said;
    }

    fn load(&mut self, at: u64, snapshot: &LoadSnapshot) {
        let total = snapshot.ok + snapshot.fail + snapshot.unknown;
        match self.counted {
            // A shorter span would show the granularity of the counters, not a rate.
            Some((since, _)) if at < since + PERIOD => {}
            Some((since, before)) => {
                let seconds = (at - since) as f64 / 1e9;
                self.rate = Some(total.saturating_sub(before) as f64 / seconds);
                self.counted = Some((at, total));
            }
            None => self.counted = Some((at, total)),
        }
        self.load = Some(*snapshot);
    }

    fn lines(&self, at: u64) -> Vec<String> {
        let leader = match &self.leader {
            Some(leader) => format!(
                "{} leads ({}, generation {})",
                leader.slot, leader.version, leader.generation
            ),
            None => "nobody leads yet".to_owned(),
        };
        let doing = match (&self.step, &self.phase, self.aside) {
            (Some(step), Some((phase, since)), _) => format!(
                "step {}: {}, {phase} for {}",
                step.number,
                step.title,
                time(tenths(at.saturating_sub(*since)))
            ),
            (_, _, Some(aside)) => aside.to_owned(),
            (Some(step), None, None) => format!("step {}: {}", step.number, step.title),
            (None, _, None) if self.leader.is_some() => "between steps".to_owned(),
            (None, _, None) => "starting".to_owned(),
        };
        let load = match &self.load {
            None => "no load yet".to_owned(),
            Some(load) => {
                let rate = match self.rate {
                    Some(rate) => format!("{rate:.0}"),
                    None => "-".to_owned(),
                };
                let gap = |ms: Option<f64>| ms.map_or("-".to_owned(), time);
                format!(
                    "{rate} operations/s · {} ok, {} failed, {} unknown · gap now: write {}, read {}",
                    count(load.ok),
                    count(load.fail),
                    count(load.unknown),
                    gap(load.since_last_write_ms),
                    gap(load.since_last_read_ms)
                )
            }
        };
        let mut lines = vec![format!("{:>6.1} s  {leader} · {doing}", at as f64 / 1e9)];
        lines.extend(self.lanes.iter().map(|(slot, lane)| {
            let leads = self.leader.as_ref().is_some_and(|leader| {
                leader.slot == harmless(slot) && leader.generation == lane.generation
            });
            format!(
                "        {} {}  {:<9} generation {:<3} {}",
                if leads { "▶" } else { " " },
                harmless(slot),
                lane.version,
                lane.generation,
                lane.said
            )
        }));
        lines.push(format!("          {load}"));
        lines
    }
}

/// Nanoseconds as milliseconds, in steps of a tenth of a second: finer would only flicker.
fn tenths(ns: u64) -> f64 {
    (ns / 100_000_000 * 100) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::tests::Paper;
    use changeover_model::event::{EndMeaning, ProcessEnd, StatusSeen};
    use changeover_model::status::DeploymentStatus;

    fn event(at_ms: u64, step: u32, slot: &str, generation: u64, kind: EventKind) -> Event {
        Event {
            seq: 1,
            at: at_ms * 1_000_000,
            kind,
            step: Some(step),
            slot: Some(slot.to_owned()),
            generation: Some(generation),
        }
    }

    fn started(from: Option<&str>, to: &str) -> EventKind {
        EventKind::StepStarted {
            from: from.map(|v| v.parse().unwrap()),
            to: to.parse().unwrap(),
        }
    }

    #[test]
    fn shows_who_leads_what_happens_and_the_load() {
        let mut picture = Picture::default();
        assert_eq!(
            picture.lines(0),
            [
                "   0.0 s  nobody leads yet · starting",
                "          no load yet"
            ]
        );
        picture.event(&event(0, 0, "mz_1", 0, started(None, "v0.1.0")));
        picture.event(&event(90, 0, "mz_1", 0, EventKind::SwitchDone));
        picture.event(&event(
            700,
            1,
            "mz_2",
            1,
            started(Some("v0.1.0"), "current"),
        ));
        let phase = Phase::CatchUp;
        picture.event(&event(800, 1, "mz_2", 1, EventKind::PhaseStarted { phase }));
        let snapshot = |ok, since_last_write_ms| LoadSnapshot {
            ok,
            fail: 2,
            unknown: 1,
            since_last_write_ms,
            since_last_read_ms: Some(3.0),
        };
        picture.load(1_000_000_000, &snapshot(1000, None));
        picture.load(1_100_000_000, &snapshot(1070, Some(4.0)));
        picture.load(1_500_000_000, &snapshot(1350, Some(1250.0)));
        assert_eq!(
            picture.lines(1_550_000_000),
            [
                "   1.6 s  mz_1 leads (v0.1.0, generation 0) · step 1: v0.1.0 → current, catch-up for 700 ms",
                "          700 operations/s · 1,350 ok, 2 failed, 1 unknown · gap now: write 1.25 s, read 3 ms"
            ]
        );
        picture.event(&event(1600, 1, "mz_2", 1, EventKind::SwitchDone));
        picture.event(&event(
            1700,
            1,
            "mz_2",
            1,
            EventKind::StepEnded { completed: true },
        ));
        picture.event(&event(1700, 1, "mz_2", 1, EventKind::QuietWindowStarted));
        let doing = |picture: &Picture| picture.lines(1_800_000_000)[0].clone();
        let leader = "   1.8 s  mz_2 leads (current, generation 1)";
        assert_eq!(doing(&picture), format!("{leader} · quiet window"));
        picture.event(&event(1750, 1, "mz_2", 1, EventKind::QuietWindowEnded));
        assert_eq!(doing(&picture), format!("{leader} · between steps"));
        let full_read = EventKind::FullReadIntent { keys: 9 };
        picture.event(&event(1760, 1, "mz_2", 1, full_read));
        assert_eq!(
            doing(&picture),
            format!("{leader} · reading everything back")
        );
    }

    #[test]
    fn each_slot_has_a_lane_with_what_its_instance_said_last() {
        let mut picture = Picture::default();
        picture.event(&event(0, 0, "mz_1", 0, started(None, "v0.1.0")));
        picture.event(&event(1, 0, "mz_1", 0, EventKind::SpawnDone { pid: 7 }));
        let seen = |status| EventKind::StatusSeen {
            seen: StatusSeen::Status(status),
            polls: 1,
        };
        picture.event(&event(2, 0, "mz_1", 0, seen(DeploymentStatus::IsLeader)));
        picture.event(&event(3, 0, "mz_1", 0, EventKind::SwitchDone));
        picture.event(&event(4, 1, "mz_2", 1, started(Some("v0.1.0"), "v0.2.0")));
        picture.event(&event(5, 1, "mz_2", 1, EventKind::SpawnDone { pid: 8 }));
        picture.event(&event(
            6,
            1,
            "mz_2",
            1,
            seen(DeploymentStatus::ReadyToPromote),
        ));
        assert_eq!(
            picture.lines(0)[1..3],
            [
                "        ▶ mz_1  v0.1.0    generation 0   IsLeader",
                "          mz_2  v0.2.0    generation 1   ReadyToPromote",
            ]
        );
        let end = EventKind::ProcessEnded {
            end: ProcessEnd::Code(0),
            meaning: EndMeaning::Fenced,
            by_us: false,
            by_fault: false,
        };
        picture.event(&event(7, 1, "mz_1", 0, end));
        picture.event(&event(8, 1, "mz_2", 1, EventKind::SwitchDone));
        assert_eq!(
            picture.lines(0)[1..3],
            [
                "          mz_1  v0.1.0    generation 0   ended: exit 0",
                "        ▶ mz_2  v0.2.0    generation 1   ReadyToPromote",
            ]
        );
        // A new generation in the slot takes its lane.
        picture.event(&event(9, 2, "mz_1", 2, started(Some("v0.2.0"), "current")));
        picture.event(&event(9, 2, "mz_1", 2, EventKind::SpawnDone { pid: 9 }));
        assert_eq!(
            picture.lines(0)[1],
            "          mz_1  current   generation 2   starting"
        );
    }

    #[test]
    fn a_hostile_slot_name_is_harmless() {
        let mut picture = Picture::default();
        picture.event(&event(0, 0, "a", 0, started(None, "v0.1.0")));
        picture.event(&event(0, 0, "\u{1b}[2Jmz", 0, EventKind::SwitchDone));
        assert!(!picture.lines(0)[0].contains('\u{1b}'));
    }

    #[test]
    fn draws_at_most_four_times_a_second() {
        let paper = Paper::default();
        paper.resize(Some((24, 80)));
        let mut live = Live::on(Screen::on(Box::new(paper.clone())));
        for at_ms in (0..2000).step_by(10) {
            live.load(at_ms * 1_000_000, &LoadSnapshot::default());
            let end = EventKind::ProcessEnded {
                end: ProcessEnd::Code(166),
                meaning: EndMeaning::Restart,
                by_us: false,
                by_fault: false,
            };
            live.event(&event(at_ms, 1, "mz_1", 0, end));
        }
        assert_eq!(paper.written().len(), 8);
        // Bad news does not wait.
        live.note("news");
        assert!(paper.written()[0].contains("news\n"));
        live.finish();
    }
}
