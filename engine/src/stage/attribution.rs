//! Who spent the budget of a breach: said when the result is, and said again when it changes (R33, R22).

use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::table::{AttributionRow, Decimal};
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::Step;
use crate::Name;
use crate::attribution::Spent;
use crate::ledger::{Ledger, Writing};
use crate::portfolio::ObjectivePlan;
use crate::stage::Facts;

/// The window's start; who spent it: the agreement, its version and the service. No agreement comes before all.
type SpenderKey = (Instant, Option<(Name, u32)>, Name);

/// What was spent, of how much in all, and of which budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    spent: Micros,
    total: Micros,
    budget: Option<Micros>,
}

/// What was last said of the breaches of one objective.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributions {
    said: Ledger<SpenderKey, Part>,
}

impl Attributions {
    /// Forgets what was said of windows that start before this instant.
    pub fn forget_before(&mut self, first: Instant) {
        self.said.forget_before(&(first, None, Name::from("")));
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
        let total = spent.iter().map(|part| part.time).fold(Micros::ZERO, |sum, time| sum + time);
        let part = |spent: &Spent| {
            let agreement = spent.support.map(|place| &plan.supports[place]);
            let agreement = agreement.map(|support| (support.agreement.clone(), support.version));
            ((start, agreement, spent.service.clone()), Part { spent: spent.time, total, budget })
        };
        let first = |start| (start, None, Name::from(""));
        let range = first(start)..first(start + Micros(1));
        for writing in self.said.restate_within(range, spent.iter().map(part).collect()) {
            facts.attributions.push(row(plan, writing, step));
        }
    }
}

fn row(plan: &ObjectivePlan, writing: Writing<SpenderKey, Part>, step: &Step) -> AttributionRow {
    let (window_start, agreement, service) = writing.key;
    let Part { spent, total, budget } = writing.entry.row;
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
        window_start,
        supporting_agreement: agreement.as_ref().map(|(id, _)| id.to_string()),
        supporting_version: agreement.as_ref().map(|(_, version)| *version as i32),
        supporting_type: supporting_type.map(|kind| kind.as_str().to_owned()),
        supporting_service: service.to_string(),
        spent_us: spent.0,
        total_us: total.0,
        spent_ratio: Share::of(spent.0, total.0).map(Decimal),
        budget_us: budget.map(i64::from),
        revision: writing.entry.revision,
        retracted: writing.entry.retracted,
        recorded_at: step.tick,
        epoch: step.epoch,
    }
}
