//! What is known of a service at a step, and how objectives read it.
//!
//! A service has few readings and many objectives: those of all its agreements that count states by one policy, in one
//! calendar, over one segment and with the same time excluded share one. So a service's month is summed up once a step,
//! not once an agreement.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use plimsoll_schemas::definition::StatePolicy;
use plimsoll_schemas::{Instant, Micros};

use super::outlook::{Earlier, Forecasts, Seen, Sight, Told};
use crate::Name;
use crate::attribution::Family;
use crate::budget::{Course, Spending};
use crate::forecast::{Past, is_of_outages};
use crate::portfolio::ObjectivePlan;
use crate::state::exclusion::ApprovedWindows;
use crate::state::followed::Followed;
use crate::state::service::Segment;
use crate::verdict::{Judged, Measured, Stretch, breached_at, judge, measure_states, stretches, weights};
use crate::window::Window;

/// What is known of a service that its objectives are measured by.
#[derive(Debug)]
pub struct Known<'a> {
    /// Its states.
    pub states: &'a [Segment],
    /// The approved windows of its changes.
    maintenance: &'a ApprovedWindows,
    /// The services below it and their states, where an agreement on it rests on others (R33).
    pub below: Option<(&'a Family, &'a BTreeMap<Name, Followed>)>,
    /// Forecasts, of other services too.
    forecasts: &'a mut Forecasts,
    readings: HashMap<Measure, Reading>,
}

/// Everything that a reading depends on besides the states: the policy, the calendar's place in memory, the segment,
/// what is excluded of it.
type Measure = (StatePolicy, usize, Window, Vec<Window>);

/// A segment as some objectives count it.
#[derive(Debug)]
pub struct Reading {
    stretches: Vec<Stretch>,
    /// Those that follow until the segment's end if the present state goes on.
    ahead: Vec<Stretch>,
    /// What the stretches amount to.
    pub measured: Measured,
    /// What was asked of it, by the digest of the promise.
    answers: Vec<(u64, Answers)>,
    /// Its bad spells and its outages, as far as they were asked for.
    pasts: [Option<Seen>; 2],
}

/// What objectives with one promise learn from a reading, as far as one of them asked.
#[derive(Debug)]
struct Answers {
    judged: Judged,
    breached_at: Option<Option<Instant>>,
    spending: Option<Option<Spending>>,
    /// The last forecast, by the digest of what was seen in earlier windows.
    told: Option<(u64, Option<Told>)>,
}

impl<'a> Known<'a> {
    /// Nothing was read yet.
    pub fn new(states: &'a [Segment], maintenance: &'a ApprovedWindows, forecasts: &'a mut Forecasts) -> Known<'a> {
        Known { states, maintenance, below: None, forecasts, readings: HashMap::new() }
    }

    /// A segment of an objective over states as it counts them, up to `now`, which is the same at every call.
    pub fn reading(
        &mut self,
        plan: &ObjectivePlan,
        policy: &StatePolicy,
        segment: Window,
        now: Instant,
    ) -> (&mut Reading, &mut Forecasts) {
        let excluded = plan.excluded_time(self.maintenance, segment);
        let reading = match self.readings.entry((*policy, Arc::as_ptr(&plan.calendar).addr(), segment, excluded)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let stretches = stretches(self.states, &place.key().3, policy, segment, now);
                let agreed = plan.calendar.elapsed(segment.start, segment.end);
                let measured = measure_states(&stretches, policy, &plan.calendar, agreed);
                let is_good = |present: &Stretch| measured.is_all_good(policy) && weights(policy, present.below).1 == 0;
                let present = stretches.last().filter(|present| now < segment.end && !is_good(present));
                let ahead = present.map_or(Vec::new(), |present| {
                    going_on(self.states, &place.key().3, policy, (present, Window { start: now, ..segment }))
                });
                place.insert(Reading { stretches, ahead, measured, answers: Vec::new(), pasts: [None, None] })
            }
        };
        (reading, self.forecasts)
    }
}

