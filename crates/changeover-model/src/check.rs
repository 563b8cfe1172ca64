//! The names of the checks: stable, because scripts rely on them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; the verdict does not change.
    Warning,
    /// Makes the run fail.
    Error,
}

macro_rules! checks {
    ($($variant:ident $name:literal $doc:literal)*) => {
        /// What is examined. A finding carries the name of its check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Check {
            $(#[doc = $doc] $variant,)*
        }

        impl Check {
            /// All checks, in the order of the contract.
            pub const ALL: &'static [Check] = &[$(Check::$variant,)*];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $(Check::$variant => $name,)* }
            }
        }
    };
}

checks! {
    LostWrite "lost-write" "An acknowledged write is missing."
    DuplicatedEffect "duplicated-effect" "A write took effect more than once."
    StaleRead "stale-read" "A read did not show a write acknowledged before it was sent."
    NonMonotonicRead "non-monotonic-read" "A client saw something, and later no longer."
    NonLinearizable "non-linearizable" "No order of the operations explains the answers."
    SerializationAnomaly "serialization-anomaly" "No serial order of the transactions explains the answers."
    InvariantBroken "invariant-broken" "An invariant of the workload does not hold."
    ZombieWrite "zombie-write" "A write that failed took effect."
    TwoLeaders "two-leaders" "The old leader acted as leader after the new one led."
    ReadOnlyWrite "read-only-write" "A generation acknowledged a write before its promotion was sent."
    WrongVersion "wrong-version" "The promoted instance is not the version that was planned."
    OldLeaderLingered "old-leader-lingered" "The old leader did not leave by itself."
    CrashLoop "crash-loop" "Three crashes in a row, none getting further than the one before."
    PromotionLost "promotion-lost" "A promotion that was acknowledged did not happen."
    PrematureReady "premature-ready" "Ready was reported before the data was there."
    NeverReady "never-ready" "The new instance did not become ready, or the promoted one did not lead and serve."
    SessionState "session-state" "A held session's state was silently lost."
    DdlMissed "ddl-missed" "DDL on the old leader is missing on the new one."
    ObjectChanged "object-changed" "An object's definition changed in the upgrade."
    FreshnessStall "freshness-stall" "Reads worked but stopped showing new writes."
    LatencyCliff "latency-cliff" "Latency after the step is far worse than before."
    ClientHang "client-hang" "A held client hung while fresh ones were served."
    IllegalTransition "illegal-transition" "An instance's status or exit went where the protocol has no arrow."
    IllegalHop "illegal-hop" "A rule set refuses this hop."
    FaultMissed "fault-missed" "A planned fault took no effect."
    FaultBroken "fault-broken" "The expectation of a planned fault does not hold."
    AbortNoticed "abort-noticed" "A called-off upgrade was noticed by the leader or its clients."
    Budget "budget" "A gap is longer than its budget."
    Leftovers "leftovers" "Something of the run was still there after it."
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_json_agree() {
        for &check in Check::ALL {
            let json = serde_json::to_string(&check).unwrap();
            assert_eq!(json, format!("{:?}", check.name()));
        }
    }
}
