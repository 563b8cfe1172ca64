//! The names of the workloads and of what they need.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! names {
    ($(#[$doc:meta])* $type:ident, $($(#[$variant_doc:meta])* $variant:ident $name:literal)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// All of them, in the order messages list them.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<$type> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

names! {
    /// What clients do.
    WorkloadKind,
    /// Elements are added to sets, and sets are read whole.
    Set "set"
    /// Values are read, overwritten, compared and swapped.
    Register "register"
    /// Numbers are added to, and identifiers issued.
    Counter "counter"
    /// Money moves between accounts.
    Bank "bank"
    /// Transactions append to lists and read them.
    Append "append"
    /// Sessions are held over a promotion, with all they have.
    Session "session"
    /// Definitions change while the next generation catches up, when it is ready, and right after its promotion.
    Ddl "ddl"
    /// A user's own objects and queries.
    Objects "objects"
    /// A user's own statements, with weights and expected results.
    Script "script"
    /// Data that a chain of older releases has made.
    Aged "aged"
}

names! {
    /// What a target can do that not all can.
    Capability,
    /// Its clients speak SQL. A target has it by its URL.
    Sql "sql"
    /// Its instances are started, so that others can be started before them. A target has it by its file.
    StartedInstances "started-instances"
    /// Several statements that read and write in one transaction.
    InteractiveTransactions "interactive-transactions"
    /// It issues identifiers: a `BIGSERIAL` key, which `INSERT … RETURNING` tells.
    Identifiers "identifiers"
}

impl WorkloadKind {
    /// Whether its operations are in the history, to be judged by a model.
    pub fn is_model(self) -> bool {
        use WorkloadKind::{Append, Bank, Counter, Register, Set};
        matches!(self, Set | Register | Counter | Bank | Append)
    }

    /// Whether the workload's clients perform it, at the plan's rate. The others act at moments of a step.
    pub fn has_operations(self) -> bool {
        self.is_model() || self == WorkloadKind::Script
    }

    /// What it needs of a target.
    pub fn needs(self) -> &'static [Capability] {
        match self {
            WorkloadKind::Set => &[],
            WorkloadKind::Append => &[Capability::Sql, Capability::InteractiveTransactions],
            WorkloadKind::Aged => &[Capability::Sql, Capability::StartedInstances],
            _ => &[Capability::Sql],
        }
    }
}
