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

/// What a state may be as far as it is known: nothing worse than the one and nothing better than the other, each of which
/// is down, degraded or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// As it is if all that is unknown is down.
    pub worst: State,
    /// As it is if all that is unknown is up.
    pub best: State,
}

impl Bounds {
    /// Those of a state of which no more is known.
    pub fn of(state: State) -> Bounds {
        match state {
            State::Excluded | State::Unknown => Bounds { worst: State::Down, best: State::Up },
            known => Bounds { worst: known, best: known },
        }
    }

    /// The state, which is unknown where it may be one or another.
    pub fn state(self) -> State {
        if self.worst == self.best { self.best } else { State::Unknown }
    }

    /// Those of a whole that needs both.
    pub fn and(self, other: Bounds) -> Bounds {
        Bounds { worst: self.worst.min(other.worst), best: self.best.min(other.best) }
    }
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
