//! The terminal view of a probe that is under way: a strip a lane, and what leader APIs say.

use crate::describe::is_bad_news;
use crate::live::{LoadSnapshot, PERIOD};
use crate::numbers::{count, time};
use crate::plain;
use crate::screen::Screen;
use changeover_model::event::{Event, EventKind};
use changeover_model::text::harmless_cut;
use std::collections::VecDeque;

/// Everything was served.
pub(crate) const GOOD: char = '▁';

/// Something was, something not.
const MIXED: char = '▄';

/// Nothing was.
pub(crate) const BAD: char = '█';

/// A lane as it looks now.
#[derive(Debug, Clone, PartialEq)]
pub struct Strip {
    /// Its name.
    pub lane: String,
    /// How long there has been no success, in milliseconds, if that counts as a gap.
    pub away_ms: Option<f64>,
    /// The longest gap so far, in milliseconds.
    pub longest_ms: Option<f64>,
    /// How many operations succeeded in each cell and how many did not, oldest first.
    pub cells: Vec<(u32, u32)>,
}

/// The view, on standard error. It draws at most four times a second, on its caller's clock.
#[derive(Debug)]
pub struct ProbeLive {
    screen: Screen,
    picture: Picture,
    drawn: Option<u64>,
}

impl ProbeLive {
    /// A view whose cells stand for so many nanoseconds each.
    pub fn new(cell: u64) -> Self {
        ProbeLive {
            screen: Screen::of_stderr(),
            picture: Picture {
                cell,
                ..Picture::default()
            },
            drawn: None,
        }
    }

    /// Takes an event. What is worth knowing afterwards stays above the view.
    pub fn event(&mut self, event: &Event) {
        self.picture.event(event);
        let stays = matches!(
            event.kind,
            EventKind::ProbeStarted { .. }
                | EventKind::GapClosed { .. }
                | EventKind::Marker { .. }
                | EventKind::StatusSeen { .. }
        );
        if (stays || is_bad_news(&event.kind))
            && let Some(line) = plain::line(event)
        {
            self.screen.above(&line);
        }
    }

    /// Takes what the lanes look like at `at`. Call it a few times a second; calls in between are cheap.
    pub fn lanes(&mut self, at: u64, load: &LoadSnapshot, strips: &[Strip]) {
        if self.drawn.is_some_and(|drawn| at < drawn + PERIOD) {
            return;
        }
        self.drawn = Some(at);
        self.screen.draw(self.picture.lines(at, load, strips));
    }

    /// Removes the view. What is drawn after it starts on a clean line.
    pub fn finish(&mut self) {
        self.screen.clear();
    }
}

#[derive(Debug, Default)]
struct Picture {
    cell: u64,
    endpoint: String,
    /// Operations counted before, and when.
    counted: Option<(u64, u64)>,
    rate: Option<f64>,
    /// By leader API: since when it says what.
    statuses: Vec<(String, VecDeque<(u64, String)>)>,
}

