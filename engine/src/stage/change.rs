//! Changes: each counts once, where it was first finished (R10): by the outcome that was said last, by whether it was
//! finished by its planned end as that stood then, and by whether it is an emergency change. The planned time of an
//! approved one is maintenance (R9).
//!
//! It was finished when the first record says so: by the action `finished`, `resolved` or `closed`, or as a whole record
//! whose state is `resolved` or `closed` (R19). A time of the resolution or closing that this record names counts if it
//! lies in the record's past.
//!
//! A change that is found to have failed, or is undone, long after its end turns a good one into a bad one in the
//! window where it ended, whatever has been published of that window (R22).
//!
//! What a change declares follows from the set of its records in the order of their times, never from the order in
//! which they came (R21). An approval is of the window as it was planned then; another window needs an approval of its
//! own. A record that says a window and an approval says that the one is of the other, unless the approval is one that
//! was given to an earlier window: whole records repeat it.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::Signal;
use plimsoll_schemas::event::{Action, Outcome, TicketState};
use serde::{Deserialize, Serialize};

use super::{Derived, Told, retell};
use crate::Name;
use crate::memory::{Edge, Forgotten};
use crate::portfolio::{ObjectiveKey, Portfolio};
use crate::state::exclusion::ApprovedWindow;
use crate::window::Window;

/// One record about one change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// Its time.
    pub time: Instant,
    /// The order among records of one instant.
    pub sequence: i64,
    /// What happened.
    pub action: Action,
    /// The state that a snapshot shows.
    pub state: Option<TicketState>,
    /// How the change ended, as far as this record says.
    pub outcome: Option<Outcome>,
    /// When it is to begin.
    pub planned_start: Option<Instant>,
    /// When it is to be over.
    pub planned_end: Option<Instant>,
    /// When it was approved, in the words of the ticket system.
    pub approved_at: Option<Instant>,
    /// When it was resolved, in the words of the ticket system.
    pub resolved_at: Option<Instant>,
    /// When it was closed, in the words of the ticket system.
    pub closed_at: Option<Instant>,
    /// Whether it is an emergency change.
    pub emergency: Option<bool>,
    /// The service that was changed.
    pub service: Option<Name>,
    /// The customer who was touched.
    pub customer: Option<Name>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ChangeEntry {
    /// Ascending, without duplicates.
    records: Vec<ChangeRecord>,
    /// What the second stage was told to count.
    told: Vec<Told>,
    /// True when it was told of an approved window, which may have to be taken back.
    told_approved: bool,
}

/// Every change of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeStage {
    changes: BTreeMap<Name, ChangeEntry>,
    touched: BTreeSet<Name>,
    /// Changes that were over long ago and are forgotten.
    forgotten: Forgotten,
}

impl ChangeStage {
    /// Takes one record, in any order.
    pub fn observe(&mut self, change: &str, record: ChangeRecord) {
        if self.forgotten.knows(change) {
            return;
        }
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

    /// How many records came of changes that were forgotten.
    pub fn beyond_history(&self) -> u64 {
        self.forgotten.records()
    }

    /// Forgets changes of which all that was counted or planned is closed.
    pub fn forget(&mut self, edge: &Edge) {
        self.forgotten.forget_before(edge.named_from);
        let ChangeStage { changes, touched, forgotten } = self;
        changes.retain(|name, entry| {
            let last = entry.records.iter().flat_map(|record| [Some(record.time), record.planned_end]).flatten().max();
            let last = last.filter(|last| *last < edge.closed_until && !touched.contains(name));
            last.into_iter().for_each(|last| forgotten.insert(name, last));
            last.is_none()
        });
    }

    /// All that the second stage was told to count.
    pub fn told(&self) -> impl Iterator<Item = &Told> {
        self.changes.values().flat_map(|entry| &entry.told)
    }

    /// Makes every change tell the second stage anew; for a portfolio that changed.
    pub fn touch_all(&mut self) {
        self.touched.extend(self.changes.keys().cloned());
    }

    /// The changes whose service, as it was named last, the catalogue does not know (R38), each with that.
    pub fn unassigned<'a>(&'a self, portfolio: &'a Portfolio) -> impl Iterator<Item = (&'a Name, Option<&'a Name>)> {
        let named = self
            .changes
            .iter()
            .map(|(name, entry)| (name, entry.records.iter().rev().find_map(|record| record.service.as_ref())));
        named.filter(|(_, service)| !service.is_some_and(|id| portfolio.knows(id)))
    }

