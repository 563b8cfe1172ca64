//! What Materialize's process says at the moments of a hand-over. The reference database's own lines are those moments:
//! where it says nothing, nothing is said here.

use changeover_reference::{Also, tell_also};
use std::sync::atomic::{AtomicBool, Ordering};

const INFO: &str = "INFO";
const WARN: &str = "WARN";
const ERROR: &str = "ERROR";

/// Says it, from now on.
pub(crate) fn speak(generation: u64) {
    let process = Process {
        generation,
        led: AtomicBool::new(false),
    };
    tell_also(Box::new(move |line| process.says(line)));
}

/// One process.
struct Process {
    generation: u64,
    /// It has led: only then is it the old leader that observation 3 saw fenced.
    led: AtomicBool,
}

impl Process {
    /// What Materialize says where the reference database says this.
    fn says(&self, line: &str) -> Vec<Also> {
        let info = |text: &str| Also::Line(INFO, text.to_owned());
        // Observation 2.
        if line.starts_with("booting in read-only mode; ") {
            return vec![info(
                "this deployment is a new generation; booting in read only mode",
            )];
        }
        // Observation 2.
        if line.starts_with("caught up, ") {
            return vec![
                info("deployment caught up"),
                info("announced as ready to promote; waiting for promotion"),
            ];
        }
        // Observation 2.
        if line == "promoted; taking the fence" {
            return vec![info("promoted; attempting takeover")];
        }
        // Fact 5.3, observation 3: the new leader halts with 166.
        if line.starts_with("restarting (166): promoted; ") {
            let text = "halting process: fenced out old deployment; rebooting as leader";
            return vec![Also::Line(WARN, text.to_owned())];
        }
        // Fact 5.3, observations 3 and 5. Which objects and replicas is left out: there are no such ids here.
        if line.starts_with("restarting (166): the leader changed definitions ") {
            let text = "halting process: there have been DDL that we need to react to; rebooting in read-only mode.";
            return vec![Also::Line(WARN, text.to_owned())];
        }
        // Observation 3: the same generation again. What the very first process says was not observed.
        if let Some((generation, epoch)) = leads(line) {
            self.led.store(true, Ordering::Relaxed);
            return match epoch {
                1 => Vec::new(),
                _ => vec![
                    Also::Line(
                        INFO,
                        format!("catalog initialized catalog_generation={generation}"),
                    ),
                    info("this deployment is the current generation; booting with writes allowed"),
                ],
            };
        }
        let number = |before: &str| -> Option<u64> { line.strip_prefix(before)?.parse().ok() };
        // Facts 5.3 and 5.4, observation 3: the old leader notices that it is fenced, and exits with 0.
        if let Some(newer) = number("exiting (0): fenced by generation ") {
            return match self.led.load(Ordering::Relaxed) {
                true => vec![self.exits("unable to advance catalog upper", newer)],
                // Materialize's goes on: docs/materialize.md.
                false => Vec::new(),
            };
        }
        // Observation 3: a process that is started after it was fenced.
        if let Some(newer) = number("exiting (0): fenced out by generation ") {
            return vec![self.exits("booting server", newer)];
        }
        // Fact 5.3, observation 3: a fence by epoch is not graceful.
        if let Some((ours, theirs)) = epochs(line) {
            let text = format!(
                "unable to advance catalog upper: Catalog(Error {{ kind: Durable(Fence(Epoch {{ current_epoch: {ours}, fence_epoch: {theirs} }})) }})"
            );
            return vec![Also::Line(ERROR, text), Also::Abort];
        }
        Vec::new()
    }

    fn exits(&self, why: &str, newer: u64) -> Also {
        let own = self.generation;
        Also::Line(
            INFO,
            format!(
                "exiting process (0): {why}: Catalog(Error {{ kind: Durable(Fence(DeployGeneration {{ current_generation: {own}, fence_generation: {newer} }})) }})"
            ),
        )
    }
}

