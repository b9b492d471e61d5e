//! What is known of a service at a step, and how objectives read it.
//!
//! A service has few readings and many objectives: those of all its agreements that count states by one policy, in one
//! calendar, over one segment and with the same time excluded share one. So a service's month is summed up once a step,
//! not once an agreement.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::{Signal, StatePolicy, Target};

use crate::Name;
use crate::attribution::Family;
use crate::budget::{Course, Spending};
use crate::forecast::{Past, is_of_outages};
use crate::portfolio::ObjectivePlan;
use crate::state::exclusion::ApprovedWindows;
use crate::state::followed::Followed;
use crate::state::service::Segment;
use crate::verdict::{Measured, Stretch, breached_at, measure_states, stretches};
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
    readings: HashMap<Measure, Reading>,
}

/// Everything that a reading depends on besides the states: the policy, the calendar's place in memory, the segment,
/// what is excluded of it.
type Measure = (StatePolicy, usize, Window, Vec<Window>);

/// A segment as some objectives count it.
#[derive(Debug)]
pub struct Reading {
    stretches: Vec<Stretch>,
    /// What the stretches amount to.
    pub measured: Measured,
    /// What was asked of it for targets of these signals.
    answers: Vec<((Signal, Target), Answers)>,
    /// Its bad spells and its outages, as far as they were asked for.
    pasts: [Option<Past>; 2],
}

/// What objectives with one target learn from a reading, as far as one of them asked.
#[derive(Debug, Default)]
struct Answers {
    breached_at: Option<Option<Instant>>,
    spending: Option<Option<Spending>>,
}

impl<'a> Known<'a> {
    /// Nothing was read yet.
    pub fn new(states: &'a [Segment], maintenance: &'a ApprovedWindows) -> Known<'a> {
        Known { states, maintenance, below: None, readings: HashMap::new() }
    }

    /// A segment of an objective over states as it counts them, up to `now`, which is the same at every call.
    pub fn reading(
        &mut self,
        plan: &ObjectivePlan,
        policy: &StatePolicy,
        segment: Window,
        now: Instant,
    ) -> &mut Reading {
        let excluded = plan.excluded_time(self.maintenance, segment);
        match self.readings.entry((*policy, Arc::as_ptr(&plan.calendar).addr(), segment, excluded)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let stretches = stretches(self.states, &place.key().3, policy, segment, now);
                let agreed = plan.calendar.elapsed(segment.start, segment.end);
                let measured = measure_states(&stretches, policy, &plan.calendar, agreed);
                place.insert(Reading { stretches, measured, answers: Vec::new(), pasts: [None, None] })
            }
        }
    }
}

impl Reading {
    /// The stretches of the segment up to now.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The instant from which the objective's target was out of reach; `None` when it never was.
    pub fn breached_at(&mut self, plan: &ObjectivePlan, policy: &StatePolicy) -> Option<Instant> {
        let (place, Reading { stretches, measured, answers, .. }) = (self.place_of(plan), self);
        let at = || breached_at(&plan.objective, policy, measured, stretches, &plan.calendar);
        *answers[place].1.breached_at.get_or_insert_with(at)
    }

    /// How the budget of a segment is being spent; `None` when there is none.
    pub fn spending(&mut self, plan: &ObjectivePlan, policy: &StatePolicy, segment: Window) -> Option<Spending> {
        let (place, Reading { stretches, answers, .. }) = (self.place_of(plan), self);
        let spending = || Course::new(&plan.objective, policy, stretches, &plan.calendar, segment).spending();
        *answers[place].1.spending.get_or_insert_with(spending)
    }

    /// What was seen in the segment, for a forecast of the objective.
    pub fn past(&mut self, plan: &ObjectivePlan, policy: &StatePolicy) -> &Past {
        let (signal, Reading { stretches, pasts, .. }) = (&plan.objective.indicator.signal, self);
        pasts[usize::from(is_of_outages(signal))]
            .get_or_insert_with(|| Past::read(signal, policy, stretches, &plan.calendar))
    }

    /// The place of the answers for this objective's target.
    fn place_of(&mut self, plan: &ObjectivePlan) -> usize {
        let (signal, target) = (&plan.objective.indicator.signal, plan.objective.target);
        let known = self.answers.iter().position(|(promised, _)| (&promised.0, promised.1) == (signal, target));
        known.unwrap_or_else(|| {
            self.answers.push(((signal.clone(), target), Answers::default()));
            self.answers.len() - 1
        })
    }
}