    /// Tells the second stage what the records taken since the last call amount to.
    pub fn close(&mut self, portfolio: &Portfolio, derived: &mut Vec<Derived>) {
        for name in std::mem::take(&mut self.touched) {
            let Some(entry) = self.changes.get_mut(&name) else { continue };
            derived.extend(retell(portfolio, &mut entry.told, contributions(&entry.records, portfolio)));
            let approved = approved_window(&entry.records);
            if approved.is_some() || entry.told_approved {
                entry.told_approved = approved.is_some();
                for service in services(&entry.records).iter().filter_map(|id| portfolio.service_place(id)) {
                    derived.push(Derived::Maintenance { service, change: name.clone(), approved: approved.clone() });
                }
            }
        }
    }
}

/// Every service that the records name: each is maintained.
fn services(records: &[ChangeRecord]) -> BTreeSet<&Name> {
    records.iter().filter_map(|record| record.service.as_ref()).collect()
}

/// Whether a record says that the change should never have been (R17).
fn is_cancelled(record: &ChangeRecord) -> bool {
    record.action == Action::Cancelled || record.state == Some(TicketState::Cancelled)
}

/// The window that was approved; `None` when none was, when the change was cancelled or is an emergency (R9).
fn approved_window(records: &[ChangeRecord]) -> Option<ApprovedWindow> {
    let emergency = records.iter().rev().find_map(|record| record.emergency) == Some(true);
    if emergency || records.iter().any(is_cancelled) {
        return None;
    }
    let mut plan = Plan::default();
    records.iter().for_each(|record| plan.read(record));
    let (start, end) = plan.start.zip(plan.end).filter(|(start, end)| start < end)?;
    let customer = records.iter().rev().find_map(|record| record.customer.clone());
    Some(ApprovedWindow { window: Window { start, end }, approved_at: plan.approved_at?, customer })
}

/// A plan as the records so far tell it.
#[derive(Debug, Default)]
struct Plan {
    start: Option<Instant>,
    end: Option<Instant>,
    /// The time of the record that last changed the window.
    planned_at: Option<Instant>,
    /// When this window was approved.
    approved_at: Option<Instant>,
    /// The last approval of an earlier window.
    outdated: Option<Instant>,
}

impl Plan {
    fn read(&mut self, record: &ChangeRecord) {
        let (start, end) = (record.planned_start.or(self.start), record.planned_end.or(self.end));
        let replanned = (start, end) != (self.start, self.end);
        if replanned {
            (self.start, self.end, self.planned_at) = (start, end, Some(record.time));
            self.outdated = self.outdated.max(self.approved_at.take());
        }
        let said = record.approved_at.filter(|said| *said <= record.time);
        let says_both = record.planned_start.is_some() && record.planned_end.is_some();
        let counts = |at: &Instant| {
            self.planned_at.is_some_and(|planned| says_both || replanned || *at >= planned)
                && self.outdated.is_none_or(|outdated| *at > outdated)
        };
        if let Some(at) = said.filter(counts) {
            self.approved_at = Some(at);
        } else if said.is_none() && record.action == Action::Approved && self.planned_at.is_some() {
            self.approved_at.get_or_insert(record.time);
        }
    }
}

/// When a change was first finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finish {
    at: Instant,
    /// How many of its records were written until then.
    known: usize,
}

impl Finish {
    /// `None` when no record says that it was (R19).
    fn find(records: &[ChangeRecord]) -> Option<Finish> {
        let says_so = |record: &ChangeRecord| match record.action {
            Action::Finished | Action::Resolved | Action::Closed => true,
            Action::Snapshot => matches!(record.state, Some(TicketState::Resolved | TicketState::Closed)),
            _ => false,
        };
        let place = records.iter().position(says_so)?;
        let record = &records[place];
        let named = record.resolved_at.or(record.closed_at).filter(|named| *named <= record.time);
        let at = named.unwrap_or(record.time);
        let known = records.partition_point(|record| record.time <= at).min(place + 1);
        Some(Finish { at, known })
    }
}

