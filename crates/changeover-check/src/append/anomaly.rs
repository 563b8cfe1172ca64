//! The names of what can go wrong with transactions, after Adya (1999) and Elle.

use crate::checker::Consistency;

/// An anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Anomaly {
    G0,
    G1a,
    G1b,
    G1c,
    IncompatibleOrder,
    Internal,
    Unrepeatable,
    LostUpdate,
    GSingle,
    GNonadjacent,
    G2,
    RealTime,
}

impl Anomaly {
    /// A sentence's subject: what was found, and by what name it is known.
    pub(super) fn headline(self) -> &'static str {
        match self {
            Anomaly::G0 => "G0, write cycle: transactions overwrote each other in turn",
            Anomaly::G1a => "G1a, aborted read: element read whose transaction had failed",
            Anomaly::G1b => "G1b, intermediate read: part of a transaction read without the rest",
            Anomaly::G1c => {
                "G1c, circular information flow: transactions each of which saw the other"
            }
            Anomaly::IncompatibleOrder => {
                "incompatible order: lists of which neither begins with the other"
            }
            Anomaly::Internal => {
                "internal: transaction that did not see what it had appended itself"
            }
            Anomaly::Unrepeatable => {
                "unrepeatable read: transaction that read a list twice and saw two states of others"
            }
            Anomaly::LostUpdate => {
                "lost update: transactions that read the same and then both wrote it"
            }
            Anomaly::GSingle => {
                "G-single, read skew: transaction that saw a part of another and missed the rest"
            }
            Anomaly::GNonadjacent => "G-nonadjacent: cycle that no snapshot explains",
            Anomaly::G2 => "G2, write skew: transactions that missed each other's writes",
            Anomaly::RealTime => {
                "stale in real time: the order of the transactions contradicts the clock"
            }
        }
    }

    /// The weakest of our models that forbids it.
    pub(super) fn breaks(self) -> Consistency {
        match self {
            Anomaly::G0
            | Anomaly::G1a
            | Anomaly::G1b
            | Anomaly::G1c
            | Anomaly::IncompatibleOrder
            | Anomaly::Internal => Consistency::ReadCommitted,
            Anomaly::Unrepeatable
            | Anomaly::LostUpdate
            | Anomaly::GSingle
            | Anomaly::GNonadjacent => Consistency::SnapshotIsolation,
            Anomaly::G2 => Consistency::Serializable,
            Anomaly::RealTime => Consistency::StrictSerializable,
        }
    }

    /// Whether a history that promises this much may have it.
    pub(super) fn is_allowed_by(self, promised: Consistency) -> bool {
        // Strongest first: what comes later promises less.
        promised > self.breaks()
    }
}
