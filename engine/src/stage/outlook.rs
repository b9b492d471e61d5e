//! What an open window may come to (R29), from what its objective saw in earlier windows.
//!
//! A forecast is a function of the facts and of how far the window is, which is taken in a thousandth of its agreed time:
//! so it is the same whenever it is asked for, and made anew only when something happened or such a step has passed.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use hashbrown::HashMap;
use plimsoll_schemas::definition::{Signal, StatePolicy, Target, WindowKind};
use plimsoll_schemas::ratio::Share;
use plimsoll_schemas::{Instant, Micros};
use serde::{Deserialize, Serialize};

use crate::budget::{Allowed, Recent};
use crate::digest_of;
use crate::forecast::{Day, Past, forecast, forecast_counts};
use crate::portfolio::ObjectivePlan;
use crate::verdict::{Judged, Measured, in_a_column};
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
    /// What was seen in the windows that are over, by their start; objectives that count alike share it.
    earlier: BTreeMap<Instant, Arc<Past>>,
    /// Tells whether two saw the same.
    digest: u64,
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

/// What was seen in earlier windows of an indicator, by this version of the agreement and by those before it.
#[derive(Debug)]
pub struct Earlier<'a> {
    newest: &'a Outlook,
    before: Vec<&'a Outlook>,
    /// Tells whether two saw the same.
    digest: u64,
}

/// What was seen in a window, as far as it is known.
#[derive(Debug)]
pub struct Seen {
    past: Arc<Past>,
    /// Tells whether two saw the same bad spells.
    spells_digest: u64,
}

/// Forecasts by all that they depend on, those that were asked for since the last step that published and before it.
/// Services of which the same was seen, most often nothing bad, share them, and so do objectives. Nothing depends on
/// whether one is still known.
#[derive(Clone, Debug, Default)]
pub struct Forecasts {
    lately: HashMap<Question, Option<Said>>,
    before: HashMap<Question, Option<Said>>,
}

/// Everything that a forecast depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Question {
    signal: Discriminant<Signal>,
    policy: StatePolicy,
    target: Target,
    agreed: Micros,
    passed: Micros,
    measured: Micros,
    current: Option<Micros>,
    left: Option<Micros>,
    outage_count: i64,
    longest_outage: Micros,
    spells_digest: u64,
    earlier_digest: u64,
}

/// What is forecast.
#[derive(Clone, Copy, Debug)]
struct Said {
    probability: Share,
    /// After how much agreed time the budget is spent.
    spent_after: Option<Micros>,
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

impl Seen {
    /// What a window's past shows.
    pub fn new(past: Past) -> Seen {
        Seen { spells_digest: digest_of(&past.spells), past: Arc::new(past) }
    }
}

impl Forecasts {
    /// Forgets what was not asked for since this was called last.
    pub fn turn(&mut self) {
        self.before = std::mem::take(&mut self.lately);
    }

    fn answer(&mut self, question: Question, say: impl FnOnce() -> Option<Said>) -> Option<Said> {
        let before = &mut self.before;
        *self.lately.entry(question).or_insert_with(|| before.remove(&question).unwrap_or_else(say))
    }
}

impl Earlier<'_> {
    /// Tells whether two saw the same.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Forecasts a window that is open.
    pub fn tell(
        &self,
        plan: &ObjectivePlan,
        policy: &StatePolicy,
        sight: &Sight<'_>,
        seen: &Seen,
        forecasts: &mut Forecasts,
    ) -> Option<Told> {
        let Measured { agreed, outage_count, longest_outage, .. } = *sight.measured;
        let (objective, past) = (&plan.objective, &*seen.past);
        let question = Question {
            signal: discriminant(&objective.indicator.signal),
            policy: *policy,
            target: objective.target,
            agreed,
            passed: in_steps(past.agreed, agreed),
            measured: in_steps(past.measured, agreed),
            current: past.current,
            left: sight.judged.budget_left.zip(sight.judged.budget).map(|(left, budget)| in_steps(left, budget)),
            outage_count,
            longest_outage,
            spells_digest: seen.spells_digest,
            earlier_digest: self.digest,
        };
        let said = forecasts.answer(question, || {
            let versions = [self.newest].into_iter().chain(self.before.iter().copied());
            let earlier = versions.flat_map(|version| version.earlier.values().rev());
            let earlier = earlier.map(|past| &**past).take(WINDOWS_MAX);
            let past = Past { agreed: question.passed, measured: question.measured, ..past.clone() };
            let said = forecast(objective, sight.measured, question.left, agreed - question.passed, &past, earlier)?;
            Some(Said { probability: rounded(said.breach_probability), spent_after: said.spent_after })
        })?;
        let spent_after = said.spent_after.map(|after| question.passed + after);
        let spent_at = spent_after.and_then(|after| plan.calendar.due(sight.segment.start, after));
        // Since the last step some time has passed.
        Some(Told { breach_probability: said.probability, exhaustion_at: spent_at.map(|at| at.max(sight.now)) })
    }
}

impl Outlook {
    /// Forgets what was said and seen, under another definition.
    pub fn forget(&mut self) {
        *self = Outlook::default();
    }

    /// This and what the versions of the agreement before this one saw of the same indicator, the newest first.
    pub fn and<'a>(&'a self, before: impl Iterator<Item = &'a Outlook>) -> Earlier<'a> {
        let before: Vec<&Outlook> = before.collect();
        let digest = match before.is_empty() {
            true => self.digest,
            false => digest_of(&(self.digest, before.iter().map(|version| version.digest).collect::<Vec<_>>())),
        };
        Earlier { newest: self, before, digest }
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

    /// Remembers what was seen in a window that is over. Rolling windows overlap, so each is its own past.
    pub fn remember(&mut self, kind: WindowKind, start: Instant, seen: &Seen) {
        if matches!(kind, WindowKind::Rolling { .. }) || self.earlier.get(&start) == Some(&seen.past) {
            return;
        }
        self.earlier.insert(start, seen.past.clone());
        if self.earlier.len() > WINDOWS_MAX {
            self.earlier.pop_first();
        }
        self.digest = digest_of(&self.earlier.values().collect::<Vec<_>>());
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

#[cfg(test)]
mod tests;
