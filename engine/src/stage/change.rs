//! Changes: each counts once, where it was first finished (R10): by the outcome that was said last, by whether it was
//! finished by its planned end as that stood then, and by whether it is an emergency change.
//!
//! A change that is found to have failed, or is undone, long after its end turns a good one into a bad one in the
//! window where it ended, whatever has been published of that window (R22).

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Signal;
use plimsoll_schemas::event::{Action, Outcome};
use serde::{Deserialize, Serialize};

use super::{Contribution, Derived, contribution_changes};
use crate::Name;
use crate::portfolio::{ObjectiveKey, Portfolio};

/// One record about one change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// Its time.
    pub time: Instant,
    /// The order among records of one instant.
    pub sequence: i64,
    /// What happened.
    pub action: Action,
    /// How the change ended, as far as this record says.
    pub outcome: Option<Outcome>,
    /// The service that was changed.
    pub service: Option<Name>,
    /// The customer who was touched.
    pub customer: Option<Name>,
    /// When it is to be finished.
    pub planned_end: Option<Instant>,
    /// Whether it is an emergency change.
    pub emergency: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ChangeEntry {
    /// Ascending, without duplicates.
    records: Vec<ChangeRecord>,
    /// What the second stage was told: objective, instant, good.
    told: Vec<(ObjectiveKey, Instant, bool)>,
}

/// Every change of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStage {
    changes: BTreeMap<Name, ChangeEntry>,
    touched: BTreeSet<Name>,
}

impl ChangeStage {
    /// Takes one record, in any order.
    pub fn observe(&mut self, change: &str, record: ChangeRecord) {
        let (name, entry) = match self.changes.get_key_value(change) {
            Some((name, _)) => (name.clone(), self.changes.entry(name.clone()).or_default()),
            None => {
                let name = Name::from(change);
                (name.clone(), self.changes.entry(name).or_default())
            }
        };
        if let Err(place) = entry.records.binary_search(&record) {
            entry.records.insert(place, record);
            self.touched.insert(name);
        }
    }

    /// Makes every change tell the second stage anew; for a portfolio that changed.
    pub fn touch_all(&mut self) {
        self.touched.extend(self.changes.keys().cloned());
    }

    /// Tells the second stage what the records taken since the last call amount to.
    pub fn close(&mut self, portfolio: &Portfolio, derived: &mut Vec<Derived>) {
        for name in std::mem::take(&mut self.touched) {
            let Some(entry) = self.changes.get_mut(&name) else { continue };
            let contribution = |&(ref key, at, good): &(ObjectiveKey, Instant, bool)| {
                portfolio.objective_place(key).map(|objective| Contribution {
                    objective,
                    at,
                    good: i64::from(good),
                    total: 1,
                })
            };
            let before: Vec<_> = entry.told.iter().filter_map(contribution).collect();
            entry.told = contributions(&entry.records, portfolio);
            let now: Vec<_> = entry.told.iter().filter_map(contribution).collect();
            derived.extend(contribution_changes(&before, &now).into_iter().map(Derived::Contribution));
        }
    }
}

fn contributions(records: &[ChangeRecord], portfolio: &Portfolio) -> Vec<(ObjectiveKey, Instant, bool)> {
    let Some(end) = records.iter().position(|record| record.action == Action::Finished) else { return Vec::new() };
    let finished_at = records[end].time;
    let last_said = |field: fn(&ChangeRecord) -> Option<&Name>| records.iter().rev().find_map(field);
    let Some(service) = last_said(|record| record.service.as_ref()).and_then(|id| portfolio.service_place(id)) else {
        return Vec::new();
    };
    let customer = last_said(|record| record.customer.as_ref());
    let plans = portfolio.service(service).change_objectives.iter().map(|&objective| portfolio.objective(objective));
    plans
        .filter(|plan| plan.agreement.in_force.contains(finished_at) && plan.agreement.concerns(customer))
        .filter_map(|plan| {
            let good = is_good(&plan.objective.indicator.signal, records, end)?;
            Some((plan.key.clone(), finished_at, good))
        })
        .collect()
}

