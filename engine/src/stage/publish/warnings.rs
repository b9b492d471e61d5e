//! Warnings of a window: what there is to be said, and what of it is new (R27, R28).

use std::collections::BTreeMap;
use std::ops::Range;

use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};

use super::{Found, ObjectiveState, Written};
use crate::budget::{BurnPair, Burning, CountedCourse, Course};
use crate::portfolio::ObjectivePlan;
use crate::stage::breach::{Breach, Subject, Warning, breach_row};
use crate::stage::{Facts, Step};
use crate::verdict::{Judged, Measured};
use crate::window::{Window, newest_from};

impl ObjectiveState {
    /// The warnings that a budget of counts burns too fast: those that were said up to an instant, when these ended, and
    /// what there is to say from it until `now`. `None` when there is nothing to be said or taken back.
    pub(super) fn burning(
        &self,
        plan: &ObjectivePlan,
        course: &CountedCourse<'_>,
        window: Window,
        from: Instant,
        now: Instant,
    ) -> Option<Vec<(Warning, Breach)>> {
        let said = self.warnings.within(of_window(window.start));
        let said: Vec<(BurnPair, Burning)> = said
            .filter_map(|((_, warning), Breach { at, ended_at, detail })| match warning {
                Warning::Burning(pair, _) => {
                    Some((*pair, Burning { at: *at, ended_at: *ended_at, detail: detail.clone() }))
                }
                Warning::Used(_) => None,
            })
            .collect();
        if !plan.objective.burn_rate_warnings && said.is_empty() {
            return None;
        }
        let burning = burn_pairs(plan, course.agreed()).into_iter().flat_map(|pair| {
            let said = said.iter().filter(|(known, _)| *known == pair).map(|(_, burning)| burning.clone());
            course.burning(&pair, said, from, now).into_iter().map(warning_of(pair, course.over_at(now)))
        });
        Some(burning.filter(in_time_of(plan, window)).collect())
    }

    /// Whether the warnings of a window may differ from those that were said: a share that was not said is used up,
    /// or something changed before one that was. What is used never falls and what is allowed never rises as a
    /// segment goes on, so a look at what is left tells; only burning comes and goes.
    pub(super) fn may_warn_anew(
        &self,
        plan: &ObjectivePlan,
        window: Window,
        (measured, judged): (&Measured, &Judged),
        touched: Option<Instant>,
    ) -> bool {
        let is_as_stated = touched.is_none() && self.is_stated_by(plan) && !plan.objective.burn_rate_warnings;
        let looked_at =
            |judged: &Judged, measured: &Measured| (judged.budget_left_share, judged.verdict, measured.unknown);
        let used_as_stated =
            |before: &Written| looked_at(&before.judged, &before.measured) == looked_at(judged, measured);
        // Nothing more is used than when warnings were last looked at, nothing more is unknown, and what was too little to
        // warn then (R4) is so still.
        if is_as_stated && !self.warned_since && self.written.get(window.start).is_some_and(used_as_stated) {
            return false;
        }
        let mut said_until = Instant(i64::MIN);
        let mut unsaid = plan.objective.warn_at.iter();
        let mut next = unsaid.next();
        for ((_, warning), said) in self.warnings.within(of_window(window.start)) {
            said_until = said_until.max(said.at);
            if next.is_some_and(|share| *warning == Warning::Used(*share)) {
                next = unsaid.next();
            }
        }
        let left = judged.budget_left_share.map_or(i64::MAX, |left| left.0);
        let is_next_used_up = next.is_some_and(|share| left <= Share::WHOLE - share.0);
        let is_changed = touched.is_some_and(|from| from <= said_until) || !self.is_stated_by(plan);
        plan.objective.burn_rate_warnings || is_next_used_up || is_changed
    }

    /// Whether warnings of a window are new, differ or no longer hold.
    pub(super) fn warns_anew(&self, window: Window, warnings: Option<&[(Warning, Breach)]>) -> bool {
        let Some(warnings) = warnings else { return false };
        let said = || self.warnings.within(of_window(window.start)).map(|((_, warning), said)| (warning, said));
        let now = warnings.iter().map(|(warning, said)| (warning, said));
        // Mostly all of it was said, and in this order.
        !said().eq(now.clone()) && !said().eq(now.collect::<BTreeMap<_, _>>())
    }

    /// Writes the warnings that are new, differ or no longer hold, whatever becomes of the result.
    pub(super) fn warn(&mut self, plan: &ObjectivePlan, found: &Found, step: &Step, facts: &mut Facts) {
        let Some(warnings) = &found.warnings else { return };
        let window = found.now.window;
        let now = warnings.iter().map(|(warning, said)| ((window.start, *warning), said.clone())).collect();
        for writing in self.warnings.restate_within(of_window(window.start), now) {
            let (_, warning) = writing.key;
            facts.breaches.push(breach_row(plan, Subject::Window(window), Some(warning), writing.entry, step));
        }
    }
}

/// The keys of all warnings of the window with this start.
pub(super) fn of_window(start: Instant) -> Range<(Instant, Warning)> {
    (start, Warning::FIRST)..(start + Micros(1), Warning::FIRST)
}

/// By which pairs the objective warns, in a segment with so much agreed time.
pub(super) fn burn_pairs(plan: &ObjectivePlan, agreed: Micros) -> Vec<BurnPair> {
    if plan.objective.burn_rate_warnings { BurnPair::of(agreed) } else { Vec::new() }
}

/// What there is to warn of in a window whose segment has so much agreed time, and is over at an instant (R27, R28). Rolling
/// windows overlap: each warns only of what happened while it was the newest, for the ones before it warned of the rest.
pub(super) fn warnings(
    plan: &ObjectivePlan,
    course: &Course<'_>,
    window: Window,
    (agreed, over_at): (Micros, Option<Instant>),
) -> Vec<(Warning, Breach)> {
    let pairs = burn_pairs(plan, agreed);
    let burning = pairs.iter().flat_map(|pair| course.burning(pair).into_iter().map(warning_of(*pair, over_at)));
    used(plan, |share| course.used_up(share)).chain(burning).filter(in_time_of(plan, window)).collect()
}

/// The warning that a budget burns too fast by a pair, in a segment that is over at an instant: with it ends what still
/// burns.
fn warning_of(pair: BurnPair, over_at: Option<Instant>) -> impl Fn(Burning) -> (Warning, Breach) {
    move |Burning { at, ended_at, detail }| {
        (Warning::Burning(pair, at), Breach { at, ended_at: ended_at.or(over_at), detail })
    }
}

/// The shares of what the target allows that are used up, each from the instant that `used_up` tells (R28).
pub(super) fn used(
    plan: &ObjectivePlan,
    used_up: impl Fn(Share) -> Option<Instant>,
) -> impl Iterator<Item = (Warning, Breach)> {
    plan.objective.warn_at.iter().filter_map(move |&share| {
        let detail = format!("promised {}, {share} of what that allows is used", plan.objective.target);
        Some((Warning::Used(share), Breach { at: used_up(share)?, ended_at: None, detail }))
    })
}

/// Whether a warning is of the time in which its window was the newest.
pub(super) fn in_time_of(plan: &ObjectivePlan, window: Window) -> impl Fn(&(Warning, Breach)) -> bool {
    let newest_from = newest_from(plan.window_kind(), plan.agreement.time_zone, window);
    move |(_, said)| said.at >= newest_from
}
