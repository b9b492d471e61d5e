//! Who spent the budget of an agreement that rests on others (R33).
//!
//! In: the stretches of one objective as it counts them, the services below its service with their states, and the
//! agreements that support its own. Out: the bad time, each microsecond of it given to exactly one service and at most
//! one supporting agreement, so that the parts add up to the whole.
//!
//! At an instant at which the service counts as bad, the *culprits* are the services below it
//!
//! 1. that are parts of a composite and help to bring its state about (R32), where that is the state of the whole; or
//! 2. that another of them, or the service itself, depends on and that are down; degraded is enough while the service is
//!    no worse,
//!
//! where each service on the way is itself a cause by 1, or is not up (by 2). Of these only those count that a supporting
//! agreement in force covers, if there is any. A culprit with another one below it is explained by that. Of those that
//! are left, the one that went down first has the time, and keeps it until it recovers; of two at one microsecond, the
//! first by id. Where there is no culprit, the service itself has the time.
//!
//! The agreement is the first in `rests_on` that covers the service which has the time; it may also be one that covers
//! the service itself, or none.
//!
//! Bad things that are counted go to who would have the time at their instants. The time of a ticket's clock goes to the
//! services that the ticket was on, and to the first agreements in `rests_on` that cover these.
//!
//! Everything here depends on instants alone, never on the order in which something became known. Time is summed in
//! billionths of microseconds, for degraded time may be bad in part, and rounded so that sums of parts stay rounded down.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_schemas::definition::{AgreementType, Composition, StatePolicy};
use plimsoll_schemas::{Instant, Micros};

use crate::Name;
use crate::calendar::Calendar;
use crate::state::State;
use crate::state::composite::{is_cause, state_of};
use crate::state::followed::Followed;
use crate::state::service::Segment;
use crate::verdict::{Stretch, WHOLE, weights};
use crate::window::Window;

#[cfg(test)]
mod tests;

/// A service and all that it needs, parts and dependencies, at any depth. The service itself comes first, and each
/// member after all that need it.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// The members.
    pub members: Vec<Member>,
}

/// One service of a family.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id.
    pub service: Name,
    /// How it is composed, if it is.
    pub composition: Option<Composition>,
    /// The places of its parts in the family, in the order of the composition.
    pub parts: Vec<usize>,
    /// The places of the services that it depends on.
    pub depends_on: Vec<usize>,
}

/// One version of an agreement that another rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    /// The agreement's id.
    pub agreement: Name,
    /// Its version.
    pub version: u32,
    /// Its type.
    pub agreement_type: AgreementType,
    /// When it is in force.
    pub in_force: Window,
    /// The services that it covers.
    pub services: Vec<Name>,
}

/// Bad time, or bad things, that one service is answerable for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The place of the supporting agreement among all; `None` where none covers the service.
    pub support: Option<usize>,
    /// The service that was down; the judged service itself where none below it was.
    pub service: Name,
    /// How much of the budget it spent: microseconds of agreed time, or things.
    pub amount: i64,
}

/// What is known of a service and of those below it.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The service and all that it needs.
    pub family: &'a Family,
    /// The agreements that count as supporting, in the order of `rests_on`.
    pub supports: &'a [Support],
    /// The states of the service itself.
    pub states: &'a [Segment],
    /// The states of the others.
    pub followed: &'a BTreeMap<Name, Followed>,
}

