//! What an open window may come to (R29), from what its objective saw in earlier windows.
//!
//! A forecast is a function of the facts and of how far the window is, which is taken in a thousandth of its agreed time:
//! so it is the same whenever it is asked for, and made anew only when something happened or such a step has passed.

use std::collections::BTreeMap;

use plimsoll_schemas::definition::{StatePolicy, WindowKind};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use super::known::Reading;
use super::publish::in_a_column;
use crate::budget::{Allowed, Recent};
use crate::forecast::{Day, Past, Spell, forecast, forecast_counts};
use crate::portfolio::ObjectivePlan;
use crate::verdict::{Judged, Measured};
use crate::window::Window;

/// How many earlier windows are remembered: nearly three years of months, a month of days.
const WINDOWS_MAX: usize = 32;

/// How far back days are looked at from the newest on.
const DAYS_BACK: Micros = Micros(400 * Micros::DAY.0);

/// In how many steps of agreed time a window passes.
const STEPS: i64 = 1_000;

/// Probabilities are told in hundredths of a percent; more would be false precision.
const PRECISION: f64 = 10_000.0;

/// What is remembered of one objective.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// What was seen in the windows that are over, by their start.
    earlier: BTreeMap<Instant, Past>,
    /// How often that changed, so that versions that follow know.
    edition: u64,
    /// The last forecast.
    last: Option<Said>,
    /// The last forecast of counted things; it is the same when it is made again.
    #[serde(skip)]
    last_counted: Option<Box<SaidOfCounts>>,
}

/// A forecast of counted things and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SaidOfCounts {
    basis: CountedBasis,
    probability: Share,
    spent_after: Option<Micros>,
}

/// Everything that a forecast of counted things depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CountedBasis {
    segment: Window,
    passed: Micros,
    /// Bad things and all things in the segment.
    counts: (i64, i64),
    /// Of what was counted by this version and by those before it.
    edition: u64,
}

/// A forecast and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    basis: Basis,
    spells: Vec<Spell>,
    probability: Share,
    /// After how much agreed time the budget is spent.
    spent_after: Option<Micros>,
}

/// Everything that a forecast depends on besides the earlier windows and the spells of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Basis {
    segment: Window,
    passed: Micros,
    measured: Micros,
    current: Option<Micros>,
    left: Option<Micros>,
    outage_count: i64,
    longest_outage: Micros,
    /// Of what the versions before this one saw.
    inherited: u64,
}

/// A forecast as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The probability that the window ends breached.
    pub breach_probability: Share,
    /// When the budget is expected to be spent, or was; `None` when that is not within the window, and when the target
    /// allows nothing.
    pub exhaustion_at: Option<Instant>,
}

/// A window that is looked at.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// Its segment.
    pub segment: Window,
    /// The instant until which it is known.
    pub now: Instant,
    /// What was measured.
    pub measured: &'a Measured,
    /// How it is judged.
    pub judged: &'a Judged,
}

impl Outlook {
    /// Forgets what was said and seen, under another definition.
    pub fn forget(&mut self) {
        *self = Outlook { edition: self.edition.wrapping_add(1), ..Outlook::default() };
    }

