//! What people read: terminal, tables, JSON. Consumes events and verdicts only.
