//! Breaches: promises that are missed, said when they are known, and said again when they change (R18, R22).
//!
//! The first breach of a promise has revision 0. When its instant or its detail changes, a row with the next revision
//! says so; when it turns out not to be missed, a retraction does. So the newest row of each promise is what holds.

use plimsoll_schemas::Instant;
use plimsoll_schemas::table::BreachRow;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::Name;
use crate::ledger::Entry;
use crate::portfolio::ObjectivePlan;

/// A promise that is missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The instant at which it was missed.
    pub at: Instant,
    /// What was promised and what was measured. It depends on the facts alone, not on when it is said.
    pub detail: String,
}

/// What a promise was about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The window with this start.
    Window(Instant),
    /// This run of this ticket's clock.
    Clock(&'a Name, u32),
}

/// The row of `breaches` that says an entry.
pub fn breach_row(plan: &ObjectivePlan, subject: Subject<'_>, entry: Entry<Breach>, step: &Step) -> BreachRow {
    let (scope, ticket, cycle, window_start) = match subject {
        Subject::Window(start) => ("objective", None, None, Some(start)),
        Subject::Clock(ticket, cycle) => ("ticket", Some(ticket.to_string()), Some(cycle as i32), None),
    };
    BreachRow {
        event: if entry.retracted { "retraction" } else { "breach" }.to_owned(),
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
        window_start,
        at: entry.row.at,
        detail: entry.row.detail,
        revision: entry.revision,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}
