//! Judges a run: events and history in, verdict out. Pure.
