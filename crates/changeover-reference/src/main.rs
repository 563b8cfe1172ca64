//! The reference database as a program of its own: what an image needs to contain.
fn main() {}