impl Picture {
    fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::ProbeStarted { endpoint, .. } => self.endpoint = harmless_cut(endpoint, 60),
            EventKind::StatusSeen { seen, .. } => {
                let name = event.slot.clone().unwrap_or_default();
                let place = self.statuses.iter().position(|(api, _)| *api == name);
                let place = place.unwrap_or_else(|| {
                    self.statuses.push((name, VecDeque::new()));
                    self.statuses.len() - 1
                });
                let said = &mut self.statuses[place].1;
                said.push_back((event.at, seen.to_string()));
                // More do not fit into a strip.
                if said.len() > 256 {
                    said.pop_front();
                }
            }
            _ => {}
        }
    }

    fn lines(&mut self, at: u64, load: &LoadSnapshot, strips: &[Strip]) -> Vec<String> {
        let total = load.ok + load.fail + load.unknown;
        match self.counted {
            Some((since, _)) if at < since + 4 * PERIOD => {}
            Some((since, before)) => {
                let seconds = (at - since) as f64 / 1e9;
                self.rate = Some(total.saturating_sub(before) as f64 / seconds);
                self.counted = Some((at, total));
            }
            None => self.counted = Some((at, total)),
        }
        let rate = self
            .rate
            .map_or("-".to_owned(), |rate| format!("{rate:.0}"));
        let mut lines = vec![format!(
            "{:>7.1} s  {} · {rate} operations/s · {} ok, {} failed, {} unknown",
            at as f64 / 1e9,
            self.endpoint,
            count(load.ok),
            count(load.fail),
            count(load.unknown)
        )];
        let name = |name: &str| harmless_cut(name, 20);
        let names = strips.iter().map(|strip| strip.lane.as_str());
        let apis = self.statuses.iter().map(|(api, _)| api.as_str());
        let width = names.chain(apis).map(|n| name(n).chars().count()).max();
        let width = width.unwrap_or(0);
        let cells = strips.iter().map(|strip| strip.cells.len()).max();
        let cells = cells.unwrap_or(0);
        for strip in strips {
            let state = match strip.away_ms {
                Some(ms) => format!("away {}", time(tenths(ms))),
                None => "ok".to_owned(),
            };
            let longest = match strip.longest_ms {
                Some(ms) => format!("longest gap {}", time(tenths(ms))),
                None => "no gap".to_owned(),
            };
            let drawn: String = strip.cells.iter().map(|cell| drawn(*cell)).collect();
            lines.push(format!(
                "  {:<width$}  {state:<12} {longest:<20} {drawn:>cells$}",
                name(&strip.lane)
            ));
        }
        for (api, said) in &self.statuses {
            let now = said.back().map_or("", |(_, status)| status.as_str());
            // A cell shows what was said last in its time.
            let newest = at / self.cell.max(1);
            let letters: String = (0..cells as u64)
                .rev()
                .map(|back| {
                    let end = (newest + 1).saturating_sub(back) * self.cell;
                    let last = said.iter().rev().find(|(since, _)| *since < end);
                    last.map_or(' ', |(_, status)| letter(status))
                })
                .collect();
            lines.push(format!(
                "  {:<width$}  {:<33} {letters}",
                name(api),
                harmless_cut(now, 32)
            ));
        }
        lines
    }
}

/// What a cell looks like; empty as long as nothing has ended in it.
fn drawn((ok, bad): (u32, u32)) -> char {
    match (ok, bad) {
        (0, 0) => ' ',
        (_, 0) => GOOD,
        (0, _) => BAD,
        _ => MIXED,
    }
}

/// A status as one letter.
pub(crate) fn letter(status: &str) -> char {
    match status {
        "Initializing" => 'I',
        "ReadyToPromote" => 'R',
        "Promoting" => 'P',
        "IsLeader" => 'L',
        "unreachable" | "silent" => '·',
        _ => '?',
    }
}

/// In steps of a tenth of a second: finer would only flicker.
fn tenths(ms: f64) -> f64 {
    (ms / 100.0).round() * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use changeover_model::event::StatusSeen;
    use changeover_model::status::DeploymentStatus;

    const SECOND: u64 = 1_000_000_000;

    fn event(at: u64, slot: Option<&str>, kind: EventKind) -> Event {
        Event {
            seq: 1,
            at,
            kind,
            step: None,
            slot: slot.map(str::to_owned),
            generation: None,
        }
    }

    fn said(at: u64, seen: StatusSeen) -> Event {
        event(at, Some("h:6878"), EventKind::StatusSeen { seen, polls: 1 })
    }

    #[test]
    fn a_strip_a_lane_and_a_leader_api() {
        let mut picture = Picture {
            cell: 3 * SECOND,
            ..Picture::default()
        };
        let started = EventKind::ProbeStarted {
            endpoint: "postgres://\u{1b}me@h/d".to_owned(),
            cost: "little".to_owned(),
        };
        picture.event(&event(0, None, started));
        picture.event(&said(SECOND, StatusSeen::Unreachable));
        let leads = StatusSeen::Status(DeploymentStatus::IsLeader);
        picture.event(&said(7 * SECOND, leads));
        let load = LoadSnapshot {
            ok: 1234,
            fail: 5,
            unknown: 1,
            ..LoadSnapshot::default()
        };
        let strips = [
            Strip {
                lane: "read/held".to_owned(),
                away_ms: None,
                longest_ms: None,
                cells: vec![(0, 0), (3, 0), (2, 1)],
            },
            Strip {
                lane: "write/new".to_owned(),
                away_ms: Some(2340.0),
                longest_ms: Some(2340.0),
                cells: vec![(3, 0), (1, 2), (0, 3)],
            },
        ];
        assert_eq!(
            picture.lines(8 * SECOND, &load, &strips),
            [
                "    8.0 s  postgres://\\u{1b}me@h/d · - operations/s · 1,234 ok, 5 failed, 1 unknown",
                "  read/held  ok           no gap                ▁▄",
                "  write/new  away 2.3 s   longest gap 2.3 s    ▁▄█",
                "  h:6878     IsLeader                          ··L",
            ]
        );
    }
}
