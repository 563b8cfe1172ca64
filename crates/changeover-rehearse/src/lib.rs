//! Executes a plan: hand-over driver, front door, lanes, workload. Emits events.
