//! Which checks are made.

use changeover_model::check::Check;

/// The checks that [`crate::Judge`] makes, what planning found among them. Of the others no run says anything.
pub const EXAMINED: &[Check] = &[
    Check::LostWrite,
    Check::DuplicatedEffect,
    Check::StaleRead,
    Check::NonMonotonicRead,
    Check::NonLinearizable,
    Check::SerializationAnomaly,
    Check::InvariantBroken,
    Check::ZombieWrite,
    Check::TwoLeaders,
    Check::ReadOnlyWrite,
    Check::WrongVersion,
    Check::OldLeaderLingered,
    Check::CrashLoop,
    Check::PromotionLost,
    Check::PrematureReady,
    Check::NeverReady,
    Check::SessionState,
    Check::DdlMissed,
    Check::ObjectChanged,
    Check::FreshnessStall,
    Check::LatencyCliff,
    Check::ClientHang,
    Check::IllegalTransition,
    Check::IllegalHop,
    Check::FaultMissed,
    Check::FaultBroken,
    Check::AbortNoticed,
    Check::Budget,
    Check::Leftovers,
];
