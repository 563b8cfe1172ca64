//! Which bugs there are. The classes are those of docs/planted-bugs.md.

/// What is known of a planted bug.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name, as `--planted-bug` takes it.
    pub name: &'static str,
    /// The classes of upgrade bugs that it stands for, by their numbers.
    pub classes: &'static [u8],
    /// What is wrong, as a fragment of a sentence.
    pub symptom: &'static str,
    /// The check that must find it.
    pub check: &'static str,
    /// The upgrade path that shows it.
    pub versions: &'static str,
    /// The only generation that has it there.
    pub generation: Option<u64>,
    /// Other options of the plan.
    pub plan: &'static [&'static str],
    /// Other arguments of the instances.
    pub instance: &'static [&'static str],
    /// Deadlines of the plan, in milliseconds: shorter ones than usual, so that nobody waits in vain for long.
    pub timeouts_ms: &'static [(&'static str, u64)],
    /// Whether it is in the store's code, which has it in SQLite only.
    pub in_sqlite: bool,
}

/// What most have in common.
const USUAL: Facts = Facts {
    name: "",
    classes: &[],
    symptom: "",
    check: "",
    versions: "v0.1.0,v0.2.0",
    generation: None,
    plan: &[],
    instance: &[],
    timeouts_ms: &[],
    in_sqlite: false,
};

macro_rules! bugs {
    ($($bug:ident { $($fact:ident: $value:expr),* $(,)? })*) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bug { $($bug),* }

        impl Bug {
            pub(crate) const ALL: &'static [Bug] = &[$(Bug::$bug),*];

            pub(crate) fn facts(self) -> &'static Facts {
                static FACTS: &[Facts] = &[$(Facts { $($fact: $value,)* ..USUAL }),*];
                &FACTS[self as usize]
            }
        }
    };
}

