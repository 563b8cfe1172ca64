//! Four recorded upgrades of a real Materialize, played back by scripted servers, the times compressed.
//!
//! The recording's harness waited three seconds between readiness and promotion. Ours does not: what came before the
//! promotion is counted from the new process's spawn, what came after it from the promotion.

use super::bench::{Bench, names};
use super::scripted::{Http, Process, Sql, World};
use changeover_model::event::{EventKind, ProcessEnd};
use changeover_model::status::DeploymentStatus::{Initializing, IsLeader, ReadyToPromote};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How much faster than recorded the tests below play.
const COMPRESSION: f64 = 200.0;

#[derive(Debug, Deserialize)]
struct Recording {
    hops: Vec<Hop>,
}

/// One recorded upgrade.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hop {
    pub(crate) hop: String,
    events: Vec<Recorded>,
}

#[derive(Debug, Clone, Deserialize)]
struct Recorded {
    /// Since the new process was spawned.
    ms: u64,
    instance: String,
    event: String,
    #[serde(default)]
    value: Value,
}

/// The recorded upgrades.
pub(crate) fn hops() -> Vec<Hop> {
    let text = include_str!("../../data/materialize-upgrade-traces.json");
    let recording: Recording = serde_json::from_str(text).unwrap();
    recording.hops
}

impl Hop {
    /// The recorded outage for writers, from the last write that the old one acknowledged to the first of the new
    /// one, compressed so much.
    pub(crate) fn write_gap(&self, compression: f64) -> Duration {
        let last = self.ms("old", "last-acknowledged-write", None);
        let first = self.ms("new", "first-acknowledged-write", None);
        Duration::from_secs_f64((first - last) as f64 / 1000.0 / compression)
    }

    /// Makes generation `new` upgrade from `new - 1` as recorded, so much faster.
    pub(crate) fn play(&self, world: &World, new: u64, compression: f64) {
        let hop = self.clone();
        world.script(new - 1, move |p| hop.clone().act_old(p, new, compression));
        let hop = self.clone();
        world.script(new, move |p| hop.clone().act_new(p, compression));
    }

    fn ms(&self, instance: &str, event: &str, value: Option<&Value>) -> u64 {
        let such = |e: &&Recorded| {
            e.instance == instance && e.event == event && value.is_none_or(|v| e.value == *v)
        };
        self.events.iter().find(such).unwrap().ms
    }

    fn promoted(&self) -> u64 {
        self.ms("harness", "promote", None)
    }

    async fn act_old(self, p: Process, new: u64, compression: f64) -> ProcessEnd {
        p.lead().await;
        let promotion = p.world.promotion_of(new).await;
        let after = |ms: u64| promotion + compressed(ms - self.promoted(), compression);
        sleep_until(after(self.ms("old", "last-acknowledged-write", None))).await;
        p.sql(Sql::Hang);
        sleep_until(after(self.ms("old", "exit", None))).await;
        ProcessEnd::Code(0)
    }

    async fn act_new(self, p: Process, compression: f64) -> ProcessEnd {
        let promoted = self.promoted();
        let own = |e: &&Recorded| e.instance == "new";
        if p.life == 1 {
            let spawned = Instant::now();
            let mut bound = false;
            for event in self.events.iter().filter(own).filter(|e| e.ms < promoted) {
                sleep_until(spawned + compressed(event.ms, compression)).await;
                p.show(event, &mut bound).await;
            }
            p.promotions(1).await;
        }
        let promotion = p.world.promotion_of(p.spec.generation).await;
        let exit = self.ms("new", "exit", None);
        let mut bound = p.life == 1;
        for event in self.events.iter().filter(own).filter(|e| e.ms > promoted) {
            // Each life plays its own part of what came after the promotion.
            if (event.ms <= exit) != (p.life == 1) {
                continue;
            }
            sleep_until(promotion + compressed(event.ms - promoted, compression)).await;
            if event.event == "exit" {
                p.fence();
                return ProcessEnd::Code(166);
            }
            p.show(event, &mut bound).await;
        }
        p.fenced().await;
        ProcessEnd::Code(0)
    }
}

impl Process {
    /// Shows what was recorded from now on.
    async fn show(&self, recorded: &Recorded, bound: &mut bool) {
        let shown = match (&*recorded.event, recorded.value.as_str()) {
            // Nobody listens yet, or the process was just started.
            (_, Some("refused")) | ("spawn", _) => return,
            ("status", Some("reset")) => Some(Http::Reset),
            ("status", Some(word)) => {
                let status = changeover_model::DeploymentStatus::from_name(word).unwrap();
                Some(Http::Status(status.name()))
            }
            _ => None,
        };
        // From its first answer of whatever kind the process listens.
        if !*bound {
            self.listen().await;
            *bound = true;
        }
        match shown {
            Some(http) => self.http(http),
            None if recorded.event == "first-acknowledged-write" => self.sql(Sql::Writes),
            // Ready to be read, before the promotion; afterwards a leader counts when it takes writes.
            None if recorded.value == 200 && self.life == 1 => self.sql(Sql::ReadOnly),
            None => {}
        }
    }
}

fn compressed(ms: u64, compression: f64) -> Duration {
    Duration::from_secs_f64(ms as f64 / 1000.0 / compression)
}

#[test]
fn the_recorded_gaps_are_the_published_ones() {
    let gaps: Vec<u128> = hops()
        .iter()
        .map(|hop| hop.write_gap(1.0).as_millis())
        .collect();
    assert_eq!(gaps, [4020, 3530, 3880, 4570]);
}

#[tokio::test]
async fn the_driver_gets_through_each_recorded_upgrade() {
    for hop in hops() {
        let bench = Bench::new().await;
        hop.play(&bench.world, 1, COMPRESSION);
        let (_old, new) = bench.upgrade().await;
        let _new = new.unwrap_or_else(|failed| panic!("{}: {failed}", hop.hop));
        assert_eq!(
            bench.found(),
            names([]),
            "{}: {:#?}",
            hop.hop,
            bench.findings()
        );
        assert_eq!(bench.ends(0), [(ProcessEnd::Code(0), false)], "{}", hop.hop);
        assert_eq!(
            bench.ends(1),
            [(ProcessEnd::Code(166), false)],
            "{}",
            hop.hop
        );
        let statuses = bench.statuses(1);
        assert!(
            statuses.starts_with(&[Initializing, ReadyToPromote]),
            "{statuses:?}"
        );
        assert!(statuses.ends_with(&[IsLeader]), "{statuses:?}");
        let promotions = bench.count(1, |kind| matches!(kind, EventKind::PromoteIntent { .. }));
        assert_eq!(promotions, 1, "{}", hop.hop);
    }
}
