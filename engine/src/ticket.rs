//! The life of a ticket and its clocks (R14-R19, R37).
//!
//! In: the records of one ticket, actions or whole-record snapshots, in any order and any number of times (R21). Out:
//! what happened to it, as facts that no objective colours ([`TicketHistory`]), and the clocks that it runs under one
//! objective ([`clocks`]). Pure functions; nothing later than the `now` they are given is known to them.
//!
//! ```text
//! TicketRecord --insert--> TicketLog --history(now)--> TicketHistory
//!                                   --clocks(rule, term, calendar, now)--> ClockResult
//! ```
//!
//! How records are read (`history`), where the rules leave a choice:
//! - Records are taken in the order of time, sequence, action, then the rest, so a tie is broken the same way always.
//! - The ticket was opened when the last record that names `opened_at` says; else when the action `opened` came; else
//!   at its first record. Nothing happens before that: what claims an earlier time happened at the opening.
//! - A time that a record names explicitly counts only if it lies in the record's own past: a later one was written
//!   into the record afterwards. After a reopening, one from before the reopening is a leftover and does not count.
//! - A snapshot stands for the actions that lead from the state so far to its own (R19); `active` and `paused` have
//!   been acknowledged. From `cancelled` only `new`, `active`, `paused` or the action `reopened` leads back.
//! - One resolution is everything from a first `resolved` or `closed` until the next reopening. It happened at that
//!   first record, unless records of it name `resolved_at`: then the last that does is right. A ticket closed without a
//!   resolution was resolved by its closing. The first response and the closing are found in the same way.
//! - An action that makes no sense where it stands (resumed but not paused, resolved twice) changes nothing.
//! - An absent service, customer, priority or type means "as before"; the first one named has held since the opening. A
//!   ticket whose type nobody ever named is an incident.
//!
//! How clocks are run (`clock`):
//! - Met is `elapsed <= target`, breached is `elapsed > target`, always. A clock that has used up exactly its target at
//!   the end of the day's hours is due then, but may still be stopped, and met, until agreed time goes on.
//! - A pause counts if it begins before the clock is due; a later one does not move the due instant.
//! - What a ticket was before a clock stopped decides; a change at the very instant of the stop comes too late.
//! - A clock under `restart` (R15) starts at the last change of priority. A breach before that change stands.
//! - A clock ends as moved when the objective no longer applies (R37), unless it was breached before. If the objective
//!   applies again, it is the same clock, as if it had never left. All clocks of a cancelled ticket are cancelled
//!   (R17), but for those that had moved.
//! - Cancelled and moved clocks belong to no window.
//! - Of an agreement's versions (R13, R24) one alone has a clock's result: the first that is in force at the instant to
//!   which the result belongs by its own target. What is open when a version ends has moved there and goes on under the
//!   version that follows, as after a change of priority: the start stays, the new target applies. A result that
//!   belongs to an instant before a version counts at that version's first instant, for it never touches the time
//!   before: when the version received the clock, or when the clock began to apply in the version's own time.

use plimsoll_schemas::Instant;
use plimsoll_schemas::event::{Action, TicketState, TicketType};
use serde::{Deserialize, Serialize};

use crate::Name;

mod clock;
mod history;
#[cfg(test)]
mod tests;

pub use clock::{
    ClockKind, ClockResult, ClockVerdict, OpenTime, Passed, Term, clocks, exceeded, open_times, used_up, used_within,
};
pub use history::{Attributes, Closing, Counted, Counts, Cycle, DeclaredOutage, Pause, TicketHistory};

/// One record about one ticket, as it came. The derived order of its fields is the order in which records are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TicketRecord {
    /// When it happened, or as of when the snapshot was true.
    pub time: Instant,
    /// Orders the records of one ticket at one instant; `i64::MIN` when absent.
    pub sequence: i64,
    /// What happened; actions of changes (`planned`, ...) change attributes only.
    pub action: Action,
    /// Where the ticket stands, for a snapshot; a snapshot without it changes attributes only.
    pub state: Option<TicketState>,
    /// The service it is about; absent means as before.
    pub service: Option<Name>,
    /// Whose ticket it is; absent means as before.
    pub customer: Option<Name>,
    /// Its priority; absent means as before.
    pub priority: Option<Name>,
    /// Whether its service is down because of it; absent means as before.
    pub outage: Option<bool>,
    /// When the ticket was opened, in the source's own words.
    pub opened_at: Option<Instant>,
    /// When it was first responded to, in the source's own words.
    pub acknowledged_at: Option<Instant>,
    /// When it was resolved, in the source's own words.
    pub resolved_at: Option<Instant>,
    /// When it was closed, in the source's own words.
    pub closed_at: Option<Instant>,
    /// How many good things it counts; absent means as before.
    pub good_count: Option<i64>,
    /// How many things it counts; absent means as before.
    pub total_count: Option<i64>,
    /// What the ticket is for; absent means as before.
    pub ticket_type: Option<TicketType>,
}

/// All records of one ticket, in order and each of them once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TicketLog {
    records: Vec<TicketRecord>,
}

impl TicketLog {
    /// Puts a record in its place; false when it is there already.
    pub fn insert(&mut self, record: TicketRecord) -> bool {
        match self.records.binary_search(&record) {
            Ok(_) => false,
            Err(place) => {
                self.records.insert(place, record);
                true
            }
        }
    }

    /// The records, in the order in which they are read.
    pub fn records(&self) -> &[TicketRecord] {
        &self.records
    }

    /// What the records until `now`, inclusive, mean (R19); `None` when there is none.
    pub fn history(&self, now: Instant) -> Option<TicketHistory> {
        TicketHistory::read(&self.records[..self.records.partition_point(|record| record.time <= now)])
    }
}
