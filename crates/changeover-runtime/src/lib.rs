//! Where instances run: one trait, and the runtimes behind it.
