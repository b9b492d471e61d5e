//! The contracts between Plimsoll's rooms: what an event is, what a definition says, what a table holds.
//!
//! What comes in: text of definitions, bytes already decoded into columns. What goes out: checked, typed values and
//! Arrow schemas. Nothing here reads a file, opens a socket, asks the clock or starts a thread.
//!
//! Modules in reading order: `time` and `ratio` are the two scalar types everything counts in; `civil` crosses between
//! instants and what clocks show; `event` is the columns in which a decoded event travels; `delivery` is the message
//! from a source to a lane; `table` is the columns of every table; `definition` is the agreement format and its checks;
//! `guard` makes errors of the panics of those who read damaged bytes.

pub mod civil;
pub mod definition;
pub mod delivery;
pub mod event;
pub mod guard;
pub mod ratio;
pub mod table;
pub mod time;

pub use time::{Instant, Micros};
