//! What is known of a service: observations of its checks, outages that tickets declare, and the one state that
//! follows from them at each instant (R3, R4). And the time that an agreement excludes, whatever the state (R9).

pub mod check;
pub mod composite;
pub mod exclusion;
pub mod followed;
pub mod service;

use serde::{Deserialize, Serialize};

/// The state of a service at an instant; exactly one holds (R3). Ordered by priority: an earlier one covers a later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Agreed time that does not count.
    Excluded,
    /// Nobody knows.
    Unknown,
    /// It did not work.
    Down,
    /// It worked badly.
    Degraded,
    /// It worked.
    Up,
}

impl State {
    /// As tables write it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Excluded => "excluded",
            State::Unknown => "unknown",
            State::Down => "down",
            State::Degraded => "degraded",
            State::Up => "up",
        }
    }
}