bugs! {
    // A. Data and formats
    RefusesOlder {
        name: "refuses-older", classes: &[1], check: "crash-loop", generation: Some(1),
        symptom: "records of an older format are refused",
    }
    MisreadsOlder {
        name: "misreads-older", classes: &[2], check: "invariant-broken", generation: Some(1),
        symptom: "integers of an older format from 16 on are read as negative ones",
    }
    EmptiesField {
        name: "empties-field", classes: &[3], check: "lost-write", generation: Some(1),
        symptom: "texts of an older format are read as empty ones",
    }
    FollowerAppends {
        name: "follower-appends", classes: &[4, 11, 19], check: "illegal-transition", generation: Some(1),
        symptom: "a read-only generation appends a record of its own to the log, and the leader fails",
    }
    TornMigration {
        name: "torn-migration", classes: &[5], check: "crash-loop",
        in_sqlite: true, symptom: "a migration removes records in one transaction and writes them anew in another",
        // The kill must fall between the two; each of these steps is a chance.
        versions: "v0.1.0,v0.2.0,v0.3.0,v0.5.0",
        plan: &["--rate", "2000", "--fault", "new:kill@serving+140ms"],
    }
    ForgetsDrops {
        name: "forgets-drops", classes: &[6], check: "ddl-missed", generation: Some(1),
        plan: &["--workload", "set,ddl"],
        symptom: "what was dropped is there again in the next generation",
    }
    LosesIndexes {
        name: "loses-indexes", classes: &[6], check: "object-changed", versions: "v0.3.0,v0.5.0,v0.6.0", generation: Some(1),
        in_sqlite: true, symptom: "a migration drops the definitions of indexes from the log",
    }
    MarksTooEarly {
        name: "marks-too-early", classes: &[7], check: "abort-noticed", generation: Some(1),
        in_sqlite: true, symptom: "a new generation puts its format on the store before it is promoted, so that the old one cannot restart",
        plan: &["--abort-at", "ready"],
    }
    SkipVersionHole {
        name: "skip-version-hole", classes: &[8], check: "crash-loop", versions: "v0.1.0,v0.3.0", generation: Some(1),
        symptom: "records are only read if they are of this format or the one before",
    }
    SecondUpgradeFails {
        name: "second-upgrade-fails", classes: &[9], check: "crash-loop", versions: "v0.3.0,v0.5.0,v0.6.0",
        in_sqlite: true, symptom: "a promotion makes a table that an earlier one has made already",
    }
    ReusesNumbers {
        name: "reuses-numbers", classes: &[10], check: "duplicated-effect", generation: Some(1),
        plan: &["--workload", "set,counter"],
        symptom: "a new leader forgets which numbers bigserial columns have given",
    }
    // B. Version gating and finalisation
    PlaysOlder {
        name: "plays-older", classes: &[12], check: "wrong-version", generation: Some(1),
        symptom: "the release before the one that was asked for is started",
    }
    PersistsWrongFormat {
        name: "persists-wrong-format", classes: &[13], check: "crash-loop", generation: Some(1),
        in_sqlite: true, symptom: "the newest format that the program knows is put on the store instead of the release's own",
    }
    WritesTooNew {
        name: "writes-too-new", classes: &[14], check: "crash-loop", generation: Some(0),
        in_sqlite: true, symptom: "records are written in a format that the next release does not know",
    }
    DdlWedges {
        name: "ddl-wedges", classes: &[15], check: "never-ready", generation: Some(1),
        symptom: "every definition met while catching up asks for a restart, also one that was there before",
        timeouts_ms: &[("catch-up", 3000)],
    }
    MissesDdl {
        name: "misses-ddl", classes: &[15], check: "ddl-missed", generation: Some(1),
        plan: &["--workload", "set,ddl"],
        symptom: "definitions that change while a generation catches up are passed over",
    }
    // C. The hand-over
    NeverLeads {
        name: "never-leads", classes: &[16], check: "never-ready", generation: Some(1),
        symptom: "a promotion is taken and the fence is not",
        timeouts_ms: &[("promote", 3000)],
    }
    NeverServes {
        name: "never-serves", classes: &[16], check: "never-ready", generation: Some(1),
        symptom: "a new leader waits for a record beyond the log's end before it answers",
        timeouts_ms: &[("bootstrap", 3000)],
    }
    CrashesPromoted {
        name: "crashes-promoted", classes: &[17], check: "crash-loop", generation: Some(1),
        symptom: "a promoted process takes a log that has no more to read for a damaged one",
    }
    KeepsGeneration {
        name: "keeps-generation", classes: &[18, 21], check: "two-leaders", versions: "v0.7.0,v0.7.0", generation: Some(1),
        plan: &["--allow-restart"],
        in_sqlite: true, symptom: "a promotion raises the fence's epoch and not its generation",
    }
    FenceIgnored {
        name: "fence-ignored", classes: &[18, 21], check: "two-leaders", generation: Some(0),
        symptom: "the fence is not checked: an old leader goes on to acknowledge",
    }
    FenceCheckedBefore {
        name: "fence-checked-before", classes: &[18], check: "crash-loop",
        // It takes a promotion that falls between the two; each of these steps is a chance.
        versions: "v0.7.0,v0.7.0,v0.7.0,v0.7.0,v0.7.0,v0.7.0,v0.7.0,v0.7.0,v0.7.0",
        plan: &["--allow-restart", "--rate", "20"],
        in_sqlite: true, symptom: "the fence is checked, but not in the transaction that appends",
    }
    AcknowledgesReadOnly {
        name: "acknowledges-read-only", classes: &[19], check: "read-only-write", generation: Some(1),
        symptom: "a read-only generation acknowledges writes",
    }
    LeadsAtOnce {
        name: "leads-at-once", classes: &[20], check: "illegal-transition", generation: Some(1),
        in_sqlite: true, symptom: "a new generation takes the fence when it boots",
    }
    FencesItself {
        name: "fences-itself", classes: &[20], check: "never-ready", generation: Some(1),
        symptom: "a new generation takes the leader of a lower one for its successor and leaves",
    }
    UnconfirmedReads {
        name: "unconfirmed-reads", classes: &[21], check: "stale-read", generation: Some(0),
        symptom: "a leader answers reads without a look at the fence",
        // Who has lost its way to the store sees no fence, and clients that gave up on it write elsewhere.
        plan: &["--metadata-store", "postgres", "--fault", "link(old,metadata-store):black-hole:4s@fence-written"],
    }
    OldLeaderStays {
        name: "old-leader-stays", classes: &[21], check: "old-leader-lingered", generation: Some(0),
        symptom: "an old leader refuses writes, but stays to answer reads",
    }
    FencedFails {
        name: "fenced-fails", classes: &[21], check: "illegal-transition", generation: Some(0),
        symptom: "a fenced leader ends as if it had failed",
    }
    ReadyTooEarly {
        name: "ready-too-early", classes: &[22], check: "premature-ready", generation: Some(1),
        symptom: "a new generation says that it is ready before it has read the log",
        plan: &["--rate", "4", "--probe-interval", "100ms"], instance: &["--read-rate", "26"],
    }
    ReadyAtRest {
        name: "ready-only-at-rest", classes: &[23], check: "never-ready", generation: Some(1),
        symptom: "a new generation is only ready if nobody has written since it started",
        timeouts_ms: &[("catch-up", 3000)],
    }
    ReadyRevoked {
        name: "ready-revoked", classes: &[23], check: "illegal-transition", generation: Some(1),
        symptom: "a new generation that is ready begins anew when it is promoted",
        timeouts_ms: &[("promote", 3000)],
    }
    ReservesGeneration {
        name: "reserves-generation", classes: &[24], check: "abort-noticed",
        in_sqlite: true, symptom: "a new generation that was called off keeps later ones out",
        plan: &["--abort-at", "ready"],
        timeouts_ms: &[("catch-up", 3000), ("promote", 3000)],
    }
    PromotesUnready {
        name: "promotes-unready", classes: &[25], check: "illegal-transition", generation: Some(1),
        symptom: "a promotion is taken before the generation is ready",
        plan: &["--fault", "upgrade:promote-early@catching-up"],
    }
    ForgetsPromotion {
        name: "forgets-promotion", classes: &[25], check: "promotion-lost", generation: Some(1),
        symptom: "promotions are acknowledged and forgotten",
    }
    // D. What clients see
    SlowCutover {
        name: "slow-cutover", classes: &[26], check: "budget", generation: Some(1),
        symptom: "a promoted process waits two seconds before it restarts",
    }
    DropsConnections {
        name: "drops-connections", classes: &[27], check: "latency-cliff", generation: Some(1),
        symptom: "a new leader closes about every third connection at once",
    }
    FencedHangs {
        name: "fenced-hangs", classes: &[28], check: "client-hang", generation: Some(0),
        symptom: "an old leader neither ends nor answers, and its clients wait for it",
    }
    LosesSession {
        name: "loses-session", classes: &[30], check: "session-state", versions: "v0.6.0,v0.7.0", generation: Some(1),
        plan: &["--workload", "set,session"],
        symptom: "settings and prepared statements of a session are gone after a promotion in place, without a word",
    }
    RunsTwice {
        name: "runs-twice", classes: &[31], check: "duplicated-effect", generation: Some(1),
        symptom: "a write that comes first on a connection takes effect twice",
    }
    DeniesCommit {
        name: "denies-commit", classes: &[31], check: "zombie-write", generation: Some(1),
        symptom: "now and then a commit that succeeded is answered as a conflict",
    }
    // E. Consistency across generations
    SkipsRecord {
        name: "skips-record", classes: &[32], check: "lost-write", generation: Some(1),
        symptom: "the last record of a portion is not applied to the private copy",
    }
    ServesBehind {
        name: "serves-behind", classes: &[32], check: "lost-write", versions: "v0.1.0,v0.2.0,v0.3.0",
        symptom: "whoever lacks no more than sixteen records of the log counts as caught up, also when it leads",
    }
    AcknowledgesEarly {
        name: "acknowledges-early", classes: &[32, 33], check: "lost-write", versions: "v0.1.0,v0.2.0,v0.3.0",
        symptom: "transactions are acknowledged before they are in the store",
    }
    StaleSnapshots {
        name: "stale-snapshots", classes: &[35], check: "freshness-stall", generation: Some(1), plan: &["--probe-interval", "100ms"],
        symptom: "what was written can be read only some seconds later",
    }
    // F. Performance
    PolledConfirmation {
        name: "polled-confirmation", classes: &[36], check: "latency-cliff", generation: Some(1), plan: &["--probe-interval", "50ms"],
        symptom: "reads wait for the looks at the fence that an idle leader takes now and then",
    }
}