/// Whether a change whose record at place `end` finished it is a good one; `None` when the signal does not count it.
fn is_good(signal: &Signal, records: &[ChangeRecord], end: usize) -> Option<bool> {
    match signal {
        Signal::ChangeSuccess => {
            let outcome = records.iter().rev().find_map(|record| record.outcome)?;
            Some(outcome == Outcome::Success)
        }
        Signal::ChangesOnTime => {
            // The plan that it was finished by: one that is moved afterwards cannot make it timely.
            let (until, after) = records.split_at(end + 1);
            let plan = |record: &ChangeRecord| record.planned_end;
            let planned_end = until.iter().rev().find_map(plan).or_else(|| after.iter().find_map(plan))?;
            Some(records[end].time <= planned_end)
        }
        Signal::EmergencyChangeShare => {
            let emergency = records.iter().rev().find_map(|record| record.emergency);
            Some(!emergency.unwrap_or(false))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: i64, action: Action, outcome: Option<Outcome>) -> ChangeRecord {
        ChangeRecord {
            time: Instant(time),
            sequence: 0,
            action,
            outcome,
            service: Some("web".into()),
            customer: None,
            planned_end: None,
            emergency: None,
        }
    }

    #[test]
    fn r10_a_change_counts_once_where_it_first_ended_by_its_last_outcome() {
        let portfolio = crate::stage::publish::tests::portfolio("change_success", 0);
        let mut stage = ChangeStage::default();
        let mut derived = Vec::new();
        let objective = portfolio.services()[0].change_objectives[0];
        stage.observe("C1", record(20, Action::Updated, Some(Outcome::Failed)));
        stage.close(&portfolio, &mut derived);
        assert_eq!(derived, [], "it has not ended yet");
        stage.observe("C1", record(10, Action::Finished, Some(Outcome::Success)));
        stage.close(&portfolio, &mut derived);
        let bad = Contribution { objective, at: Instant(10), good: 0, total: 1 };
        assert_eq!(derived, [Derived::Contribution(bad)]);
        derived.clear();
        stage.observe("C1", record(30, Action::Updated, Some(Outcome::Success)));
        stage.observe("C1", record(30, Action::Updated, Some(Outcome::Success)));
        stage.close(&portfolio, &mut derived);
        let undone = Contribution { total: -1, ..bad };
        let good = Contribution { good: 1, ..bad };
        assert_eq!(derived, [Derived::Contribution(undone), Derived::Contribution(good)]);
    }

    #[test]
    fn r10_a_change_is_on_time_by_the_plan_that_it_was_finished_by() {
        let planned =
            |time, action, end| ChangeRecord { planned_end: Some(Instant(end)), ..record(time, action, None) };
        let on_time = |records: &[ChangeRecord], end| is_good(&Signal::ChangesOnTime, records, end);
        let finished = record(20, Action::Finished, None);
        assert_eq!(on_time(std::slice::from_ref(&finished), 0), None, "without a plan nothing was promised");
        assert_eq!(on_time(&[planned(1, Action::Planned, 20), finished.clone()], 1), Some(true), "at the very instant");
        assert_eq!(on_time(&[planned(1, Action::Planned, 19), finished.clone()], 1), Some(false));
        let moved = [planned(1, Action::Planned, 19), planned(2, Action::Updated, 25), finished.clone()];
        assert_eq!(on_time(&moved, 2), Some(true));
        let moved_too_late = [planned(1, Action::Planned, 19), finished.clone(), planned(21, Action::Updated, 25)];
        assert_eq!(on_time(&moved_too_late, 1), Some(false));
        assert_eq!(on_time(&[finished, planned(21, Action::Updated, 25)], 0), Some(true), "told afterwards");
    }

    #[test]
    fn r10_a_change_is_an_emergency_if_that_was_said_last() {
        let said = |time, emergency| ChangeRecord { emergency, ..record(time, Action::Updated, None) };
        let good = |records: &[ChangeRecord]| is_good(&Signal::EmergencyChangeShare, records, 0);
        let finished = record(0, Action::Finished, None);
        assert_eq!(good(std::slice::from_ref(&finished)), Some(true));
        assert_eq!(good(&[finished.clone(), said(1, Some(true))]), Some(false));
        assert_eq!(good(&[finished, said(1, Some(true)), said(2, Some(false)), said(3, None)]), Some(true));
    }
}