impl Reading {
    /// The stretches of the segment up to now.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Those that follow until its end if the present state goes on, where something was bad.
    pub fn ahead(&self) -> &[Stretch] {
        &self.ahead
    }

    /// The verdict; `over` says that all of the segment has passed, which is the same at every call.
    pub fn judged(&mut self, plan: &ObjectivePlan, over: bool) -> Judged {
        if let Some((_, known)) = self.answers.iter().find(|(promise, _)| *promise == plan.promise) {
            return known.judged;
        }
        let judged = judge(&plan.objective, &self.measured, over);
        self.answers.push((plan.promise, Answers { judged, breached_at: None, spending: None, told: None }));
        judged
    }

    /// The instant from which the objective's target was out of reach; `None` when it never was. To be asked after
    /// `judged`, as everything else.
    pub fn breached_at(&mut self, plan: &ObjectivePlan, policy: &StatePolicy) -> Option<Instant> {
        let Reading { stretches, measured, answers, .. } = self;
        let at = || breached_at(&plan.objective, policy, measured, stretches, &plan.calendar);
        *answered(answers, plan)?.breached_at.get_or_insert_with(at)
    }

    /// How the budget of a segment is being spent; `None` when there is none.
    pub fn spending(&mut self, plan: &ObjectivePlan, policy: &StatePolicy, segment: Window) -> Option<Spending> {
        let Reading { stretches, answers, .. } = self;
        let spending = || Course::new(&plan.objective, policy, stretches, &plan.calendar, segment).spending();
        *answered(answers, plan)?.spending.get_or_insert_with(spending)
    }

    /// What was seen in the segment, for forecasts of the objective.
    pub fn seen(&mut self, plan: &ObjectivePlan, policy: &StatePolicy) -> &Seen {
        let (signal, Reading { stretches, pasts, .. }) = (&plan.objective.indicator.signal, self);
        pasts[usize::from(is_of_outages(signal))]
            .get_or_insert_with(|| Seen::new(Past::read(signal, policy, stretches, &plan.calendar)))
    }

    /// What an open segment may come to.
    pub fn told(
        &mut self,
        plan: &ObjectivePlan,
        policy: &StatePolicy,
        sight: &Sight<'_>,
        earlier: &Earlier<'_>,
        forecasts: &mut Forecasts,
    ) -> Option<Told> {
        let answered_before = answered(&mut self.answers, plan)?.told.filter(|(digest, _)| *digest == earlier.digest());
        if let Some((_, told)) = answered_before {
            return told;
        }
        // A budget that is spent tells when it was.
        let is_spent = sight.judged.budget_left.is_some_and(|left| left <= Micros::ZERO);
        let spending = if is_spent { self.spending(plan, policy, sight.segment) } else { None };
        let was_spent_at = spending.and_then(|spending| spending.spent_at);
        let told = earlier.tell(plan, policy, sight, self.seen(plan, policy), forecasts);
        let told = told.map(|told| Told { exhaustion_at: was_spent_at.or(told.exhaustion_at), ..told });
        answered(&mut self.answers, plan)?.told = Some((earlier.digest(), told));
        told
    }
}

/// The stretches of the rest of a segment if the present state goes on.
fn going_on(
    states: &[Segment],
    excluded: &[Window],
    policy: &StatePolicy,
    (present, rest): (&Stretch, Window),
) -> Vec<Stretch> {
    let Some(last) = states.last() else { return Vec::new() };
    let state = |state, start, end| Segment { state, start, end, causes: Vec::new() };
    // What is unknown may be held as what was known before.
    let held = state(present.below, rest.start - Micros(1), rest.start);
    let states = [held, state(last.state, rest.start, rest.end)];
    stretches(&states, excluded, policy, rest, rest.end)
}

/// The answers for an objective that was judged.
fn answered<'a>(answers: &'a mut [(u64, Answers)], plan: &ObjectivePlan) -> Option<&'a mut Answers> {
    answers.iter_mut().find(|(promise, _)| *promise == plan.promise).map(|(_, answers)| answers)
}
