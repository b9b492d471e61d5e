//! Breaches: promises that are missed, said when they are known, and said again when they change (R18, R22). Warnings:
//! promises that may be missed (R27, R28).
//!
//! The first breach of a promise has revision 0. When its instant or its detail changes, a row with the next revision
//! says so; when it turns out not to be missed, a retraction does. So the newest row of each promise is what holds.
//! It is the same with warnings, each of which is told apart by what it warns of. A warning follows from what
//! happened until its instant alone, so it stands whatever happens later; only a late event takes it back. When a budget
//! burns too fast no longer, the next revision of its warning says since when.

use plimsoll_schemas::Instant;
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::{BreachRow, Decimal};
use serde::{Deserialize, Serialize};

use super::Step;
use crate::Name;
use crate::budget::BurnPair;
use crate::ledger::Entry;
use crate::portfolio::ObjectivePlan;
use crate::window::Window;

/// A promise that is missed, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The instant at which it was missed, or from which the warning holds.
    pub at: Instant,
    /// Of a warning of the burn rate, when the budget burnt so fast no longer; `None` while it does, and of all else.
    pub ended_at: Option<Instant>,
    /// What was promised and what was measured. It depends on the facts alone, not on when it is said.
    pub detail: String,
}

/// What a warning warns of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Warning {
    /// This share of a ticket's time, or of an error budget, is used up (R28).
    Used(Share),
    /// From this instant on the budget burns too fast (R27).
    Burning(BurnPair, Instant),
}

impl Warning {
    /// Comes before every warning.
    pub const FIRST: Warning = Warning::Used(Share(i64::MIN));
}

/// What a promise was about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// This window.
    Window(Window),
    /// This run of this ticket's clock.
    Clock(&'a Name, u32),
}

/// The row of `breaches` that says an entry: a breach, or the warning that it is of.
pub fn breach_row(
    plan: &ObjectivePlan,
    subject: Subject<'_>,
    warning: Option<Warning>,
    entry: Entry<Breach>,
    step: &Step,
) -> BreachRow {
    let (scope, ticket, cycle, window) = match subject {
        Subject::Window(window) => ("objective", None, None, Some(window)),
        Subject::Clock(ticket, cycle) => ("ticket", Some(ticket.to_string()), Some(cycle as i32), None),
    };
    let said = if warning.is_some() { "warning" } else { "breach" };
    let (threshold, pair) = match warning {
        None => (None, None),
        Some(Warning::Used(share)) => (Some(share), None),
        Some(Warning::Burning(pair, _)) => (Some(pair.factor), Some(pair)),
    };
    BreachRow {
        event: if entry.retracted { "retraction" } else { said }.to_owned(),
        scope: scope.to_owned(),
        agreement: plan.key.agreement.to_string(),
        agreement_version: plan.key.version as i32,
        agreement_type: plan.agreement.agreement_type.as_str().to_owned(),
        customer: plan.agreement.customer.as_deref().map(str::to_owned),
        service: plan.key.service.to_string(),
        objective: plan.key.objective.to_string(),
        signal: plan.objective.indicator.signal.as_str().to_owned(),
        ticket,
        cycle,
        window_start: window.map(|window| window.start),
        window_end: window.map(|window| window.end),
        at: entry.row.at,
        detail: entry.row.detail,
        retracts: entry.retracted.then(|| said.to_owned()),
        threshold_ratio: threshold.map(Decimal),
        span_us: pair.map(|pair| pair.long.0),
        severity: pair.map(|pair| pair.severity.as_str().to_owned()),
        ended_at: entry.row.ended_at,
        revision: entry.revision,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}