/// What a change counts for each objective; nothing when it was ever cancelled.
fn contributions(records: &[ChangeRecord], portfolio: &Portfolio) -> Vec<(ObjectiveKey, Instant, i64, i64)> {
    let Some(finish) = Finish::find(records).filter(|_| !records.iter().any(is_cancelled)) else { return Vec::new() };
    let last_said = |field: fn(&ChangeRecord) -> Option<&Name>| records.iter().rev().find_map(field);
    let Some(service) = last_said(|record| record.service.as_ref()).and_then(|id| portfolio.service_place(id)) else {
        return Vec::new();
    };
    let customer = last_said(|record| record.customer.as_ref());
    let plans = portfolio.service(service).change_objectives.iter().map(|&objective| portfolio.objective(objective));
    plans
        .filter(|plan| plan.agreement.in_force.contains(finish.at) && plan.agreement.concerns(customer))
        .filter_map(|plan| {
            let good = is_good(&plan.objective.indicator.signal, records, finish)?;
            Some((plan.key.clone(), finish.at, i64::from(good), 1))
        })
        .collect()
}

/// Whether a change that was finished then is a good one; `None` when the signal does not count it.
fn is_good(signal: &Signal, records: &[ChangeRecord], finish: Finish) -> Option<bool> {
    match signal {
        Signal::ChangeSuccess => {
            let outcome = records.iter().rev().find_map(|record| record.outcome)?;
            Some(outcome == Outcome::Success)
        }
        Signal::ChangesOnTime => {
            // The plan that it was finished by: one that is moved afterwards cannot make it timely.
            let (until, after) = records.split_at(finish.known);
            let plan = |record: &ChangeRecord| record.planned_end;
            let planned_end = until.iter().rev().find_map(plan).or_else(|| after.iter().find_map(plan))?;
            Some(finish.at <= planned_end)
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
    use crate::stage::Contribution;

    fn record(time: i64, action: Action, outcome: Option<Outcome>) -> ChangeRecord {
        ChangeRecord {
            time: Instant(time),
            sequence: 0,
            action,
            state: None,
            outcome,
            planned_start: None,
            planned_end: None,
            approved_at: None,
            resolved_at: None,
            closed_at: None,
            emergency: None,
            service: Some("web".into()),
            customer: None,
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
        let bad = Contribution { objective, at: Instant(10), good: 0, total: 1, speaks: true, bin: None };
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
    fn r38_a_change_of_a_service_that_the_catalogue_lacks_is_told() {
        let portfolio = crate::stage::publish::tests::portfolio("change_success", 0);
        let named = |service: Option<&str>| ChangeRecord {
            service: service.map(Name::from),
            ..record(10, Action::Finished, Some(Outcome::Failed))
        };
        let mut stage = ChangeStage::default();
        for (change, service) in [("C1", Some("web")), ("C2", Some("wbe")), ("C3", None)] {
            stage.observe(change, named(service));
        }
        let told: Vec<_> =
            stage.unassigned(&portfolio).map(|(name, service)| (&**name, service.map(|id| &**id))).collect();
        assert_eq!(told, [("C2", Some("wbe")), ("C3", None)]);
    }

    /// The approved window (start, end, approved at) of records of `web`, whatever the order they come in.
    fn approved(records: &[ChangeRecord]) -> Option<(i64, i64, i64)> {
        let portfolio = crate::stage::publish::tests::portfolio("availability", 0);
        let found = |records: Vec<&ChangeRecord>| {
            let mut stage = ChangeStage::default();
            let mut last = None;
            for record in records {
                stage.observe("C1", record.clone());
                let mut derived = Vec::new();
                stage.close(&portfolio, &mut derived);
                for event in derived {
                    let Derived::Maintenance { approved, .. } = event else { continue };
                    last = approved.map(|found| (found.window.start.0, found.window.end.0, found.approved_at.0));
                }
            }
            last
        };
        let forwards = found(records.iter().collect());
        assert_eq!(forwards, found(records.iter().rev().collect()), "any order gives the same");
        forwards
    }

    fn planned(time: i64, action: Action, start: i64, end: i64) -> ChangeRecord {
        ChangeRecord {
            planned_start: Some(Instant(start)),
            planned_end: Some(Instant(end)),
            ..record(time, action, None)
        }
    }

    fn says(approved_at: i64, record: ChangeRecord) -> ChangeRecord {
        ChangeRecord { approved_at: Some(Instant(approved_at)), ..record }
    }

    #[test]
    fn r9_an_approval_is_of_the_window_as_it_was_planned_then() {
        let plan = planned(10, Action::Planned, 100, 200);
        let approval = record(20, Action::Approved, None);
        assert_eq!(approved(std::slice::from_ref(&plan)), None, "nobody approved it");
        assert_eq!(approved(&[approval.clone(), record(30, Action::Started, None)]), None, "nothing was planned");
        assert_eq!(approved(&[plan.clone(), approval.clone()]), Some((100, 200, 20)));
        assert_eq!(approved(&[plan.clone(), says(15, approval.clone())]), Some((100, 200, 15)));
        assert_eq!(approved(&[plan.clone(), says(25, approval.clone())]), Some((100, 200, 20)), "it is said too early");
        let again = record(40, Action::Approved, None);
        assert_eq!(approved(&[plan.clone(), approval.clone(), again.clone()]), Some((100, 200, 20)), "once is enough");
        // Another window needs another approval, also when the first window comes back.
        let other = planned(30, Action::Updated, 100, 300);
        assert_eq!(approved(&[plan.clone(), approval.clone(), other.clone()]), None);
        assert_eq!(approved(&[plan.clone(), approval.clone(), other.clone(), again]), Some((100, 300, 40)));
        let back = planned(50, Action::Updated, 100, 200);
        assert_eq!(approved(&[plan.clone(), approval.clone(), other.clone(), back]), None);
        // Whole records repeat an approval: of the same window it is the same, of another it is none.
        let whole = says(20, planned(60, Action::Finished, 100, 200));
        assert_eq!(approved(&[plan.clone(), approval.clone(), whole.clone()]), Some((100, 200, 20)));
        assert_eq!(approved(&[plan.clone(), approval.clone(), says(20, other.clone())]), None);
        assert_eq!(approved(&[plan, approval, says(29, other)]), Some((100, 300, 29)));
        assert_eq!(approved(&[whole]), Some((100, 200, 20)), "it may be all that is known");
        assert_eq!(approved(&[says(20, planned(60, Action::Finished, 200, 200))]), None, "no time at all");
    }

    #[test]
    fn r9_cancelled_and_emergency_changes_exclude_nothing() {
        let whole = says(20, planned(60, Action::Finished, 100, 200));
        let cancelled = record(70, Action::Cancelled, None);
        assert_eq!(approved(&[whole.clone(), cancelled]), None);
        let shown = ChangeRecord { state: Some(TicketState::Cancelled), ..record(70, Action::Snapshot, None) };
        assert_eq!(approved(&[whole.clone(), shown]), None);
        let emergency = |said| ChangeRecord { emergency: Some(said), ..record(70, Action::Updated, None) };
        assert_eq!(approved(&[whole.clone(), emergency(true)]), None);
        assert_eq!(approved(&[whole, emergency(false)]), Some((100, 200, 20)));
    }

    #[test]
    fn r10_a_change_is_on_time_by_the_plan_that_it_was_finished_by() {
        let planned =
            |time, action, end| ChangeRecord { planned_end: Some(Instant(end)), ..record(time, action, None) };
        let on_time = |records: &[ChangeRecord]| {
            is_good(&Signal::ChangesOnTime, records, Finish::find(records).expect("finished"))
        };
        let finished = record(20, Action::Finished, None);
        assert_eq!(on_time(std::slice::from_ref(&finished)), None, "without a plan nothing was promised");
        assert_eq!(on_time(&[planned(1, Action::Planned, 20), finished.clone()]), Some(true), "at the very instant");
        assert_eq!(on_time(&[planned(1, Action::Planned, 19), finished.clone()]), Some(false));
        let moved = [planned(1, Action::Planned, 19), planned(2, Action::Updated, 25), finished.clone()];
        assert_eq!(on_time(&moved), Some(true));
        let moved_too_late = [planned(1, Action::Planned, 19), finished.clone(), planned(21, Action::Updated, 25)];
        assert_eq!(on_time(&moved_too_late), Some(false));
        assert_eq!(on_time(&[finished, planned(21, Action::Updated, 25)]), Some(true), "told afterwards");
        // It was over at 20, as a record of 30 tells. The plan was moved at 25, which is afterwards.
        let told_late = ChangeRecord { closed_at: Some(Instant(20)), ..planned(30, Action::Closed, 40) };
        let moved_before_it_was_told = [planned(1, Action::Planned, 19), planned(25, Action::Updated, 40), told_late];
        assert_eq!(on_time(&moved_before_it_was_told), Some(false));
        assert_eq!(on_time(&moved_before_it_was_told[2..]), Some(true), "the one record is all that is known");
    }

    #[test]
    fn r19_a_change_was_finished_when_the_first_record_shows_it_over() {
        let shows = |time, state| ChangeRecord { state: Some(state), ..record(time, Action::Snapshot, None) };
        let at = |records: &[ChangeRecord]| Finish::find(records).map(|finish| finish.at.0);
        let (active, resolved) = (shows(10, TicketState::Active), shows(20, TicketState::Resolved));
        let closed = shows(30, TicketState::Closed);
        assert_eq!(at(std::slice::from_ref(&active)), None);
        assert_eq!(at(&[record(10, Action::Started, None), record(20, Action::Snapshot, None)]), None, "no state");
        assert_eq!(at(&[active.clone(), resolved.clone(), closed.clone()]), Some(20));
        assert_eq!(at(&[active.clone(), closed.clone()]), Some(30));
        for action in [Action::Finished, Action::Resolved, Action::Closed] {
            assert_eq!(at(&[active.clone(), record(15, action, None), closed.clone()]), Some(15), "{action:?}");
        }
        // What the record itself says of it, in its own past.
        let named = |resolved_at: Option<i64>, closed_at: Option<i64>| ChangeRecord {
            resolved_at: resolved_at.map(Instant),
            closed_at: closed_at.map(Instant),
            ..closed.clone()
        };
        assert_eq!(at(&[active.clone(), named(Some(12), Some(25))]), Some(12));
        assert_eq!(at(&[active.clone(), named(None, Some(25))]), Some(25));
        assert_eq!(at(&[active, named(Some(31), None)]), Some(30), "a time ahead is no word");
        assert_eq!(at(&[resolved, named(Some(12), None)]), Some(20), "the first record that shows it over has the say");
    }

    #[test]
    fn r10_a_change_is_an_emergency_if_that_was_said_last() {
        let said = |time, emergency| ChangeRecord { emergency, ..record(time, Action::Updated, None) };
        let finish = Finish { at: Instant(0), known: 1 };
        let good = |records: &[ChangeRecord]| is_good(&Signal::EmergencyChangeShare, records, finish);
        let finished = record(0, Action::Finished, None);
        assert_eq!(good(std::slice::from_ref(&finished)), Some(true));
        assert_eq!(good(&[finished.clone(), said(1, Some(true))]), Some(false));
        assert_eq!(good(&[finished, said(1, Some(true)), said(2, Some(false)), said(3, None)]), Some(true));
    }

    #[test]
    fn r9_an_approval_of_an_earlier_window_is_none_of_a_later_one_unless_both_are_said_anew() {
        let says = |time, start: Option<i64>, end: Option<i64>, approved_at: Option<i64>| ChangeRecord {
            planned_start: start.map(Instant),
            planned_end: end.map(Instant),
            approved_at: approved_at.map(Instant),
            ..record(time, Action::Updated, None)
        };
        // Planned at 10 for 100 to 200, and at 20 until 250. What was approved at 15 was the first.
        let planned = [says(10, Some(100), Some(200), None), says(20, None, Some(250), None)];
        let approved_by = |last: ChangeRecord| approved(&[&planned[..], &[last]].concat());
        assert_eq!(approved_by(says(30, None, Some(250), Some(15))), None);
        assert_eq!(approved_by(says(30, Some(100), None, Some(15))), None);
        assert_eq!(approved_by(says(30, None, None, Some(15))), None);
        // A record that says the whole window says that this is what was approved.
        assert_eq!(approved_by(says(30, Some(100), Some(250), Some(15))), Some((100, 250, 15)));
        assert_eq!(approved_by(says(30, None, Some(250), Some(20))), Some((100, 250, 20)));
    }

    #[test]
    fn r10_a_change_is_on_time_by_the_plan_that_the_record_of_its_end_tells() {
        let plans =
            |time, action, end: i64| ChangeRecord { planned_end: Some(Instant(end)), ..record(time, action, None) };
        let on_time = |records: &[ChangeRecord]| {
            let finish = Finish::find(records).expect("an end");
            is_good(&Signal::ChangesOnTime, records, finish)
        };
        // It ended at 150. The plan was 100 until then, and the record of the end says 200.
        assert_eq!(on_time(&[plans(10, Action::Planned, 100), plans(150, Action::Finished, 200)]), Some(true));
        assert_eq!(on_time(&[plans(10, Action::Planned, 200), plans(150, Action::Finished, 100)]), Some(false));
        // One of the same instant that comes after it does not.
        let after = ChangeRecord { sequence: 1, ..plans(150, Action::Planned, 200) };
        assert_eq!(
            on_time(&[plans(10, Action::Planned, 100), record(150, Action::Finished, None), after]),
            Some(false)
        );
    }

    #[test]
    fn r10_a_change_counts_under_versions_in_force_for_customers_whom_it_concerns() {
        let text = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: other}}
---
{apiVersion: plimsoll/v1, kind: Agreement, metadata: {id: a}, spec: {type: sla, customer: acme, services: [web],
  effective: {from: 1970-01-02, until: 1970-01-03}, objectives: [{id: good, indicator: {signal: change_success},
  target: {at_least: 90 %}, window: {calendar: day}}]}}
";
        let portfolio = crate::portfolio::tests::portfolio_of(text);
        let counts = |at: i64, customer: Option<&str>| {
            let finished = record(at, Action::Finished, Some(Outcome::Success));
            contributions(&[ChangeRecord { customer: customer.map(Name::from), ..finished }], &portfolio).len()
        };
        let day = plimsoll_schemas::Micros::DAY.0;
        let found = [day - 1, day, 2 * day - 1, 2 * day].map(|at| counts(at, Some("acme")));
        assert_eq!((found, counts(day, Some("other"))), ([0, 1, 1, 0], 0));
    }

    #[test]
    fn r21_a_change_is_forgotten_when_all_of_it_lies_before_the_edge() {
        let portfolio = crate::stage::publish::tests::portfolio("change_success", 0);
        let edge = |closed_until, named_from| Edge {
            closed_until: Instant(closed_until),
            kept_from: Instant(closed_until),
            named_from: Instant(named_from),
        };
        let planned = ChangeRecord { planned_end: Some(Instant(20)), ..record(5, Action::Planned, None) };
        let mut stage = ChangeStage::default();
        stage.observe("C1", planned);
        stage.observe("C2", record(19, Action::Planned, None));
        stage.close(&portfolio, &mut Vec::new());
        // One that nothing was told of yet.
        stage.observe("C3", record(1, Action::Planned, None));
        let known = |stage: &ChangeStage| stage.changes.keys().map(|name| name.to_string()).collect::<Vec<_>>();
        stage.forget(&edge(20, 0));
        assert_eq!(known(&stage), ["C1", "C3"], "C1 is planned until 20");
        stage.close(&portfolio, &mut Vec::new());
        stage.forget(&edge(21, 20));
        assert_eq!(known(&stage), [""; 0]);
        // C2 ended before 20, and its name is new.
        for change in ["C1", "C2", "C3"] {
            stage.observe(change, record(30, Action::Updated, None));
        }
        assert_eq!((known(&stage), stage.beyond_history()), (vec!["C2".to_owned()], 2));
    }

    #[test]
    fn r38_a_change_counts_once_the_catalogue_knows_its_service() {
        let portfolio = crate::stage::publish::tests::portfolio("change_success", 0);
        let mut stage = ChangeStage::default();
        stage.observe("C1", record(10, Action::Finished, Some(Outcome::Success)));
        let told = |stage: &mut ChangeStage, portfolio: &Portfolio| {
            let mut derived = Vec::new();
            stage.close(portfolio, &mut derived);
            derived.len()
        };
        assert_eq!(told(&mut stage, &Portfolio::default()), 0);
        assert_eq!(told(&mut stage, &portfolio), 0, "nothing came of it");
        stage.touch_all();
        assert_eq!((told(&mut stage, &portfolio), told(&mut stage, &portfolio)), (1, 0));
    }
}
