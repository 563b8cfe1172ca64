//! The plain lines of a run in which much goes wrong.

use crate::golden;
use changeover_model::event::{
    EndMeaning, Event, EventKind, Phase, ProcessEnd, PromoteResult, RestartReason, StatusSeen,
    StopReason,
};
use changeover_model::status::DeploymentStatus;
use changeover_report::plain;

/// Events of one instance in one step, 37 ms apart.
struct Story(Vec<Event>);

impl Story {
    fn tell(&mut self, step: Option<u32>, about: Option<(&str, u64)>, kind: EventKind) {
        let seq = self.0.len() as u64 + 1;
        self.0.push(Event {
            seq,
            at: seq * 37_000_000,
            kind,
            step,
            slot: about.map(|(slot, _)| slot.to_owned()),
            generation: about.map(|(_, generation)| generation),
        });
    }
}

fn story() -> Vec<Event> {
    let mut story = Story(Vec::new());
    let seen = |status| EventKind::StatusSeen {
        seen: StatusSeen::Status(status),
        polls: 3,
    };
    let mut tell = |step, about, kind| story.tell(step, about, kind);
    tell(
        None,
        None,
        EventKind::RunStarted {
            run: "r1".into(),
            changeover: "0.1.0".into(),
            cores: 2,
        },
    );
    let old = Some(("mz_1", 0));
    tell(
        Some(0),
        old,
        EventKind::StepStarted {
            from: None,
            to: "v0.1.0".parse().unwrap(),
        },
    );
    tell(Some(0), old, EventKind::SpawnIntent { command: vec![] });
    tell(Some(0), old, EventKind::SpawnDone { pid: 41 });
    tell(Some(0), old, EventKind::PhaseStarted { phase: Phase::Boot });
    tell(Some(0), old, seen(DeploymentStatus::IsLeader));
    tell(Some(0), old, EventKind::Serving);
    tell(Some(0), old, EventKind::SwitchDone);
    tell(Some(0), old, EventKind::StepEnded { completed: true });
    tell(None, None, EventKind::LoadDone);
    tell(None, None, EventKind::QuietWindowStarted);
    let new = Some(("mz_2", 1));
    tell(
        Some(1),
        new,
        EventKind::StepStarted {
            from: Some("v0.1.0".parse().unwrap()),
            to: "current".parse().unwrap(),
        },
    );
    tell(Some(1), new, EventKind::SpawnDone { pid: 42 });
    let nonsense = StatusSeen::Nonsense("<html>\u{1b}[2J</html>".into());
    for seen in [nonsense, StatusSeen::Silent, StatusSeen::Unreachable] {
        tell(Some(1), new, EventKind::StatusSeen { seen, polls: 1 });
    }
    tell(
        Some(1),
        new,
        EventKind::ProcessEnded {
            end: ProcessEnd::Signal(9),
            meaning: EndMeaning::Crash,
            by_us: false,
            by_fault: false,
        },
    );
    for reason in [RestartReason::Crashed, RestartReason::Asked] {
        tell(Some(1), new, EventKind::RestartIntent { reason });
    }
    tell(Some(1), new, EventKind::RestartDone { pid: 43 });
    tell(Some(1), new, seen(DeploymentStatus::ReadyToPromote));
    tell(Some(1), new, EventKind::PromoteIntent { attempt: 1 });
    for result in [
        PromoteResult::Refused("{\"message\":\"no\"}".into()),
        PromoteResult::Unclear("500: \u{7}".into()),
        PromoteResult::Lost,
        PromoteResult::Acknowledged,
    ] {
        tell(Some(1), new, EventKind::PromoteDone { result });
    }
    tell(Some(1), new, EventKind::PromotionLost);
    tell(Some(1), new, EventKind::PromoteIntent { attempt: 2 });
    for found in ["v0.1.0", "current"] {
        tell(
            Some(1),
            new,
            EventKind::VersionSeen {
                expected: "current".into(),
                found: found.into(),
            },
        );
    }
    tell(
        Some(1),
        old,
        EventKind::DeadlinePassed {
            phase: Phase::Retire,
            waited_ms: 5000,
            missing: "the process is still there".into(),
        },
    );
    tell(
        Some(1),
        old,
        EventKind::StopIntent {
            reason: StopReason::Lingered,
        },
    );
    tell(
        Some(1),
        old,
        EventKind::ProcessEnded {
            end: ProcessEnd::Signal(15),
            meaning: EndMeaning::Crash,
            by_us: true,
            by_fault: false,
        },
    );
    tell(
        Some(1),
        new,
        EventKind::CrashLoop {
            ends: vec![ProcessEnd::Code(101); 3],
            log: vec!["thread panicked\u{7}".into(), "bye".into()],
        },
    );
    tell(
        Some(1),
        new,
        EventKind::StepFailed {
            reason: "mz_2 is in a crash loop".into(),
        },
    );
    tell(Some(1), new, EventKind::StepEnded { completed: false });
    for unread in [0, 3] {
        tell(None, None, EventKind::FullReadDone { unread });
    }
    tell(
        None,
        None,
        EventKind::Interrupted {
            signal: "SIGINT".into(),
        },
    );
    tell(
        None,
        None,
        EventKind::Leftover {
            what: "process 41".into(),
        },
    );
    tell(None, None, EventKind::Unknown);
    tell(None, None, EventKind::RunEnded);
    story.0
}

#[test]
fn plain_lines() {
    let lines: Vec<String> = story().iter().filter_map(plain::line).collect();
    golden("events.txt", &(lines.join("\n") + "\n"));
}

#[test]
fn no_line_holds_a_control_character() {
    for event in story() {
        let line = plain::line(&event).unwrap_or_default();
        assert!(
            !line.chars().any(|c| c.is_control() && c != '\n'),
            "{line:?}"
        );
    }
}

#[test]
fn on_request_every_event_is_a_line() {
    let events = story();
    let lines: Vec<String> = events.iter().map(plain::any_line).collect();
    for (event, line) in events.iter().zip(&lines) {
        match plain::line(event) {
            Some(notable) => assert_eq!(*line, notable),
            None => assert!(line.contains("\"event\":"), "{line}"),
        }
        assert!(!line.contains('\u{1b}'));
    }
}
