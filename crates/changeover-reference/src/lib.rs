//! The reference database: a small, honest SQL database that is upgraded the way Materialize is.