/// Generation and epoch of a process that begins to lead.
fn leads(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("leading with generation ")?;
    let (generation, rest) = rest.split_once(" epoch ")?;
    let (epoch, _) = rest.split_once(';')?;
    Some((generation.parse().ok()?, epoch.parse().ok()?))
}

/// The epoch of a process that another of its generation has fenced, and that one's.
fn epochs(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("exiting (1): fenced by epoch ")?;
    let (theirs, ours) = rest.split_once(" of the same generation; ours is ")?;
    Some((ours.parse().ok()?, theirs.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(led: bool) -> Process {
        Process {
            generation: 1,
            led: AtomicBool::new(led),
        }
    }

    fn said(process: &Process, line: &str) -> Vec<String> {
        let lines = process.says(line).into_iter().map(|also| match also {
            Also::Line(level, text) => format!("{level} {text}"),
            Also::Abort => "abort".to_owned(),
        });
        lines.collect()
    }

    #[test]
    fn an_old_leader_says_by_whom_it_was_fenced() {
        let leader = process(false);
        // The very first process, as nobody has observed it.
        assert!(said(&leader, "leading with generation 1 epoch 1; reading").is_empty());
        assert_eq!(
            said(&leader, "exiting (0): fenced by generation 2"),
            [
                "INFO exiting process (0): unable to advance catalog upper: Catalog(Error { kind: Durable(Fence(DeployGeneration { current_generation: 1, fence_generation: 2 })) })"
            ]
        );
        assert_eq!(
            said(&process(false), "exiting (0): fenced out by generation 2"),
            [
                "INFO exiting process (0): booting server: Catalog(Error { kind: Durable(Fence(DeployGeneration { current_generation: 1, fence_generation: 2 })) })"
            ]
        );
        // Who never led would go on.
        assert!(said(&process(false), "exiting (0): fenced by generation 2").is_empty());
    }

    #[test]
    fn a_new_leader_says_that_it_boots_with_writes() {
        assert_eq!(
            said(
                &process(false),
                "leading with generation 1 epoch 7; reading the log up to 3"
            ),
            [
                "INFO catalog initialized catalog_generation=1",
                "INFO this deployment is the current generation; booting with writes allowed"
            ]
        );
    }

    #[test]
    fn a_fence_by_epoch_is_an_abort() {
        assert_eq!(
            said(
                &process(true),
                "exiting (1): fenced by epoch 7 of the same generation; ours is 6"
            ),
            [
                "ERROR unable to advance catalog upper: Catalog(Error { kind: Durable(Fence(Epoch { current_epoch: 6, fence_epoch: 7 })) })",
                "abort"
            ]
        );
    }

    #[test]
    fn a_change_of_definitions_is_told_without_ids() {
        let line = "restarting (166): the leader changed definitions while this process was catching up (log position 3: CREATE TABLE t (x INT))";
        assert_eq!(
            said(&process(false), line),
            [
                "WARN halting process: there have been DDL that we need to react to; rebooting in read-only mode."
            ]
        );
    }

    /// A line that is worded anew there would be met by silence here.
    #[test]
    fn the_reference_database_says_these_lines() {
        let sources = [
            include_str!("../../changeover-reference/src/exit.rs"),
            include_str!("../../changeover-reference/src/follow.rs"),
            include_str!("../../changeover-reference/src/serve.rs"),
        ]
        .concat();
        for line in [
            "\"booting in read-only mode; ",
            "\"caught up, ",
            "\"promoted; taking the fence\"",
            "\"restarting (166): promoted; ",
            "\"restarting (166): the leader changed definitions ",
            "\"leading with {}; ",
            "\"exiting (0): fenced by generation {}\"",
            "\"exiting (0): fenced out by generation {}\"",
            "\"exiting (1): fenced by epoch {} of the same generation; ours is {}\"",
        ] {
            assert_eq!(sources.matches(line).count(), 1, "{line}");
        }
    }

    #[test]
    fn other_lines_are_nobodys() {
        for line in ["answering SQL as the leader at log position 3", ""] {
            assert!(said(&process(true), line).is_empty());
        }
    }
}
