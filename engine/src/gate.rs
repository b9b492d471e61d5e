//! The change gate (R30): would the downtime of a planned change take more than what is left?
//!
//! In: an objective over a service's state, what is known of that state until now, and a planned change. Out: for each
//! window that the change touches, what is left before it and after it. Both are computed by judging the whole segment
//! as if the rest of it went well, once without the change and once with it. So policies, exclusions (R9), short outages
//! (R7) and edges count as they will, and the answer is that of the verdict to come if nothing else happens.
//!
//! A service that is composed of the one that is changed is in the state that follows from its parts (R32) while that one
//! is down and all others are up, and so on upwards. What is excluded for it is only what names it: the maintenance of a
//! part excludes nothing of the whole.
//!
//! When within its planned time the change will take the service down nobody knows, so it is judged with the outage that
//! costs most, of all those that are not longer than the downtime that is expected. What an outage costs changes at the
//! edges of agreed and of excluded time, and where a part of it becomes long enough to count; so the costliest begins or
//! ends at one of these, and all of them are tried. A plan that contains another one's time and downtime can have every
//! outage that the other can: where the one is a no-go, so is the other.

use plimsoll_schemas::definition::{ExcludedPolicy, Objective, Part, Signal, StatePolicy, Target};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};

use crate::Name;
use crate::portfolio::{Feed, ObjectivePlan, Portfolio, ServiceIndex};
use crate::state::State;
use crate::state::composite::state_of;
use crate::state::exclusion::{ApprovedWindow, ApprovedWindows, without};
use crate::state::service::Segment;
use crate::verdict::{Judged, Value, Verdict, judge, least_outage, measure_states, stretches};
use crate::window::{Window, windows_between};

#[cfg(test)]
mod tests;

/// How a change is felt by a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The service.
    pub service: ServiceIndex,
    /// Its state while the change takes what it changes down.
    pub state: State,
    /// Whether it is itself what is changed.
    pub is_changed: bool,
}

/// What a change of a service does to it, and to those that are composed of a service that is not up because of it, each
/// after its parts.
pub fn effects(portfolio: &Portfolio, changed: ServiceIndex) -> Vec<Effect> {
    let mut effects = vec![Effect { service: changed, state: State::Down, is_changed: true }];
    for &service in portfolio.ranks().iter().flatten().filter(|service| **service != changed) {
        let Some(composition) = &portfolio.service(service).rule.composition else { continue };
        let state_of_part = |part: &Part| {
            let place = portfolio.service_place(&part.service);
            effects.iter().find(|effect| Some(effect.service) == place).map_or(State::Up, |effect| effect.state)
        };
        let states: Vec<State> = composition.parts.iter().map(state_of_part).collect();
        if states.iter().any(|state| *state != State::Up) {
            effects.push(Effect { service, state: state_of(composition, states.into_iter()), is_changed: false });
        }
    }
    effects
}

/// A change that is planned, with an outage that is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChange {
    /// Its id: an approved window that is known under it is replaced.
    pub id: Name,
    /// Its planned time, never empty.
    pub window: Window,
    /// How much downtime is expected within it at the most; `None` for all of it. It is taken to fall where it costs
    /// most, for each promise in each window that the change touches.
    pub downtime: Option<Micros>,
    /// When it was or will be approved; `None` for an emergency change, which excludes nothing (R9).
    pub approved_at: Option<Instant>,
    /// Whom it concerns; `None` for everybody.
    pub customer: Option<Name>,
}

/// What a change does to an objective in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impact {
    /// The window.
    pub window: Window,
    /// What would be left at its end without the change and with it, in the unit of the promise; negative when it is
    /// missed. `None` when nothing would be measured.
    pub left: Option<(Value, Value)>,
    /// The agreed time of the change that is excluded.
    pub excluded: Micros,
    /// Whether the promise can still be kept with the change, or the change takes nothing of it.
    pub go: bool,
}

impl Impact {
    /// What the change takes of what is left.
    pub fn taken(&self) -> Option<Value> {
        match self.left? {
            (Value::Time(before), Value::Time(after)) => Some(Value::Time(before - after)),
            (Value::Count(before), Value::Count(after)) => Some(Value::Count(before - after)),
            _ => None,
        }
    }
}

