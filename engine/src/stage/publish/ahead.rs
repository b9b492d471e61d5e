//! When an objective is to be looked at again though nothing arrives: what the passing of time brings about is said when it
//! is reached, not when results are published next (R27, R28).
//!
//! The next instant follows from the very computation that says what is reached, over the segment as it will be if the
//! present state goes on until its end. If it does not, whatever ended it has the objective looked at, or what was found to
//! be reached is not, and the look is in vain.

use plimsoll_schemas::definition::StatePolicy;
use plimsoll_schemas::{Instant, Micros};

use super::Judging;
use super::warnings::{burn_pairs, warnings};
use crate::budget::{BurnPair, CountedCourse, Course};
use crate::portfolio::ObjectivePlan;
use crate::stage::breach::{Breach, Warning};
use crate::stage::known::Reading;
use crate::verdict::{Stretch, Verdict, breached_at, risk_share, weights};

/// The next instant after `now` at which there may be something to be said of an open segment over states: that it is at
/// risk or breached, a warning, that one ended, or that the segment is over. `None` when nothing is bad at present, and no
/// warning goes on.
pub(super) fn look_at(
    plan: &ObjectivePlan,
    policy: &StatePolicy,
    reading: &Reading,
    (judging, verdict): (&Judging, Verdict),
    said: Option<&[(Warning, Breach)]>,
) -> Option<Instant> {
    let Judging { window, segment, now, .. } = *judging;
    // Also below what is excluded, which may end.
    let is_bad = |last: &Stretch| weights(policy, last.below).1 > 0;
    if !reading.stretches().last().is_some_and(is_bad) && goes_on(said).next().is_none() {
        return None;
    }
    let over_at = segment.end + Micros(1);
    let agreed = reading.measured.agreed;
    if verdict == Verdict::Breached && burn_pairs(plan, agreed).is_empty() {
        return Some(over_at);
    }
    let stretches = [reading.stretches(), reading.ahead()].concat();
    let course = Course::new(&plan.objective, policy, &stretches, &plan.calendar, segment);
    let warned = warnings(plan, &course, window, (agreed, Some(segment.end)));
    let warned = warned.iter().flat_map(|(_, said)| [Some(said.at), said.ended_at]).flatten();
    let at_risk = course.spent(risk_share(&plan.objective));
    let breached = breached_at(&plan.objective, policy, &reading.measured, &stretches, &plan.calendar);
    let reached = warned.chain(at_risk).chain(breached).filter(|at| now < *at && *at < segment.end);
    // An outage that was excluded until now counts from now on, and will be known a microsecond later.
    let counted = |stretch: Option<&Stretch>| stretch.map(|stretch| stretch.counted);
    let changes_now = counted(reading.ahead().first()) != counted(reading.stretches().last());
    reached.chain(changes_now.then_some(now + Micros(1))).chain([over_at]).min()
}

/// The same of a segment over counted things, if nothing more is counted.
pub(super) fn look_at_counts(
    plan: &ObjectivePlan,
    course: &CountedCourse<'_>,
    said: Option<&[(Warning, Breach)]>,
    now: Instant,
) -> Option<Instant> {
    let pairs: Vec<BurnPair> = goes_on(said).collect();
    if burn_pairs(plan, course.agreed()).is_empty() { None } else { course.may_differ_at(&pairs, now) }
}

/// The pairs by which a budget burns too fast.
fn goes_on(said: Option<&[(Warning, Breach)]>) -> impl Iterator<Item = BurnPair> {
    said.into_iter().flatten().filter_map(|(warning, said)| match warning {
        Warning::Burning(pair, _) if said.ended_at.is_none() => Some(*pair),
        _ => None,
    })
}
