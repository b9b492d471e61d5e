//! The change gate (R30): would the downtime of a planned change take more than what is left?
//!
//! In: an objective over a service's state, what is known of that state until now, and a planned change. Out: for each
//! window that the change touches, what is left before it and after it. Both are computed by judging the whole segment
//! as if the rest of it went well, once without the change and once with it. So policies, exclusions (R9), short outages
//! (R7) and edges count as they will, and the answer is that of the verdict to come if nothing else happens.

use plimsoll_schemas::definition::{ExcludedPolicy, Objective, StatePolicy, Target};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};

use crate::Name;
use crate::portfolio::{Feed, ObjectivePlan};
use crate::state::State;
use crate::state::exclusion::{ApprovedWindow, ApprovedWindows, without};
use crate::state::service::Segment;
use crate::verdict::{Judged, Value, Verdict, judge, lead, measure_states, stretches};
use crate::window::{Window, windows_between};

#[cfg(test)]
mod tests;

/// A change that is planned, with an outage that is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChange {
    /// Its id: an approved window that is known under it is replaced.
    pub id: Name,
    /// Its planned time, never empty.
    pub window: Window,
    /// How much downtime is expected within it; `None` for all of it. It is taken to fall where it costs most: into
    /// agreed time that is not excluded, in each window that the change touches.
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

/// What a change does to an objective, in each window that it touches; nothing to one that is not measured by the
/// service's state. `states` are those until `now`, which is not after the change's start, from where the first of these
/// windows needs them; `maintenance` is what was approved of the service.
pub fn impacts(
    plan: &ObjectivePlan,
    states: &[Segment],
    maintenance: &ApprovedWindows,
    change: &PlannedChange,
    now: Instant,
) -> Vec<Impact> {
    let Feed::State(policy) = plan.feed() else { return Vec::new() };
    let mut without = maintenance.clone();
    without.remove(&change.id);
    let mut with = without.clone();
    if let Some(approved_at) = change.approved_at {
        let approved = ApprovedWindow { window: change.window, approved_at, customer: change.customer.clone() };
        with.insert(change.id.clone(), approved);
    }
    let asked = Asked { plan, policy, states, maintenance: [without, with], change, now };
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
    now: Instant,
}

impl Asked<'_> {
    fn impact(&self, window: Window, segment: Window) -> Option<Impact> {
        let planned = self.change.window.clip(segment)?;
        let [before, excluded] = [0, 1].map(|place: usize| self.plan.excluded_time(&self.maintenance[place], segment));
        let down = match self.change.downtime {
            None => self.change.window,
            Some(downtime) => self.costliest(planned, &excluded, downtime),
        };
        let (before, after) = (self.judged(None, &before, segment), self.judged(Some(down), &excluded, segment));
        let left = left(&self.plan.objective, &before).zip(left(&self.plan.objective, &after));
        let takes_nothing = before.verdict == Verdict::Breached && left.is_some_and(|(before, after)| before == after);
        let agreed = |stretch: Window| self.plan.calendar.elapsed(stretch.start, stretch.end);
        let excluded = excluded.iter().filter_map(|stretch| stretch.clip(planned));
        Some(Impact {
            window,
            left,
            excluded: excluded.fold(Micros::ZERO, |sum, stretch| sum + agreed(stretch)),
            go: after.verdict != Verdict::Breached || takes_nothing,
        })
    }

    /// The verdict on a whole segment, all of which went well after now but for one outage.
    fn judged(&self, down: Option<Window>, excluded: &[Window], segment: Window) -> Judged {
        // Outages are short or not by all of their length, also beyond the segment (R7), which `stretches` cuts.
        let until = segment.end.max(self.change.window.end) + lead(&self.policy) + Micros(1);
        let states = going_on(self.states, self.now, down, until);
        let stretches = stretches(&states, excluded, &self.policy, segment, segment.end);
        let agreed = self.plan.calendar.elapsed(segment.start, segment.end);
        let measured = measure_states(&stretches, &self.policy, &self.plan.calendar, agreed);
        // What is known of the rest is a supposition, so nothing is asked of coverage.
        let objective = Objective { min_coverage: Share(0), ..self.plan.objective.clone() };
        judge(&objective, &measured, true)
    }

    /// The stretch from the first instant of a planned time that counts until so much of it has counted; all of the
    /// planned time when less than that counts.
    fn costliest(&self, planned: Window, excluded: &[Window], downtime: Micros) -> Window {
        let agreed = self.plan.calendar.spans(planned.start, planned.end);
        let agreed: Vec<Window> = agreed.map(|(start, end)| Window { start, end }).collect();
        let counting = match self.policy.excluded {
            ExcludedPolicy::CountActual => agreed,
            ExcludedPolicy::Remove | ExcludedPolicy::CountGood => without(&agreed, excluded),
        };
        let mut rest = downtime;
        for stretch in &counting {
            if rest <= stretch.end - stretch.start {
                return Window { start: counting[0].start, end: stretch.start + rest };
            }
            rest -= stretch.end - stretch.start;
        }
        planned
    }
}

/// The states until now, and after it up but for one outage.
fn going_on(known: &[Segment], now: Instant, down: Option<Window>, until: Instant) -> Vec<Segment> {
    let down = down.unwrap_or(Window { start: until, end: until });
    let mut states = known.to_vec();
    for (start, end, state) in
        [(now, down.start, State::Up), (down.start, down.end, State::Down), (down.end, until, State::Up)]
    {
        if start < end {
            states.push(Segment { start, end, state, causes: Vec::new() });
        }
    }
    states
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