/// What a change does to an objective over a service that feels it so, in each window that it touches; nothing to one that
/// is not measured by the service's state. `states` are those until `now`, which is not after the change's start, from
/// where the first of these windows needs them; `maintenance` is what was approved of the service.
pub fn impacts(
    plan: &ObjectivePlan,
    states: &[Segment],
    maintenance: &ApprovedWindows,
    change: &PlannedChange,
    effect: Effect,
    now: Instant,
) -> Vec<Impact> {
    let Feed::State(policy) = plan.feed() else { return Vec::new() };
    let mut without = maintenance.clone();
    without.remove(&change.id);
    let mut with = without.clone();
    // Events may say of the change that it names this service, too.
    let is_named = effect.is_changed || maintenance.contains_key(&change.id);
    if let Some(approved_at) = change.approved_at.filter(|_| is_named) {
        let approved = ApprovedWindow { window: change.window, approved_at, customer: change.customer.clone() };
        with.insert(change.id.clone(), approved);
    }
    let asked = Asked { plan, policy, states, maintenance: [without, with], change, state: effect.state, now };
    let touched = windows_between(plan.window_kind(), plan.agreement.time_zone, change.window.start, change.window.end);
    touched.filter_map(|window| asked.impact(window, window.clip(plan.agreement.in_force)?)).collect()
}

/// What is asked of one objective.
struct Asked<'a> {
    plan: &'a ObjectivePlan,
    policy: StatePolicy,
    states: &'a [Segment],
    /// What is approved, without the change and with it.
    maintenance: [ApprovedWindows; 2],
    change: &'a PlannedChange,
    /// The state of the service during the downtime of the change.
    state: State,
    now: Instant,
}