/// Splits the bad time of an objective's stretches; in the order of `supports`, then of services, with the time of no
/// supporting agreement last. The sum is the bad time of the stretches in whole microseconds, rounded down.
pub fn attribute(
    evidence: &Evidence<'_>,
    stretches: &[Stretch],
    policy: &StatePolicy,
    calendar: &Calendar,
) -> Vec<Spent> {
    let mut spent: BTreeMap<(usize, &Name), i128> = BTreeMap::new();
    for stretch in stretches {
        let (_, bad) = weights(policy, stretch.counted);
        let edges = if bad > 0 { evidence.edges(stretch.start, stretch.end) } else { Vec::new() };
        for edge in edges.windows(2) {
            let (support, service) = evidence.spender(edge[0]);
            let time = i128::from(calendar.elapsed(edge[0], edge[1]).0);
            *spent.entry((support.unwrap_or(evidence.supports.len()), service)).or_default() += time * bad;
        }
    }
    let (mut sum, mut told) = (0, 0);
    let mut parts = Vec::new();
    for ((support, service), time) in spent {
        sum += time;
        let until = i64::try_from(sum / WHOLE).unwrap_or(i64::MAX);
        if until > told {
            let support = (support < evidence.supports.len()).then_some(support);
            parts.push(Spent { support, service: service.clone(), amount: until - told });
        }
        told = until;
    }
    parts
}

/// Splits bad things by the instants at which they were counted: each is of who has the time at its instant, were it
/// bad. In the order of [`attribute`]; the sum is that of all things.
pub fn attribute_counts<'a>(evidence: &Evidence<'_>, bad: impl Iterator<Item = (&'a Instant, &'a i64)>) -> Vec<Spent> {
    let mut spent: BTreeMap<(usize, &Name), i64> = BTreeMap::new();
    for (at, count) in bad {
        let (support, service) = evidence.spender(*at);
        let sum = spent.entry((support.unwrap_or(evidence.supports.len()), service)).or_default();
        *sum = sum.saturating_add(*count);
    }
    parts_of(spent, evidence.supports)
}

