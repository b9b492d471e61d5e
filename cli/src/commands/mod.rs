//! One file a command: its arguments, and what it does.

pub mod check;
pub mod demo;
pub mod judge;
pub mod query;
pub mod run;
pub mod sql;

/// The folder of the tables unless `--lake` names another.
const DEFAULT_LAKE: &str = "plimsoll-lake";
