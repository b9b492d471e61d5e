//! How far back the state reaches, so that it is bounded by what is open and not by what has passed (R21, R22).
//!
//! ```text
//!            kept from           closed until          watermark - remembered            watermark
//!                |                    |                          |                           |
//!   -------------|--------------------|--------------------------|---------------------------|---->
//!                |<-- states that ... -->|<---- events are taken and results restated -------->|
//! ```
//!
//! What is as old as the span that is remembered lies in windows that were final long ago. The earliest start of those,
//! over all kinds of window, is where time is closed: no event from before it is taken, and no result of a window that
//! ends until then is stated any more. So no open window ever begins before it. A window of another kind may reach
//! over it, and be restated: the earliest start of these is where what is known of states begins.
//!
//! Whatever lies before is forgotten once nothing that is open stands on it: results, counts, outages, transitions,
//! tickets that are over. Such a ticket's name is known for as long again: what is said of it then is counted as beyond
//! what is remembered, and not taken for a new ticket.

use std::collections::BTreeMap;

use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::portfolio::Portfolio;
use crate::window::window_containing;

/// See the head of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// How far behind the watermark is remembered; `None` for everything.
    remembered: Option<Micros>,
    closed_until: Instant,
}

/// What may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Windows that end until then are closed.
    pub closed_until: Instant,
    /// No window that is not closed begins before this.
    pub kept_from: Instant,
    /// Names of what was forgotten are known no longer when it ended before this.
    pub named_from: Instant,
}

impl Default for Memory {
    /// Remembers everything.
    fn default() -> Memory {
        Memory { remembered: None, closed_until: Instant(i64::MIN) }
    }
}

impl Memory {
    /// Remembers this span behind the watermark, and what is open.
    pub fn remember(&mut self, span: Micros) {
        self.remembered = Some(span.max(Micros::ZERO));
    }

    /// The span behind the watermark that is remembered; `None` for everything.
    pub fn remembered(&self) -> Option<Micros> {
        self.remembered
    }

    /// Events from before this are not taken.
    pub fn closed_until(&self) -> Instant {
        self.closed_until
    }

    /// Closes what the watermark has left behind; `None` when that is nothing new. Nothing is closed before it is final.
    pub fn advance(&mut self, portfolio: &Portfolio, watermark: Instant) -> Option<Edge> {
        let span = self.remembered?.max(portfolio.grace());
        let old = Instant(watermark.0.saturating_sub(span.0));
        let closed_until = earliest_start(portfolio, old);
        if closed_until <= self.closed_until {
            return None;
        }
        self.closed_until = closed_until;
        let named_from = Instant(closed_until.0.saturating_sub(span.0));
        Some(Edge { closed_until, kept_from: earliest_start(portfolio, closed_until), named_from })
    }
}

/// Names of what was forgotten, as their hashes, each with the last instant of what it named. Of a million names, the
/// chance that a new one is taken for one of them is below 10^-13.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    names: BTreeMap<u64, Instant>,
    records: u64,
}

impl Forgotten {
    /// Whether a name was forgotten; then a record of it is counted.
    pub fn knows(&mut self, name: &str) -> bool {
        let is_known = !self.names.is_empty() && self.names.contains_key(&xxh3_64(name.as_bytes()));
        self.records += u64::from(is_known);
        is_known
    }

    /// How many records came of what was forgotten.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Remembers a name; `last` is the last instant of what it named.
    pub fn insert(&mut self, name: &str, last: Instant) {
        self.names.insert(xxh3_64(name.as_bytes()), last);
    }

    /// Forgets the names too of what ended before an instant.
    pub fn forget_before(&mut self, named_from: Instant) {
        self.names.retain(|_, last| *last >= named_from);
    }
}

/// The earliest start of a window that contains an instant.
fn earliest_start(portfolio: &Portfolio, at: Instant) -> Instant {
    let starts = portfolio.window_kinds().iter().map(|(kind, zone)| window_containing(*kind, *zone, at).start);
    starts.min().unwrap_or(at).min(at)
}
