//! A fault as people type it.

use super::{Action, Delay, Fault, Link, Subject};
use crate::nearest;
use crate::version::PathVersion;
use std::fmt;
use std::str::FromStr;

/// The longest a fault may last, or be delayed: an hour, in milliseconds.
const LONGEST_MS: u64 = 3_600_000;

/// How often a process may be killed by one fault.
const MOST_KILLS: u32 = 100;

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultError {
    /// The text.
    pub text: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault {:?}: {}", self.text, self.problem)
    }
}

impl std::error::Error for FaultError {}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        read(text).map_err(|problem| FaultError {
            text: text.to_owned(),
            problem,
        })
    }
}

fn read(text: &str) -> Result<Fault, String> {
    let (what, place) = text.rsplit_once('@').ok_or(
        "a point is missing; write SUBJECT:ACTION@POINT, as in new:kill@ready or old:pause:2s@promote-sent+50ms",
    )?;
    let (step, what) = match what.split_once(':') {
        Some((step, rest)) if step.bytes().all(|b| b.is_ascii_digit()) && !step.is_empty() => {
            let number: u32 = step
                .parse()
                .map_err(|_| format!("step {step} is no step"))?;
            if number == 0 {
                return Err(
                    "step 0 is the start of the first service; steps count from 1".to_owned(),
                );
            }
            (Some(number), rest)
        }
        _ => (None, what),
    };
    let (point, delay) = match place.split_once('+') {
        None => (place, Delay::None),
        Some((point, delay)) => (point, read_delay(delay)?),
    };
    let point = point.parse()?;
    let (subject, action) = split_subject(what)?;
    let subject = read_subject(subject)?;
    let action = read_action(action)?;
    Ok(Fault {
        step,
        subject,
        action,
        point,
        delay,
    })
}

/// A link's name holds no colon, so the first one ends the subject.
fn split_subject(what: &str) -> Result<(&str, &str), String> {
    what.split_once(':')
        .ok_or_else(|| format!("{what:?} names no action; write SUBJECT:ACTION, as in new:kill"))
}

fn read_subject(word: &str) -> Result<Subject, String> {
    let compact: String = word.chars().filter(|c| *c != ' ').collect();
    if let Some(ends) = compact
        .strip_prefix("link(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return read_link(ends);
    }
    let names: Vec<String> = Subject::ALL.iter().map(Subject::to_string).collect();
    let found = Subject::ALL.into_iter().find(|s| s.to_string() == compact);
    found.ok_or_else(|| {
        let suggestion = nearest::suggestion(word, names.iter().map(String::as_str));
        format!("unknown subject {word:?}: {suggestion}")
    })
}

fn read_link(ends: &str) -> Result<Subject, String> {
    let known = || {
        let names: Vec<String> = Link::ALL
            .iter()
            .map(|link| Subject::Link(*link).to_string())
            .collect();
        names.join(", ")
    };
    let Some((one, other)) = ends.split_once(',') else {
        return Err(format!("a link has two ends; known: {}", known()));
    };
    const ENDS: [&str; 5] = ["new", "old", "metadata-store", "clients", "front-door"];
    for end in [one, other] {
        if !ENDS.contains(&end) {
            let suggestion = nearest::suggestion(end, ENDS);
            return Err(format!("unknown end of a link {end:?}: {suggestion}"));
        }
    }
    let found = Link::ALL
        .into_iter()
        .find(|link| link.ends() == (one, other) || link.ends() == (other, one));
    found.map(Subject::Link).ok_or_else(|| {
        format!(
            "there is no link between {one} and {other}: they do not talk to each other; known: {}",
            known()
        )
    })
}

fn read_action(text: &str) -> Result<Action, String> {
    let mut words = text.split(':');
    let name = words.next().unwrap_or_default();
    let arguments: Vec<&str> = words.collect();
    let lasting = |what: &str| match arguments.as_slice() {
        [ms] => read_duration(ms),
        _ => Err(format!("{name} needs to be told {what}, as in {name}:2s")),
    };
    let action = match name {
        "kill" => match arguments.as_slice() {
            [] => Action::Kill { times: 1 },
            [times] => match times.parse() {
                Ok(times) if (1..=MOST_KILLS).contains(&times) => Action::Kill { times },
                _ => {
                    return Err(format!(
                        "{times:?} is no number of kills; it must be from 1 to {MOST_KILLS}"
                    ));
                }
            },
            _ => return Err("kill takes one number, as in kill:3".to_owned()),
        },
        "pause" => Action::Pause {
            ms: lasting("for how long")?,
        },
        "cut" => Action::Cut {
            ms: lasting("for how long")?,
        },
        "half-open" => Action::HalfOpen {
            ms: lasting("for how long")?,
        },
        "black-hole" => Action::BlackHole {
            ms: lasting("for how long")?,
        },
        "delay" => match arguments.as_slice() {
            [by, ms] => Action::Delay {
                by_ms: read_duration(by)?,
                ms: read_duration(ms)?,
            },
            _ => {
                return Err(
                    "delay needs to be told by how much and for how long, as in delay:50ms:2s"
                        .to_owned(),
                );
            }
        },
        "ddl" => match arguments.as_slice() {
            [] => Action::Ddl { ms: None },
            [ms] => Action::Ddl {
                ms: Some(read_duration(ms)?),
            },
            _ => return Err("ddl takes one duration, as in ddl:2s".to_owned()),
        },
        "rival" => match arguments.as_slice() {
            [] => Action::Rival { version: None },
            [version] => Action::Rival {
                version: Some(
                    version
                        .parse::<PathVersion>()
                        .map_err(|_| format!("{version:?} is no version of a rival"))?,
                ),
            },
            _ => return Err("rival takes one version, as in rival:v0.2.0".to_owned()),
        },
        _ => {
            let plain = match name {
                "restart" => Action::Restart,
                "reset" => Action::Reset,
                "promote-early" => Action::PromoteEarly,
                "promote-twice" => Action::PromoteTwice,
                "promote-old" => Action::PromoteOld,
                "skip-catchup" => Action::SkipCatchup,
                "next" => Action::Next,
                "race" => Action::Race,
                _ => {
                    let suggestion = nearest::suggestion(name, Action::NAMES);
                    return Err(format!("unknown action {name:?}: {suggestion}"));
                }
            };
            if !arguments.is_empty() {
                return Err(format!("{name} takes no argument"));
            }
            plain
        }
    };
    Ok(action)
}

fn read_delay(text: &str) -> Result<Delay, String> {
    if let Some(number) = text.strip_suffix("writes") {
        return match number.parse() {
            Ok(writes) if writes > 0 => Ok(Delay::Writes(writes)),
            _ => Err(format!(
                "{text:?} is no number of writes, as in ready+50writes"
            )),
        };
    }
    Ok(Delay::Ms(read_duration(text)?))
}

/// Whole milliseconds, seconds or minutes.
fn read_duration(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(format!("{text:?} is no duration, as in 50ms, 2s or 1m")),
    };
    let ms = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor));
    match ms {
        Some(ms) if (1..=LONGEST_MS).contains(&ms) => Ok(ms),
        _ => Err(format!(
            "{text:?} is no duration here; it must be from 1ms to 60m"
        )),
    }
}

/// Whole seconds where that is exact.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        ms if ms > 0 && ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}
