//! The model from the outside.

mod schema;
