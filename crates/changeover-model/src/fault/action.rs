//! What is broken, and how.

use super::read::duration;
use crate::version::PathVersion;
use std::fmt;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The new instance.
    New,
    /// The old instance, which leads until it is fenced.
    Old,
    /// The metadata store.
    MetadataStore,
    /// A link.
    Link(Link),
    /// The calls of the upgrade itself.
    Upgrade,
}

/// What is between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// Between the new instance and the metadata store.
    NewStore,
    /// Between the old instance and the metadata store.
    OldStore,
    /// Between clients and the front door.
    ClientsDoor,
}

impl Link {
    /// All links.
    pub const ALL: [Link; 3] = [Link::NewStore, Link::OldStore, Link::ClientsDoor];

    /// Its ends, as they are written.
    pub fn ends(self) -> (&'static str, &'static str) {
        match self {
            Link::NewStore => ("new", "metadata-store"),
            Link::OldStore => ("old", "metadata-store"),
            Link::ClientsDoor => ("clients", "front-door"),
        }
    }
}

impl Subject {
    /// All subjects.
    pub const ALL: [Subject; 7] = [
        Subject::New,
        Subject::Old,
        Subject::MetadataStore,
        Subject::Link(Link::NewStore),
        Subject::Link(Link::OldStore),
        Subject::Link(Link::ClientsDoor),
        Subject::Upgrade,
    ];

    /// Whether it is a process, so that it can be killed, paused and restarted.
    pub fn is_process(self) -> bool {
        matches!(self, Subject::New | Subject::Old | Subject::MetadataStore)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::New => f.write_str("new"),
            Subject::Old => f.write_str("old"),
            Subject::MetadataStore => f.write_str("metadata-store"),
            Subject::Link(link) => {
                let (one, other) = link.ends();
                write!(f, "link({one},{other})")
            }
            Subject::Upgrade => f.write_str("upgrade"),
        }
    }
}

/// How something is broken. Durations are in milliseconds, and at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A process is killed, and again each time it was started, so many times.
    Kill {
        /// At least 1.
        times: u32,
    },
    /// A process is stopped, and goes on after so long.
    Pause {
        /// How long.
        ms: u64,
    },
    /// A process is asked to end, and started again.
    Restart,
    /// Connections of a link are reset, and new ones refused, for so long.
    Cut {
        /// How long.
        ms: u64,
    },
    /// Everything on a link comes later by so much, for so long.
    Delay {
        /// By how much.
        by_ms: u64,
        /// How long.
        ms: u64,
    },
    /// Connections of a link are reset, once. New ones are let through.
    Reset,
    /// What the first end of a link sends is lost for so long; what the other sends arrives.
    HalfOpen {
        /// How long.
        ms: u64,
    },
    /// Both ends of a link send into nothing for so long; connections stay, and new ones are accepted.
    BlackHole {
        /// How long.
        ms: u64,
    },
    /// The new instance is promoted before it is ready.
    PromoteEarly,
    /// The new instance is promoted once more.
    PromoteTwice,
    /// The old instance is promoted.
    PromoteOld,
    /// The new instance is told not to wait any longer until it has caught up.
    SkipCatchup,
    /// Another instance of the same generation is started.
    Rival {
        /// Of this version; `None` for that of the new instance.
        version: Option<PathVersion>,
    },
    /// The next upgrade, with a higher generation, is begun and ended before this one.
    Next,
    /// Another upgrader upgrades to a higher generation at the same time.
    Race,
    /// A client changes definitions, once or for so long.
    Ddl {
        /// How long; `None` for once.
        ms: Option<u64>,
    },
}

impl Action {
    /// The words of all actions, in the order messages list them.
    pub const NAMES: [&'static str; 16] = [
        "kill",
        "pause",
        "restart",
        "cut",
        "delay",
        "reset",
        "half-open",
        "black-hole",
        "promote-early",
        "promote-twice",
        "promote-old",
        "skip-catchup",
        "rival",
        "next",
        "race",
        "ddl",
    ];

    /// The stable word.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Kill { .. } => "kill",
            Action::Pause { .. } => "pause",
            Action::Restart => "restart",
            Action::Cut { .. } => "cut",
            Action::Delay { .. } => "delay",
            Action::Reset => "reset",
            Action::HalfOpen { .. } => "half-open",
            Action::BlackHole { .. } => "black-hole",
            Action::PromoteEarly => "promote-early",
            Action::PromoteTwice => "promote-twice",
            Action::PromoteOld => "promote-old",
            Action::SkipCatchup => "skip-catchup",
            Action::Rival { .. } => "rival",
            Action::Next => "next",
            Action::Race => "race",
            Action::Ddl { .. } => "ddl",
        }
    }

    /// How long it lasts by itself, in milliseconds; 0 for what is done at once.
    pub fn lasts_ms(&self) -> u64 {
        match *self {
            Action::Pause { ms }
            | Action::Cut { ms }
            | Action::Delay { ms, .. }
            | Action::HalfOpen { ms }
            | Action::BlackHole { ms } => ms,
            Action::Ddl { ms } => ms.unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether it is over as soon as it was done: nothing has to go on again, or to be mended.
    pub fn is_over_at_once(&self) -> bool {
        match self {
            Action::Kill { .. } | Action::Restart | Action::Rival { .. } => false,
            other => other.lasts_ms() == 0,
        }
    }

    /// Whether it can be done to this subject.
    pub fn fits(&self, subject: Subject) -> bool {
        match self {
            Action::Kill { .. } | Action::Pause { .. } | Action::Restart => subject.is_process(),
            Action::Cut { .. }
            | Action::Delay { .. }
            | Action::Reset
            | Action::HalfOpen { .. }
            | Action::BlackHole { .. } => matches!(subject, Subject::Link(_)),
            _ => subject == Subject::Upgrade,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Action::Kill { times: 1 } => Ok(()),
            Action::Kill { times } => write!(f, ":{times}"),
            Action::Delay { by_ms, ms } => write!(f, ":{}:{}", duration(*by_ms), duration(*ms)),
            Action::Pause { ms }
            | Action::Cut { ms }
            | Action::HalfOpen { ms }
            | Action::BlackHole { ms }
            | Action::Ddl { ms: Some(ms) } => write!(f, ":{}", duration(*ms)),
            Action::Rival {
                version: Some(version),
            } => write!(f, ":{version}"),
            _ => Ok(()),
        }
    }
}