impl Asked<'_> {
    fn impact(&self, window: Window, segment: Window) -> Option<Impact> {
        let planned = self.change.window.clip(segment)?;
        let [before, excluded] = [0, 1].map(|place: usize| self.plan.excluded_time(&self.maintenance[place], segment));
        let judged = |down: &[Window], excluded: &[Window]| {
            let judged = self.judged(down, excluded, segment);
            (judged.verdict == Verdict::Breached, left(&self.plan.objective, &judged))
        };
        let (was_breached, before) = judged(&[], &before);
        let outages = self.outages(segment, &excluded).into_iter().map(|outage| judged(&outage, &excluded));
        let (is_breached, after) = outages.min_by_key(|(is_breached, left)| (!is_breached, left.map(amount)))?;
        let left = before.zip(after);
        let takes_nothing = was_breached && left.is_some_and(|(before, after)| amount(after) >= amount(before));
        let agreed = |stretch: Window| self.plan.calendar.elapsed(stretch.start, stretch.end);
        let excluded = excluded.iter().filter_map(|stretch| stretch.clip(planned));
        Some(Impact {
            window,
            left,
            excluded: excluded.fold(Micros::ZERO, |sum, stretch| sum + agreed(stretch)),
            go: !is_breached || takes_nothing,
        })
    }

    /// The verdict on a whole segment, all of which went well after now but for an outage.
    fn judged(&self, down: &[Window], excluded: &[Window], segment: Window) -> Judged {
        // Outages are short or not by all of their length, also beyond the segment (R7), which `stretches` cuts.
        let until = segment.end.max(self.change.window.end) + self.policy.min_outage;
        let states = going_on(self.states, self.now, (down, self.state), until);
        let stretches = stretches(&states, excluded, &self.policy, segment, segment.end);
        let agreed = self.plan.calendar.elapsed(segment.start, segment.end);
        let measured = measure_states(&stretches, &self.policy, &self.plan.calendar, agreed);
        // What is known of the rest is a supposition, so nothing is asked of coverage.
        let objective = Objective { min_coverage: Share(0), ..self.plan.objective.clone() };
        judge(&objective, &measured, true)
    }

    /// The outages among which is the one that costs most in this segment, each as stretches in order.
    fn outages(&self, segment: Window, excluded: &[Window]) -> Vec<Vec<Window>> {
        let planned = self.change.window;
        let downtime = self.change.downtime.unwrap_or(planned.end - planned.start).min(planned.end - planned.start);
        let (starts, ends) = self.edges(segment, excluded);
        let whole = |start: Instant| Window { start, end: planned.end.min(start + downtime) };
        let until = |end: Instant| Window { start: planned.start.max(end - downtime), end };
        let mut outages: Vec<Window> = starts.iter().map(|start| whole(*start)).collect();
        outages.extend(ends.iter().map(|end| until(*end)));
        if self.policy.excluded == ExcludedPolicy::CountGood {
            // Excluded time parts an outage. The last part may be none, or just long enough to count; then those before it
            // are as long as they can be.
            let least = least_outage(&self.policy);
            let counting = |stretch: &Window| self.plan.calendar.due(stretch.end, least);
            outages.extend(excluded.iter().filter_map(counting).map(until));
            let firsts = excluded.iter().map(|stretch| stretch.end).chain([planned.start]);
            outages.extend(firsts.flat_map(|start| {
                let lasts = excluded.iter().map(|stretch| stretch.start);
                lasts.filter(move |end| *end - start < downtime).map(move |end| Window { start, end })
            }));
        }
        outages
            .retain(|outage| planned.start <= outage.start && outage.start < outage.end && outage.end <= planned.end);
        outages.sort_unstable();
        outages.dedup();
        let mut outages: Vec<Vec<Window>> = outages.into_iter().map(|outage| vec![outage]).collect();
        if matches!(self.plan.objective.indicator.signal, Signal::Availability(_) | Signal::Downtime(_)) {
            outages.extend(self.interrupted(segment, excluded, downtime));
        }
        outages
    }

    /// Where outages that cost most may begin and end, besides excluded time that is to be parted: at the edges of the
    /// planned time, of the segment, of agreed time and of excluded time. An outage that begins just after the planned
    /// time does not prolong one that goes on until then.
    fn edges(&self, segment: Window, excluded: &[Window]) -> (Vec<Instant>, Vec<Instant>) {
        let planned = self.change.window;
        let (mut starts, mut ends) = (vec![planned.start, planned.start + Micros(1), segment.start], vec![planned.end]);
        ends.push(segment.end);
        for (start, end) in self.plan.calendar.spans(planned.start, planned.end) {
            starts.push(start);
            ends.push(end);
        }
        for stretch in excluded {
            starts.push(stretch.end);
            ends.push(stretch.start);
        }
        (starts, ends)
    }

    /// The downtime in as many parts as it takes to let all of it count, which is what costs most where only its sum
    /// matters.
    fn interrupted(&self, segment: Window, excluded: &[Window], downtime: Micros) -> Option<Vec<Window>> {
        let planned = self.change.window.clip(segment)?;
        let agreed = self.plan.calendar.spans(planned.start, planned.end);
        let agreed: Vec<Window> = agreed.map(|(start, end)| Window { start, end }).collect();
        let mut counting = match self.policy.excluded {
            ExcludedPolicy::CountActual => agreed,
            ExcludedPolicy::Remove | ExcludedPolicy::CountGood => without(&agreed, excluded),
        };
        let mut rest = downtime;
        for stretch in &mut counting {
            stretch.end = stretch.end.min(stretch.start + rest);
            rest -= stretch.end - stretch.start;
        }
        Some(counting)
    }
}

/// The states until now, and after it up but for some stretches in another state.
fn going_on(known: &[Segment], now: Instant, but: (&[Window], State), until: Instant) -> Vec<Segment> {
    let (stretches, state) = but;
    let mut states = known.to_vec();
    let mut add = |start: Instant, end: Instant, state| {
        if start < end {
            states.push(Segment { start, end, state, causes: Vec::new() });
        }
    };
    let mut start = now;
    for stretch in stretches {
        add(start, stretch.start, State::Up);
        add(stretch.start, stretch.end, state);
        start = stretch.end;
    }
    add(start, until, State::Up);
    states
}

/// How much of something is left, in its unit.
fn amount(left: Value) -> i64 {
    match left {
        Value::Time(time) => time.0,
        Value::Count(count) => count,
        Value::Share(share) => share.0,
    }
}

/// What is left of a promise, in its unit, negative when it is missed.
fn left(objective: &Objective, judged: &Judged) -> Option<Value> {
    match (judged.budget_left, objective.target, judged.value?) {
        (Some(left), ..) => Some(Value::Time(left)),
        (_, Target::AtMostTime(limit), Value::Time(value)) => Some(Value::Time(limit - value)),
        (_, Target::AtLeastTime(limit), Value::Time(value)) => Some(Value::Time(value - limit)),
        (_, Target::AtMostCount(limit), Value::Count(value)) => Some(Value::Count(limit - value)),
        _ => None,
    }
}
