//! Who spent the budget of a breach: said when the result is, and said again when it changes (R33, R22).

use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::{AttributionRow, Decimal};
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::Step;
use crate::Name;
use crate::attribution::Spent;
use crate::ledger::{Entry, Ledger};
use crate::portfolio::{Feed, ObjectivePlan};
use crate::stage::Facts;

/// The window's start; who spent it: the agreement, its version and the service. No agreement comes before all.
pub type SpenderKey = (Instant, Option<(Name, u32)>, Name);

/// Comes before all who spent in windows from this start on.
pub fn first_spender(start: Instant) -> SpenderKey {
    (start, None, Name::from(""))
}

/// What was spent, of how much in all, and of which budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    spent: i64,
    total: i64,
    budget: Option<Micros>,
    /// Whether it is a number of things; else it is time in microseconds.
    is_count: bool,
}

/// What was last said of the breaches of one objective.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributions {
    said: Ledger<SpenderKey, Part>,
}

impl Attributions {
    /// Forgets what was said of windows that start before this instant.
    pub fn forget_before(&mut self, first: Instant) {
        self.said.forget_before(&first_spender(first));
    }

    /// Writes the parts of the breach of the window with this start that are new, differ or no longer hold; there are
    /// none when it is no breach.
    pub fn restate(
        &mut self,
        plan: &ObjectivePlan,
        start: Instant,
        budget: Option<Micros>,
        spent: &[Spent],
        step: &Step,
        facts: &mut Facts,
    ) {
        if plan.supports.is_empty() && self.said == Ledger::default() {
            return;
        }
        let range = first_spender(start)..first_spender(start + Micros(1));
        let is_count = !matches!(plan.feed(), Feed::State(_));
        for writing in self.said.restate_within(range, parts(plan, start, (budget, is_count), spent)) {
            facts.attributions.push(row(plan, None, writing.key, writing.entry, step));
        }
    }
}

/// What was spent by each, of the window with this start; `is_count` says that things were.
pub fn parts(
    plan: &ObjectivePlan,
    start: Instant,
    (budget, is_count): (Option<Micros>, bool),
    spent: &[Spent],
) -> Vec<(SpenderKey, Part)> {
    let total = spent.iter().fold(0_i64, |sum, part| sum.saturating_add(part.amount));
    let part = |spent: &Spent| {
        let agreement = spent.support.map(|place| &plan.supports[place]);
        let agreement = agreement.map(|support| (support.agreement.clone(), support.version));
        ((start, agreement, spent.service.clone()), Part { spent: spent.amount, total, budget, is_count })
    };
    spent.iter().map(part).collect()
}

/// The row that says a part: of the window, or of this run of this ticket's clock.
pub fn row(
    plan: &ObjectivePlan,
    clock: Option<(&Name, u32)>,
    (window_start, agreement, service): SpenderKey,
    entry: Entry<Part>,
    step: &Step,
) -> AttributionRow {
    let Part { spent, total, budget, is_count } = entry.row;
    let is_named = |(id, version): &(Name, u32)| {
        plan.supports.iter().find(|support| support.agreement == *id && support.version == *version)
    };
    let supporting_type = agreement.as_ref().and_then(is_named).map(|support| support.agreement_type);
    AttributionRow {
        agreement: plan.key.agreement.to_string(),
        agreement_version: plan.key.version as i32,
        agreement_type: plan.agreement.agreement_type.as_str().to_owned(),
        customer: plan.agreement.customer.as_deref().map(str::to_owned),
        service: plan.key.service.to_string(),
        objective: plan.key.objective.to_string(),
        signal: plan.objective.indicator.signal.as_str().to_owned(),
        ticket: clock.map(|(ticket, _)| ticket.to_string()),
        cycle: clock.map(|(_, cycle)| cycle as i32),
        window_start,
        supporting_agreement: agreement.as_ref().map(|(id, _)| id.to_string()),
        supporting_version: agreement.as_ref().map(|(_, version)| *version as i32),
        supporting_type: supporting_type.map(|kind| kind.as_str().to_owned()),
        supporting_service: service.to_string(),
        spent_us: (!is_count).then_some(spent),
        total_us: (!is_count).then_some(total),
        spent_count: is_count.then_some(spent),
        total_count: is_count.then_some(total),
        spent_ratio: Share::of(spent, total).map(Decimal),
        budget_us: budget.map(i64::from),
        revision: entry.revision,
        retracted: entry.retracted,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}

#[cfg(test)]
mod tests;