/// Splits the time of a ticket's clock by the service that the ticket was on, which is `on` from each of these instants
/// on, in order; before the first, and where it is on none, it is of the judged service. `used` is the time of the clock
/// between two instants. In the order of [`attribute`]; the sum is the time within `run`.
pub fn attribute_clock<'a>(
    supports: &[Support],
    judged: &'a Name,
    on: &[(Instant, Option<&'a Name>)],
    run: Window,
    used: impl Fn(Window) -> Micros,
) -> Vec<Spent> {
    let mut edges = BTreeSet::from([run.start, run.end]);
    edges.extend(on.iter().map(|(at, _)| *at));
    edges.extend(supports.iter().flat_map(|support| [support.in_force.start, support.in_force.end]));
    let edges: Vec<Instant> = edges.into_iter().filter(|at| (run.start..=run.end).contains(at)).collect();
    let mut spent: BTreeMap<(usize, &Name), i64> = BTreeMap::new();
    for edge in edges.windows(2) {
        let [start, end] = [edge[0], edge[1]];
        let place = on.partition_point(|(at, _)| *at <= start);
        let service = place.checked_sub(1).and_then(|place| on[place].1).unwrap_or(judged);
        let support = support_of(supports, service, start);
        *spent.entry((support.unwrap_or(supports.len()), service)).or_default() += used(Window { start, end }).0;
    }
    parts_of(spent, supports)
}

/// The parts that are not nothing, by the place of the agreement or the number of all for none.
fn parts_of(spent: BTreeMap<(usize, &Name), i64>, supports: &[Support]) -> Vec<Spent> {
    let part = |((support, service), amount): ((usize, &Name), i64)| Spent {
        support: (support < supports.len()).then_some(support),
        service: service.clone(),
        amount,
    };
    spent.into_iter().filter(|(_, amount)| *amount != 0).map(part).collect()
}

/// The first supporting agreement that is in force and covers a service.
fn support_of(supports: &[Support], service: &Name, time: Instant) -> Option<usize> {
    supports.iter().position(|support| support.in_force.contains(time) && support.services.contains(service))
}

impl<'a> Evidence<'a> {
    /// `start`, `end`, and all instants between them at which somebody else may become answerable.
    fn edges(&self, start: Instant, end: Instant) -> Vec<Instant> {
        let mut edges = BTreeSet::from([start, end]);
        edges.extend(self.states.iter().map(|segment| segment.start));
        let below = self.family.members.iter().filter_map(|member| self.followed.get(&member.service));
        edges.extend(below.flat_map(|followed| followed.changes(start, end)).map(|(at, _)| at));
        edges.extend(self.supports.iter().flat_map(|support| [support.in_force.start, support.in_force.end]));
        edges.into_iter().filter(|edge| (start..=end).contains(edge)).collect()
    }

    /// Who is answerable at an instant at which the service counts as bad.
    fn spender(&self, time: Instant) -> (Option<usize>, &'a Name) {
        let members = &self.family.members;
        let states: Vec<State> = (0..members.len()).map(|place| self.state(place, time)).collect();
        let (ways, mut culprits) = self.culprits(&states);
        let support = |place: &usize| support_of(self.supports, &members[*place].service, time);
        let supported: BTreeSet<usize> = culprits.iter().copied().filter(|place| support(place).is_some()).collect();
        if !supported.is_empty() {
            culprits = supported;
        }
        // From the last to the first: each after all that it needs.
        let mut explained = vec![false; members.len()];
        for place in (0..members.len()).rev() {
            explained[place] = ways[place].iter().any(|below| culprits.contains(below) || explained[*below]);
        }
        let left = culprits.into_iter().filter(|place| !explained[*place]);
        let first = left.min_by_key(|place| (self.since(*place, states[*place], time), &members[*place].service));
        let spender = first.unwrap_or(0);
        (support(&spender), &members[spender].service)
    }

    fn state(&self, place: usize, time: Instant) -> State {
        if place == 0 {
            let after = self.states.partition_point(|segment| segment.start <= time);
            return after.checked_sub(1).map_or(State::Unknown, |place| self.states[place].state);
        }
        self.followed.get(&self.family.members[place].service).map_or(State::Unknown, |followed| followed.at(time).0)
    }

    /// The ways from each member to those below it that matter, and the culprits.
    fn culprits(&self, states: &[State]) -> (Vec<Vec<usize>>, BTreeSet<usize>) {
        let members = &self.family.members;
        let mut ways = vec![Vec::new(); members.len()];
        let mut reached = vec![false; members.len()];
        let mut culprits = BTreeSet::new();
        // Held or unobserved time that counts as bad is as bad as down.
        let is_enough = |state| state == State::Down || (state == State::Degraded && states[0] == State::Degraded);
        if let Some(root) = reached.first_mut() {
            *root = true;
        }
        for (place, member) in members.iter().enumerate() {
            if !reached[place] {
                continue;
            }
            for part in causing_parts(member, states[place], states) {
                culprits.insert(part);
                ways[place].push(part);
            }
            for &needed in member.depends_on.iter().filter(|needed| states[**needed] != State::Up) {
                if is_enough(states[needed]) {
                    culprits.insert(needed);
                }
                ways[place].push(needed);
            }
            ways[place].iter().for_each(|below| reached[*below] = true);
        }
        (ways, culprits)
    }

    /// Since when a culprit has been as bad as it is.
    fn since(&self, place: usize, state: State, time: Instant) -> Instant {
        let is_so = |other| other == State::Down || (other == State::Degraded && state == State::Degraded);
        self.followed.get(&self.family.members[place].service).map_or(time, |followed| followed.since(time, is_so))
    }
}

/// The parts of a member that help to bring its state about, where that follows from its parts.
fn causing_parts<'a>(member: &'a Member, whole: State, states: &'a [State]) -> impl Iterator<Item = usize> + 'a {
    let rule = member.composition.as_ref().and_then(|composition| {
        let composed = state_of(composition, member.parts.iter().map(|part| states[*part]));
        (composed == whole).then_some(composition.rule)
    });
    let is_culprit = move |part: &usize| rule.is_some_and(|rule| is_cause(rule, whole, states[*part]));
    member.parts.iter().copied().filter(is_culprit)
}