    /// Remembers a window that is over, and forecasts one that is not. `before` is what the versions of the agreement
    /// before this one saw of the same indicator, the newest first.
    pub fn look<'a>(
        &mut self,
        plan: &ObjectivePlan,
        policy: &StatePolicy,
        sight: &Sight<'_>,
        reading: &mut Reading,
        before: impl Iterator<Item = &'a Outlook> + Clone,
    ) -> Option<Told> {
        if sight.segment.end <= sight.now {
            self.remember(plan.window_kind(), sight.segment.start, reading.past(plan, policy));
            return None;
        }
        let is_spent = sight.judged.budget_left.is_some_and(|left| left <= Micros::ZERO);
        let spending = is_spent.then(|| reading.spending(plan, policy, sight.segment)).flatten();
        let was_spent_at = spending.and_then(|spending| spending.spent_at);
        let past = reading.past(plan, policy);
        let agreed = sight.measured.agreed;
        let basis = Basis {
            segment: sight.segment,
            passed: in_steps(past.agreed, agreed),
            measured: in_steps(past.measured, agreed),
            current: past.current,
            left: sight.judged.budget_left.zip(sight.judged.budget).map(|(left, budget)| in_steps(left, budget)),
            outage_count: sight.measured.outage_count,
            longest_outage: sight.measured.longest_outage,
            inherited: before.clone().fold(0, |sum, outlook| sum.wrapping_add(outlook.edition)),
        };
        if !self.last.as_ref().is_some_and(|last| last.basis == basis && last.spells == past.spells) {
            self.last = self.say(plan, sight.measured, basis, past, before);
        }
        let said = self.last.as_ref()?;
        let spent_at = said.spent_after.and_then(|after| plan.calendar.due(sight.segment.start, basis.passed + after));
        // Since the last step some time has passed.
        let exhaustion_at = was_spent_at.or(spent_at.map(|at| at.max(sight.now)));
        Some(Told { breach_probability: said.probability, exhaustion_at })
    }

    /// What was seen in the windows before an instant, the newest first.
    fn seen_before(&self, start: Instant) -> impl Iterator<Item = &Past> {
        self.earlier.range(..start).rev().map(|(_, past)| past)
    }

    fn say<'a>(
        &self,
        plan: &ObjectivePlan,
        measured: &Measured,
        basis: Basis,
        past: &Past,
        before: impl Iterator<Item = &'a Outlook>,
    ) -> Option<Said> {
        let mut earlier: Vec<&Past> = self.seen_before(basis.segment.start).collect();
        before.for_each(|version| earlier.extend(version.seen_before(basis.segment.start)));
        earlier.truncate(WINDOWS_MAX);
        let past = Past { agreed: basis.passed, measured: basis.measured, ..past.clone() };
        let rest = measured.agreed - basis.passed;
        let said = forecast(&plan.objective, measured, basis.left, rest, &past, earlier.into_iter())?;
        let probability = rounded(said.breach_probability);
        Some(Said { basis, spells: past.spells, probability, spent_after: said.spent_after })
    }

    /// Forecasts a window of counted things that is not over. `recent` is what this version counted, and what those before
    /// it did of the same indicator.
    pub fn look_at_counts<'a>(
        &mut self,
        plan: &ObjectivePlan,
        allowed: Allowed,
        sight: &Sight<'_>,
        recent: impl Iterator<Item = &'a Recent> + Clone,
    ) -> Option<Told> {
        let Measured { agreed, elapsed, good_count, total_count, .. } = *sight.measured;
        let basis = CountedBasis {
            segment: sight.segment,
            passed: in_steps(elapsed, agreed),
            counts: (in_a_column(total_count - good_count), in_a_column(total_count)),
            edition: recent.clone().fold(0, |sum, recent| sum.wrapping_add(recent.edition())),
        };
        if self.last_counted.as_ref().is_none_or(|last| last.basis != basis) {
            let days = days(plan, &basis, recent);
            let said = forecast_counts(allowed, basis.counts, agreed - basis.passed, &days)?;
            let (probability, spent_after) = (rounded(said.breach_probability), said.spent_after);
            self.last_counted = Some(Box::new(SaidOfCounts { basis, probability, spent_after }));
        }
        let said = self.last_counted.as_ref()?;
        let spent_at = said.spent_after.and_then(|after| plan.calendar.due(sight.segment.start, basis.passed + after));
        Some(Told { breach_probability: said.probability, exhaustion_at: spent_at.map(|at| at.max(sight.now)) })
    }

    /// Rolling windows overlap, so each is its own past.
    fn remember(&mut self, kind: WindowKind, start: Instant, past: &Past) {
        if matches!(kind, WindowKind::Rolling { .. }) {
            return;
        }
        if self.earlier.get(&start) == Some(past) {
            return;
        }
        self.earlier.insert(start, past.clone());
        self.edition = self.edition.wrapping_add(1);
        self.last = None;
        if self.earlier.len() > WINDOWS_MAX {
            self.earlier.pop_first();
        }
    }
}

/// The days on which something was counted and those between them, each as far as it had passed, the newest last.
fn days<'a>(plan: &ObjectivePlan, basis: &CountedBasis, recent: impl Iterator<Item = &'a Recent>) -> Vec<Day> {
    let mut counts: BTreeMap<Instant, (i64, i64)> = BTreeMap::new();
    for (day, (bad, total)) in recent.flat_map(Recent::days) {
        let sums = counts.entry(*day).or_default();
        *sums = (sums.0.saturating_add(*bad), sums.1.saturating_add(*total));
    }
    let Some((&newest, _)) = counts.last_key_value() else { return Vec::new() };
    // What has passed since the segment's start, negative before it.
    let passed = |at: Instant| plan.calendar.elapsed(basis.segment.start, at).min(basis.passed);
    let first = counts.keys().next().map_or(newest, |first| (*first).max(newest - DAYS_BACK));
    let days = std::iter::successors(Some(first), |day| Some(*day + Micros::DAY));
    let days = days.take_while(|day| *day <= newest || passed(*day) < basis.passed);
    let in_force_from = plan.continues.map_or(plan.agreement.in_force.start, |_| Instant(i64::MIN));
    let seen = days.map(|start| {
        let (from, until) = (passed(start.max(in_force_from)), passed(start + Micros::DAY));
        let (bad, total) = counts.get(&start).copied().unwrap_or_default();
        Day { age: basis.passed - until, agreed: until - from, bad, total }
    });
    seen.collect()
}

/// Rounded down to a thousandth of a whole.
fn in_steps(time: Micros, whole: Micros) -> Micros {
    let step = (whole.0 / STEPS).max(1);
    Micros(time.0.div_euclid(step) * step)
}

fn rounded(probability: f64) -> Share {
    Share((probability * PRECISION).round() as i64 * (Share::WHOLE / PRECISION as i64))
}
