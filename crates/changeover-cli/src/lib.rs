//! The changeover binary: arguments, configuration, exit codes.
