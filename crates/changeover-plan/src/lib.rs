//! Turns a catalog, a strategy and a seed into a plan. Pure.
