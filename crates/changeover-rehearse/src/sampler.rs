//! What instances need while two of them run: processor time, memory and connections, read from `/proc`.
//!
//! A sample is taken when a phase begins and when a step ends, and in between at a period that is short while a step
//! begins and long when nothing happens for long. Samples are events like all others; who is not on this machine, or
//! no process of ours, has none. Beside them it looks at the kernel's table of tracked connections, which drops new ones
//! when it is full.

mod connections;

use crate::record::{About, Recorder, RunningProcess};
use changeover_model::event::EventKind;
use connections::Connections;
use std::collections::HashMap;
use std::fs;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Between two samples while two instances run.
const BUSY: Duration = Duration::from_millis(100);

/// How many samples are that close together in one stretch: 30 s of them.
const BUSY_SAMPLES: u32 = 300;

/// Between two samples otherwise.
const CALM: Duration = Duration::from_secs(1);

/// Samples until it is dropped.
pub(crate) struct Sampler {
    task: JoinHandle<()>,
}

impl Sampler {
    /// Starts sampling, and says what the machine is.
    pub(crate) fn start(recorder: Recorder) -> Self {
        let nobody = About::default();
        recorder.event(&nobody, machine());
        Sampler {
            task: tokio::spawn(sample(recorder)),
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn sample(recorder: Recorder) {
    let mut in_a_row = 0;
    let mut table = Table::default();
    let mut seen = Seen::new();
    loop {
        let two = recorder.running().len() > 1;
        in_a_row = if two { in_a_row + 1 } else { 0 };
        let period = match two && in_a_row < BUSY_SAMPLES {
            true => BUSY,
            false => CALM,
        };
        // Either will do: what is waited for is the next moment worth looking at.
        let _ = timeout(period, recorder.next_phase()).await;
        let running = recorder.running();
        // Reading takes a fraction of a millisecond, and may block: not on a thread that serves clients.
        let look = move || {
            seen.retain(|pid, _| running.iter().any(|process| process.pid == *pid));
            (needs(running, &mut seen), tracked_connections(), seen)
        };
        let Ok((needs, tracked, known)) = tokio::task::spawn_blocking(look).await else {
            return;
        };
        seen = known;
        if let Some(news) = tracked.and_then(|(count, most)| table.news(count, most)) {
            recorder.event(&About::default(), news);
        }
        for (process, need) in needs {
            // What ended while it was looked at has nothing more to tell.
            if recorder.running().contains(&process) {
                let about = About {
                    slot: Some(process.slot),
                    generation: Some(process.generation),
                    ..About::default()
                };
                recorder.event(&about, need);
            }
        }
    }
}

/// The sockets of running processes, by their numbers.
type Seen = HashMap<u32, Connections>;

fn needs(running: Vec<RunningProcess>, seen: &mut Seen) -> Vec<(RunningProcess, EventKind)> {
    running
        .into_iter()
        .filter_map(|process| {
            let seen = seen.entry(process.pid).or_default();
            Some((process.clone(), need(process.pid, seen)?))
        })
        .collect()
}

/// What a process and those that it started need; `None` if it is gone.
fn need(pid: u32, seen: &mut Connections) -> Option<EventKind> {
    let (mut cpu_ms, mut memory_kb) = (0, 0);
    let family = family(pid);
    for (index, pid) in family.iter().enumerate() {
        let Some((cpu, memory)) = cpu_and_memory(*pid) else {
            match index {
                0 => return None,
                _ => continue,
            }
        };
        cpu_ms += cpu;
        memory_kb += memory;
    }
    Some(EventKind::Sampled {
        cpu_ms,
        memory_kb,
        connections: seen.count(&family),
    })
}

/// What was last told of the kernel's table of connections.
#[derive(Debug, Default)]
struct Table {
    /// How many tenths of it were full, from five on; else 0.
    tenths: u64,
}

impl Table {
    /// What is worth telling: that it is more than half full, each tenth once, and that it is not any more.
    fn news(&mut self, count: u64, most: u64) -> Option<EventKind> {
        let tenths = count.saturating_mul(10).checked_div(most)?;
        let tenths = if tenths < 5 { 0 } else { tenths.min(10) };
        let told = std::mem::replace(&mut self.tenths, tenths);
        (told != tenths).then_some(EventKind::ConnectionsTracked { count, most })
    }
}

/// How many connections the kernel tracks, and how many it can; `None` where it tracks none.
pub fn tracked_connections() -> Option<(u64, u64)> {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
        text.ok()?.trim().parse::<u64>().ok()
    };
    Some((read("count")?, read("max")?))
}

/// A process and all that descend from it.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&pid) = family.get(next) {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|c| c.parse().ok()) {
                if !family.contains(&child) {
                    family.push(child);
                }
            }
        }
    }
    family
}

/// Processor time in milliseconds, and memory in kibibytes; see proc(5).
fn cpu_and_memory(pid: u32) -> Option<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command may hold spaces and parentheses: the fields count from its last parenthesis, field 3 first.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    // Clock ticks are hundredths of a second on every Linux there is.
    let cpu_ms = (field(14)? + field(15)?) * 10;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    // A process that is ending has none.
    let memory_kb = memory
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    Some((cpu_ms, memory_kb))
}

/// What this machine is, as far as it says.
fn machine() -> EventKind {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/etc/os-release");
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or("Linux", |name| name.trim_matches('"'));
    let kernel = read("/proc/sys/kernel/osrelease");
    let cpuinfo = read("/proc/cpuinfo");
    let processor = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or(std::env::consts::ARCH, |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let meminfo = read("/proc/meminfo");
    let memory = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    EventKind::Machine {
        system: format!("{name}, kernel {}", kernel.trim()),
        processor: processor.to_owned(),
        memory_kb: memory
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_with_its_memory() {
        let mut seen = Connections::default();
        match need(std::process::id(), &mut seen) {
            Some(EventKind::Sampled {
                memory_kb,
                connections,
                ..
            }) => {
                assert!(memory_kb > 100, "{memory_kb}");
                assert!(connections.is_some());
            }
            other => panic!("{other:?}"),
        }
        assert!(need(u32::MAX, &mut seen).is_none());
    }

    #[test]
    fn a_table_is_news_from_half_full_on_and_each_tenth_once() {
        let mut table = Table::default();
        let told: Vec<u64> = [10, 49, 50, 59, 61, 60, 58, 120, 100, 40, 30]
            .into_iter()
            .filter_map(|count| match table.news(count, 100)? {
                EventKind::ConnectionsTracked { count, .. } => Some(count),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [50, 61, 58, 120, 40]);
        assert_eq!(table.news(5, 0), None);
    }

    #[test]
    fn a_family_has_children() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let family = family(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&child.id()), "{family:?}");
    }

    #[test]
    fn the_machine_has_a_kernel_and_memory() {
        match machine() {
            EventKind::Machine {
                system, memory_kb, ..
            } => {
                assert!(system.contains("kernel "), "{system}");
                assert!(memory_kb > 0);
            }
            other => panic!("{other:?}"),
        }
    }
}
